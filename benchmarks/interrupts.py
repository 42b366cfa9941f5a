"""Is Ctrl-C answered whenever it comes while `talkers speak` works, and is nothing left then?

    python benchmarks/interrupts.py [--avatar default] [--tries 400] [--seed 0]

Each try is a fork of this process, with the imports done, that says a second of noise and is sent
SIGINT at a random moment of the time that this takes. Counted: interrupted (exit code 130), done
before the signal came, and what must not be: lost (the command went on to its end), other ends, and
tries that left something beside a whole video. Linux and macOS.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile

import talkers.runtime.avatar
import talkers.runtime.talking_video  # noqa: F401  (what speaking needs is imported once)
from talkers.cli import main as talkers_cli
from talkers.hardware import machine

AFTER = 64  # an exit code of a try that was done before the signal came


def tried(command: list[str], output: Path, delay: float | None) -> tuple[int, bool]:
    """Run a command in a fork and interrupt it after `delay` seconds (None: do not): its exit code,
    and whether its folder holds what it should."""
    output.parent.mkdir()
    child = os.fork()
    if not child:
        try:
            _in_the_fork(command, output, delay)
        finally:  # whatever was raised: this process must not go on with what is its parent's
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = list(output.parent.iterdir())
    return code, left in {130: ([], [output]), AFTER: ([output],), 0: ([output],)}.get(code, ([],))


def _in_the_fork(command: list[str], output: Path, delay: float | None) -> None:
    came = threading.Event()

    def press() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        came.set()

    signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(delay or 0, press)
    timer.daemon = True
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        if delay is not None:
            timer.start()
        code = talkers_cli([*command, "-o", str(output)])
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:  # before the command could answer, or after it was done
        code = 130
    os._exit(AFTER if code == 0 and not came.is_set() else code)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--avatar", default="default")
    parser.add_argument("--tries", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random, ends = np.random.default_rng(options.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as place:
        speech = Path(place) / "speech.wav"
        soundfile.write(speech, 0.1 * random.normal(size=16_000), 16_000)
        command = ["speak", str(speech), "--avatar", options.avatar]
        begun = time.monotonic()
        assert tried(command, Path(place) / "whole" / "out.mp4", None)[0] == AFTER, (
            "the command fails without being interrupted"
        )
        lasts = time.monotonic() - begun
        for k in range(options.tries):
            code, clean = tried(
                command, Path(place) / str(k) / "out.mp4", random.uniform(0.02, lasts)
            )
            ends[
                {130: "interrupted", AFTER: "done before", 0: "lost"}.get(
                    code, f"ended with {code}"
                )
            ] += 1
            ends["left something"] += not clean
    print(
        json.dumps(
            {"machine": machine(), "seconds": round(lasts, 2), "tries": options.tries} | ends
        )
    )


if __name__ == "__main__":
    main()
