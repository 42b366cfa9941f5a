"""How soon does a live face follow, does it keep time on a busy machine, and what does it cost?

    python benchmarks/live.py [--avatar default] [--seconds 20] [--busy 3] [--repeat 10]
    [--rate 48000] [--parts delay at_once stages first mouth cost memory] [-o live.json]

`delay`: speech is pushed as it is spoken, 20 ms at a time, at the rate of a page's microphone, and each frame's delay is measured: from
the moment when the sound of its middle was pushed to the moment when the frame came. As the machine
is, and beside so many processes that count. The delay of the last quarter tells whether it grows.
Beside it: pictures a second, the share that is skipped, and CPU seconds of a picture.
`at_once`: the same of speech that is sent at once; there is no delay then.
`first`: seconds from the first push of an utterance to its first frame, for sound that is there at
once (as text-to-speech gives it) and for sound as it is spoken.
`stages`: CPU milliseconds of a frame on one thread: of pictures that are painted 1, 2, 3, 4 or 8
together, and of motion.
`mouth`: how much of the mouth's movement in a stream that does not hurry is kept (R2).
`cost`: CPU seconds that one second of video takes, speaking and idle, on one thread; its inverse is
how many sessions a core carries.
`memory`: MB held after 20 sessions of the mock avatar and after 200 more.
Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

import talkers
from talkers.hardware import machine
from talkers.media import AUDIO_RATE, read_audio
from talkers.renderers.contract import RenderState
from talkers.runtime.behaviour import WAITS, WHOLE
from talkers.runtime.session import Hurry, Session

HELLO = Path(talkers.__file__).parent / "avatars" / "hello.flac"
LATENCIES: tuple[Any, ...] = ("low", "balanced", "quality")
PARTS = ["delay", "at_once", "stages", "first", "mouth", "cost", "memory"]
BLOCK = 0.02  # seconds of sound that are pushed at a time


class NoWaiting:
    """A clock that goes on by waiting alone: frames are made one after the other."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float, wake: threading.Event) -> None:
        self.time += max(0.0, seconds)

    async def sleep_async(self, seconds: float) -> None:
        self.time += max(0.0, seconds)


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that count as long as the block lasts."""
    command = [sys.executable, "-c", "while True: pass"]
    counters = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for counter in counters:
            counter.kill()
            counter.wait()


def spoken(seconds: float, rate: int, begin: float = 0) -> np.ndarray:
    """So much speech at a rate, from a moment of the sentence on."""
    samples = read_audio(HELLO)[round(begin * AUDIO_RATE) :]
    return soxr.resample(np.resize(samples, round(seconds * AUDIO_RATE)), AUDIO_RATE, rate)


def speak_in_real_time(
    session: Any, samples: np.ndarray, rate: int, pushed: list[float]
) -> threading.Thread:
    """Push samples as they are spoken; the moments are noted."""

    def work() -> None:
        begun, block = time.monotonic(), round(BLOCK * rate)
        for k in range(0, len(samples), block):
            time.sleep(max(0.0, begun + k / rate - time.monotonic()))
            pushed.append(time.monotonic())
            session.push_audio(samples[k : k + block], rate)
        session.finish()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def delays(
    avatar: talkers.Avatar, latency: Any, seconds: float, rate: int, at_once: bool = False
) -> dict[str, float]:
    """Delays of the frames of so much speech, as it is spoken or sent at once; how many pictures
    were shown, and what they cost."""
    samples = spoken(seconds, rate)
    pushed, found, skipped, shown = list[float](), list[float](), 0, 0
    with avatar.session(terms=talkers.LiveTerms(latency)) as session:
        list(islice(session, 10))
        begun, worked = time.monotonic(), time.process_time()
        if at_once:
            session.push_audio(samples, rate)
            session.finish()
        else:
            thread = speak_in_real_time(session, samples, rate, pushed)
        for frame in session:
            if frame.source_pts is not None:
                at = float(frame.source_pts) + 0.5 / float(avatar.frame_rate)
                if pushed:
                    moment = pushed[min(int(at / BLOCK), len(pushed) - 1)]
                    found.append(time.monotonic() - moment)
                skipped, shown = skipped + frame.skipped, shown + 1
        lasted, worked = time.monotonic() - begun, time.process_time() - worked
        if not at_once:
            thread.join()
    report = {
        "pictures a second": shown / lasted,
        "pictures skipped": skipped / (skipped + shown),
        "CPU seconds of a picture": worked / shown,
        "cores used": worked / lasted,
    }
    if not found:
        return report
    quarter = max(1, len(found) // 4)
    return {
        "mean": float(np.mean(found)),
        "95 %": float(np.percentile(found, 95)),
        "max": max(found),
        "mean of the last quarter": float(np.mean(found[-quarter:])),
        **report,
    }


def first_frames(
    avatar: talkers.Avatar, latency: Any, repeat: int, rate: int, at_once: bool
) -> list[float]:
    """Seconds from the first push of an utterance to its first frame."""
    samples, found = spoken(2, rate, begin=0.5), []
    for _ in range(repeat):
        pushed: list[float] = []
        with avatar.session(terms=talkers.LiveTerms(latency)) as session:
            list(islice(session, 8))

            def push(session: Any = session, pushed: list[float] = pushed) -> None:
                time.sleep(0.1 + 0.04 * random.random())
                if at_once:
                    pushed.append(time.monotonic())
                    session.push_audio(samples, rate)
                else:
                    speak_in_real_time(session, samples, rate, pushed).join()

            thread = threading.Thread(target=push)
            thread.start()
            next(frame for frame in session if frame.state == "speaking")
            found.append(time.monotonic() - pushed[0])
            thread.join()
    return found


def cost(avatar: talkers.Avatar, seconds: float, speaking: bool) -> float:
    """CPU seconds of a second of video."""
    session = avatar.session(clock=NoWaiting())
    if speaking:
        session.push_audio(np.resize(read_audio(HELLO), int((seconds + 1) * AUDIO_RATE)))
    list(islice(session, 3))
    count, begun = round(seconds * float(avatar.frame_rate)), time.process_time()
    list(islice(session, count))
    session.close()
    return (time.process_time() - begun) / seconds


def least(work: Any, repeat: int = 8) -> float:
    """CPU milliseconds of this thread that a piece of work takes, when least disturbs it."""
    work()
    spent = []
    for _ in range(repeat):
        begun = time.thread_time()
        work()
        spent.append(1_000 * (time.thread_time() - begun))
    return min(spent)


@torch.inference_mode()
def stages(avatar: talkers.Avatar) -> dict[str, float]:
    """CPU milliseconds of a frame: pictures by how many are painted together, and motion."""
    engine, samples, found = avatar.engine, read_audio(HELLO), dict[str, float]()
    resolved = avatar.resolve_controls(0, live=True)
    options, state = engine.options(0), RenderState()
    stream = Session(engine, resolved, options)
    motion = stream.motion(samples[: 3 * AUDIO_RATE])
    for count in (1, 2, 3, 4, 8):
        rows = motion[:count]
        paint = partial(engine.decode, rows, options, mark=True, state=state)
        found[f"pictures, {count} together"] = least(paint) / count
    period = round(AUDIO_RATE / float(engine.frame_rate))
    for name, hurry, count in (
        ("motion, one by one", Hurry(), 1),
        ("motion, two by two", Hurry(pairs=True), 2),
        ("motion, four at once", Hurry(), 4),
    ):
        stream = Session(engine, resolved, options, hurry=hurry)
        stream.motion(samples[: 2 * AUDIO_RATE])
        blocks = iter(np.split(samples[2 * AUDIO_RATE :][: 80 * period], 80 // count))
        found[name] = least(lambda: stream.motion(next(blocks), count)) / count  # noqa: B023
    return found


@torch.inference_mode()
def mouths(avatar: talkers.Avatar) -> dict[str, float]:
    """How near the mouth's movements come to those that no hurry changes: R2."""
    samples, rows = read_audio(HELLO), {}
    resolved = avatar.resolve_controls(0, talkers.Controls(blinks=0), live=True)
    for latency in ("at ease", *reversed(LATENCIES)):
        options, (ahead, hurry) = avatar.engine.options(0), {**WAITS, "at ease": WHOLE}[latency]
        stream = Session(avatar.engine, resolved, options, look_ahead=ahead, hurry=hurry)
        period = round(AUDIO_RATE / float(avatar.frame_rate))
        parts = [stream.motion(samples[k : k + period]) for k in range(0, len(samples), period)]
        motion = torch.cat([part for part in (*parts, stream.flush()) if len(part)])
        rows[latency] = resolved.space.read(motion).mouth
    whole = rows.pop("at ease")
    spread = (whole - whole.mean(0)).square().sum()
    return {key: 1 - float((row - whole).square().sum() / spread) for key, row in rows.items()}


