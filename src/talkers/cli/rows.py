"""A row of a list of jobs, read with the types of its verb's own options."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from talkers.cli.many import VERBS
from talkers.configuration import close
from talkers.errors import TalkersError
from talkers.jobs import Job
from talkers.jobs.lists import WrongRow

NAMED = ("verb", "output")  # columns that every row may have
NOT_OPTIONS = ("output", "many")  # parameters of the verbs that a row says otherwise, or not at all


@dataclasses.dataclass(frozen=True)
class Slot:
    """Where an option belongs among a verb's arguments.

    Attributes:
        path: names of the argument and of the fields inside it.
        several: whether it holds several values.
    """

    path: tuple[str, ...]
    several: bool


@cache
def parameters_of(verb: str) -> dict[str, Any]:
    """The types of a verb's arguments that a row sets, by name."""
    signature = inspect.signature(VERBS[verb].function, eval_str=True)
    return {
        name: (parameter.annotation, parameter.default)
        for name, parameter in signature.parameters.items()
        if name not in NOT_OPTIONS and name not in VERBS[verb].inputs
    }


@cache
def options_of(verb: str) -> dict[str, Slot]:
    """The options of a verb, as on its command line but without dashes before them."""
    return {
        slot.path[-1].replace("_", "-"): slot
        for name, (kind, _) in parameters_of(verb).items()
        for slot in _slots((name,), kind)
    }


def _slots(path: tuple[str, ...], kind: Any) -> Iterator[Slot]:
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if not dataclasses.is_dataclass(kind):
        yield Slot(path, typing.get_origin(kind) is tuple)
        return
    hints = typing.get_type_hints(kind, include_extras=True)
    for part in dataclasses.fields(kind):
        yield from _slots((*path, part.name), hints[part.name])


@cache
def _adapter(verb: str, name: str) -> TypeAdapter[Any]:
    kind = parameters_of(verb)[name][0]
    bare = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
    if dataclasses.is_dataclass(bare):
        close(bare)
    return TypeAdapter(bare)


def job_of(row: dict[str, Any], number: int) -> Job:
    """The job of a row.

    Args:
        row: its cells by column: the verb, the verb's inputs, the output, and options.
        number: of the row.

    Raises:
        WrongRow: something of it cannot be used; all of that is told.
    """
    verb = str(row.get("verb", "")).strip()
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, 1, 0.4)
        said = f"there is no verb '{verb}' for lists" if verb else "the verb is missing"
        raise WrongRow([f"{said}; {f'did you mean {near[0]}?' if near else _verbs()}"])
    problems: list[str] = []
    inputs = []
    for name in VERBS[verb].inputs:
        given = str(row.get(name, "")).strip()
        if not given or given == "-":
            problems.append(f"{verb} needs {name}, a file")
        inputs.append(given)
    try:
        settings = _settings(verb, row, problems)
        if not problems:
            VERBS[verb].refuse(settings)
    except TalkersError as error:
        problems.append(f"{error.what}. {error.todo}" if error.todo else error.what)
    name = _output(row, inputs, problems)
    if problems:
        raise WrongRow([problem.rstrip(".") for problem in problems])
    return Job(verb, tuple(inputs), name, settings, number)


def _verbs() -> str:
    return f"use {', '.join(sorted(VERBS))}"


def _settings(verb: str, row: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """The typed arguments of a verb; what is wrong with the row's is added to the problems.

    Raises:
        TalkersError: an option has a value that its verb refuses.
    """
    known, inputs = options_of(verb), VERBS[verb].inputs
    given: dict[str, Any] = {}
    for column, value in row.items():
        option = column.strip().removeprefix("--").replace("_", "-")
        if option in (*NAMED, *inputs) or value is None:
            continue
        if option not in known:
            near = difflib.get_close_matches(option, [*known, *NAMED, *inputs], 1, 0.6)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"{verb} has no option '{column}'{hint}")
            continue
        *path, last = known[option].path
        place = given
        for part in path:
            place = place.setdefault(part, {})
        place[last] = _plain(value, known[option].several)
    settings = {}
    for name, (_, default) in parameters_of(verb).items():
        if name not in given:
            if default is inspect.Parameter.empty:
                problems.append(f"{verb} needs {name}")
            settings[name] = default
            continue
        try:
            settings[name] = _adapter(verb, name).validate_python(given[name])
        except ValidationError as error:
            problems += _explained(error, name)
    return settings


def _plain(value: Any, several: bool) -> Any:
    """A value as it would be typed: text; lists stay lists, and a cell may hold several words."""
    if isinstance(value, (list, dict)):
        return [_plain(part, False) for part in value] if isinstance(value, list) else value
    if isinstance(value, bool):
        return value
    text = str(value).strip()
    return text.split() if several else text


def _explained(error: ValidationError, argument: str) -> list[str]:
    """What pydantic says, option by option."""
    said: dict[str, str] = {}
    for entry in error.errors():
        names = [part for part in entry["loc"] if isinstance(part, str)]
        named = [n for n in names if re.fullmatch(r"[a-z_]+", n) and n not in KINDS]
        option = (named[-1] if named else argument).replace("_", "-")
        if entry["type"] == "missing":
            said.setdefault(option, f"{option} has too few values: {entry['input']!r:.40}")
            continue
        why = entry["msg"].removeprefix("Input should be ").partition(", unable")[0]
        said.setdefault(option, f"{option} is {entry['input']!r:.40}, and must be {why}")
    return list(said.values())


KINDS = {"int", "str", "float", "bool", "none"}  # what pydantic calls the members of a union


def _output(row: dict[str, Any], inputs: list[str], problems: list[str]) -> str:
    """The name of a row's video within the folder of results."""
    given = str(row.get("output") or "").strip()
    if not given:
        if not inputs or not inputs[-1]:
            problems.append("the output is missing")
            return ""
        return f"{PurePosixPath(inputs[-1].replace(chr(92), '/')).stem}.mp4"
    path = PurePosixPath(given.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        problems.append(f"the output '{given}' is not a name within the folder of results")
    elif path.suffix.lower() not in SUFFIXES:
        problems.append(f"the output '{given}' is no video's name; use {', '.join(SUFFIXES)}")
    elif any(part.startswith(".") for part in path.parts):
        problems.append(f"the output '{given}' is a hidden file's name")
    return str(path)


SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".gif")
