"""How fast an avatar speaks, end to end, and what memory it takes: measured in a fresh process, as a user's command is."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile

from talkers.errors import TalkersError
from talkers.media import read_audio

SPEAK = """
import json, resource, sys, time
begin = time.perf_counter()
def peak_mb():
    try:  # ru_maxrss of a child counts what its parent held when it forked
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
import talkers
avatar = talkers.Avatar.load(sys.argv[1])
controls = talkers.Controls(motion=sys.argv[4])
mover, moving = avatar.mover(sys.argv[4]), [0.0]
inner = mover.forward
def timed(*arguments, **named):
    begin = time.perf_counter()
    made = inner(*arguments, **named)
    moving[0] += time.perf_counter() - begin
    return made
mover.forward = timed
first = None
def progress(done, total):
    global first
    first = first or time.perf_counter() - begin
talk = avatar.speak(sys.argv[2], controls=controls)
talk.save(sys.argv[3], progress)
seconds, share = time.perf_counter() - begin, moving[0]
begin = time.perf_counter()
next(iter(avatar.speak(sys.argv[2], controls=controls)))
print(json.dumps({"frames": talk.frame_count, "seconds": seconds, "motion_share": share / seconds, "first_frame_cold_ms": 1000 * first,
                  "first_frame_ms": 1000 * (time.perf_counter() - begin),
                  "peak_mb": peak_mb()}))
"""

STREAM = """
import json, sys, time
import numpy as np
import talkers
from talkers.media import read_audio
samples = read_audio(sys.argv[2])
avatar = talkers.Avatar.load(sys.argv[1])
controls = talkers.Controls(motion=sys.argv[4])
list(avatar.stream([samples[:16000]], controls=controls))  # warm
live, now, busy, frame, late = avatar.live(controls=controls), 0.0, 0.0, 0, []
rate, step = float(avatar.frame_rate), int(sys.argv[3])
for first in range(0, len(samples) - step + 1, step):
    now = max(now, (first + step) / 16000)  # when this block has been said, and the last one is dealt with
    frames = live.push(samples[first : first + step])
    while True:
        begin = time.perf_counter()
        shown = next(frames, None)
        spent = time.perf_counter() - begin
        now, busy = now + spent, busy + spent
        if shown is None:
            break
        late.append(now - (frame + 0.5) / rate)
        frame += 1
late = 1000 * np.array(late)
print(json.dumps({"latency_ms": late.mean(), "latency_p95_ms": float(np.percentile(late, 95)), "latency_max_ms": late.max(),
                  "load": busy / (len(samples) / 16000), "settled_after_ms": 1000 * live.delay}))
"""


def _measured(script: str, *arguments: str) -> dict[str, float]:
    """Run a script in a fresh process; the last line it prints is its figures."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TalkersError(
            "the speed could not be measured",
            why=(done.stderr.strip().splitlines() or ["the process ended"])[-1],
        )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def demo_speech(path: Path, seconds: float) -> Path:
    """The demo's sentence, repeated to a length: a WAV file."""
    samples = read_audio(str(files("talkers") / "avatars" / "hello.flac"))
    soundfile.write(path, np.resize(samples, int(seconds * 16_000)), 16_000)
    return path


def measure_speed(avatar: str, seconds: float, motion: str = "regressor") -> dict[str, float]:
    """Speak the demo's sentence, repeated to a length, in a fresh process: import, model load, speech features,
    motion, decoding, encoding and muxing all count.

    Returns:
        fps; real_time_factor (below 1: faster than speech); first_frame_cold_ms (from the start of the process);
        first_frame_ms (of a loaded avatar); peak_mb; motion_share, the part of the time in which the motion model (of
        that kind) computes.
    """
    with tempfile.TemporaryDirectory() as folder:
        speech = demo_speech(Path(folder) / "speech.wav", seconds)
        got = _measured(SPEAK, avatar, str(speech), str(Path(folder) / "out.mp4"), motion)
    return {
        "fps": got["frames"] / got["seconds"],
        "real_time_factor": got["seconds"] / seconds,
        "first_frame_ms": got["first_frame_ms"],
        "first_frame_cold_ms": got["first_frame_cold_ms"],
        "peak_mb": got["peak_mb"],
        "motion_share": got["motion_share"],
    }


def measure_stream(
    avatar: str, seconds: float, motion: str = "regressor", block: float = 0.02
) -> dict[str, float]:
    """Follow the demo's sentence as if it were being said, in blocks of so many seconds, in a fresh process, by the
    motion model of that kind.

    Returns:
        latency_ms, latency_p95_ms, latency_max_ms: from the middle of a frame's sound to the frame itself, the
        waiting for sound and all computing counted; load: share of the time that is spent computing (below 1: it
        keeps up); settled_after_ms: the part of the latency that no faster machine takes away, at most.
    """
    with tempfile.TemporaryDirectory() as folder:
        speech = demo_speech(Path(folder) / "speech.wav", seconds)
        return _measured(STREAM, avatar, str(speech), str(int(block * 16_000)), motion)
