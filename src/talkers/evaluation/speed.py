"""How fast an avatar speaks, end to end, and what memory it takes: measured in a fresh process, as
a user's command is."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile

from talkers.errors import TalkersError
from talkers.media import AUDIO_RATE, read_audio


def _measured(*arguments: str) -> dict[str, float]:
    """Run `talkers.evaluation.timed` in a fresh process; the last line it prints is its figures.

    Raises:
        TalkersError: it failed.
    """
    command = [sys.executable, "-m", "talkers.evaluation.timed", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TalkersError(
            "the speed could not be measured",
            why=(done.stderr.strip().splitlines() or ["the process ended"])[-1],
        )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def demo_speech(path: Path, seconds: float) -> Path:
    """Write the demo's sentence, repeated to a length, as a WAV file."""
    samples = read_audio(str(files("talkers") / "avatars" / "hello.flac"))
    soundfile.write(path, np.resize(samples, int(seconds * AUDIO_RATE)), AUDIO_RATE)
    return path


def measure_speed(avatar: str, seconds: float, motion: str = "regressor") -> dict[str, float]:
    """Speak the demo's sentence, repeated to a length, in a fresh process.

    Import, model load, speech features, motion, decoding, encoding and muxing all count.

    Args:
        avatar: folder of an avatar, or default.
        seconds: of speech.
        motion: the motion model, as in `Controls`.

    Returns:
        fps; real_time_factor (below 1: faster than speech); first_frame_cold_ms (from the start
        of the process); first_frame_ms (of a loaded avatar); peak_mb; motion_share, the part of
        the time in which the motion model computes.

    Raises:
        TalkersError: it could not be measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        speech, video = demo_speech(Path(folder) / "speech.wav", seconds), Path(folder) / "out.mp4"
        got = _measured("speak", avatar, str(speech), str(video), motion, str(time.time()))
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
    """Follow the demo's sentence as if it were being said, in a fresh process.

    Args:
        avatar: folder of an avatar, or default.
        seconds: of speech.
        motion: the motion model, as in `Controls`.
        block: seconds of sound that come at once.

    Returns:
        latency_ms, latency_p95_ms, latency_max_ms: from the middle of a frame's sound to the frame
        itself, the waiting for sound and all computing counted; load: share of the time that is
        spent computing (below 1: it keeps up); settled_after_ms: the part of the latency that no
        faster machine takes away, at most.

    Raises:
        TalkersError: it could not be measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        speech = demo_speech(Path(folder) / "speech.wav", seconds)
        return _measured("stream", avatar, str(speech), motion, str(int(block * AUDIO_RATE)))