def held() -> float:
    """MB that this process holds."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def memory() -> dict[str, float]:
    """MB after 20 sessions, and after 200 more."""
    avatar, samples, found = talkers.Avatar.load("mock"), read_audio(HELLO)[:AUDIO_RATE], {}
    for count in (20, 220):
        for _ in range(count if count == 20 else count - 20):
            with avatar.session(clock=NoWaiting()) as session:
                session.push_audio(samples)
                list(islice(session, 2))
        gc.collect()
        found[f"after {count} sessions"] = held()
    found["threads"] = threading.active_count()
    return found


def rounded(values: Any) -> Any:
    """Numbers with three digits behind the point, however deep they lie."""
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    return round(values, 3) if isinstance(values, float) else values


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--avatar", default="default")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--busy", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--rate", type=int, default=48_000)
    parser.add_argument("--parts", nargs="*", default=PARTS)
    parser.add_argument("--latencies", nargs="*", default=LATENCIES)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    avatar = talkers.Avatar.load(options.avatar)
    report: dict[str, Any] = {"machine": machine(), "avatar": options.avatar}
    if "delay" in options.parts:
        report["seconds from sound to frame"] = delay = {}
        for count in (0, options.busy):
            with busy_processes(count):
                for latency in options.latencies:
                    found = delays(avatar, latency, options.seconds, options.rate)
                    delay[f"{latency}, beside {count} busy processes"] = found
                    print(json.dumps(rounded(delay)), flush=True)
    if "at_once" in options.parts:
        report["speech that is sent at once"] = {}
        for count in (0, options.busy):
            with busy_processes(count):
                found = delays(avatar, "balanced", options.seconds, options.rate, True)
                report["speech that is sent at once"][f"beside {count} busy processes"] = found
    if "stages" in options.parts:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        report["CPU milliseconds of a frame"] = stages(avatar)
        torch.set_num_threads(before)
    if "first" in options.parts:
        report["seconds from the first sound to its first frame"] = first = {}
        cases = [("sound that is there", options.latencies[-1], True)]
        cases += [(f"as it is spoken, {latency}", latency, False) for latency in options.latencies]
        for name, latency, at_once in cases:
            found = first_frames(avatar, latency, options.repeat, options.rate, at_once)
            first[name] = {"mean": float(np.mean(found)), "max": max(found)}
    if "mouth" in options.parts:
        report["mouth's movement kept (R2)"] = mouths(avatar)
    if "cost" in options.parts:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        spent = {
            "speaking": cost(avatar, options.seconds / 4, True),
            "idle": cost(avatar, options.seconds / 4, False),
        }
        torch.set_num_threads(before)
        report["CPU seconds of a second"] = spent
        report["sessions of a core"] = {name: 1 / value for name, value in spent.items()}
    if "memory" in options.parts:
        report["MB"] = memory()
    text = json.dumps(rounded(report), indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
