"""What motion models need of a space beside its contract: numbers of unit variance."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from talkers.space.contract import NO_EDIT, Appearance, FaceEdit, FaceState


class NormalisedSpace(nn.Module, ABC):
    """A motion space that knows how motion and head values are distributed in its footage.

    Attributes:
        width: numbers in a motion vector.
        smiles: whether it knows how a smile moves a face.
        motion_mean, motion_std: [width].
        head_mean, head_std: [7], in the order of `HEAD`.
        mouth_read: [width, M], normalised motion -> what the mouth does.
    """

    name: str
    width: int
    smiles: bool
    motion_mean: Tensor
    motion_std: Tensor
    head_mean: Tensor
    head_std: Tensor
    mouth_read: Tensor

    def normalise(self, motion: Tensor) -> Tensor:
        """Motion [..., width] -> zero mean and unit variance over the footage."""
        return (motion - self.motion_mean) / self.motion_std

    def denormalise(self, motion: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return motion * self.motion_std + self.motion_mean

    def normalise_head(self, head: Tensor) -> Tensor:
        """Head values [..., 7] -> zero mean and unit variance over the footage."""
        return (head - self.head_mean) / self.head_std

    def denormalise_head(self, head: Tensor) -> Tensor:
        """The inverse of `normalise_head`."""
        return head * self.head_std + self.head_mean

    @abstractmethod
    def read(self, motion: Tensor) -> FaceState:
        """See `MotionSpace.read`."""

    @abstractmethod
    def edit(
        self,
        motion: Tensor,
        edit: FaceEdit = NO_EDIT,
        head: Tensor | None = None,
        moving: Tensor | float = 1.0,
        appearance: Appearance | None = None,
    ) -> Tensor:
        """See `MotionSpace.edit`."""

    @abstractmethod
    def retarget(self, motion: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """See `MotionSpace.retarget`."""
