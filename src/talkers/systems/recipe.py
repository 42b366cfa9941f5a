"""A recipe is the complete typed configuration of a system and of its training.

Its slots (renderer, motion space, motion models, stages) are tagged unions: `type` names a
registered component, the other settings are that component's own. A recipe is saved as JSON
with what it made; reading one back refuses unknown keys and names the nearest valid one.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from talkers.configuration import limited, parse, unknown_setting
from talkers.errors import ArtefactError, MissingComponent, UsageError, reason
from talkers.registry import Kind, component, importable, names
from talkers.renderers.diffusion_autoencoder import CodecConfig
from talkers.space.linear import LinearSpaceConfig
from talkers.speech import SpeechConfig
from talkers.speech.streaming import StreamingEncoderConfig
from talkers.systems.format3 import is_format_3, upgrade_recipe, upgrade_setting

MAX_RATE = 120  # frames a second
GUESSES = 6  # features that new streaming encoders learn to guess: what `LiveTerms` low wants


@dataclass(frozen=True)
class Recipe:
    """The complete typed configuration of a system and of its training."""

    name: str
    rate: int | str = "25"  # frames a second: 25, 29.97 or 30000/1001
    steps: int = limited(20, 1, 1000)  # network passes a frame, unless asked otherwise
    seed: int = limited(0, 0, 2**32 - 1)
    minutes: float = 0.0  # of the corpus that are trained on, or 0 for all of it
    renderer: Any = field(default_factory=CodecConfig)  # slot: motion -> frames
    space: Any = field(default_factory=LinearSpaceConfig)  # slot: what motion is made of
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    motion: dict[str, Any] = field(default_factory=dict)  # slots: motion models by their keys
    streaming_encoder: StreamingEncoderConfig = field(
        default_factory=lambda: StreamingEncoderConfig(guesses=GUESSES)
    )
    stages: tuple[Any, ...] = limited((), 0, 0, may_be_empty=True)  # slots: in their order
    weights: Literal["int8", "float16"] = "float16"  # how the avatar's weights are stored

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second."""
        return Fraction(str(self.rate))

    def stage(self, name: str) -> Any:
        """The settings of a stage by its type.

        Raises:
            UsageError: the recipe has no such stage.
        """
        for settings in self.stages:
            if settings.type == name:
                return settings
        known = ", ".join(settings.type for settings in self.stages) or "none"
        raise UsageError(f"the recipe '{self.name}' has no stage '{name}'", todo=f"It has {known}")


SLOTS: dict[str, Kind] = {"renderer": "renderer", "space": "space"}


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return plain


def from_dict(values: object, where: object = "recipe") -> Recipe:
    """Read a recipe back, also one of an avatar of format 3.

    Raises:
        ArtefactError: an unknown key (with the nearest valid one), a missing one, or a value of
            the wrong kind or beyond its limits.
        MissingComponent: a slot's component is not installed.
    """
    if not isinstance(values, dict):
        raise ArtefactError("the recipe holds no settings", where=where, todo="Copy it again")
    if is_format_3(values):
        values = upgrade_recipe(values)
    slots: dict[str, Any] = {}
    for key, kind in SLOTS.items():
        if key in values:
            slots[key] = _slot(kind, values[key], where, f"{key}.")
    motion = _checked(values.get("motion", {}), dict, "motion", where)
    stages = _checked(values.get("stages", []), list, "stages", where)
    slots["motion"] = {
        key: _slot("motion_model", value, where, f"motion.{key}.") for key, value in motion.items()
    }
    slots["stages"] = tuple(
        _slot("stage", value, where, f"stages.{_type_of(value, k)}.")
        for k, value in enumerate(stages)
    )
    read = {*SLOTS, "motion", "stages"}
    rest: dict[str, Any] = {key: value for key, value in values.items() if key not in read}
    valid = [part.name for part in dataclasses.fields(Recipe)]
    for key in rest:
        if key not in valid:
            raise unknown_setting(str(key), str(key), valid, where)
    recipe = parse(Recipe, rest | slots, where)
    _check_rate(recipe.rate, where)
    return recipe


