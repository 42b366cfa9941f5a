"""Head poses and blinks over time, as a user's controls ask for them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from talkers.controls.pose_files import ANGLES, Curves
from talkers.controls.request import Controls
from talkers.space.linear import HEAD

TRANSLATION = slice(len(ANGLES), HEAD.index("blink"))  # x, y and scale among the head values
BLINK_SHAPE = (
    0.35,
    0.85,
    1.0,
    0.75,
    0.4,
    0.15,
)  # of a blink's closing and opening at 25 fps, share of the full blink


class HeadTrack:
    """Head values for any run of frames, the same however the frames are asked for."""

    def __init__(
        self,
        controls: Controls,
        poses: Curves | None,
        seed: int,
        frame_rate: float,
        mean: Tensor,
        std: Tensor,
        low: Tensor,
        high: Tensor,
        follows: Tensor,
        scale: float = 1.0,
        offset: tuple[float, ...] = (0.0, 0.0, 0.0),
    ):
        """poses: over time in seconds, if any are asked for. mean, std, low, high [7] are the corpus's: its footage ranges
        from low to high. follows [3, 3]: by how much position and scale change with each angle, since a head that turns also moves.
        scale, offset: what the avatar, or a style, makes of predicted poses besides what the controls ask for; offset in degrees.
        """
        self.controls, self.rate = controls, frame_rate
        self.keys = poses
        self.mean, self.std, self.low, self.high, self.follows = mean, std, low, high, follows
        self.scale = min(2.0, controls.pose_scale * scale)
        self.offset = tuple(a + b for a, b in zip(controls.pose_offset, offset, strict=True))
        self.clamped = False
        self._every = 60 / controls.blinks if controls.blinks else math.inf
        self._seed = seed

    def scaled_and_clamped(self, predicted: Tensor) -> Tensor:
        """Predicted head values [..., 7], scaled and offset as asked, within what the footage covers."""
        poses = torch.arange(len(HEAD)) < len(ANGLES)
        wanted = self.mean + (predicted - self.mean) * torch.where(poses, self.scale, 1.0)
        wanted = wanted + torch.tensor([*self.offset, *[0.0] * (len(HEAD) - len(ANGLES))])
        turned = (wanted - predicted)[..., : len(ANGLES)]
        wanted[..., TRANSLATION] += turned @ self.follows
        within = torch.maximum(torch.minimum(wanted, self.high), self.low)
        if self.controls.pose_scale > 1 or any(self.controls.pose_offset):
            self.clamped |= bool((within != wanted)[..., : len(ANGLES)].any())
        return within

    def remarks(self, seconds: float) -> list[str]:
        """What whoever asked for these poses should know, in sentences; `seconds`: how long they last. After all frames are made."""
        said = (
            [
                "some of the poses asked for lie beyond what the footage shows; they were limited to it."
            ]
            if self.clamped
            else []
        )
        if self.keys is not None and len(times := self.keys["time"]) > 1:
            if times[-1] > 10 * seconds + 10:
                said.append(
                    f"the poses reach to {times[-1]:g} s, the speech lasts {seconds:.1f} s. Their times are taken for seconds."
                )
            elif times[-1] < seconds - 1:
                said.append(
                    f"the poses end at {times[-1]:g} s, the speech lasts {seconds:.1f} s; the last pose is kept."
                )
            if (
                0
                < max(float(np.abs(self.keys[name]).max()) for name in ANGLES if name in self.keys)
                < 0.5
            ):
                said.append(
                    "no pose asked for is as much as half a degree. Angles are taken for degrees."
                )
        return said

    def enforced(self, first: int, used: Tensor) -> Tensor:
        """Which of the head values used in frames from `first` on must be seen in the frames, [n, 7]: those that were asked
        for; NaN where the model is left to itself, and so to the pose that goes with what it wears."""
        if self.scale != 1 or any(self.offset):
            return used
        return torch.where(self(first, len(used)).isnan(), torch.nan, used)

    def _blink(self, frame: int) -> float:
        """Closedness 0..1 of the scheduled blinks: one in each stretch of `_every` seconds, at a seeded place in it."""
        times = self.controls.blink_times
        if not times and not math.isinf(self._every):
            stretch = int(frame / self.rate // self._every)
            times = tuple(
                (k + 0.15 + 0.7 * np.random.default_rng((self._seed, k)).random()) * self._every
                for k in (stretch - 1, stretch)
                if k >= 0
            )
        shape = (0, *BLINK_SHAPE, 0)
        return max(
            (
                float(
                    np.interp((frame / self.rate - at) * 25, range(-1, len(BLINK_SHAPE) + 1), shape)
                )
                for at in times
            ),
            default=0.0,
        )

    def __call__(self, first: int, count: int) -> Tensor:
        """Head values of frames first..first + count: [count, 7], NaN where they are left to the model."""
        out = torch.full((count, len(HEAD)), float("nan"))
        if self.controls.pose == "still":
            out[:] = self.mean
        if self.keys is not None:
            times = (first + np.arange(count)) / self.rate
            turned = torch.zeros(count, len(ANGLES))
            for name in ANGLES:
                if name in self.keys:
                    i = HEAD.index(name)
                    asked = torch.from_numpy(
                        np.interp(times, self.keys["time"], self.keys[name])
                    ).float()
                    out[:, i] = asked.clamp(float(self.low[i]), float(self.high[i]))
                    self.clamped |= bool((out[:, i] != asked).any())
                    turned[:, i] = out[:, i] - self.mean[i]
            place = self.mean[TRANSLATION] + turned @ self.follows
            out[:, TRANSLATION] = torch.maximum(
                torch.minimum(place, self.high[TRANSLATION]), self.low[TRANSLATION]
            )
        b = HEAD.index("blink")
        closed = torch.tensor([self._blink(first + k) for k in range(count)])
        rest = float(self.mean[b] - 0.3 * self.std[b])
        out[:, b] = rest + closed * (float(self.high[b]) - rest)
        return out
