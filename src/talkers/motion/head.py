"""Head poses and blinks over time, as a user's controls ask for them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from talkers.controls import ANGLES, Controls
from talkers.motion.space import HEAD

BLINK_SHAPE = (0.35, 0.85, 1.0, 0.75, 0.4, 0.15)  # of a blink's closing and opening at 25 fps, share of the full blink


class HeadCurve:
    """Head values for any run of frames, the same however the frames are asked for."""

    def __init__(self, controls: Controls, seed: int, frame_rate: float, mean: Tensor, std: Tensor, low: Tensor, high: Tensor):
        """mean, std, low, high [7] are the corpus's: its footage ranges from low to high.

        Raises:
            UsageError: poses that cannot be read.
        """
        self.controls, self.keys, self.rate = controls, controls.curves(), frame_rate
        self.mean, self.std, self.low, self.high = mean, std, low, high
        self.clamped = False
        self._every = 60 / controls.blinks if controls.blinks else math.inf
        self._seed = seed

    def adjusted(self, predicted: Tensor) -> Tensor:
        """Predicted head values [..., 7], scaled and offset as asked, within what the footage covers."""
        poses = torch.arange(len(HEAD)) < len(ANGLES)
        wanted = self.mean + (predicted - self.mean) * torch.where(poses, self.controls.pose_scale, 1.0)
        wanted = wanted + torch.tensor([*self.controls.pose_offset, *[0.0] * (len(HEAD) - len(ANGLES))])
        return torch.maximum(torch.minimum(wanted, self.high), self.low)

    def _blink(self, frame: int) -> float:
        """Closedness 0..1 of the scheduled blinks: one in each stretch of `_every` seconds, at a seeded place in it."""
        times = self.controls.blink_times
        if not times and not math.isinf(self._every):
            stretch = int(frame / self.rate // self._every)
            times = tuple((k + 0.15 + 0.7 * np.random.default_rng((self._seed, k)).random()) * self._every for k in (stretch - 1, stretch) if k >= 0)
        shape = (0, *BLINK_SHAPE, 0)
        return max((float(np.interp((frame / self.rate - at) * 25, range(-1, len(BLINK_SHAPE) + 1), shape)) for at in times), default=0.0)

    def __call__(self, first: int, count: int) -> Tensor:
        """Head values of frames first..first + count: [count, 7], NaN where they are left to the model."""
        out = torch.full((count, len(HEAD)), float("nan"))
        if self.controls.pose == "still":
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
