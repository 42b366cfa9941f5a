"""Live sessions: they keep time, never jump, stop at once, and lose no sound. No test waits: the clock is set by hand."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import speaker
from set_clock import SetClock
from talkers import Avatar, Controls, LiveTerms
from talkers.errors import UsageError
from talkers.runtime.bundle import base_folder
from talkers.runtime.clock import MediaTime
from talkers.runtime.idle import IdleLife
from talkers.runtime.live_session import LiveFrame, LiveSession
from talkers.runtime.threads import Threads
from talkers.space.face_state import FACE_STATE, MOUTH

BLINK, GAZE_LEFT = FACE_STATE.index("blink"), FACE_STATE.index("gaze_left")
FRAME = 0.04
PLAIN = LiveTerms(sound_rate=16_000)


@dataclass
class Stage:
    """A session on a clock that is set, the motion of its frames, and when each came."""

    session: LiveSession
    clock: SetClock
    rows: list[torch.Tensor] = field(default_factory=list)
    came: list[float] = field(default_factory=list)
    cost: float = 0.01  # seconds that a picture takes

    def frames(self, count: int) -> list[LiveFrame]:
        """The next frames."""
        frames = []
        for frame in islice(self.session, count):
            self.came.append(self.clock.time - (self.session._maker.origin or 0))
            frames.append(frame)
        return frames

    def mouth(self) -> float:
        """How far the mouth of the last picture is open; of face states."""
        return float(self.rows[-1][MOUTH])


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    """Begin a session; pictures are not made, but take their time."""

    def begin(avatar: Avatar, rate: Any = None, **settings: Any) -> Stage:
        if rate is not None:
            recipe = replace(avatar.engine.recipe, rate=rate)
            monkeypatch.setattr(avatar.engine, "recipe", recipe)
        clock = SetClock()
        settings = {"terms": PLAIN, **settings}
        made = Stage(avatar.session(clock=clock, **settings), clock)

        def decode(motion: torch.Tensor, *_: Any, **__: Any) -> np.ndarray:
            made.rows.append(motion[0].clone())
            clock.time += made.cost
            return np.zeros((1, 8, 8, 3), np.uint8)

        monkeypatch.setattr(avatar.engine, "decode", decode)
        return made

    return begin


@pytest.fixture(scope="module")
def mock() -> Avatar:
    return Avatar.load("mock")


@pytest.fixture(scope="module")
def portraits() -> Avatar:
    """What portraits are made of: their motion, whoever is shown."""
    return Avatar.load(base_folder(), "cpu")


def tone(seconds: float, rate: int = 16_000) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 440 / rate)).astype(
        np.float32
    )


def said(frames: list[LiveFrame]) -> np.ndarray:
    return np.concatenate([f.sound for f in frames if f.state == "speaking"])


# Time


@pytest.mark.parametrize("rate", [Fraction(24_000, 1001), Fraction(25), Fraction(30_000, 1001)])
def test_picture_and_sound_are_in_step_after_ten_hours(rate: Fraction) -> None:
    time = MediaTime(rate, 44_100)
    for frame in (1, 999, 90_001, 10 * 3_600 * 30):
        assert 0 <= time.pts(frame) * 44_100 - time.sample(frame) < 1


def test_frames_follow_one_another_and_so_does_their_sound(
    mock: Avatar, stage: Callable[..., Stage]
) -> None:
    made = stage(mock, Fraction(30_000, 1001), terms=LiveTerms(sound_rate=44_100))
    frames = made.frames(40)
    rate = mock.frame_rate
    assert [f.pts for f in frames] == [k / rate for k in range(40)]
    assert sum(len(f.sound) for f in frames) == int(40 / rate * 44_100)
    for before, after in pairwise(frames):
        assert after.sound_pts == before.sound_pts + Fraction(len(before.sound), 44_100)


def test_a_frame_comes_when_it_is_due(mock: Avatar, stage: Callable[..., Stage]) -> None:
    made = stage(mock)
    made.session.push_audio(tone(2))
    frames = made.frames(60)
    late = [at - float(f.pts) for at, f in zip(made.came, frames, strict=True)]
    assert max(late) < 0.01  # while it learns what a picture costs
    assert max(np.abs(late[20:])) < 1e-6


@pytest.mark.parametrize("cost", [0.05, 0.13, 0.6])
def test_a_slow_machine_skips_pictures_and_keeps_time(
    mock: Avatar, stage: Callable[..., Stage], cost: float
) -> None:
    made = stage(mock)
    made.session.push_audio(sound := tone(12))
    made.session.flush()
    made.frames(5)
    made.cost = cost
    frames = made.frames(int(11 / max(cost, 0.1)))
    late = [at - float(f.pts) for at, f in zip(made.came[5:], frames, strict=True)]
    assert max(late) < cost + FRAME
    assert max(late[-3:]) < FRAME  # it has learnt for which frame it is in time
    assert sum(f.skipped for f in frames) > 0
    for before, after in pairwise(frames):
        assert after.pts == before.pts + (after.skipped + 1) / mock.frame_rate
        assert after.sound_pts == before.sound_pts + Fraction(len(before.sound), 16_000)
    given = said(frames)
    start = int(frames[0].source_pts * 16_000) - frames[0].skipped * 640
    assert np.array_equal(given, sound[start : start + len(given)])


def test_skipped_pictures_do_not_move_the_mouth_from_its_sound(
    mock: Avatar, stage: Callable[..., Stage]
) -> None:
    sound = np.concatenate([tone(1), np.zeros(16_000, np.float32), tone(1)])
    made = stage(mock, controls=Controls(blinks=0))
    made.session.push_audio(sound)
    made.session.flush()
    made.cost = 0.1
    frames = made.frames(25)
    for frame, row in zip(frames, made.rows, strict=True):
        if frame.source_pts is not None and 0.3 < frame.source_pts < 2.8:
            at = float(frame.source_pts) + FRAME / 2
            if abs(at % 1) > 0.2:
                assert (float(row[MOUTH]) > 0.3) == (int(at) != 1), at


def test_one_thread_makes_frames_where_more_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside busy processes threads wait for each other; alone two are the faster."""
    count = [2]
    monkeypatch.setattr(torch, "get_num_threads", lambda: count[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda number: count.__setitem__(0, number))
    threads, busy, used = Threads(0.04), True, list[int]()

    def frames(number: int) -> None:
        for _ in range(number):
            with threads.chosen():
                used.append(count[0])
            costs = {1: 0.15, 2: 1.2} if busy else {1: 0.07, 2: 0.035}
            threads.took(costs[used[-1]])
            threads._shared = busy

    frames(30)
    assert used.index(1) < 8
    assert set(used[8:]) == {1}  # two are not tried while others want the cores
    busy = False
    frames(30)
    assert set(used[-10:]) == {2}
    assert count[0] == 2  # what the process has set is left as it was


# What is said


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("form", ["float", "int16", "stereo", "rows", "bytes"])
def test_sound_of_any_form_is_said(
    mock: Avatar, stage: Callable[..., Stage], rate: int, form: str
) -> None:
    sound = tone(0.5, rate)
    pcm = (sound * 32_767).astype(np.int16)
    given = {
        "float": sound,
        "int16": pcm,
        "stereo": np.stack([sound, sound], 1),
        "rows": np.stack([pcm, pcm]),
        "bytes": pcm.tobytes(),
    }[form]
    made = stage(mock)
    made.session.push_audio(given, rate)
    made.session.flush()
    heard = said(made.frames(20))
    assert abs(len(heard) - 8_000) <= 640
    assert np.corrcoef(heard[800:7_200], tone(0.5)[800:7_200])[0, 1] > 0.999


@pytest.mark.parametrize("name", ["mock", "avatar"])
def test_what_is_shown_is_what_the_stream_says(
    name: str, stage: Callable[..., Stage], request: pytest.FixtureRequest
) -> None:
    """Once the way over from idling is past. Sound that is there is used, whatever the latency."""
    avatar = request.getfixturevalue(name)
    sound = speaker.voice(speaker.perform(30, 3).opening, 30)
    controls = Controls(blinks=0)
    stream = avatar.live(controls=controls)
    expected = torch.cat([part for part in (stream.motion(sound), stream.flush()) if len(part)])
    made = stage(avatar, controls=controls, terms=LiveTerms("low"))
    made.frames(7)
    made.session.push_audio(sound)
    made.session.flush()
    frames = made.frames(30)
    assert {f.state for f in frames} == {"speaking"}
    assert torch.allclose(torch.stack(made.rows[17:]), expected[10:], atol=1e-3)


class Microphone:
    """Speech as it is spoken, 20 ms at a time."""

    def __init__(self, made: Stage, sound: np.ndarray) -> None:
        self.made, self.sound, self.begun, self.pushed = made, sound, made.clock.time, 0

    def frame(self) -> tuple[LiveFrame, float]:
        """The next frame, and how long ago its sound came."""
        now = self.made.clock.time - self.begun
        while self.pushed / 16_000 < now + 0.02 and self.pushed < len(self.sound):
            self.made.session.push_audio(self.sound[self.pushed : self.pushed + 320])
            self.pushed += 320
        (frame,) = self.made.frames(1)
        return frame, self.made.clock.time - self.begun - float(frame.source_pts or 0)


def test_sound_in_real_time_is_said_as_soon_as_the_latency_allows(
    mock: Avatar, bundled: Avatar, stage: Callable[..., Stage]
) -> None:
    delays = {}
    for latency in ("low", "balanced", "quality"):
        made = stage(mock, terms=LiveTerms(latency, 16_000))
        made.frames(10)
        speech = Microphone(made, tone(3))
        frames = [speech.frame() for _ in range(40)]
        delays[latency] = next(delay for frame, delay in frames if frame.state == "speaking")
        assert frames[-1][0].state == "speaking"
        assert frames[-1][1] == pytest.approx(delays[latency], abs=0.01)
    assert delays["low"] <= 0.10
    assert delays["low"] < delays["balanced"] < delays["quality"] < 0.4
    needs = [
        bundled.session(terms=LiveTerms(latency))._playlist.behaviour.need
        for latency in ("low", "balanced", "quality")
    ]
    assert needs == pytest.approx([0.0925, 0.2125, 0.2925])


@pytest.mark.parametrize("cost", [0.06, 0.3, 1.1])
def test_sound_in_real_time_is_said_in_time_on_a_slow_machine(
    mock: Avatar, stage: Callable[..., Stage], cost: float
) -> None:
    made, sound = stage(mock), tone(20)
    made.cost = cost
    made.frames(12)
    speech = Microphone(made, sound)
    frames = []
    while speech.pushed < len(sound):
        frames.append(speech.frame())
    settled = frames[len(frames) // 4 : -1]
    assert {frame.state for frame, _ in settled} == {"speaking"}
    delays = [delay for _, delay in settled]
    assert max(delays) < 0.25 + 1.5 * cost
    assert delays[-1] <= delays[0] + FRAME  # it does not grow


def test_sound_that_is_there_is_said_with_the_next_frames(
    bundled: Avatar, stage: Callable[..., Stage]
) -> None:
    made = stage(bundled, terms=LiveTerms("quality"))
    made.frames(5)
    begun = made.clock.time
    made.session.push_audio(tone(1))
    frame = next(f for f in made.session if f.state == "speaking")
    assert frame.source_pts == 0
    assert made.clock.time - begun <= 0.1


def test_sound_that_runs_dry_is_held_and_goes_on(mock: Avatar, stage: Callable[..., Stage]) -> None:
    made, sound = stage(mock), tone(2)
    made.session.push_audio(sound[:9_999])
    frames = made.frames(20)
    assert frames[-1].state == "idle"
    assert made.mouth() < 0.5
    made.session.push_audio(sound[9_999:])
    made.session.flush()
    frames += made.frames(60)
    heard = said(frames)[: len(sound)]
    again = 15 * 640  # five milliseconds grow silent, and come again
    assert np.array_equal(heard[:again], sound[:again])
    assert np.array_equal(heard[again + 80 :], sound[again + 80 :])


def test_sound_that_waits_too_long_for_more_is_said(
    mock: Avatar, stage: Callable[..., Stage]
) -> None:
    made, sound = stage(mock, terms=LiveTerms("quality", 16_000)), tone(0.1)
    made.session.push_audio(sound)
    assert np.array_equal(said(made.frames(25))[: len(sound)], sound)
    made.session.push_audio(sound)  # of the same, since nobody said that it was whole
    made.frames(20)
    made.session.push_audio(tone(1))
    made.frames(5)
    assert made.session.interrupt() == pytest.approx(0.2 + 5 * FRAME)


def test_time_stamps_fill_gaps_and_cut_what_came_before(
    mock: Avatar, stage: Callable[..., Stage]
) -> None:
    made, sound = stage(mock), tone(1)
    session = made.session
    session.push_audio(sound[:4_000], pts=7.0)
    session.push_audio(sound[3_200:8_000], pts=7.2)  # 0.05 s came before
    session.push_audio(sound[9_600:], pts=Fraction(38, 5))  # 0.1 s are missing
    assert session.queued == pytest.approx(1.0)
    session.push_audio(sound[:800], pts=7.1)
    assert session.queued == pytest.approx(1.0)
    session.flush()
    frames = made.frames(25)
    heard = said(frames)
    assert np.array_equal(heard[:8_000], sound[:8_000])
    assert not heard[8_000:9_600].any()
    assert np.array_equal(heard[9_600:], sound[9_600:])
    assert [f.source_pts for f in frames] == [7 + Fraction(k, 25) for k in range(25)]
    session.push_audio(sound, pts=20)
    with pytest.raises(UsageError, match="are missing before"):
        session.push_audio(sound, pts=25)
    assert session.queued == 1.0


# Stopping


@pytest.mark.parametrize("rate", [25, 30, 60])
@pytest.mark.parametrize("wait", [0.0, 0.013, 0.031])
@pytest.mark.parametrize("stop", ["interrupt", "pause"])
def test_the_mouth_is_shut_80_ms_after_an_interruption(
    mock: Avatar, stage: Callable[..., Stage], rate: int, wait: float, stop: str
) -> None:
    made = stage(mock, rate)
    made.session.push_audio(tone(5))
    made.frames(rate)
    assert made.mouth() > 0.5
    made.clock.time += wait
    stopped = made.clock.time
    getattr(made.session, stop)()
    opening = made.mouth()
    while True:
        made.frames(1)
        if made.clock.time > stopped + 0.0801:
            break
        assert made.mouth() < opening
        opening = made.mouth()
    assert opening == pytest.approx(0, abs=1e-6)
    assert made.mouth() == pytest.approx(0, abs=1e-6)


def test_an_interruption_shuts_a_mouth_that_was_closing_by_itself(
    mock: Avatar, stage: Callable[..., Stage]
) -> None:
    made = stage(mock, 60)
    made.session.push_audio(tone(0.5))
    made.session.flush()
    made.frames(31)  # one after the end
    assert made.mouth() > 0.5
    made.session.interrupt()
    made.frames(4)
    assert made.mouth() == pytest.approx(0, abs=1e-6)


def test_an_interruption_says_what_was_played_and_ends_without_a_click(
    mock: Avatar, stage: Callable[..., Stage]
) -> None:
    made = stage(mock)
    for _ in range(3):
        made.session.push_audio(tone(2))
        made.session.flush()
    frames = made.frames(14)
    assert made.session.interrupt() == pytest.approx(14 * FRAME)
    assert made.session.queued == 0
    assert made.session.interrupt() == 0
    (tail,) = made.frames(1)
    joined = np.concatenate([frames[-1].sound, tail.sound])
    assert np.abs(np.diff(joined)).max() <= np.abs(np.diff(tone(1))).max() * 1.05
    assert not tail.sound[80:].any()
    assert {f.state for f in made.frames(20)} == {"idle"}
    made.session.push_audio(tone(1))
    assert made.frames(3)[-1].state == "speaking"
    assert made.session.interrupt() == pytest.approx(3 * FRAME)


def test_a_pause_loses_nothing(mock: Avatar, stage: Callable[..., Stage]) -> None:
    made, sound = stage(mock), tone(1)
    made.session.push_audio(sound)
    made.session.flush()
    frames = made.frames(10)
    made.session.pause()
    paused = made.frames(30)
    assert {f.state for f in paused} == {"paused"}
    made.session.resume()
    frames += made.frames(15)
    heard = said(frames)
    at = 10 * 640
    assert np.array_equal(heard[:at], sound[:at])
    assert np.array_equal(heard[at + 80 :], sound[at + 80 :])
    assert [f.source_pts for f in frames] == [Fraction(k, 25) for k in range(25)]


def test_a_session_that_is_finished_says_all_and_ends_with_a_shut_mouth(
    mock: Avatar, stage: Callable[..., Stage]
) -> None:
    made, sound = stage(mock), tone(1.01)
    made.session.push_audio(sound)
    made.session.finish()
    frames = made.frames(1_000)
    assert np.array_equal(said(frames)[: len(sound)], sound)
    assert len(frames) == 26 + 3
    assert made.mouth() == pytest.approx(0, abs=1e-6)
    assert made.frames(1) == []


def test_a_closed_session_ends_at_once(mock: Avatar, stage: Callable[..., Stage]) -> None:
    made = stage(mock)
    with made.session as session:
        session.push_audio(tone(1))
        made.frames(3)
    assert made.frames(1) == []
    assert made.session.queued == 0
    made.session.close()


# Life


@pytest.mark.parametrize("name", ["mock", "avatar", "portraits"])
def test_a_silent_face_lives_and_never_jumps(
    name: str, stage: Callable[..., Stage], request: pytest.FixtureRequest
) -> None:
    """Drawn, trained, and of one picture: idle, speaking, interrupted, idle."""
    avatar = request.getfixturevalue(name)
    space, controls = avatar.engine.space, Controls(blink_times=(1.0,))
    sound = speaker.voice(speaker.perform(75, 3).opening, 75)
    stream = avatar.live(controls=controls)
    spoken = torch.cat([stream.motion(sound), stream.flush()])
    made = stage(avatar, controls=controls)
    frames = made.frames(100)
    idle = space.read(torch.stack(made.rows))
    made.session.push_audio(sound)
    frames += made.frames(40)
    made.session.interrupt()
    frames += made.frames(30)
    assert [f.state for f in frames] == ["idle"] * 100 + ["speaking"] * 40 + ["idle"] * 30
    spread = spoken.std(0).clamp(min=1e-3)
    usual, steps = (
        (rows.diff(dim=0) / spread).norm(dim=1) for rows in (spoken, torch.stack(made.rows))
    )
    assert float(steps.max()) <= 1.5 * float(usual.max())
    talks = float(space.read(spoken).mouth.std(0).max())
    assert float(idle.mouth.std(0).max()) <= 0.15 * talks
    angles = idle.pose[:, :3]
    assert 0.2 < float((angles.amax(0) - angles.amin(0)).max()) < 6
    closed = idle.blink[:, 0] - idle.blink.median()
    assert 22 <= int(closed.argmax()) <= 30
    assert float(closed.max()) > 5 * float(closed[40:].abs().max())
    if name == "mock":  # the utterance goes on with the session's blinks, not with its own
        assert float(torch.stack(made.rows[40:])[:, BLINK].max()) < 0.1


def test_idling_does_not_repeat_itself_and_follows_the_controls(mock: Avatar) -> None:
    def rows(controls: Controls, count: int) -> torch.Tensor:
        resolved = mock.resolve_controls(0, controls, live=True)
        life = IdleLife(mock.engine, resolved, mock.engine.options(0))
        return torch.stack([life.row(k) for k in range(count)])

    here = rows(Controls(blinks=0), 1_500)
    apart = [float((here[s : s + 100] - here[:100]).abs().max()) for s in range(50, 1_400)]
    assert min(apart) > 0.1
    assert not rows(Controls(pose="still", blinks=0), 50).diff(dim=0).any()
    aside = rows(Controls(pose_offset=(5, 0, 0), blinks=0), 50) - here[:50]
    assert torch.allclose(aside[:, 0], torch.tensor(5.0), atol=1e-3)
    shut = rows(Controls(blink_times=(1.0,)), 50)[:, BLINK] > 0.5
    assert shut.nonzero()[:, 0].tolist() == [26, 27, 28]


@pytest.mark.parametrize("speaking", [False, True])
def test_other_controls_hold_from_the_next_frame_on_without_a_jump(
    mock: Avatar, stage: Callable[..., Stage], speaking: bool
) -> None:
    made = stage(mock, controls=Controls(blinks=0))
    if speaking:
        made.session.push_audio(tone(3))
    made.frames(20)
    made.session.set(Controls(blinks=0, gaze=(0.8, 0), amplitude=0.5))
    made.frames(20)
    gaze = torch.stack(made.rows)[:, GAZE_LEFT]
    assert gaze[19] == 0
    assert gaze[-1] == pytest.approx(0.8)
    assert 0 < float(gaze[20]) < 0.1
    assert float(gaze.diff().max()) < 0.2
    if speaking:
        assert made.mouth() < 0.6 * float(made.rows[19][MOUTH])


# What goes wrong


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"samples": np.array([0.1, np.nan], np.float32)}, "not a finite number"),
        ({"samples": np.zeros((2, 2, 2), np.float32)}, "no sound"),
        ({"samples": np.full(9, 9_000.0)}, "full scale"),
        ({"samples": "speech.wav"}, "no samples, but a str"),
        ({"rate": 1}, "sampling rate of 1 "),
        ({"rate": float("nan")}, "sampling rate of nan"),
        ({"rate": "16000"}, "sampling rate"),
        ({"samples": (24_000, np.zeros(9)), "rate": 16_000}, "24000 Hz comes in a stream of"),
        ({"pts": float("nan")}, "time stamp nan"),
        ({"pts": "soon"}, "time stamp 'soon'"),
        ({"samples": np.zeros(121 * 16_000, np.int16)}, "wait to be played already"),
    ],
)
def test_what_cannot_be_said_is_refused_in_a_sentence_and_not_taken(
    mock: Avatar, stage: Callable[..., Stage], given: dict[str, Any], words: str
) -> None:
    made = stage(mock)
    made.session.push_audio(sound := tone(0.4))
    with pytest.raises(UsageError, match=words) as caught:
        made.session.push_audio(**{"samples": sound, **given})
    assert caught.value.todo
    made.session.push_audio(sound)
    made.session.flush()
    assert np.array_equal(said(made.frames(20)), np.concatenate([sound, sound]))


