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
import talkers
avatar = talkers.Avatar.load(sys.argv[1])
first = None
def progress(done, total):
    global first
    first = first or time.perf_counter() - begin
talk = avatar.speak(sys.argv[2])
talk.save(sys.argv[3], progress)
seconds = time.perf_counter() - begin
begin = time.perf_counter()
next(iter(avatar.speak(sys.argv[2])))
print(json.dumps({"frames": talk.frame_count, "seconds": seconds, "first_frame_cold_ms": 1000 * first,
                  "first_frame_ms": 1000 * (time.perf_counter() - begin),
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def demo_speech(path: Path, seconds: float) -> Path:
    """The demo's sentence, repeated to a length: a WAV file."""
    samples = read_audio(str(files("talkers") / "avatars" / "hello.flac"))
    soundfile.write(path, np.resize(samples, int(seconds * 16_000)), 16_000)
    return path


def measure_speed(avatar: str, seconds: float) -> dict[str, float]:
    """Speak the demo's sentence, repeated to a length, in a fresh process: import, model load, speech features,
    motion, decoding, encoding and muxing all count.

    Returns:
        fps; real_time_factor (below 1: faster than speech); first_frame_cold_ms (from the start of the process);
        first_frame_ms (of a loaded avatar); peak_mb.
    """
    with tempfile.TemporaryDirectory() as folder:
        speech = demo_speech(Path(folder) / "speech.wav", seconds)
        done = subprocess.run([sys.executable, "-c", SPEAK, avatar, str(speech), str(Path(folder) / "out.mp4")], capture_output=True, text=True, check=False)
    if done.returncode:
        raise TalkersError("the speed could not be measured", why=(done.stderr.strip().splitlines() or ["the process ended"])[-1])
    got = json.loads(done.stdout.splitlines()[-1])
    return {
        "fps": got["frames"] / got["seconds"],
        "real_time_factor": got["seconds"] / seconds,
        "first_frame_ms": got["first_frame_ms"],
        "first_frame_cold_ms": got["first_frame_cold_ms"],
        "peak_mb": got["peak_mb"],
    }
