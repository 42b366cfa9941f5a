"""A motion space whose numbers are what the face does, nothing else: for faces that are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from talkers.space.contract import HEAD, NO_EDIT, Appearance, FaceEdit, FaceState

FACE_STATE = (*HEAD, "mouth", "brows", "gaze_left", "gaze_up")
"""The numbers of a motion: head values as in `HEAD`, how far the mouth is open (0..1), how far the
brows are raised (0..1), and where the eyes look (-1..1 each)."""
MOUTH, BROWS = FACE_STATE.index("mouth"), FACE_STATE.index("brows")
GAZE = slice(FACE_STATE.index("gaze_left"), len(FACE_STATE))


@dataclass(frozen=True)
class FaceStateConfig:
    """A space of face states has no settings."""

    type: str = "face_state"


class FaceStateSpace:
    """Motion as plain face states, in the order of `FACE_STATE`; see `MotionSpace`.

    Args:
        config: its settings.
        width: numbers in a motion vector; that of `FACE_STATE`.

    Raises:
        ValueError: another width.
    """

    name = "face_state"
    smiles = False

    def __init__(self, config: FaceStateConfig, width: int = len(FACE_STATE)):
        if width != len(FACE_STATE):
            raise ValueError(f"face states have {len(FACE_STATE)} numbers, not {width}")
        self.config, self.width = config, width

    def read(self, motion: Tensor) -> FaceState:
        """See `MotionSpace.read`."""
        pose, blink = motion[..., : len(HEAD) - 1], motion[..., len(HEAD) - 1 : len(HEAD)]
        mouth, brows = motion[..., MOUTH : MOUTH + 1], motion[..., BROWS : BROWS + 1]
        return FaceState(pose, mouth, blink, motion[..., GAZE], brows)

    def edit(
        self,
        motion: Tensor,
        edit: FaceEdit = NO_EDIT,
        head: Tensor | None = None,
        moving: Tensor | float = 1.0,
        appearance: Appearance | None = None,
    ) -> Tensor:
        """See `MotionSpace.edit`; a drawn face has one appearance."""
        edited = motion.clone()
        if head is not None:
            edited[..., : len(HEAD)] = torch.where(head.isnan(), motion[..., : len(HEAD)], head)
        edited[..., MOUTH : MOUTH + 1] *= edit.amplitude * moving
        edited[..., BROWS] *= edit.brow_amplitude
        edited[..., GAZE] += motion.new_tensor(edit.gaze)
        return edited

    def retarget(self, motion: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """See `MotionSpace.retarget`."""
        return motion - source + target
