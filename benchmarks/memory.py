"""Does memory grow with length? The peak of each verb for short and long input, its child processes
included.

    python benchmarks/memory.py [--seconds 30 600] [--footage VIDEO ...] [--verbs speak stream
    prepare evaluate pairs] [-o memory.json]

Speech is the bundled sentence, again and again. Footage is the videos named, one after the other,
again and again, as one file (without any, the verbs that need some are left out); `evaluate`
prepares it and scores the bundled avatar on two of its clips, `pairs` compares it with itself.
Every verb runs in a fresh process. Of it and of each of its children the most that it ever held
(VmHWM, which no reading misses) is read twice a second; given are MB of all that lived at one time,
pages that they share counted in each. Exit code 1 when the longest needs more than 50 MB more than
the shortest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

import talkers
from talkers.hardware import machine
from talkers.media import VideoWriter, audio_blocks, decode_frames, read_audio

MOST = 50  # MB that a longer input may need more
HELLO = Path(talkers.__file__).parent / "avatars" / "hello.flac"
STREAM = """
import sys, talkers
from talkers.media import audio_blocks
made = sum(1 for _ in talkers.Avatar.load().stream(audio_blocks(sys.argv[1])))
"""


def held(pid: int) -> float:
    """MB that a process and those below it held at most, each at its own time."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except (OSError, StopIteration):
            continue  # it has ended
    return total / 1024


def peak(command: list[str]) -> float:
    """MB that a command and its children hold at most.

    Raises:
        SystemExit: it failed.
    """
    with tempfile.TemporaryFile() as said:
        child, most = subprocess.Popen(command, stdout=said, stderr=said), 0.0
        while child.poll() is None:
            most = max(most, held(child.pid))
            time.sleep(0.5)
        if child.returncode:
            said.seek(0)
            sys.exit(f"{command} failed: {said.read().decode(errors='replace')[-2000:]}")
    return most


def speech(path: Path, seconds: float) -> Path:
    samples = read_audio(HELLO)
    soundfile.write(path, np.resize(samples, int(seconds * 16_000)), 16_000, subtype="PCM_16")
    return path


def footage(path: Path, files: list[Path], seconds: float) -> Path:
    """One video of so many seconds at 25 frames a second, of these again and again."""

    def sounds() -> Iterator[NDArray[np.float32]]:
        for file in cycle(files):
            yield from audio_blocks(file, 48_000)

    with VideoWriter(
        path, Fraction(25), sounds_of(sounds(), round(seconds * 48_000)), preset="ultrafast"
    ) as video:
        left = round(seconds * 25)
        for file in cycle(files):
            for frame in decode_frames(file, Fraction(25)):
                video.write(frame)
                left -= 1
                if not left:
                    return path
    return path


def sounds_of(blocks: Iterator[NDArray[np.float32]], count: int) -> Iterator[NDArray[np.float32]]:
    """The first `count` samples."""
    for block in blocks:
        yield block[:count]
        count -= len(block)
        if count <= 0:
            return


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, nargs="*", default=[30, 600])
    parser.add_argument("--footage", type=Path, nargs="*", default=[])
    parser.add_argument(
        "--verbs", nargs="*", default=["speak", "stream", "prepare", "evaluate", "pairs"]
    )
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    run, peaks = [sys.executable, "-m", "talkers"], dict[str, dict[str, float]]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seconds in options.seconds:
            said = str(speech(folder / f"{seconds:g}.flac", seconds))
            seen = (
                str(footage(folder / f"{seconds:g}.mp4", options.footage, seconds))
                if options.footage
                else ""
            )
            commands = {
                "speak": [*run, "speak", said, "-o", str(folder / "out.mp4")],
                "stream": [sys.executable, "-c", STREAM, said],
                "prepare": [
                    *run,
                    "prepare",
                    seen,
                    "-o",
                    str(folder / f"corpus{seconds:g}"),
                    "--jobs",
                    "1",
                ],
                "evaluate": [
                    *run,
                    "evaluate",
                    "default",
                    seen,
                    "-o",
                    str(folder / f"report{seconds:g}"),
                    "--jobs",
                    "1",
                    "--speed",
                    "0",
                    "--limit",
                    "2",
                ],
                "pairs": [
                    *run,
                    "evaluate",
                    seen,
                    seen,
                    "--pairs",
                    "-o",
                    str(folder / f"pairs{seconds:g}"),
                    "--jobs",
                    "1",
                ],
            }
            for verb in options.verbs:
                if seen or verb in ("speak", "stream"):
                    peaks.setdefault(verb, {})[f"{seconds:g} s"] = round(peak(commands[verb]))
                    print(json.dumps({verb: peaks[verb]}), flush=True)
    report = {"machine": machine(), "peak_mb": peaks}
    print(json.dumps(report, indent=1))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    shortest, longest = (f"{end(options.seconds):g} s" for end in (min, max))
    if grown := [
        f"{verb} by {by[longest] - by[shortest]:g} MB"
        for verb, by in peaks.items()
        if by[longest] - by[shortest] > MOST
    ]:
        sys.exit(f"memory grows: {', '.join(grown)}")


if __name__ == "__main__":
    main()
