"""Sessions: frames come soon after their sound, however it is cut, and none is lost."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

import speaker
from speaker import opening_of
from streams import cut
from talkers import Avatar, Controls
from talkers.cli import main
from talkers.errors import ArtefactError, UsageError
from talkers.motion.windows import MotionRequest
from talkers.runtime.session import Hurry, Session

BOTH = pytest.mark.parametrize("motion", ["regressor", "sampler"])


@BOTH
def test_a_stream_gives_the_frames_of_the_whole_file(
    avatar: Avatar, motion: Literal["regressor", "sampler"]
) -> None:
    sound = speaker.voice(speaker.perform(90, 8).opening, 90)[:-100]
    controls = Controls(motion=motion)
    whole = np.stack(list(avatar.speak(sound, controls=controls, live=True))).astype(int)
    assert len(whole) == 90
    for sizes in ((160,), (5000, 333)):
        streamed = np.stack(list(avatar.stream(cut(sound, sizes), controls=controls))).astype(int)
        assert streamed.shape == whole.shape
        assert np.abs(streamed - whole).max() <= 1


def test_a_live_talk_is_the_same_when_it_is_asked_again(avatar: Avatar) -> None:
    sound = speaker.voice(speaker.perform(40, 8).opening, 40)
    talk = avatar.speak(sound, live=True)
    next(iter(talk))
    one, two = (np.stack(list(talk)) for _ in range(2))
    assert len(one) == 40
    assert np.array_equal(one, two)


@BOTH
def test_frames_come_soon_after_their_sound(
    avatar: Avatar, motion: Literal["regressor", "sampler"]
) -> None:
    sound = speaker.voice(speaker.perform(60, 9).opening, 60)
    live, given = avatar.live(controls=Controls(motion=motion)), 0
    for k, block in enumerate(cut(sound, (320,))):
        heard = (k + 1) * 320 / 16_000
        given += sum(1 for _ in live.push(block))
        assert given >= int((heard - live.delay) * 25)
    assert given < 60
    assert given + sum(1 for _ in live.finish()) == 60
    assert live.delay < 0.4


def test_the_mouth_follows_a_stream(avatar: Avatar) -> None:
    acts = speaker.perform(150, 77)
    sound = speaker.voice(acts.opening, 150)
    seen = opening_of(
        np.stack(list(avatar.stream(cut(sound, (800,)), controls=Controls(blinks=0))))
    )
    assert np.corrcoef(seen, acts.opening)[0, 1] > 0.7
    offsets = [
        np.corrcoef(np.roll(seen, k)[10:-10], acts.opening[10:-10])[0, 1] for k in range(-5, 6)
    ]
    assert abs(int(np.argmax(offsets)) - 5) <= 1


def test_the_mouth_rests_when_a_stream_falls_silent(avatar: Avatar) -> None:
    acts = speaker.perform(150, 77)
    sound = np.concatenate([speaker.voice(acts.opening, 150), np.zeros(48_000, np.float32)])
    sound += 0.001 * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    seen = opening_of(
        np.stack(list(avatar.stream(cut(sound, (800,)), controls=Controls(blinks=0))))
    )
    assert np.ptp(seen[160:]) <= 0.05 * np.ptp(seen[:150])


@pytest.mark.parametrize("rate", [25, 30, 50, 60])
def test_frames_are_the_same_however_sound_is_cut_at_every_rate(rate: int) -> None:
    """Silence is told from speech by sound up to 0.24 s later: no frame is committed before it."""
    mock = Avatar.load("mock")
    mock.engine.recipe = replace(mock.engine.recipe, rate=rate)
    assert mock.frame_rate == rate
    sound = np.zeros(3 * 16_000, np.float32)
    for start in (3_000, 17_777, 30_001):  # words with silence between them
        sound[start : start + 5_000] = 0.2 * np.sin(np.arange(5_000) * 0.1)

    def motion(sizes: tuple[int, ...]) -> torch.Tensor:
        session = mock.live(controls=Controls(blinks=0))
        parts = [session.motion(block) for block in cut(sound, sizes)]
        return torch.cat([part for part in (*parts, session.flush()) if len(part)])

    whole = motion((len(sound),))
    assert len(whole) == 3 * rate
    for sizes in ((160,), (1_111, 4_321)):
        assert torch.allclose(motion(sizes), whole, atol=1e-3)


@pytest.mark.parametrize("rate", [25, 50, 60])
def test_a_frame_is_committed_after_the_sound_that_decides_its_mouth(rate: int) -> None:
    mock = Avatar.load("mock")
    mock.engine.recipe = replace(mock.engine.recipe, rate=rate)
    session, committed = mock.live(), 0
    for k, block in enumerate(cut(np.full(32_000, 0.1, np.float32), (320,))):
        committed += len(session.motion(block))
        if committed:
            # The level of the newest frame's middle, and five more, decide how far it may move.
            level = int((committed - 0.5) / rate * 25)
            assert (k + 1) * 320 >= (level + 6) * 640


def test_frames_that_are_not_taken_come_with_the_next_call() -> None:
    mock = Avatar.load("mock")
    sound = speaker.voice(speaker.perform(60, 3).opening, 60)
    whole = list(mock.stream([sound]))
    session, frames = mock.live(), []
    for k, block in enumerate(cut(sound, (4_000,))):
        pushed = session.push(block)
        if k % 3 == 0:
            continue  # dropped without a look
        frames += [frame for _, frame in zip(range(2), pushed, strict=False)]
    frames += list(session.finish())
    assert len(frames) == len(whole) == 60
    assert all(np.array_equal(a, b) for a, b in zip(frames, whole, strict=True))


@BOTH
def test_frames_committed_at_once_are_nearly_the_same(
    avatar: Avatar, motion: Literal["regressor", "sampler"]
) -> None:
    sound = speaker.voice(speaker.perform(100, 3).opening, 100)
    controls = Controls(motion=motion)
    one, many = avatar.live(controls=controls), avatar.live(controls=controls)
    exact = torch.cat([one.motion(sound), one.flush()])
    parts = [many.motion(block, 12) for block in cut(sound, (8_000,))]
    quick = torch.cat([part for part in (*parts, many.flush()) if len(part)])
    assert exact.shape == quick.shape
    assert float((quick - exact).square().mean()) < 0.15 * float(exact.var(0).mean())


@BOTH
def test_what_is_known_ahead_comes_near_and_commits_nothing(
    avatar: Avatar, motion: Literal["regressor", "sampler"]
) -> None:
    sound = speaker.voice(speaker.perform(60, 3).opening, 60)
    controls = Controls(motion=motion)
    plain, asked = avatar.live(controls=controls), avatar.live(controls=controls)
    assert not len(asked.ahead(3))
    rows, ahead = [], []
    for block in cut(sound, (1_280,)):
        rows.append(asked.motion(block))
        ahead.append((sum(map(len, rows)), asked.ahead(2)))
    rows = torch.cat([row for row in rows if len(row)])
    blocks = [plain.motion(block) for block in cut(sound, (1_280,))]
    assert torch.equal(rows, torch.cat([block for block in blocks if len(block)]))
    pairs = [(rows[at : at + 2], known) for at, known in ahead if 0 < at <= len(rows) - 2]
    committed, known = (torch.cat(side) for side in zip(*pairs, strict=True))
    # half a second later it is known better, but not otherwise
    assert float((known - committed).square().mean()) < 0.5 * float(committed.var(0).mean())


def test_pairs_of_frames_cost_half_and_come_as_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    mock, sound = Avatar.load("mock"), speaker.voice(speaker.perform(50, 3).opening, 50)
    resolved, options = mock.resolve_controls(0, live=True), mock.engine.options(0)
    windows, found, costs = [0], [], []
    generate = MotionRequest.generate

    def counted(self: MotionRequest, *given: Any) -> Any:
        windows[0] += 1
        return generate(self, *given)

    monkeypatch.setattr(MotionRequest, "generate", counted)
    for hurry in (Hurry(), Hurry(pairs=True)):
        windows[0] = 0
        session = Session(mock.engine, resolved, options, look_ahead=0.08, hurry=hurry)
        parts = [session.motion(block) for block in cut(sound, (640,))]
        found.append(torch.cat([part for part in (*parts, session.flush()) if len(part)]))
        costs.append((windows[0], session.delay))
    assert costs[0][1] == pytest.approx(costs[1][1])
    assert costs[1][0] <= 0.6 * costs[0][0]
    assert found[0].shape == found[1].shape
    assert torch.allclose(found[0], found[1], atol=0.3)


def test_sound_after_the_end_is_refused() -> None:
    session = Avatar.load("mock").live()
    list(session.push(np.zeros(1_920, np.float32)))
    assert len(list(session.finish())) == 3
    with pytest.raises(UsageError, match="ended") as caught:
        session.push(np.zeros(1_600, np.float32))
    assert caught.value.todo
    assert list(session.finish()) == []  # once more does no harm


def test_two_streams_in_two_threads_do_not_share_frames(avatar: Avatar) -> None:
    """Each says what it says alone."""
    sounds = [speaker.voice(speaker.perform(40, seed).opening, 40) for seed in (3, 4)]
    alone = [list(avatar.stream(cut(sound, (1_600,)))) for sound in sounds]
    together: list[list[Any]] = [[], []]

    def work(k: int) -> None:
        together[k] += avatar.stream(cut(sounds[k], (1_600,)))

    threads = [threading.Thread(target=work, args=(k,)) for k in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, two in zip(alone, together, strict=True):
        assert len(one) == len(two) == 40
        apart = np.abs(np.stack(one).astype(int) - np.stack(two))
        assert apart.max() <= 1


def test_what_cannot_be_streamed_is_said(avatar: Avatar) -> None:
    for wrong in (np.array([0.0, np.nan], np.float32), np.zeros((2, 2, 2), np.float32)):
        with pytest.raises(UsageError):
            list(avatar.stream([wrong]))
    assert list(avatar.stream([])) == []


def test_an_avatar_without_an_encoder_for_streams_says_so(
    bundled: Avatar, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its pretrained encoder sees four seconds at once and cannot follow."""
    folder = shutil.copytree(
        bundled.folder, tmp_path / "a", ignore=shutil.ignore_patterns("listener*", "student*")
    )
    with pytest.raises(ArtefactError, match="no streaming speech encoder"):
        Avatar.load(folder).live()
    speech = bundled.folder.parent / "hello.flac"
    made = tmp_path / "a.mp4"
    command = ["speak", str(speech), "--avatar", str(folder), "-o", str(made), "--live"]
    assert main(command) == 4
    assert "streaming speech encoder" in capsys.readouterr().err
    assert not made.exists()
