"""What a user can ask of an avatar while it speaks: the typed object of Python and of the command line."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from talkers.errors import UsageError, reason

ANGLES = ("yaw", "pitch", "roll")
OPENINGS = (0.5, 1.0, 1.5)  # times as far as the person's mouth opens: what an avatar is calibrated for
LATEST = 1e6  # seconds that a time may lie from the beginning
NEEDED = "It needs time (seconds) or frame (from 0) and any of yaw, pitch, roll (degrees)"
LARGEST_FILE = 20_000_000  # bytes of a pose file
Curves = dict[str, NDArray[np.float64]]  # time in seconds, or frame, and any of ANGLES in degrees, [n] each


@dataclass(frozen=True)
class Controls:
    """Head, eyes and mouth of a video. What lies beyond the footage's range is limited to it."""

    pose: str = "predicted"
    """predicted (from the speech), still (the footage's mean), constant angles such as yaw=5,pitch=-2 in degrees, a CSV or
    JSON file with columns time (seconds) or frame (from 0) and any of yaw, pitch, roll (degrees), interpolated between its
    rows, or a video, whose head is followed."""
    pose_scale: float = 1.0
    """How far the predicted head moves about the footage's mean pose, 0 to 2 times as far as predicted."""
    pose_offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Degrees of yaw, pitch and roll added to the predicted pose."""
    blinks: float = 15.0
    """Blinks a minute (0: none), at irregular times that the seed decides."""
    blink_times: tuple[float, ...] = ()
    """Seconds at which the eyes close; given any, there are no other blinks."""
    amplitude: float = 1.0
    """How far the mouth opens, 0.5 to 1.5 times as far as the person's."""
    expression: float = 1.0
    """How far the brows move, 0 to 3 times as far as the motion model has them."""
    gaze: tuple[float, float] = (0.0, 0.0)
    """Where the eyes look: to the person's left and up, -1 to 1 of how far they do in the footage, beside where they would."""
    style: str = ""
    """A video of the avatar's person: how far mouth, brows and head move is taken from it, and what else the sampler makes of it."""
    motion: Literal["regressor", "sampler"] = "regressor"
    """What moves the face: the regressor's average of what speech determines, or one of many takes, drawn by the seed."""

    def __post_init__(self) -> None:
        """Raises UsageError: a value out of range."""
        for name in ("pose", "style"):  # paths are welcome too
            given = getattr(self, name)
            path = os.fspath(given) if isinstance(given, os.PathLike) else given
            if not isinstance(path, str):
                raise UsageError(f"a {name} of {given!r} was asked for", todo="Give a str or a path")
            object.__setattr__(self, name, path)
        if not 0 <= self.pose_scale <= 2:
            raise UsageError(f"a pose scale of {self.pose_scale} was asked for", todo="Use 0 to 2")
        if len(self.pose_offset) != 3 or not all(abs(a) <= 90 for a in self.pose_offset):
            raise UsageError(f"a pose offset of {self.pose_offset} was asked for", todo="Give yaw, pitch and roll in degrees, -90 to 90")
        if not 0 <= self.blinks <= 60:
            raise UsageError(f"{self.blinks} blinks a minute were asked for", todo="Use 0 to 60")
        if not all(0 <= t < LATEST for t in self.blink_times):
            raise UsageError(f"blinks were asked for at {self.blink_times}", todo="Give seconds, 0 or later")
        if not OPENINGS[0] <= self.amplitude <= OPENINGS[-1]:
            raise UsageError(f"a mouth amplitude of {self.amplitude} was asked for", todo="Use 0.5 to 1.5")
        if not 0 <= self.expression <= 3:
            raise UsageError(f"an expression strength of {self.expression} was asked for", todo="Use 0 to 3")
        if len(self.gaze) != 2 or not all(abs(g) <= 1 for g in self.gaze):
            raise UsageError(f"a gaze of {self.gaze} was asked for", todo="Give how far to the person's left and up, -1 to 1 each")
        if self.motion not in ("regressor", "sampler"):
            raise UsageError(f"the motion model '{self.motion}' was asked for", todo="Use regressor or sampler")

    def curves(self) -> Curves | None:
        """The poses asked for over time; None where they are predicted or still.

        Raises:
            UsageError: no such file, or what it holds are no poses.
        """
        if self.pose in ("predicted", "still"):
            return None
        if re.fullmatch(r"\s*[a-z]+\s*=[^=]*(,\s*[a-z]+\s*=[^=]*)*", self.pose):
            return constant_pose(self.pose)
        return read_pose_file(self.pose)


def _checked(curves: Curves, where: object) -> Curves:
    for name, values in curves.items():
        if not np.isfinite(values).all():
            raise UsageError(f"row {int(np.flatnonzero(~np.isfinite(values))[0]) + 1} of column {name} is not a number", where=where, todo="Correct it")
    clock = "time" if "time" in curves else "frame"
    if (far := np.abs(curves[clock]) >= LATEST).any():
        raise UsageError(f"row {int(np.flatnonzero(far)[0]) + 1} is at no {clock} of a video", where=where, todo="Times are in seconds, frames count from 0")
    if (back := np.diff(curves[clock]) <= 0).any():
        raise UsageError(f"{clock} does not rise at row {int(np.flatnonzero(back)[0]) + 2}", where=where, todo=f"Sort the rows by {clock}")
    if max(np.abs(curves[name]).max() for name in ANGLES if name in curves) > 90:
        raise UsageError("a pose lies beyond 90 degrees", where=where, todo="Angles are in degrees, between -90 and 90")
    return curves


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
            raise UsageError(f"'{part.strip()}' is not a pose", todo="Write angles in degrees, such as yaw=5,pitch=-2,roll=0")
        curves[name] = np.array([number])
    return _checked(curves, text)


def read_pose_file(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
    """Read a pose curve: CSV with a header, or JSON (a list of objects); columns time or frame and any of yaw, pitch, roll.

    Raises:
        UsageError: no such file, unknown or missing columns, in any row, values that are not finite numbers, times that fall.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise UsageError(f"this pose file has more than {LARGEST_FILE // 10**6} MB", where=path, todo="Give fewer rows: they are interpolated")
        text = content.decode("utf-8-sig")
        rows = json.loads(text) if path.suffix.lower() == ".json" else list(csv.DictReader(text.splitlines()))
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise UsageError("this pose file holds no rows", where=path, todo="Give a CSV with a header line, or a JSON list of objects")
        if None in rows[0]:
            raise ValueError("row 1 has more values than the header has columns")
        columns = set(rows[0])
        if len(columns & {"time", "frame"}) != 1 or not columns & set(ANGLES) or not columns <= {"time", "frame", *ANGLES}:
            raise UsageError(f"this pose file has the columns {', '.join(sorted(map(str, columns)))}", where=path, todo=NEEDED)
        for k, row in enumerate(rows):
            if set(row) != columns or None in row.values():
                raise UsageError(f"row {k + 1} has other columns than the first", where=path, todo=f"Give {', '.join(sorted(columns))} in every row")
        curves = {name: np.array([float(row[name]) for row in rows]) for name in columns}
    except FileNotFoundError as error:
        raise UsageError("there is no such pose file", where=path, todo="Use predicted, still, or the path of a CSV or JSON file") from error
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, csv.Error) as error:
        raise UsageError("this pose file cannot be read", where=path, why=reason(error), todo=NEEDED) from error
    return _checked(curves, path)