def _checked(value: Any, kind: type, key: str, where: object) -> Any:
    named = not isinstance(value, dict) or all(isinstance(key, str) for key in value)
    if not isinstance(value, kind) or not named:
        raise ArtefactError(
            f"the setting '{key}' is wrong",
            where=where,
            why=f"it is no {'object' if kind is dict else 'list'}",
            todo="Correct it",
        )
    return value


def _type_of(values: object, place: int) -> str:
    """What a stage is called in errors: its type, or its place."""
    return str(values.get("type", place)) if isinstance(values, dict) else str(place)


def _slot(kind: Kind, values: object, where: object, path: str) -> Any:
    """Settings of a slot: read by the component that its `type` names."""
    if not isinstance(values, dict) or not isinstance(values.get("type"), str):
        raise ArtefactError(
            f"the setting '{path}type' is missing",
            where=where,
            todo=f"Name a component: {', '.join(names(kind))}",
        )
    config: Any = component(kind, values["type"]).config_class
    return parse(config, values, where, path)


def _check_rate(rate: int | str, where: object) -> None:
    if not re.fullmatch(r"\d{1,6}(/\d{1,6}|\.\d{1,6})?", str(rate)):
        raise ArtefactError(
            f"the setting 'rate' is {rate!r:.40}", where=where, todo="Write 25 or 30000/1001"
        )
    try:
        if 1 <= Fraction(str(rate)) <= MAX_RATE:
            return
    except ZeroDivisionError:
        pass
    raise ArtefactError(
        f"the setting 'rate' is {rate!r:.40}", where=where, todo=f"Use 1 to {MAX_RATE}"
    )


def with_settings(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """A recipe with 'key.inner=value' changes; values are JSON, or text as it stands.

    Stages are named by their types: 'stages.codec.batch=16'. The names of version 0.1
    ('codec_training.batch=16') go on working.

    Raises:
        UsageError: not of the form key=value. ArtefactError: as `from_dict`.
    """
    values = to_dict(recipe)
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path:
            raise UsageError(
                f"'{setting}' is not a setting",
                todo="Write it as key=value, for example stages.codec.batch=16",
            )
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        *parents, last = upgrade_setting(path).split(".")
        inner: Any = values
        for parent in parents:
            inner = _step(inner, parent, path)
        if not isinstance(inner, dict):
            raise unknown_setting(path, last, [], "--set")
        inner[last] = value
    return from_dict(values, "--set")


def _step(values: Any, key: str, path: str) -> Any:
    """The settings under a key; of stages those of the stage with this type."""
    known = values
    if isinstance(values, list):
        known = {entry["type"]: entry for entry in values if isinstance(entry, dict)}
    step = known.get(key) if isinstance(known, dict) else None
    if not isinstance(step, dict | list):
        valid = list(known) if isinstance(known, dict) else []
        error = unknown_setting(path, key, valid, "--set")
        raise UsageError(error.what, where=error.where, todo=error.todo)
    return step


def recipe_named(name: str) -> Recipe:
    """A recipe by its registered name, or by the path of a function that returns one.

    Args:
        name: such as "compact", or "package.module:function".

    Raises:
        UsageError: there is none of that name, or the function gives no recipe.
    """
    if ":" in name:
        try:
            make = importable(name)
        except (ImportError, AttributeError, ValueError) as error:
            todo = "Name it as package.module:function, and install the package"
            raise UsageError(
                "this recipe cannot be imported", where=name, why=reason(error), todo=todo
            ) from error
        return _made(make, name)
    try:
        return _made(component("recipe", name).load(), name)
    except MissingComponent as error:
        known = ", ".join(names("recipe"))
        todo = f"Choose one of {known}, or name a function: package.module:function"
        raise UsageError(f"there is no recipe '{name}'", todo=todo) from error


def _made(make: Callable[[], Any], name: str) -> Recipe:
    recipe = make()
    if not isinstance(recipe, Recipe):
        raise UsageError(
            f"this gives no recipe but a {type(recipe).__name__}",
            where=name,
            todo="Return a talkers.systems.recipe.Recipe",
        )
    return from_dict(to_dict(recipe), name)  # what Python cannot check is checked now
