"""Answers: all of their sound comes out, their ends are told in time, and an interruption leaves nothing. No test waits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import talkers
from recordings import closed, opening, speech
from set_clock import SetClock
from talkers import Avatar, LiveTerms
from talkers.agents.answers import MAX_AHEAD, Answers, Moment
from talkers.errors import UsageError
from talkers.runtime.live_session import LiveFrame


@pytest.fixture(scope="module")
def mock() -> Avatar:
    return Avatar.load("mock")


@pytest.fixture
def begun(mock: Avatar, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answers]:
    """Begin a session whose time is not the machine's; a picture takes `cost` seconds."""

    def begin(rate: int = 24_000, cost: float = 0.005) -> Answers:
        clock, session, decode = SetClock(), mock.session, mock.engine.decode

        def slow(*arguments: Any, **options: Any) -> Any:
            clock.time += cost
            return decode(*arguments, **options)

        monkeypatch.setattr(mock.engine, "decode", slow)
        monkeypatch.setattr(mock, "session", lambda **options: session(clock=clock, **options))
        return Answers(mock, LiveTerms(sound_rate=rate, provenance=False))

    return begin


async def until(answers: Answers, said: Fraction, more: int = 3) -> list[Moment]:
    """Moments until so much is said, and some more."""
    moments: list[Moment] = []
    async for moment in answers.moments():
        moments.append(moment)
        if moment.said >= said:
            more -= 1
        if more < 0 or len(moments) > 1_000:
            return moments
    return moments


def joined(moments: list[Moment]) -> np.ndarray:
    return np.concatenate([m.sound for m in moments])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_all_sound_comes_out_whatever_its_form(
    begun: Callable[..., Answers], rate: int, channels: int
) -> None:
    samples = speech(0.63, rate, channels)

    async def run() -> np.ndarray:
        answers = begun()
        for k in range(0, len(samples), 333):
            await answers.push(samples[k : k + 333].tobytes(), rate, channels)
        return joined(await until(answers, answers.flush()))

    got, wanted = asyncio.run(run()), speech(0.63, 24_000)
    assert abs(len(got) - len(wanted)) <= 2
    count = min(len(got), len(wanted))
    assert np.corrcoef(got[:count], wanted[:count])[0, 1] > 0.98


@pytest.mark.parametrize("cost", [0.005, 0.13])
def test_ends_of_answers_are_told_in_time(begun: Callable[..., Answers], cost: float) -> None:
    """Also when most pictures are skipped; then silence between answers may count as theirs."""
    lengths = [0.5, 0.31, 0.07]

    async def run() -> tuple[list[Fraction], list[Moment]]:
        answers = begun(cost=cost)
        ends = []
        for seconds in lengths:
            await answers.push(speech(seconds).tobytes(), 16_000, 1)
            ends.append(answers.flush())
        return ends, await until(answers, ends[-1])

    ends, moments = asyncio.run(run())
    assert [float(end) for end in ends] == pytest.approx(np.cumsum(lengths))
    slack = 0.001 if cost < 0.1 else 0.08
    assert len(joined(moments)) / 24_000 == pytest.approx(sum(lengths), abs=slack)
    if cost < 0.1:
        for end in ends:
            heard = np.cumsum([len(m.sound) for m in moments]) / 24_000
            told = next(k for k, m in enumerate(moments) if m.said >= end)
            assert heard[told] == pytest.approx(float(end), abs=0.001)


