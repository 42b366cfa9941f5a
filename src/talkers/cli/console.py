"""What the verbs print: results on stdout, remarks and progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

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

from talkers.errors import PartialFailure, shown
from talkers.progress import ProgressLines, Report, quiet

out, err = Console(), Console(stderr=True)


def printable_streams() -> None:
    """Let stdout and stderr escape characters that their encoding lacks, as of an ASCII locale."""
    for stream in (sys.stdout, sys.stderr):
        if change := getattr(stream, "reconfigure", None):
            change(errors="backslashreplace")


@contextmanager
def progress_bar(lines: bool = True) -> Iterator[Report]:
    """A bar for each stage on a terminal; elsewhere a line a minute.

    Args:
        lines: whether to print those lines; False where the work prints its own.

    Yields:
        a function to call with stage, done and total.
    """
    if not err.is_terminal:
        yield ProgressLines(remark) if lines else quiet
        return
    columns = (
        TextColumn("{task.description:>16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # of an hour: jobs of minutes have a speed too
    with Progress(*columns, console=err, speed_estimate_period=3600) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


_kept: ContextVar[list[str] | None] = ContextVar("_kept", default=None)


@contextmanager
def remarks_kept() -> Iterator[list[str]]:
    """Give the remarks of this context as a list, instead of printing them."""
    kept: list[str] = []
    token = _kept.set(kept)
    try:
        yield kept
    finally:
        _kept.reset(token)


def remark(text: str) -> None:
    """Print a sentence beside the results."""
    if (kept := _kept.get()) is not None:
        kept.append(text)
        return
    err.print(escape(shown(text)), highlight=False, soft_wrap=True)


def tell(text: str) -> None:
    """Print a sentence of the results."""
    out.print(escape(shown(text)), highlight=False, soft_wrap=True)


def json_text(content: object, indent: int | None = None, ascii_only: bool = False) -> str:
    """JSON that can be printed.

    Halves of characters, which come from file names or foreign JSON and which no encoding writes,
    are escaped.

    Args:
        content: what json.dumps takes.
        indent: spaces a level; None: one line.
        ascii_only: escape all characters beyond ASCII.
    """
    return (
        json.dumps(content, indent=indent, ensure_ascii=ascii_only)
        .encode("utf-8", "backslashreplace")
        .decode("utf-8")
    )


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object, with escapes where stdout is not Unicode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    unicode = encoding.lower().replace("-", "").startswith("utf")
    sys.stdout.write(json_text(content, ascii_only=not unicode) + "\n")


def partial(failures: dict[str, str]) -> None:
    """Tell what failed.

    Args:
        failures: a sentence for each file that failed.

    Raises:
        PartialFailure: there is any.
    """
    for reason in failures.values():
        remark(f"failed: {reason}")
    if failures:
        raise PartialFailure(
            f"{len(failures)} files failed", todo="They are listed above; everything else is done"
        )
