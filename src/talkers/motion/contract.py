"""What every motion model does."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from talkers.space.linear import Adjust


class Motion(NamedTuple):
    """latents: [B, T, L]. head: [B, T, 7], what the model itself would do (adjusted), in the order of HEAD. state:
    [B, T, C], what a model that samples wants to know of frames that are settled when it goes on."""

    latents: Tensor
    head: Tensor
    state: Tensor | None = None


class Context(NamedTuple):
    """What was said before, and how: speech features [B, 2 N, F] and state [B, N, C] (see `Motion`) of a reference clip."""

    features: Tensor
    state: Tensor


class MotionModel(Protocol):
    """What every motion model does."""

    def __call__(
        self,
        features: Tensor,
        head: Tensor | None = None,
        mask: Tensor | None = None,
        adjust: Adjust | None = None,
        known: Tensor | None = None,
        first: int = 0,
        seed: int = 0,
    ) -> Motion:
        """Speak.

        Args:
            features: [B, 2 T, F], two a frame.
            head: [B, T, 7] poses to take; NaN asks for the model's own value, None for all of them.
            mask: bool [B, T], which frames exist (None: all).
            adjust: the model's own head poses [B, T, 7] -> the ones to take in their place.
            known: state of the first frames, which are settled.
            first: number of the first frame in the whole talk, and
            seed: of what is sampled: each frame has its own noise, whatever window it is in.
        """
        ...
