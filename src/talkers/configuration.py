"""Settings as frozen dataclasses: limits beside each field, and reading that names the mistake.

A field says its limits in its metadata (`limited`); fields that say nothing hold numbers of at
least 1 (whole ones) or 0 (others), and lists of at least one entry.
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import field
from typing import Any, NamedTuple, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from talkers.errors import ArtefactError

Config = TypeVar("Config")
MAX_NUMBER = 10**10  # of a field that says no limits
MAX_ENTRIES = 32  # of a list


class Limits(NamedTuple):
    """What a setting may be: numbers from low to high; `may_be_empty`: a list without entries."""

    low: float
    high: float
    may_be_empty: bool = False


def limited(default: Any, low: float, high: float, *, may_be_empty: bool = False) -> Any:
    """A dataclass field with a default and limits.

    Args:
        default: a number, or a tuple of numbers or texts.
        low: least number that is allowed.
        high: largest number that is allowed.
        may_be_empty: whether a tuple may have no entries.
    """
    return field(default=default, metadata={"limits": Limits(low, high, may_be_empty)})


def close(kind: Any) -> None:
    """Make pydantic refuse unknown keys in a dataclass and in the dataclasses inside it."""
    if dataclasses.is_dataclass(kind) and "__pydantic_config__" not in vars(kind):
        setattr(kind, "__pydantic_config__", ConfigDict(extra="forbid"))  # noqa: B010
        for part in dataclasses.fields(kind):
            if callable(part.default_factory):
                close(part.default_factory)


def check_limits(config: Any, where: object, path: str = "") -> None:
    """Refuse numbers with which nothing can be built, or nothing that fits into a computer.

    Args:
        config: a dataclass; those inside it are checked too.
        where: file or option that the settings come from.
        path: of the dataclass among the settings, ending in a dot.

    Raises:
        ArtefactError: a number beyond its limits, or a list that holds nothing or too much.
    """
    for part in dataclasses.fields(config):
        value, key = getattr(config, part.name), f"{path}{part.name}"
        if dataclasses.is_dataclass(value):
            check_limits(value, where, f"{key}.")
            continue
        if isinstance(value, dict):
            continue
        entries = value if isinstance(value, tuple) else (value,)
        if any(dataclasses.is_dataclass(entry) for entry in entries):
            continue
        low = 0 if any(isinstance(entry, float) for entry in entries) else 1
        limits = part.metadata.get("limits", Limits(low, MAX_NUMBER))
        if not entries and not limits.may_be_empty:
            raise ArtefactError(
                f"the setting '{key}' holds nothing", where=where, todo="Give at least one number"
            )
        wrong = [
            entry
            for entry in entries
            if isinstance(entry, int | float)
            and not isinstance(entry, bool)
            and not limits.low <= entry <= limits.high
        ]
        if wrong or len(entries) > MAX_ENTRIES:
            todo = f"Use {limits.low} to {limits.high}"
            raise ArtefactError(f"the setting '{key}' is {value}", where=where, todo=todo)


def parse(kind: type[Config], values: object, where: object, path: str = "") -> Config:
    """Read settings into a dataclass and check their limits.

    Args:
        kind: the dataclass.
        values: plain JSON values.
        where: file or option that they come from.
        path: of these settings among others, ending in a dot.

    Raises:
        ArtefactError: an unknown key (with the nearest valid one), a missing one, a value of the
            wrong kind or beyond its limits.
    """
    close(kind)
    try:
        config = TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise _explained(kind, error, where, path) from error
    check_limits(config, where, path)
    return config


def _explained(kind: Any, error: ValidationError, where: object, path: str) -> ArtefactError:
    """The first thing that is wrong, as a sentence."""
    first = error.errors()[0]
    key = path + ".".join(str(part) for part in first["loc"])
    if first["type"] == "unexpected_keyword_argument":
        valid = _valid_keys(kind, first["loc"][:-1])
        return unknown_setting(key, str(first["loc"][-1]), valid, where)
    if first["type"] == "value_error":  # what a dataclass says of its fields together
        said = str(first["ctx"]["error"]).rstrip(".")
        return ArtefactError(f"{key.rstrip('.') or 'this'}: {said}", where=where, todo="Correct it")
    return ArtefactError(
        f"the setting '{key.rstrip('.')}' is wrong",
        where=where,
        why=f"{first['msg'].lower()}, got {first['input']!r:.60}",
        todo="Correct it",
    )


def unknown_setting(key: str, name: str, valid: list[str], where: object) -> ArtefactError:
    """The error for a setting that does not exist, naming the nearest one that does."""
    near = difflib.get_close_matches(name, valid, 1, 0.4)
    hint = f"Did you mean '{near[0]}'?" if near else f"Valid here: {', '.join(valid)}"
    return ArtefactError(f"there is no setting '{key}'", where=where, todo=hint)


def _valid_keys(kind: Any, where: tuple[Any, ...]) -> list[str]:
    """Names of the settings in the dataclass that lies at `where` within a dataclass."""
    for name in where:
        if not dataclasses.is_dataclass(kind):
            return []
        part = next((p for p in dataclasses.fields(kind) if p.name == name), None)
        kind = part.default_factory if part and callable(part.default_factory) else None
    return [p.name for p in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
