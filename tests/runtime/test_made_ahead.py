"""Frames that are made ahead: the same as those made late, and thrown away when they are not true any more."""

from __future__ import annotations

import gc
import resource
import threading
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from set_clock import SetClock
from talkers import Avatar, Controls, LiveTerms
from talkers.runtime.behaviour import MAX_AGAIN
from talkers.runtime.frame_maker import ENOUGH_AHEAD, MAX_AHEAD, MOTION_AT_ONCE
from talkers.runtime.live_session import LiveFrame, LiveSession
from talkers.space.face_state import MOUTH

FRAME, RATE = 0.04, 16_000
PLAIN = LiveTerms(sound_rate=RATE)


class Ahead:
    """A session on a clock that is set, whose frames are made ahead as far as they may be. A
    picture's first value tells how far its mouth is open."""

    def __init__(self, avatar: Avatar, monkeypatch: pytest.MonkeyPatch, **settings: Any):
        self.clock, self.batches = SetClock(), list[int]()
        self.session: LiveSession = avatar.session(
            clock=self.clock, terms=PLAIN, controls=Controls(blinks=0), **settings
        )
        self.maker = self.session._maker
        self.maker._painters = 2  # this thread plays both
        self.session._playlist.at_once = MOTION_AT_ONCE

        def decode(motion: torch.Tensor, *_: Any, **__: Any) -> np.ndarray:
            self.batches.append(len(motion))
            mouths = (motion[:, MOUTH] * 200).clamp(0, 255).to(torch.uint8).numpy()
            return np.broadcast_to(mouths[:, None, None, None], (len(motion), 2, 2, 3)).copy()

        monkeypatch.setattr(avatar.engine, "decode", decode)

    def work(self) -> None:
        """What painters do."""
        while self.maker.until_work() <= 0:
            self.maker.make(self.session._threads, ahead=True)

    def frames(self, count: int) -> list[LiveFrame]:
        """The next frames; after each the next ones are made."""
        frames = []
        for frame in islice(self.session, count):
            frames.append(frame)
            self.work()
        return frames


@pytest.fixture(scope="module")
def mock() -> Avatar:
    return Avatar.load("mock")


def tone(seconds: float) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(seconds * RATE)) * 2 * np.pi * 440 / RATE)).astype(
        np.float32
    )


def said(frames: list[LiveFrame]) -> np.ndarray:
    return np.concatenate([f.sound for f in frames if f.state == "speaking"])


