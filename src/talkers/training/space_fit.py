"""Fit the space of an avatar's motion on the clips for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from talkers.corpus.views import face_parts
from talkers.space.contract import FaceEdit
from talkers.space.linear import LinearSpace
from talkers.training.motion_data import MotionData

REST = FaceEdit(amplitude=0.0)


def fit_space(space: Any, clips: MotionData, names: Sequence[str]) -> dict[str, Tensor]:
    """Fit a linear space on clips; other spaces mean what they mean without footage.

    Args:
        space: is fitted.
        clips: everything of the clips.
        names: of those that it learns from.

    Returns:
        motion [T, width] of each clip with the mouth at rest wherever something is said.
    """
    if not isinstance(space, LinearSpace):
        return rest(space, clips, names)
    motion, heads = clips.joined(clips.latents, names), clips.joined(clips.heads, names)
    space.set_statistics(motion, heads)
    descriptors = face_parts(clips.joined(clips.descriptors, names))
    space.fit_probes(motion, heads, descriptors, clips.joined(clips.silent, names))
    # before the appearances are known: each clip keeps its own
    resting = rest(space, clips, names)
    fit_appearance(space, clips, names)
    return resting


def fit_appearance(space: LinearSpace, clips: MotionData, names: Sequence[str]) -> None:
    """Learn from clips what turning and appearances are in the motion."""
    usable: Mapping[str, Tensor] = clips.usable
    space.fit_appearance([(clips.latents[n][usable[n]], clips.heads[n][usable[n]]) for n in names])


def rest(space: Any, clips: MotionData, names: Sequence[str]) -> dict[str, Tensor]:
    """Motion [T, width] of clips whose mouth rests wherever something is said."""
    return {
        n: torch.where(
            clips.silent[n][:, None], clips.latents[n], space.edit(clips.latents[n], REST)
        )
        for n in names
    }
