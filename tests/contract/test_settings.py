"""Settings of everything registered, and every recipe: limits, JSON, unknown keys."""

from __future__ import annotations

import pytest

from talkers import registry
from talkers.testing import RecipeContract, SettingsContract

WITH_SETTINGS = [
    registry.component(kind, name)  # type: ignore[arg-type]
    for kind in registry.KINDS
    for name in registry.names(kind)  # type: ignore[arg-type]
    if registry.component(kind, name).config is not None  # type: ignore[arg-type]
]


class TestSettings(SettingsContract):
    @pytest.fixture(params=WITH_SETTINGS, ids=lambda found: f"{found.kind}-{found.name}")
    def component(self, request: pytest.FixtureRequest) -> registry.Component:
        found: registry.Component = request.param
        return found


class TestRecipes(RecipeContract):
    @pytest.fixture(params=[*registry.names("recipe"), "talkers.systems.mock:mock"])
    def name(self, request: pytest.FixtureRequest) -> str:
        found: str = request.param
        return found