def test_frames_are_made_ahead_while_all_is_known(
    mock: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Ahead(mock, monkeypatch)
    made.frames(5)
    assert len(made.maker.orders) >= ENOUGH_AHEAD
    assert len(made.maker.orders) <= MAX_AHEAD < MAX_AGAIN
    made.session.push_audio(tone(0.02))  # too little to speak: what comes may change all
    assert not made.maker.orders
    made.frames(1)
    assert not made.maker.orders


def test_what_is_made_ahead_is_what_is_made_late(
    mock: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without frames ahead: sound, times, and mouths."""
    found = []
    for ahead in (True, False):
        made = Ahead(mock, monkeypatch)
        if not ahead:
            monkeypatch.setattr(made, "work", lambda: None)
        frames = made.frames(4)
        made.session.push_audio(tone(1))
        made.session.flush()
        frames += made.frames(40)
        found.append([(f.pts, f.state, f.picture[0, 0, 0] // 8, f.sound.sum()) for f in frames])
        assert np.array_equal(said(frames), tone(1))
    start = [[state for _, state, *_ in one].index("speaking") for one in found]
    assert start[0] <= start[1] + 1
    shapes = [[row[2] for row in one[k : k + 26]] for one, k in zip(found, start, strict=True)]
    assert np.abs(np.diff(np.array(shapes, int), axis=0)).max() <= 2


@pytest.mark.parametrize("wait", [0.0, 0.013, 0.031])
@pytest.mark.parametrize("stop", ["interrupt", "pause"])
def test_an_interruption_throws_away_what_was_made_ahead(
    mock: Avatar, monkeypatch: pytest.MonkeyPatch, wait: float, stop: str
) -> None:
    made, sound = Ahead(mock, monkeypatch), tone(3)
    made.session.push_audio(sound)
    made.session.flush()
    frames = made.frames(20)
    assert len(made.maker.orders) >= ENOUGH_AHEAD
    shown = made.maker.orders[0].before[0]._shown
    assert frames[-1].picture[0, 0, 0] > 100
    made.clock.time += wait
    stopped = made.clock.time
    played = getattr(made.session, stop)()
    made.maker.make(made.session._threads)
    # it goes on from the picture that was shown last, not from one that was thrown away
    again = made.maker.orders[0].before[0]._shown
    assert again is shown
    late = []
    while made.clock.time <= stopped + 0.0801:
        late += made.frames(1)
    assert late[-1].picture[0, 0, 0] == 0
    heard = said(frames + late)
    if stop == "interrupt":
        assert played == pytest.approx(len(heard) / RATE)
        assert np.array_equal(heard, sound[: len(heard)])
        assert made.session.queued == 0
        return
    assert {f.state for f in made.frames(5)} == {"paused"}
    made.session.resume()
    heard = said(frames + late + made.frames(80))
    differs = np.flatnonzero(heard[: len(sound)] != sound)
    assert len(differs) <= 80  # five milliseconds grow loud again; nothing is lost or said twice


def test_other_controls_hold_for_what_was_made_ahead(
    mock: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Ahead(mock, monkeypatch)
    made.session.push_audio(tone(3))
    made.session.flush()
    made.frames(20)
    made.session.set(Controls(blinks=0, amplitude=0.5))
    assert made.frames(15)[-1].picture[0, 0, 0] < 120
    assert said(made.frames(40)).any()


def left() -> tuple[int, int, int]:
    """Threads, open files, and kB that this process holds."""
    lines = Path("/proc/self/status").read_text().splitlines()
    held = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), held


def all_ended(threads: int) -> None:
    """Threads of sessions have ended, or do so soon: no more than so many are left."""
    until = time.monotonic() + 60
    while threading.active_count() > threads and time.monotonic() < until:
        time.sleep(0.02)
    assert threading.active_count() == threads


@pytest.fixture
def quick(mock: Avatar, monkeypatch: pytest.MonkeyPatch) -> Avatar:
    """An avatar whose pictures cost nothing."""

    def decode(motion: torch.Tensor, *_: Any, **__: Any) -> np.ndarray:
        return np.zeros((len(motion), 2, 2, 3), np.uint8)

    monkeypatch.setattr(mock.engine, "decode", decode)
    return mock


def test_nothing_is_left_of_a_thousand_sessions(quick: Avatar) -> None:
    """One after another, on the machine's own clock, with threads of their own."""
    sound = tone(0.1)

    def live(closed: bool = True) -> None:
        session = quick.session(terms=PLAIN)
        next(session)
        session.push_audio(sound)
        if closed:
            session.close()

    for _ in range(50):
        live()
    gc.collect()
    before = left()
    for _ in range(950):
        live()
    gc.collect()
    all_ended(before[0])
    after = left()
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 0.05 * before[2]
    live(closed=False)  # a session that is forgotten ends, too
    gc.collect()
    all_ended(before[0])


def test_sound_is_pushed_and_frames_are_taken_by_two_threads(quick: Avatar) -> None:
    """On the machine's own clock, with painters: nothing is lost, nothing said twice."""
    session, sound = quick.session(terms=PLAIN), tone(0.8)
    errors = list[BaseException]()

    def push() -> None:
        try:
            for k in range(0, len(sound), 320):
                session.push_audio(sound[k : k + 320])
            session.finish()
        except BaseException as error:
            errors.append(error)

    threads, before = torch.get_num_threads(), threading.active_count()
    next(session)
    pusher = threading.Thread(target=push)
    pusher.start()
    frames = list(session)
    pusher.join()
    session.close()
    assert not errors
    heard = np.concatenate([f.sound for f in frames])
    heard = heard[np.flatnonzero(heard)[0] - 1 :][: len(sound)]
    assert (heard != sound).mean() < 0.02  # where it ran dry on a busy machine
    assert torch.get_num_threads() == threads
    found = list[int]()
    other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert found == [threads]  # threads that begin later have what the process has set, too
    all_ended(before)


def test_a_picture_that_cannot_be_made_is_told_to_who_waits(
    quick: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    with quick.session(terms=PLAIN) as session:
        list(islice(session, 3))

        def fails(*_: Any, **__: Any) -> np.ndarray:
            raise MemoryError("no memory")

        monkeypatch.setattr(quick.engine, "decode", fails)
        with pytest.raises(MemoryError):
            list(islice(session, 20))


def test_waiting_costs_nothing(quick: Avatar) -> None:
    """Painters sleep between frames."""
    with quick.session(terms=PLAIN) as session:
        list(islice(session, 5))
        begun = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        time.sleep(0.5)  # nobody takes frames: those ahead are made, and no more
        assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - begun < 0.2
        assert len(session._maker.orders) <= MAX_AHEAD
