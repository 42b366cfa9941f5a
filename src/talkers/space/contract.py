"""What every motion space does: it says what a motion vector means, and edits it.

A motion is float [T, width], one row a frame. A space belongs to a renderer and the footage it
was trained on, not to a motion model; it is data with a safetensors file of its own.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

HEAD = ("yaw", "pitch", "roll", "x", "y", "scale", "blink")
"""Head values: three angles in degrees, position of the eyes' midpoint and inter-ocular distance
as shares of the frame's side, and how closed the eyes are, 0..1."""


class FaceState(NamedTuple):
    """What a face does in each frame; NaN where a space does not say it.

    Attributes:
        pose: [..., 6], the first six of `HEAD`.
        mouth: [..., M], in units of the space's own.
        blink: [..., 1], 0 open .. 1 closed.
        gaze: [..., 2], to the person's left and up.
        expression: [..., E], in units of the space's own.
    """

    pose: Tensor
    mouth: Tensor
    blink: Tensor
    gaze: Tensor
    expression: Tensor


class FaceEdit(NamedTuple):
    """How a face's movements differ from what a motion model says.

    Attributes:
        amplitude: how many times as far the mouth moves from where it rests.
        brow_amplitude: how many times as far the brows move.
        gaze: how far the eyes look to the person's left and up from where they would, -1..1 each:
            in shares of two standard deviations of the footage, or, where motion is nobody's, of
            some 20 degrees.
        smile: how far the corners of the mouth rise, -1 (they fall) to 1, whatever it says. Spaces
            whose `smiles` is False take no notice.
    """

    amplitude: float = 1.0
    brow_amplitude: float = 1.0
    gaze: tuple[float, float] = (0.0, 0.0)
    smile: float = 0.0


NO_EDIT = FaceEdit()


class Appearance(NamedTuple):
    """What stays the same throughout a take: hair, clothes, light.

    Attributes:
        code: [A], coordinates in the space's appearance basis.
        shift: [width], added to every motion vector.
    """

    code: Tensor
    shift: Tensor


@runtime_checkable
class MotionSpace(Protocol):
    """What travels from a motion model to a renderer.

    Attributes:
        name: its registered name.
        width: numbers in a motion vector.
        smiles: whether it knows how a smile moves a face.
    """

    name: str
    width: int
    smiles: bool

    def read(self, motion: Tensor) -> FaceState:
        """What the face does in motion [..., width]."""
        ...

    def edit(
        self,
        motion: Tensor,
        edit: FaceEdit = NO_EDIT,
        head: Tensor | None = None,
        moving: Tensor | float = 1.0,
        appearance: Appearance | None = None,
    ) -> Tensor:
        """Motion of a face that acts otherwise.

        Args:
            motion: [T, width].
            edit: amplitudes and gaze.
            head: [T, 7] head values that the motion must show; NaN leaves a value as it is.
            moving: [T, 1] or a number, 0..1: how far of all the mouth may move; 0: it rests.
            appearance: of the take (default: the commonest of the footage).

        Returns:
            [T, width]
        """
        ...

    def retarget(self, motion: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Transfer a motion from one rest to another, by differences.

        Args:
            motion: [T, width].
            source: [width], where the motion's own face rests.
            target: [width], where the other face rests.

        Returns:
            [T, width]
        """
        ...
