"""talkers inspect: what an avatar is."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional

from talkers.cli.app import app
from talkers.cli.avatars import load_avatar
from talkers.cli.console import json_text, out, print_json
from talkers.cli.options import Json
from talkers.errors import shown

ROWS = (
    "talkers",
    "consent",
    "licence",
    "data",
    "command",
    "initialized from",
    "seed",
    "machine",
    "speech",
    "parameters",
    "files",
    "metrics",
)


@app.command
def inspect(avatar: Positional[str] = "default", as_json: Json = False) -> None:
    """Say what an avatar is: whose, made how, of what, and how good.

    For example: talkers inspect ada/

    Args:
        avatar: Folder of an avatar, default for the bundled one, or mock for a drawn face.
        as_json: Print one JSON object.
    """
    about = load_avatar(avatar).inspect()
    if as_json:
        print_json(about)
        return
    rows = in_short(about)
    table = Table(title=escape(shown(about["folder"])), show_header=False)
    for key in ROWS:
        if (value := rows.get(key)) is not None:
            text = shown(value) if isinstance(value, str) else json_text(value, 1)
            table.add_row(key, escape(text))
    out.print(table)


def in_short(about: dict[str, Any]) -> dict[str, Any]:
    """What people read of avatar.json: lists of digests become their number.

    Args:
        about: what `Avatar.inspect` gives; any part of it may be of any type.
    """
    data = about.get("data")
    licence = None
    if isinstance(data, dict):
        licence = data.get("licence")
        sources = data.get("sources")
        if isinstance(sources, list | dict):
            data = data | {"sources": f"{len(sources)} files, whose digests --json prints"}
    return about | {
        "data": data,
        "consent": about.get("consent") or "none stated",
        "licence": licence or "none stated",
        "initialized from": _origins(about),
    }


def _origins(about: dict[str, Any]) -> list[str] | None:
    """The commands of the trainings with which this one began, the latest first."""
    commands: list[str] = []
    before = about.get("initialized_from") or about.get("begun_with")
    while isinstance(before, dict) and len(commands) < 100:
        commands.append(str(before.get("command") or "a training of unknown command"))
        before = before.get("initialized_from") or before.get("begun_with")
    return commands or None
