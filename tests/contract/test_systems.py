"""Every system that talkers brings is held to the contracts, and no component is left out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import faces
from talkers import Avatar, registry
from talkers.speech import SpeechConfig
from talkers.systems.dae_talker import tiny
from talkers.systems.mock import mock
from talkers.systems.portrait import tiny_portrait
from talkers.systems.recipe import Recipe, with_settings
from talkers.testing import SpeechEncoderContract, SystemContract, as_avatar, bfloat16
from talkers.testing.avatars import random_avatar

FORMAT_3 = Path(__file__).parents[1] / "data" / "format-3"


class TestMock(SystemContract):
    recipe = staticmethod(mock)


class TestTiny(SystemContract):
    """All weights are random: no layer is left at zero, where mistakes would hide."""

    recipe = staticmethod(tiny)


class TestPortrait(SystemContract):
    """A synthetic person whose picture is noise; the space has learnt from other such people.

    Its renderer has all options; without them it is tested with portraits.
    """

    @pytest.fixture(scope="class")
    def avatar(self, tmp_path_factory: pytest.TempPathFactory) -> Avatar:
        recipe = with_settings(tiny_portrait(), ["renderer.depth=true", "renderer.memory=8"])
        space, clip = faces.fitted(recipe.space), faces.performed(faces.person(50), faces.act(50))
        torch.manual_seed(0)
        picture = torch.rand(1, 3, 128, 128) * 2 - 1
        return random_avatar(
            tmp_path_factory.mktemp("avatar"),
            recipe,
            space,
            lambda renderer: renderer.identity(picture, clip.points[:1]),
        )


class TestTrained(SystemContract):
    """An avatar of format 3, saved as one of format 4."""

    @pytest.fixture(scope="class")
    def avatar(self, tmp_path_factory: pytest.TempPathFactory) -> Avatar:
        with bfloat16(False):
            old = Avatar.load(FORMAT_3, device="cpu").engine
        parts = {"renderer": old.renderer, "space": old.space, "speech/student": old.student}
        parts |= {f"motion/{key}": model for key, model in old.motion.items()}
        return as_avatar(
            tmp_path_factory.mktemp("avatar"), old.recipe, parts, dict(old.bundle.about)
        )


SYSTEMS: list[Recipe] = [mock(), tiny(), tiny_portrait()]


@pytest.mark.parametrize("kind", ["renderer", "space", "motion_model"])
def test_every_registered_component_is_in_a_system_that_is_tested(kind: registry.Kind) -> None:
    used = {
        "renderer": {recipe.renderer.type for recipe in SYSTEMS},
        "space": {recipe.space.type for recipe in SYSTEMS},
        "motion_model": {part.type for recipe in SYSTEMS for part in recipe.motion.values()},
    }
    own = {
        name
        for name in registry.names(kind)
        if str(registry.component(kind, name).target).startswith("talkers.")
    }
    assert own == used[kind]


class TestSpeechEncoders(SpeechEncoderContract):
    @pytest.fixture(params=registry.names("speech_encoder"))
    def speech(self, request: pytest.FixtureRequest) -> SpeechConfig:
        return SpeechConfig(request.param, () if request.param == "log-mel" else (-1,))