@pytest.mark.parametrize("end", ["finish", "close"])
def test_sound_after_the_end_is_refused(mock: Avatar, end: str) -> None:
    session = mock.session()
    getattr(session, end)()
    with pytest.raises(UsageError, match="has ended") as caught:
        session.push_audio(tone(0.1))
    assert caught.value.todo


@pytest.mark.parametrize("terms", [{"latency": "none"}, {"sound_rate": 100}, {"sound_rate": 16e3}])
def test_terms_out_of_range_are_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="was asked for"):
        LiveTerms(**terms)


# Threads, tasks, and what is left of sessions


def test_sound_from_two_threads_while_frames_are_taken(
    mock: Avatar, stage: Callable[..., Stage]
) -> None:
    made = stage(mock)
    block, errors = tone(0.04), list[BaseException]()

    def push() -> None:
        try:
            for _ in range(50):
                made.session.push_audio(block)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=push) for _ in range(2)]
    for thread in threads:
        thread.start()
    frames = made.frames(50)
    for thread in threads:
        thread.join()
    made.session.finish()
    frames += made.frames(1_000)
    assert not errors
    heard = said(frames)
    assert len(heard) == 100 * 640
    assert np.isclose(np.abs(heard).sum(), 100 * np.abs(block).sum(), rtol=0.01)


def test_sessions_of_one_loop_live_side_by_side(mock: Avatar, stage: Callable[..., Stage]) -> None:
    async def talk(seconds: float) -> list[LiveFrame]:
        session = mock.session(clock=SetClock(), terms=PLAIN)
        session.push_audio(tone(seconds))
        session.finish()
        return [frame async for frame in session]

    async def both() -> list[list[LiveFrame]]:
        return await asyncio.gather(talk(0.4), talk(0.8))

    stage(mock)  # pictures are not made
    one, two = asyncio.run(both())
    assert np.array_equal(said(one), tone(0.4))
    assert np.array_equal(said(two), tone(0.8))


def test_nothing_is_left_of_sessions(mock: Avatar, stage: Callable[..., Stage]) -> None:
    def live(session: LiveSession) -> weakref.ref[LiveSession]:
        session.push_audio(tone(0.2))
        list(islice(session, 3))
        session.close()
        return weakref.ref(session)

    def left() -> tuple[int, int]:
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    stage(mock)
    live(mock.session(clock=SetClock()))
    before = left()
    sessions = [live(mock.session(clock=SetClock())) for _ in range(50)]
    gc.collect()
    assert not [one for one in sessions if one() is not None]
    assert left() == before
