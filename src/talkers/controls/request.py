"""What a user can ask of an avatar while it speaks, in Python and on the command line."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from functools import wraps
from typing import Any

from talkers.controls.pose_files import (
    LATEST,
    Curves,
    constant_pose,
    is_pose_file,
    read_pose_file,
)
from talkers.errors import UsageError

# How many times as far as the person's the mouth opens: what an avatar is calibrated for.
OPENINGS = (0.5, 1.0, 1.5)
POSES = ("predicted", "still")
ANGLES_TEXT = re.compile(r"\s*[a-z]+\s*=[^=]*(,\s*[a-z]+\s*=[^=]*)*")


def _former_names(kind: Any) -> None:
    """Let a dataclass take `expression`, the former name of its `brow_amplitude`, until 0.4."""
    made = kind.__init__

    @wraps(made)
    def init(self: Any, *given: Any, **named: Any) -> None:
        if "expression" in named:
            warnings.warn(
                "Controls(expression=...) is called brow_amplitude now; the old name goes with 0.4",
                DeprecationWarning,
                stacklevel=2,
            )
            named["brow_amplitude"] = named.pop("expression")
        made(self, *given, **named)

    kind.__init__ = init


@dataclass(frozen=True)
class Controls:
    """Head, eyes and mouth of a video. What lies beyond the footage's range is limited to it."""

    pose: str = "predicted"
    """predicted (from the speech), still (the footage's mean), constant angles such as
    yaw=5,pitch=-2 in degrees, a CSV or JSON file with columns time (seconds) or frame (from 0) and
    any of yaw, pitch, roll (degrees), interpolated between its rows, or a video, whose head is
    followed. A file that is called still is named ./still."""
    pose_scale: float = 1.0
    """How far the head moves about the footage's mean pose, 0 to 2 times as far as predicted."""
    pose_offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Degrees of yaw, pitch and roll added to the predicted pose."""
    blinks: float = 15.0
    """Blinks a minute (0: none), at irregular times that the seed decides."""
    blink_times: tuple[float, ...] = ()
    """Seconds at which the eyes close; given any, there are no other blinks."""
    amplitude: float = 1.0
    """How far the mouth opens, 0.5 to 1.5 times as far as the person's."""
    brow_amplitude: float = 1.0
    """How far the brows move, 0 to 3 times as far as the motion model has them."""
    gaze: tuple[float, float] = (0.0, 0.0)
    """Where the eyes look beside where they would: to the person's left and up, -1 to 1 of how far
    they do in the footage; of a portrait, of some 20 degrees."""
    smile: float = 0.0
    """How far the corners of the mouth rise while it speaks and rests, -1 (they fall) to 1.
    Portraits smile; an avatar of one person does not, as footage seldom shows it."""
    style: str = ""
    """A video of the avatar's person: how far mouth, brows and head move is taken from it, and what
    else the sampler makes of it."""
    motion: str = "regressor"
    """What moves the face: regressor (the average of what speech determines), sampler (one of many
    takes, drawn by the seed), or the key of another motion model that the avatar has."""

    def __post_init__(self) -> None:
        """Raises UsageError: a value out of range."""
        for name in ("pose", "style"):  # paths are welcome too
            given = getattr(self, name)
            path = os.fspath(given) if isinstance(given, os.PathLike) else given
            if path is not given and path in POSES:
                path = f".{os.sep}{path}"  # a path is a file, whatever its name
            if not isinstance(path, str):
                raise UsageError(
                    f"a {name} of {given!r} was asked for", todo="Give a str or a path"
                )
            object.__setattr__(self, name, path)
        if not 0 <= self.pose_scale <= 2:
            raise UsageError(f"a pose scale of {self.pose_scale} was asked for", todo="Use 0 to 2")
        if len(self.pose_offset) != 3 or not all(abs(a) <= 90 for a in self.pose_offset):
            raise UsageError(
                f"a pose offset of {self.pose_offset} was asked for",
                todo="Give yaw, pitch and roll in degrees, -90 to 90",
            )
        if not 0 <= self.blinks <= 60:
            raise UsageError(f"{self.blinks} blinks a minute were asked for", todo="Use 0 to 60")
        if not all(0 <= t < LATEST for t in self.blink_times):
            raise UsageError(
                f"blinks were asked for at {self.blink_times}", todo="Give seconds, 0 or later"
            )
        if not OPENINGS[0] <= self.amplitude <= OPENINGS[-1]:
            raise UsageError(
                f"a mouth amplitude of {self.amplitude} was asked for", todo="Use 0.5 to 1.5"
            )
        if not 0 <= self.brow_amplitude <= 3:
            raise UsageError(
                f"a brow amplitude of {self.brow_amplitude} was asked for", todo="Use 0 to 3"
            )
        if len(self.gaze) != 2 or not all(abs(g) <= 1 for g in self.gaze):
            raise UsageError(
                f"a gaze of {self.gaze} was asked for",
                todo="Give how far to the person's left and up, -1 to 1 each",
            )
        if not -1 <= self.smile <= 1:
            raise UsageError(f"a smile of {self.smile} was asked for", todo="Use -1 to 1")
        if not isinstance(self.motion, str) or not self.motion:
            raise UsageError(
                f"the motion model {self.motion!r} was asked for",
                todo="Name one that the avatar has: regressor or sampler",
            )

    def curves(self) -> Curves | None:
        """The poses asked for over time; None where they are predicted or still.

        Raises:
            UsageError: no such file, or what it holds are no poses.
        """
        if self.pose in POSES:
            return None
        if ANGLES_TEXT.fullmatch(self.pose) and not is_pose_file(self.pose):
            return constant_pose(self.pose)
        return read_pose_file(self.pose)


_former_names(Controls)
