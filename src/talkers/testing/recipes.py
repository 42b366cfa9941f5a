"""What every recipe and every component's settings promise; see `talkers.systems.recipe`."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from talkers.configuration import MAX_NUMBER, Limits, parse
from talkers.errors import ArtefactError, UsageError
from talkers.registry import Component
from talkers.systems.recipe import from_dict, recipe_named, to_dict, with_settings

Path = tuple[str | int, ...]


def numeric_fields(config: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Limits]]:
    """Every number among settings: where it is, its value, and its limits."""
    for part in dataclasses.fields(config):
        value, place = getattr(config, part.name), (*path, part.name)
        if dataclasses.is_dataclass(value):
            yield from numeric_fields(value, place)
            continue
        entries = value if isinstance(value, tuple) else (value,)
        low = 0 if any(isinstance(entry, float) for entry in entries) else 1
        limits = part.metadata.get("limits", Limits(low, MAX_NUMBER))
        for k, entry in enumerate(entries):
            if isinstance(entry, int | float) and not isinstance(entry, bool):
                yield (*place, k) if isinstance(value, tuple) else place, entry, limits


def changed(values: Any, path: Path, value: object) -> Any:
    """A copy of plain values with another one at a place."""
    values = copy.deepcopy(values)
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return values


class SettingsContract:
    """Inherit it, and give a fixture `component`: a registered one that has settings."""

    @pytest.fixture
    def settings(self, component: Component) -> Any:
        """Its default settings."""
        return component.config_class()

    def test_settings_are_frozen_and_name_their_type(
        self, component: Component, settings: Any
    ) -> None:
        assert settings.type == component.name
        with pytest.raises(dataclasses.FrozenInstanceError):
            settings.type = "another"

    def test_settings_survive_json(self, component: Component, settings: Any) -> None:
        plain = json.loads(json.dumps(dataclasses.asdict(settings)))
        assert parse(component.config_class, plain, "here") == settings

    def test_numbers_beyond_their_limits_are_refused(
        self, component: Component, settings: Any
    ) -> None:
        plain = json.loads(json.dumps(dataclasses.asdict(settings)))
        for path, value, limits in numeric_fields(settings):
            for wrong in (limits.low - 1, limits.high + 1):
                wrong = float(wrong) if isinstance(value, float) else int(wrong)
                with pytest.raises(ArtefactError) as caught:
                    parse(component.config_class, changed(plain, path, wrong), "here")
                assert caught.value.todo, path

    def test_unknown_settings_name_the_nearest(self, component: Component, settings: Any) -> None:
        plain = dataclasses.asdict(settings)
        longest = max(plain, key=len)
        with pytest.raises(ArtefactError, match=f"Did you mean '{longest}'"):
            parse(component.config_class, {**plain, f"{longest}s": 1}, "here")


class RecipeContract:
    """Inherit it, and give a fixture `name`: a registered recipe, or "package.module:function"."""

    def test_recipe_survives_json(self, name: str) -> None:
        recipe = recipe_named(name)
        assert from_dict(json.loads(json.dumps(to_dict(recipe)))) == recipe

    def test_unknown_settings_of_a_recipe_name_the_nearest(self, name: str) -> None:
        recipe = recipe_named(name)
        for setting in ("stepps=3", "renderer.sizze=64"):
            nearest = setting.split("=")[0].split(".")[-1]
            nearest = {"stepps": "steps", "sizze": "size"}[nearest]
            with pytest.raises((ArtefactError, UsageError), match=f"'{nearest}'"):
                with_settings(recipe, [setting])

    def test_settings_of_a_recipe_are_changed_by_their_paths(self, name: str) -> None:
        recipe = recipe_named(name)
        assert with_settings(recipe, ["seed=5"]).seed == 5
        for stage in recipe.stages:
            changed_recipe = with_settings(recipe, [f"stages.{stage.type}.batch=3"])
            assert changed_recipe.stage(stage.type).batch == 3
