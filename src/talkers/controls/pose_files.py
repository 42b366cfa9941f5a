"""Poses over time that a user gives: constant angles, CSV or JSON."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkers.errors import UsageError, reason

ANGLES = ("yaw", "pitch", "roll")
SUFFIXES = {".csv", ".json"}  # of pose files; others that are there are read as CSV
LATEST = 1e6  # seconds that a time may lie from the beginning
NEEDED = "It needs time (seconds) or frame (from 0) and any of yaw, pitch, roll (degrees)"
LARGEST_FILE = 20_000_000  # bytes of a pose file


Curves = dict[
    str, NDArray[np.float64]
]  # time in seconds, or frame, and any of ANGLES in degrees, [n] each


def _checked(curves: Curves, where: object) -> Curves:
    for name, values in curves.items():
        if not np.isfinite(values).all():
            raise UsageError(
                f"row {int(np.flatnonzero(~np.isfinite(values))[0]) + 1} of column {name} "
                "is not a number",
                where=where,
                todo="Correct it",
            )
    clock = "time" if "time" in curves else "frame"
    if (far := np.abs(curves[clock]) >= LATEST).any():
        raise UsageError(
            f"row {int(np.flatnonzero(far)[0]) + 1} is at no {clock} of a video",
            where=where,
            todo="Times are in seconds, frames count from 0",
        )
    if (back := np.diff(curves[clock]) <= 0).any():
        raise UsageError(
            f"{clock} does not rise at row {int(np.flatnonzero(back)[0]) + 2}",
            where=where,
            todo=f"Sort the rows by {clock}",
        )
    if max(np.abs(curves[name]).max() for name in ANGLES if name in curves) > 90:
        raise UsageError(
            "a pose lies beyond 90 degrees",
            where=where,
            todo="Angles are in degrees, between -90 and 90",
        )
    return curves


def is_pose_file(text: str) -> bool:
    """Whether a text names a pose file: it has such a suffix, or there is a file of that name."""
    try:
        path = Path(text)
        return path.suffix.lower() in SUFFIXES or path.is_file()
    except (OSError, ValueError):  # no name that a file can have
        return False


def constant_pose(text: str) -> Curves:
    """'yaw=5,pitch=-2' -> curves of one row.

    Raises:
        UsageError: another angle than yaw, pitch, roll, or no number.
    """
    curves = {"time": np.zeros(1)}
    for part in text.split(","):
        name, _, value = (p.strip() for p in part.partition("="))
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if name not in ANGLES or not np.isfinite(number):
            raise UsageError(
                f"'{part.strip()}' is not a pose",
                todo="Write angles in degrees, such as yaw=5,pitch=-2,roll=0",
            )
        curves[name] = np.array([number])
    return _checked(curves, text)


def read_pose_file(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
    """Read a pose curve: CSV with a header, or JSON (a list of objects).

    Its columns are time or frame, and any of yaw, pitch, roll.

    Raises:
        UsageError: no such file, unknown or missing columns, in any row, values that are not
            finite numbers, times that fall.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise UsageError(
                f"this pose file has more than {LARGEST_FILE // 10**6} MB",
                where=path,
                todo="Give fewer rows: they are interpolated",
            )
        text = content.decode("utf-8-sig")
        rows = (
            json.loads(text)
            if path.suffix.lower() == ".json"
            else list(csv.DictReader(text.splitlines()))
        )
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise UsageError(
                "this pose file holds no rows",
                where=path,
                todo="Give a CSV with a header line, or a JSON list of objects",
            )
        if None in rows[0]:
            raise ValueError("row 1 has more values than the header has columns")
        columns = set(rows[0])
        if (
            len(columns & {"time", "frame"}) != 1
            or not columns & set(ANGLES)
            or not columns <= {"time", "frame", *ANGLES}
        ):
            raise UsageError(
                f"this pose file has the columns {', '.join(sorted(map(str, columns)))}",
                where=path,
                todo=NEEDED,
            )
        for k, row in enumerate(rows):
            if set(row) != columns or None in row.values():
                raise UsageError(
                    f"row {k + 1} has other columns than the first",
                    where=path,
                    todo=f"Give {', '.join(sorted(columns))} in every row",
                )
        curves = {name: np.array([float(row[name]) for row in rows]) for name in columns}
    except FileNotFoundError as error:
        raise UsageError(
            "there is no such pose file",
            where=path,
            todo="Use predicted, still, or the path of a CSV or JSON file",
        ) from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        OverflowError,
        RecursionError,
        csv.Error,
    ) as error:
        raise UsageError(
            "this pose file cannot be read", where=path, why=reason(error), todo=NEEDED
        ) from error
    return _checked(curves, path)
