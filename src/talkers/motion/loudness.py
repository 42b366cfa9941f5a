"""A motion model without weights: the mouth opens as loud as it is, and the head sways."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from talkers.configuration import limited
from talkers.motion.contract import Conditions, Context, Motion, MotionModel
from talkers.space.contract import HEAD, MotionSpace
from talkers.space.face_state import FACE_STATE

REST = (0.0, 0.0, 0.0, 0.5, 0.4, 0.22, 0.0)  # head values of a face that looks ahead
TRANSLATION_FROM_ROTATION = ((0.0025, 0.0, 0.0), (0.0, 0.0025, 0.0), (0.0, 0.0, 0.0))
"""By how much x, y and scale change with a degree of yaw, pitch and roll."""
SWAY = ((1.0, 117), (0.5, 83), (0.4, 149))
"""Of yaw, pitch and roll: how far, relative to the setting, and frames from side to side and
back."""


@dataclass(frozen=True)
class LoudnessConfig:
    """When a mouth opens, and how far a head sways."""

    type: str = "loudness"
    quiet: float = limited(-10.0, -100, 100)  # dB of log-mel power at which the mouth is closed
    loud: float = limited(15.0, -100, 100)  # at which it is open
    sway: float = limited(3.0, 0, 30)  # degrees to either side

    def __post_init__(self) -> None:
        if not self.quiet < self.loud:
            raise ValueError("quiet must be less than loud")


class LoudnessMotion(MotionModel):
    """Log-mel features -> face states. Every frame depends on its own sound and number alone.

    Args:
        config: its settings.
        features: width of the speech features: two stacked log-mel frames.
        space: of face states.
    """

    context = Context(look_ahead=0.0)

    def __init__(self, config: LoudnessConfig, features: int, space: MotionSpace):
        super().__init__(space)
        self.config = config

    def generate(
        self,
        conditions: Conditions,
        observed: Tensor | None = None,
        first: int = 0,
        seed: int = 0,
    ) -> Motion:
        """See `MotionModel.generate`; the seed decides how the head sways."""
        self.check(conditions)
        batch, rows, _ = conditions.speech.shape
        frames = conditions.speech.reshape(batch, rows // 2, -1)
        # A feature is (log10 power + 4) / 4: L = 10 log10 of the sum of 10^(4 f - 4), in dB.
        level = 10 * torch.logsumexp((4 * frames - 4) * math.log(10), -1) / math.log(10)
        span = self.config.loud - self.config.quiet
        opening = ((level - self.config.quiet) / span).clamp(0, 1)
        head = self._head(first, rows // 2, seed).to(frames).expand(batch, -1, -1)
        if conditions.adjust_head is not None:
            head = conditions.adjust_head(head)
        used = head
        if conditions.head is not None:
            used = torch.where(conditions.head.isnan(), head, conditions.head)
        values = torch.zeros(*opening.shape, len(FACE_STATE)).to(frames)
        values[..., : len(HEAD)] = used
        values[..., FACE_STATE.index("mouth")] = opening
        values[..., FACE_STATE.index("brows")] = 0.4 * opening
        return Motion(values, head)

    def _head(self, first: int, count: int, seed: int) -> Tensor:
        """Head values of frames first..first + count: [count, 7]."""
        phases = np.random.default_rng(seed).random(len(SWAY)) * 2 * math.pi
        head = torch.tensor(REST).repeat(count, 1)
        frames = torch.arange(first, first + count)
        for k, (share, period) in enumerate(SWAY):
            turned = torch.sin(2 * math.pi * (frames % period) / period + float(phases[k]))
            head[:, k] += self.config.sway * share * turned
        moved = slice(len(SWAY), len(SWAY) + 3)
        head[:, moved] += head[:, : len(SWAY)] @ torch.tensor(TRANSLATION_FROM_ROTATION)
        return head