@pytest.mark.parametrize("cost", [0.005, 0.09, 0.13])
def test_sound_never_runs_out_on_a_slow_machine(begun: Callable[..., Answers], cost: float) -> None:
    """Whoever plays it from its coming on hears no gap, and the second answer is no exception."""

    async def run() -> None:
        answers = begun(cost=cost)
        clock: SetClock = answers.session._clock  # type: ignore[assignment]
        moments = answers.moments()
        for _ in range(6):
            await anext(moments)
        for _ in range(2):
            await answers.push(speech(0.9).tobytes(), 16_000, 1)
            end, until, gaps, heard = answers.flush(), 0.0, list[float](), 0
            while answers.said < end:
                sound = (await anext(moments)).sound
                if len(sound):
                    gaps.append(clock.time - until)
                    until = max(until, clock.time) + len(sound) / 24_000
                    heard += len(sound)
            assert max(gaps[1:]) < 0.011
            assert heard / 24_000 == pytest.approx(0.9, abs=0.01)
            for _ in range(4):
                assert not len((await anext(moments)).sound)

    asyncio.run(run())


def test_ten_interruptions_leave_no_sound_and_close_the_mouth(
    begun: Callable[..., Answers],
) -> None:
    async def run() -> None:
        answers = begun()
        moments = answers.moments()
        for _ in range(10):
            await answers.push(speech(4).tobytes(), 16_000, 1)
            answers.flush()
            said = [await anext(moments) for _ in range(14)]
            assert len(joined(said)) / 24_000 > 0.4
            assert max(opening(m.picture) for m in said) > 0.002
            answers.interrupt()
            after = [await anext(moments) for _ in range(6)]
            assert not len(joined(after))
            assert all(closed(m.picture) for m in after[2:])  # 80 ms
            assert not answers.waiting

    asyncio.run(run())


def test_sound_of_a_frame_that_was_being_made_is_dropped(begun: Callable[..., Answers]) -> None:
    async def run() -> Moment:
        answers = begun()
        await answers.push(speech(1).tobytes(), 16_000, 1)
        making, make = answers.session, answers.session._make

        def interrupted() -> LiveFrame | None:
            frame = make()
            if frame is not None and frame.pts == Fraction(8, 25):
                assert frame.state == "speaking"
                answers.interrupt()
            return frame

        making._make = interrupted  # type: ignore[method-assign]
        async for moment in answers.moments():
            if moment.pts == Fraction(8, 25):
                return moment
        raise AssertionError

    assert not len(asyncio.run(run()).sound)


def test_a_long_answer_waits_and_is_forgotten_when_interrupted(
    begun: Callable[..., Answers],
) -> None:
    async def run() -> None:
        answers = begun()
        block = np.zeros(16_000 * 30, np.int16).tobytes()
        for _ in range(3):
            await answers.push(block, 16_000, 1)
        assert answers.session.queued > MAX_AHEAD
        waiting = asyncio.create_task(answers.push(block, 16_000, 1))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        answers.interrupt()
        await waiting
        assert not answers.waiting
        assert answers.pushed == 90

    asyncio.run(run())


def test_less_than_a_sample_is_said_too(begun: Callable[..., Answers]) -> None:
    """So that nobody waits for its end for ever."""

    async def run() -> list[Moment]:
        answers = begun(8_000)
        await answers.push(b"\0\0", 48_000, 1)
        return await until(answers, answers.flush())

    assert len(asyncio.run(run())) < 20


def test_what_is_no_sound_is_refused(begun: Callable[..., Answers]) -> None:
    answers = begun()
    for data, channels in ((b"123", 1), (b"12", 2), (b"12", 0)):
        with pytest.raises(UsageError, match="no whole number of 16-bit samples"):
            asyncio.run(answers.push(data, 16_000, channels))
    with pytest.raises(UsageError, match="sampling rate"):
        asyncio.run(answers.push(b"12", 1, 1))
    assert not answers.pushed


def test_nothing_else_needs_the_extras() -> None:
    needs = re.compile(r"^\s*(?:from|import) (pipecat|livekit)\b", re.M)
    root = Path(talkers.__file__).parent
    found = {
        (str(path.relative_to(root)), package)
        for path in root.rglob("*.py")
        for package in needs.findall(path.read_text("utf-8"))
    }
    assert found == {("agents/pipecat.py", "pipecat"), ("agents/livekit.py", "livekit")}
