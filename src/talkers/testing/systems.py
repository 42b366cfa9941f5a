"""What every system promises: its components, assembled as an avatar in a real folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from talkers.runtime.avatar import Avatar
from talkers.speech import SpeechConfig
from talkers.systems.recipe import Recipe
from talkers.testing.avatars import as_avatar, random_avatar
from talkers.testing.motion import MotionModelContract, SpaceContract
from talkers.testing.renderers import RendererContract
from talkers.testing.speech import SpeechEncoderContract


class SystemContract(RendererContract, SpaceContract, MotionModelContract, SpeechEncoderContract):
    """Inherit it, and name a small recipe (or give a fixture `avatar` of your own).

    Attributes:
        recipe: a function that returns the recipe.
    """

    recipe: ClassVar[Callable[[], Recipe]]

    @pytest.fixture(scope="class")
    def avatar(self, tmp_path_factory: pytest.TempPathFactory) -> Avatar:
        """An avatar of the recipe with random weights."""
        return random_avatar(tmp_path_factory.mktemp("avatar"), type(self).recipe())

    @pytest.fixture
    def speech(self, avatar: Avatar) -> SpeechConfig:
        """The avatar's speech features."""
        return avatar.engine.recipe.speech

    @pytest.fixture
    def samples(self) -> NDArray[np.float32]:
        """Five seconds of a tone that comes and goes."""
        time = np.arange(80_000) / 16_000
        level = np.clip(np.sin(2 * np.pi * 1.3 * time), 0, 1)
        return (0.3 * level * np.sin(2 * np.pi * 220 * time)).astype(np.float32)

    def test_saving_and_loading_changes_no_frame(
        self, avatar: Avatar, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        engine = avatar.engine
        parts = {"renderer": engine.renderer, "space": engine.space}
        parts |= {f"motion/{key}": model for key, model in engine.motion.items()}
        if engine.student is not None:
            parts["speech/student"] = engine.student
        if engine.identity is not None:
            parts["identity"] = engine.identity
        about = {**avatar.about}
        again = as_avatar(tmp_path_factory.mktemp("again"), engine.recipe, parts, about)
        samples = np.random.default_rng(0).normal(0, 0.1, 9600).astype(np.float32)
        for first, second in zip(avatar.speak(samples), again.speak(samples), strict=True):
            assert np.abs(first.astype(int) - second).max() <= 1

    def test_the_same_seed_says_the_same_thing_twice(
        self, avatar: Avatar, samples: NDArray[np.float32]
    ) -> None:
        one, two = (np.stack(list(avatar.speak(samples[:16_000], seed=3))) for _ in range(2))
        assert one.shape == (round(avatar.frame_rate), avatar.size, avatar.size, 3)
        assert np.array_equal(one, two)

    def test_a_stream_shows_the_live_file_however_it_is_cut(
        self, avatar: Avatar, samples: NDArray[np.float32]
    ) -> None:
        part = samples[:24_000]
        whole = np.stack(list(avatar.speak(part, live=True))).astype(int)
        for cuts in ([], [100, 1_900, 9_000]):
            streamed = np.stack(list(avatar.stream(np.split(part, cuts)))).astype(int)
            assert streamed.shape == whole.shape
            assert np.abs(streamed - whole).max() <= 1
