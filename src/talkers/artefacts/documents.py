"""JSON documents: read with limits, written whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from talkers.artefacts.files import atomic
from talkers.errors import ArtefactError, reason, refuse_if_out_of_memory

MAX_TEXT_BYTES = 64_000_000  # bytes of a JSON file


def _text_of(path: Path) -> str:
    """Raises OSError; ValueError: it is no regular file, too long, or not UTF-8."""
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise ValueError("it is far too long")
    if not path.is_file():  # a pipe would be waited for
        raise ValueError("it is no regular file")
    return path.read_text("utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ArtefactError: it cannot be read, or is none.
    """
    try:
        content = json.loads(_text_of(path))
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
        return content
    except (OSError, ValueError, RecursionError) as error:
        refuse_if_out_of_memory(error, path)
        raise ArtefactError(
            "this file is damaged",
            where=path,
            why=reason(error),
            todo="Remove it, or copy it again",
        ) from error


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically, readable by people."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
