"""Head poses and blinks over time, as a user's controls ask for them."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from talkers.controls.pose_files import ANGLES, Curves
from talkers.controls.request import Controls
from talkers.space.contract import HEAD

BLINK = HEAD.index("blink")
TRANSLATION = slice(len(ANGLES), BLINK)  # x, y and scale among the head values
BLINK_SHAPE = (0.35, 0.85, 1.0, 0.75, 0.4, 0.15)
"""Of a blink's closing and opening at 25 fps, as shares of the full blink."""


@dataclass(frozen=True)
class PoseChange:
    """What becomes of predicted poses besides what controls ask for.

    Attributes:
        scale: how far the head moves about the footage's mean pose.
        offset: degrees of yaw, pitch and roll that are added.
    """

    scale: float = 1.0
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)


class HeadTrack:
    """Head values for any run of frames, the same however the frames are asked for.

    Args:
        controls: what the user asks for.
        poses: those over time in seconds, or None.
        statistics: of the footage's head values (mean, std, low, high, [7] each, and
            translation_from_rotation [3, 3], and turn [3]).
        frame_rate: frames a second.
        seed: of the blinks.
        change: what the avatar or a style makes of predicted poses.

    Attributes:
        clamped: whether a pose was asked for that lies beyond the footage.
    """

    def __init__(
        self,
        controls: Controls,
        poses: Curves | None,
        statistics: Any,
        frame_rate: float,
        seed: int,
        change: PoseChange | None = None,
    ):
        change = change or PoseChange()
        self.controls, self.rate, self.keys = controls, frame_rate, poses
        self.statistics, self._seed = statistics, seed
        self.scale = min(2.0, controls.pose_scale * change.scale)
        both = zip(controls.pose_offset, change.offset, strict=True)
        self.offset = tuple(a + b for a, b in both)
        self.clamped = False
        self._every = 60 / controls.blinks if controls.blinks else math.inf
        self._start = 0  # frames that come before its first

    def from_frame(self, start: int) -> HeadTrack:
        """The same track with its frames counted from a later one."""
        later = copy(self)
        later._start += start
        return later

    def scaled_and_clamped(self, predicted: Tensor) -> Tensor:
        """Predicted head values [..., 7], scaled and offset as asked, within the footage's."""
        mean = self.statistics.mean
        poses = torch.arange(len(HEAD)) < len(ANGLES)
        # h' = mean + s (h - mean) + offset; a head that turns by d also moves by d M.
        wanted = mean + (predicted - mean) * torch.where(poses, self.scale, 1.0)
        wanted[..., : len(ANGLES)] += torch.tensor(self.offset) * self.statistics.turn
        turned = (wanted - predicted)[..., : len(ANGLES)]
        wanted[..., TRANSLATION] += turned @ self.statistics.translation_from_rotation
        within: Tensor = self.statistics.limited(wanted)
        if self.controls.pose_scale > 1 or any(self.controls.pose_offset):
            self.clamped |= bool((within != wanted)[..., : len(ANGLES)].any())
        return within

    def remarks(self, seconds: float) -> list[str]:
        """What whoever asked for these poses should know, after all frames are made.

        Args:
            seconds: how long the speech lasts.
        """
        notes = []
        if self.clamped:
            notes.append(
                "some of the poses asked for lie beyond what the footage shows; they were "
                "limited to it."
            )
        if self.keys is not None and len(times := self.keys["time"]) > 1:
            if times[-1] > 10 * seconds + 10:
                notes.append(
                    f"the poses reach to {times[-1]:g} s, the speech lasts {seconds:.1f} s. Their "
                    "times are taken for seconds."
                )
            elif times[-1] < seconds - 1:
                notes.append(
                    f"the poses end at {times[-1]:g} s, the speech lasts {seconds:.1f} s; the last "
                    "pose is kept."
                )
            angles = [np.abs(self.keys[name]).max() for name in ANGLES if name in self.keys]
            if 0 < max(map(float, angles)) < 0.5:
                notes.append(
                    "no pose asked for is as much as half a degree. Angles are taken for degrees."
                )
        return notes

    def enforced(self, first: int, used: Tensor) -> Tensor:
        """Which of the head values used in a run of frames must be seen in the frames.

        Those that were asked for must; the others are left to the model, and so to the pose that
        goes with its appearance.

        Args:
            first: number of the first frame.
            used: [n, 7].

        Returns:
            [n, 7], NaN where the model is left to itself.
        """
        if self.scale != 1 or any(self.offset):
            return used
        return torch.where(self(first, len(used)).isnan(), torch.nan, used)

    def _blink(self, frame: int) -> float:
        """How closed the eyes are in a frame, 0..1: one blink in each stretch of `_every`
        seconds, at a seeded place in it."""
        times, second = self.controls.blink_times, frame / self.rate
        if not times and not math.isinf(self._every):
            stretch = int(second // self._every)
            places = [
                (k, float(np.random.default_rng((self._seed, k)).random()))
                for k in (stretch - 1, stretch)
                if k >= 0
            ]
            times = tuple((k + 0.15 + 0.7 * place) * self._every for k, place in places)
        shape, steps = (0, *BLINK_SHAPE, 0), range(-1, len(BLINK_SHAPE) + 1)
        return max((float(np.interp((second - at) * 25, steps, shape)) for at in times), default=0)

    def __call__(self, first: int, count: int) -> Tensor:
        """Head values of frames first..first + count: [count, 7], NaN where the model decides."""
        of, first = self.statistics, first + self._start
        out = torch.full((count, len(HEAD)), float("nan"))
        if self.controls.pose == "still":
            out[:] = of.mean
        if self.keys is not None:
            times = (first + np.arange(count)) / self.rate
            turned = torch.zeros(count, len(ANGLES))
            for name in ANGLES:
                if name in self.keys:
                    i = HEAD.index(name)
                    wanted = np.interp(times, self.keys["time"], self.keys[name])
                    angle = torch.from_numpy(wanted).float()
                    within = angle.clamp(float(of.low[i]), float(of.high[i]))
                    self.clamped |= bool((within != angle).any())
                    turned[:, i] = of.turn[i] * (within - of.mean[i])
                    out[:, i] = of.mean[i] + turned[:, i]
            place = of.mean[TRANSLATION] + turned @ of.translation_from_rotation
            high, low = of.high[TRANSLATION], of.low[TRANSLATION]
            out[:, TRANSLATION] = torch.maximum(torch.minimum(place, high), low)
        closed = torch.tensor([self._blink(first + k) for k in range(count)])
        rest = float(of.mean[BLINK] - 0.3 * of.std[BLINK])
        out[:, BLINK] = rest + closed * (float(of.high[BLINK]) - rest)
        return out
