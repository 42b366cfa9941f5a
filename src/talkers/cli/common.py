"""What the verbs share: how they are told, how they print, and what their arguments are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from tyro.conf import UseAppendAction, arg

from talkers.controls.request import Controls
from talkers.errors import PartialFailure, TalkersError, UsageError, shown

out, err = Console(), Console(stderr=True)
app = tyro.extras.SubcommandApp()

Out = Annotated[Path, arg(aliases=["-o"])]
Settings = UseAppendAction[tuple[tuple[str, ...], ...]]  # as often as one likes, several at once
Json = Annotated[bool, arg(name="json")]
Asked = Annotated[Controls, arg(name="")]


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar a stage; gives a function to call with stage, done, total."""
    columns = (
        TextColumn("{task.description:>16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=not err.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def remark(text: str) -> None:
    err.print(escape(shown(text)), highlight=False, soft_wrap=True)


def tell(text: str) -> None:
    out.print(escape(shown(text)), highlight=False, soft_wrap=True)


def json_text(content: object, indent: int | None = None) -> str:
    """JSON that can be printed: what no encoding writes (halves of characters, from file names or foreign JSON) is escaped."""
    return (
        json.dumps(content, indent=indent, ensure_ascii=False)
        .encode("utf-8", "backslashreplace")
        .decode("utf-8")
    )


def print_json(content: dict[str, Any]) -> None:
    sys.stdout.write(json_text(content) + "\n")


def some(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    if not paths:
        raise UsageError("no footage was named", todo="Name video files, or a folder of them")
    return paths


def frame_rate_of(text: str) -> Fraction:
    try:
        if (
            "e" in text.lower()
        ):  # Fraction would write exponents out, however many digits that takes
            raise ValueError
        rate = Fraction(text).limit_denominator(1001)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"'{text}' is not a frame rate", todo="Write it as 25, 29.97 or 30000/1001"
        ) from error
    if not 1 <= rate <= 240:
        raise UsageError(f"{text} frames a second were asked for", todo="Use 1 to 240")
    return rate


def partial(failures: dict[str, str]) -> None:
    for reason in failures.values():
        remark(f"failed: {reason}")
    if failures:
        raise PartialFailure(
            f"{len(failures)} files failed", todo="They are listed above; everything else is done"
        )


def missing(what: str, extra: str, error: ImportError) -> TalkersError:
    from talkers.errors import MissingComponent

    return MissingComponent(
        f"{what} needs the package {error.name}",
        todo=f"Install it: `pip install 'talkers[{extra}]'`",
    )
