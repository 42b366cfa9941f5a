"""How much slower is `talkers speak` beside a busy process, with threads that sleep or spin?

    python benchmarks/shared_cores.py [--seconds 6] [--repeat 2] [-o shared_cores.json]

Each run is a fresh process that says so many seconds of the bundled sentence, repeated. It waits
passively, as talkers sets it, or actively, as OpenMP does by itself; on the machine as it is, and
beside one process that counts. Reported: the best of the repetitions in seconds, and the ratios
`beside / alone` of both, and `passive / active` on the machine as it is. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile

from talkers.hardware import machine

# Whoever sets one of the variables has all of them left alone: libgomp's own default is 300,000.
WAITING = {"passive": {}, "active": {"GOMP_SPINCOUNT": "300000"}}


@contextmanager
def busy_process(wanted: bool) -> Iterator[None]:
    """One process that counts as long as the block lasts."""
    if not wanted:
        yield
        return
    counter = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        counter.kill()
        counter.wait()


def seconds_to_speak(sound: Path, target: Path, waiting: dict[str, str]) -> float:
    """Wall-clock time of `talkers speak`."""
    unset = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")
    environment = {k: v for k, v in os.environ.items() if k not in unset} | waiting
    command = [sys.executable, "-m", "talkers", "speak", str(sound), "-o", str(target)]
    begin = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    samples, rate = soundfile.read(str(files("talkers") / "avatars" / "hello.flac"))
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        sound, target = Path(folder) / "speech.wav", Path(folder) / "out.mp4"
        soundfile.write(sound, np.resize(samples, round(options.seconds * rate)), rate)
        for beside in (False, True):
            for name, waiting in WAITING.items():
                with busy_process(beside):
                    taken = [
                        seconds_to_speak(sound, target, waiting) for _ in range(options.repeat)
                    ]
                times[f"{name}, {'beside a busy process' if beside else 'alone'}"] = min(taken)
    ratios = {
        f"{name}: beside / alone": times[f"{name}, beside a busy process"] / times[f"{name}, alone"]
        for name in WAITING
    }
    ratios["alone: passive / active"] = times["passive, alone"] / times["active, alone"]
    report = {
        "machine": machine(),
        "seconds of speech": options.seconds,
        "seconds": {k: round(v, 2) for k, v in times.items()},
        "ratios": {k: round(v, 2) for k, v in ratios.items()},
    }
    text = json.dumps(report, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
