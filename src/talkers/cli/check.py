"""talkers check: what is wrong with footage."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional

from talkers.cli.app import app
from talkers.cli.avatars import refuse_photos
from talkers.cli.console import out, print_json, progress_bar, remark
from talkers.cli.options import Json, some
from talkers.errors import MediaError, MissingComponent, PartialFailure, ResourceError, shown


@app.command
def check(
    footage: Positional[tuple[Path, ...]], as_json: Json = False, jobs: int | None = None
) -> None:
    """Say what is wrong with footage, at which time, and what to do about it.

    For example: talkers check footage/*.mp4

    Args:
        footage: Video files, or folders of them.
        as_json: Print one JSON object.
        jobs: Files looked at at once (default: one a core).
    """
    from talkers.corpus.footage import footage_files
    from talkers.face.analysis import analyse
    from talkers.face.check import check_footage
    from talkers.parallel import parallel

    refuse_photos(some(footage))
    paths = footage_files(footage, remark=lambda text: remark(f"note: {text}"))
    results: dict[str, Any] = {}
    with progress_bar() as report:

        def done(key: str, result: Any) -> None:
            results[key] = result
            report("looking", len(results), len(paths))

        parallel(
            analyse,
            {str(p): (str(p),) for p in paths},
            jobs if jobs is not None else os.cpu_count() or 1,
            done,
        )
    verdict = check_footage({str(p): results[str(p)] for p in paths})
    if as_json:
        print_json(verdict)
    else:
        table = Table(
            "",
            "file",
            "at",
            "what",
            "what to do",
            title=f"{len(paths)} files, {verdict['seconds']:.1f} s usable",
        )
        for f in verdict["findings"]:
            at = "" if f["at"] is None else f"{int(f['at'] // 60)}:{f['at'] % 60:05.2f}"
            table.add_row(
                "[red]error[/]" if f["severity"] == "error" else "[yellow]warning[/]",
                escape(shown(Path(f["file"]).name)),
                at,
                escape(f["what"]),
                escape(f["todo"]),
            )
        out.print(
            table
            if verdict["findings"]
            else f"{len(paths)} files, {verdict['seconds']:.1f} s usable, nothing wrong."
        )
    for note in () if as_json else verdict["notes"]:
        remark(f"note: {note}")
    if not verdict["usable"]:
        for result in results.values():
            if isinstance(result, MissingComponent | ResourceError):
                raise result  # the machine lacks something: the footage is not to blame
        raise MediaError("none of this footage can be used", todo="See the findings above")
    if any(f["severity"] == "error" for f in verdict["findings"]):
        raise PartialFailure(
            "some of this footage cannot be used", todo="See the findings above; the rest is good"
        )
