"""What every renderer does: motion and an identity -> frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

Needs = Literal["nothing", "portrait", "frames", "video"]


class Identity(NamedTuple):
    """Who is shown.

    Attributes:
        values: what a renderer keeps of its source, by name; None where the person is in its
            weights.
    """

    values: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class RenderOptions:
    """How frames are made.

    Attributes:
        seed: of the noise that all frames of a video share.
        steps: network passes a frame.
    """

    seed: int = 0
    steps: int = 1


@dataclass
class RenderState:
    """What a renderer carries from one run of frames to the next; one for each video."""

    values: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Renderer(Protocol):
    """Motion -> frames.

    Windows of frames are rendered, not single ones: some renderers make frames jointly.

    Attributes:
        size: side of its frames, pixels.
        motion_width: numbers in the motion vectors that it reads.
        needs: what an identity is made from; "nothing": the person is in its weights.
    """

    size: int
    motion_width: int
    needs: Needs

    def identity(self, source: Tensor | None = None, landmarks: Tensor | None = None) -> Identity:
        """Who is shown in a source.

        Args:
            source: pictures [N, 3, H, W] in -1..1, or None where `needs` is "nothing".
            landmarks: [N, 478, 2] shares of the pictures' sides, for renderers that use them.
        """
        ...

    def render(
        self,
        motion: Tensor,
        options: RenderOptions,
        identity: Identity | None = None,
        background: Tensor | None = None,
        state: RenderState | None = None,
    ) -> Tensor:
        """Render a run of frames.

        Args:
            motion: [T, motion_width].
            options: how.
            identity: who is shown (default: whom the weights know).
            background: [3, S, S] in -1..1, for renderers that can replace it.
            state: of this video; the same one for all of its runs.

        Returns:
            pictures [T, 3, S, S] in -1..1
        """
        ...

    def prepare_for(self, device: torch.device) -> None:
        """Get ready to render on a device, in the precision that is fastest there."""
        ...


@runtime_checkable
class ShowsIdentities(Protocol):
    """A renderer that shows whom it is given."""

    def check_identity(self, identity: Identity) -> None:
        """Refuse an identity that was read from a file and is none of this renderer's.

        Raises:
            ValueError: it is incomplete, or of other shapes.
        """
        ...


@runtime_checkable
class ShowsLayers(Protocol):
    """A renderer that draws a person over what lies behind, which stays."""

    def with_layers(self, identity: Identity, matte: Tensor, ground: Tensor) -> Identity:
        """The same person, told apart from what lies behind.

        Args:
            identity: made by this renderer of pictures.
            matte: uint8 [H, H] how far each pixel of the first picture is the person's.
            ground: uint8 [3, H, H] the picture without the person.
        """
        ...


@runtime_checkable
class ReadsSpace(Protocol):
    """A renderer that must know the space of its motion."""

    def bind(self, space: Any) -> None:
        """Take the space.

        Raises:
            ValueError: it is none that the renderer can show.
        """
        ...


@runtime_checkable
class MotionEncoder(Protocol):
    """Frames -> motion."""

    motion_width: int

    def encode(self, pictures: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """Encode frames.

        Args:
            pictures: [T, 3, S, S] in -1..1.
            landmarks: [T, 478, 2] pixels, for encoders that use them.

        Returns:
            [T, motion_width]
        """
        ...


@runtime_checkable
class FaceCodec(Renderer, MotionEncoder, Protocol):
    """A renderer that can also encode: frames -> motion -> frames."""


def from_frames(frames: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in -1..1."""
    return frames.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_frames(pictures: Tensor) -> Tensor:
    """float [B, 3, H, W] in -1..1 -> uint8 [B, H, W, 3]."""
    levels = ((pictures.float() + 1) * 127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1)
