"""Calibration: how far mouth and head move beside the person's."""

from __future__ import annotations

import dataclasses
from copy import copy
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from talkers import Controls
from talkers.corpus import Corpus
from talkers.corpus.splits import training_clips
from talkers.corpus.views import head_values
from talkers.face import mouth_opening
from talkers.media import read_audio
from talkers.runtime.avatar import Avatar
from talkers.runtime.bundle import Calibration
from talkers.systems.dae_talker import tiny
from talkers.training import calibrate
from talkers.training.calibrate import agree, live_share, pose_share
from talkers.training.contract import Run

HELLO = str(files("talkers") / "avatars" / "hello.flac")
FORMAT_3 = Path(__file__).parents[1] / "data" / "format-3"


def test_a_tracker_that_sees_something_else_is_not_trusted() -> None:
    known = np.abs(np.sin(np.arange(100, dtype=np.float32)))
    assert agree(known + 0.01, known)
    assert not agree(0.7 * known, known)  # sees smaller movements
    assert not agree(np.roll(known, 2), known)  # sees other movements
    assert not agree(
        np.where(np.arange(100) % 5 == 0, np.nan, known).astype(np.float32), known
    )  # often sees nothing
    assert not agree(known, 0 * known)


def test_a_first_look_gives_up_only_where_it_is_sure(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what follows decides by all that is looked at."""
    run, names = Run(corpus, tiny(), tmp_path), corpus.names[:4]
    recorded = [mouth_opening(corpus.column("landmarks", name)) for name in names]
    real = np.concatenate(recorded)
    looked: list[int] = []

    def seeing(opened: np.ndarray) -> None:
        def look(frames: np.ndarray, tracker: object) -> np.ndarray:
            looked.append(len(frames))
            return opened[:: round(len(real) / len(frames))].astype(np.float32)

        looked.clear()
        monkeypatch.setattr(calibrate, "openings", look)

    seeing(real + 0.01)
    found = calibrate._real_openings(run, names, None)
    assert found is not None
    assert len(found) == len(real[::2])
    assert looked == [len(real[::6]), len(real[::2])]
    few = real + 0.01
    few[: len(few) // 7] = np.nan  # seldom sees nothing: looked at closer, and refused
    seeing(few)
    assert calibrate._real_openings(run, names, None) is None
    assert len(looked) == 2
    seeing(np.roll(real, 11))  # sees something else
    assert calibrate._real_openings(run, names, None) is None
    assert len(looked) == 1


def test_sampled_heads_move_as_far_as_the_persons(corpus: Corpus, tmp_path: Path) -> None:
    """What is measured on one part of the footage holds for the frames of another."""
    engine = Avatar.load(FORMAT_3, "cpu").engine
    names = training_clips(corpus)
    run = Run(corpus, engine.recipe, tmp_path)
    share = pose_share(run, Avatar(engine), names[:3], "flow")
    assert pose_share(run, Avatar(engine), names[:1], "regressor") == 1.0

    def moved(pose: float) -> float:
        """How far heads move in what the avatar says, beside the person's."""
        known = copy(engine)
        calibration = {"motion/flow": Calibration(pose=pose)}
        known.bundle = dataclasses.replace(engine.bundle, calibration=calibration)
        ratios = []
        for name in names[3:]:
            controls = Controls(motion="sampler", blinks=0)
            rows = Avatar(known).speak(corpus.audio(name), controls=controls).motion()
            pose_of = engine.space.read(torch.cat(list(rows))).pose[:, :3]
            real = head_values(corpus, name)[:, :3].std(0).mean()
            ratios.append(float(pose_of.std(0).mean()) / real)
        return float(np.mean(ratios))

    assert moved(share) == pytest.approx(1, abs=0.2)
    assert moved(0.5 * share) == pytest.approx(0.5, abs=0.15)


def test_mouths_of_streams_move_as_far_as_those_of_files(bundled: Avatar) -> None:
    """A student that hears less surely says so, and a stream makes up for it."""
    sounds = [read_audio(HELLO)]

    def share_with(live: float) -> float:
        known = copy(bundled.engine)
        calibration = {"motion/regressor": Calibration(live=live)}
        known.bundle = dataclasses.replace(known.bundle, calibration=calibration)
        return live_share(Avatar(known), sounds, "regressor")

    share = share_with(1.0)
    assert 1.0 < share < 1.5
    assert share_with(share) == pytest.approx(1, abs=0.02)
    assert live_share(Avatar.load("mock", "cpu"), sounds, "regressor") >= 1.0
