"""What `talkers.evaluation.speed` runs in a fresh process: speak or follow a stream, and print how
long it took as JSON.

    python -m talkers.evaluation.timed speak AVATAR SPEECH VIDEO MOTION BEGUN
    python -m talkers.evaluation.timed stream AVATAR SPEECH MOTION BLOCK
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from talkers.controls.request import Controls
from talkers.media import AUDIO_RATE, read_audio
from talkers.runtime.avatar import Avatar


def peak_mb() -> float:
    """MB that this process held at most."""
    try:  # ru_maxrss of a child counts what its parent held when it forked
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def time_generation(model: Any) -> list[float]:
    """Let a motion model count the seconds in which it generates.

    Returns:
        a list of one number that grows.
    """
    elapsed, generate = [0.0], model.generate

    def timed(*arguments: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        motion = generate(*arguments, **options)
        elapsed[0] += time.perf_counter() - begin
        return motion

    model.generate = timed
    return elapsed


def speak(avatar_name: str, speech: str, video: str, motion: Any, begun: float) -> dict[str, float]:
    """Speak a sound file into a video.

    Args:
        avatar_name: folder of an avatar, or default.
        speech: a sound file.
        video: the file to write.
        motion: the motion model, as in `Controls`.
        begun: `time.time()` at the start of the process.
    """
    avatar, controls = Avatar.load(avatar_name), Controls(motion=motion)
    elapsed, first = time_generation(avatar.engine.motion_model(motion)), [0.0]

    def progress(*_: int) -> None:
        first[0] = first[0] or time.time() - begun

    talk = avatar.speak(speech, controls=controls)
    talk.save(video, progress)
    seconds, moving = time.time() - begun, elapsed[0]
    begin = time.perf_counter()
    next(iter(avatar.speak(speech, controls=controls)))
    return {
        "frames": talk.frame_count,
        "seconds": seconds,
        "motion_share": moving / seconds,
        "first_frame_cold_ms": 1000 * first[0],
        "first_frame_ms": 1000 * (time.perf_counter() - begin),
        "peak_mb": peak_mb(),
    }


def stream(avatar_name: str, speech: str, motion: Any, block: int) -> dict[str, float]:
    """Follow a sound file as if it were being said.

    Args:
        avatar_name: folder of an avatar, or default.
        speech: a sound file.
        motion: the motion model, as in `Controls`.
        block: samples at 16 kHz that come at once.
    """
    samples, avatar = read_audio(speech), Avatar.load(avatar_name)
    controls = Controls(motion=motion)
    list(avatar.stream([samples[:AUDIO_RATE]], controls=controls))  # warm
    session, now, busy = avatar.live(controls=controls), 0.0, 0.0
    late: list[float] = []
    for first in range(0, len(samples) - block + 1, block):
        # this block has been said, and the last one is dealt with
        now = max(now, (first + block) / AUDIO_RATE)
        frames = session.push(samples[first : first + block])
        while True:
            begin = time.perf_counter()
            frame = next(frames, None)
            elapsed = time.perf_counter() - begin
            now, busy = now + elapsed, busy + elapsed
            if frame is None:
                break
            late.append(now - (len(late) + 0.5) / float(avatar.frame_rate))
    milliseconds = 1000 * np.array(late)
    return {
        "latency_ms": float(milliseconds.mean()),
        "latency_p95_ms": float(np.percentile(milliseconds, 95)),
        "latency_max_ms": float(milliseconds.max()),
        "load": busy / (len(samples) / AUDIO_RATE),
        "settled_after_ms": 1000 * session.delay,
    }


if __name__ == "__main__":
    verb, avatar_name, speech, *rest = sys.argv[1:]
    if verb == "speak":
        figures = speak(avatar_name, speech, rest[0], rest[1], float(rest[2]))
    else:
        figures = stream(avatar_name, speech, rest[0], int(rest[1]))
    print(json.dumps(figures))
