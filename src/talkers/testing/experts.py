"""What every expert promises; see `talkers.experts.contract`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkers.errors import MissingComponent
from talkers.experts.contract import Expert, ExpertClip
from talkers.experts.mouths import Mouths
from talkers.registry import component

FRAMES = 50
MOUTH = 48, 81  # side of a patch, pixels; numbers of a lip shape


def random_clip(frames: int, seed: int, sentence: tuple[str, ...] | None = None) -> ExpertClip:
    """A clip of random mouths and noise, at 25 frames a second."""
    random = np.random.default_rng(seed)
    patches = random.integers(0, 255, (frames, MOUTH[0], MOUTH[0]), dtype=np.uint8)
    points = random.normal(0, 0.1, (frames, MOUTH[1])).astype(np.float32)
    samples = random.normal(0, 0.1, frames * 640).astype(np.float32)
    return ExpertClip(Mouths(patches, points), 1.0, samples, np.ones(frames, bool), sentence)


class ExpertContract:
    """Inherit it, and give a fixture `name`: a registered expert."""

    @pytest.fixture
    def expert(self, name: str) -> Expert:
        """The expert; skipped where what it needs is not on this machine."""
        try:
            expert: Expert = component("expert", name).load()(name, None)
        except MissingComponent as error:
            pytest.skip(f"the expert cannot be had here: {error}")
        return expert

    def test_expert_says_what_it_is(self, expert: Expert, name: str) -> None:
        assert isinstance(expert, Expert)
        assert expert.name == name
        assert expert.sees in ("pixels", "landmarks", "motion")
        assert expert.needs <= {"sound", "text"}
        assert expert.figures

    def test_scores_have_the_same_names_for_every_clip(self, expert: Expert) -> None:
        sentence = ("bin", "blue", "at", "f", "two", "now")
        for clip in (random_clip(FRAMES, 0, sentence), random_clip(8, 1), random_clip(1, 2)):
            scores = expert.scores(clip)
            assert set(scores) == set(expert.figures)
            assert all(isinstance(value, float) for value in scores.values())

    def test_a_clip_without_a_face_has_no_scores(self, expert: Expert) -> None:
        clip = random_clip(FRAMES, 0)
        unseen = ExpertClip(clip.mouths, 0.0, clip.samples, clip.speech, clip.sentence)
        assert all(np.isnan(value) for value in expert.scores(unseen).values())

    def test_scores_of_a_clip_are_the_same_twice(self, expert: Expert) -> None:
        first, second = (expert.scores(random_clip(FRAMES, 0)) for _ in range(2))
        assert all(np.array_equal(first[key], second[key], equal_nan=True) for key in first)

    def test_an_expert_that_is_not_there_is_named(self, name: str, tmp_path: Path) -> None:
        load = component("expert", name).load()
        assert load(name, tmp_path).name == name  # none of one's own there: the usual one
