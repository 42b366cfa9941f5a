"""What a user can ask of the head while it speaks: predicted or still poses, poses from a file, blinks."""

from __future__ import annotations

import csv
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.errors import UsageError
from talkers.motion.model import HEAD

ANGLES = ("yaw", "pitch", "roll")
BLINK_SHAPE = (0.35, 0.85, 1.0, 0.75, 0.4, 0.15)  # of a blink's closing and opening at 25 fps, share of the full blink


@dataclass(frozen=True)
class Controls:
    """Head poses and blinks of a video.

    pose: "predicted" (from the speech), "still" (the footage's mean pose), or a JSON or CSV file with columns time
    (seconds) and any of yaw, pitch, roll (degrees), interpolated between its rows.
    blinks: a minute, at seeded irregular times.
    amplitude: how far the mouth moves, 0.5 to 1.5 times as far as the avatar's own.
    """

    pose: str = "predicted"
    blinks: float = 15.0
    amplitude: float = 1.0

    def head_curve(self, seed: int, frame_rate: float, mean: Tensor, std: Tensor, low: Tensor, high: Tensor) -> HeadCurve:
        """The head values to ask a motion model for; mean, std, low, high [7] are the corpus's (range of its footage)."""
        keys = None
        if self.pose not in ("predicted", "still"):
            keys = read_pose_file(Path(self.pose))
        if not 0 <= self.blinks <= 60:
            raise UsageError(f"{self.blinks} blinks a minute were asked for", todo="Use 0 to 60")
        if not 0.5 <= self.amplitude <= 1.5:
            raise UsageError(f"a mouth amplitude of {self.amplitude} was asked for", todo="Use 0.5 to 1.5")
        return HeadCurve(keys, self.pose == "still", self.blinks, seed, frame_rate, mean, std, low, high)


class HeadCurve:
    """Head values for any run of frames, the same however the frames are asked for."""

    def __init__(self, keys: dict[str, NDArray[np.float64]] | None, still: bool, blinks: float, seed: int,
                 frame_rate: float, mean: Tensor, std: Tensor, low: Tensor, high: Tensor):  # fmt: skip
        self.keys, self.still, self.rate = keys, still, frame_rate
        self.mean, self.std, self.low, self.high = mean, std, low, high
        self.clamped = False
        self._every = 60 / blinks if blinks else math.inf
        self._seed = seed

    def _blink(self, frame: int) -> float:
        """Closedness 0..1 of the scheduled blinks: one in each stretch of `_every` seconds, at a seeded place in it."""
        if math.isinf(self._every):
            return 0.0
        stretch = int(frame / self.rate // self._every)
        closed = 0.0
        for k in (stretch - 1, stretch):
            if k >= 0:
                at = (k + 0.15 + 0.7 * np.random.default_rng((self._seed, k)).random()) * self._every
                closed = max(closed, float(np.interp((frame / self.rate - at) * 25, range(-1, len(BLINK_SHAPE) + 1), (0, *BLINK_SHAPE, 0))))
        return closed

    def __call__(self, first: int, count: int) -> Tensor:
        """Head values of frames first..first + count: [count, 7], NaN where they are left to the model."""
        out = torch.full((count, len(HEAD)), float("nan"))
        if self.still:
            out[:] = self.mean
        if self.keys is not None:
            times = (first + np.arange(count)) / self.rate
            for name in ANGLES:
                if name in self.keys:
                    i = HEAD.index(name)
                    asked = torch.from_numpy(np.interp(times, self.keys["time"], self.keys[name])).float()
                    out[:, i] = asked.clamp(float(self.low[i]), float(self.high[i]))
                    self.clamped |= bool((out[:, i] != asked).any())
        b = HEAD.index("blink")
        closed = torch.tensor([self._blink(first + k) for k in range(count)])
        rest = float(self.mean[b] - 0.3 * self.std[b])
        out[:, b] = rest + closed * (float(self.high[b]) - rest)
        return out


def read_pose_file(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
    """Read a pose curve: CSV with a header, or JSON (a list of objects); columns time and any of yaw, pitch, roll.

    Raises:
        UsageError: no such file, unknown or missing columns, values that are not finite numbers, times that fall.
    """
    path = Path(path)
    known = {"time", *ANGLES}
    try:
        text = path.read_text("utf-8-sig")
        rows = json.loads(text) if path.suffix.lower() == ".json" else list(csv.DictReader(text.splitlines()))
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise UsageError("this pose file holds no rows", where=path, todo="Give a CSV with a header line, or a JSON list of objects")
        columns = set(rows[0])
        if "time" not in columns or not columns & set(ANGLES) or not columns <= known:
            raise UsageError(
                f"this pose file has the columns {', '.join(sorted(map(str, columns)))}",
                where=path,
                todo="It needs time (seconds) and any of yaw, pitch, roll (degrees)",
            )
        curves = {name: np.array([float(row[name]) for row in rows]) for name in columns}
    except FileNotFoundError as error:
        raise UsageError("there is no such pose file", where=path, todo="Use predicted, still, or the path of a CSV or JSON file") from error
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "this pose file cannot be read", where=path, why=str(error), todo="It needs time (seconds) and any of yaw, pitch, roll (degrees)"
        ) from error
    for name, values in curves.items():
        if not np.isfinite(values).all():
            raise UsageError(f"row {int(np.flatnonzero(~np.isfinite(values))[0]) + 1} of column {name} is not a number", where=path, todo="Correct it")
    if (np.diff(curves["time"]) <= 0).any():
        raise UsageError(f"time does not rise at row {int(np.flatnonzero(np.diff(curves['time']) <= 0)[0]) + 2}", where=path, todo="Sort the rows by time")
    if max(np.abs(curves[name]).max() for name in ANGLES if name in curves) > 90:
        raise UsageError("a pose lies beyond 90 degrees", where=path, todo="Angles are in degrees, between -90 and 90")
    return curves
