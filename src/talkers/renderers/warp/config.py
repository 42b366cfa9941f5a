"""How large a warping renderer is, and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass

from talkers.configuration import limited


@dataclass(frozen=True)
class WarpConfig:
    """Shape of a warping renderer."""

    type: str = "warp"
    size: int = limited(256, 64, 1024)  # side of the frames, pixels
    motion_width: int = limited(33, 1, 1024)  # numbers of the face motion that it shows
    mouth_width: int = limited(80, 8, 512)  # channels of the mouth's network
    mouth_blocks: int = limited(2, 1, 8)
    eye_width: int = limited(48, 8, 512)
    eye_blocks: int = limited(1, 1, 8)
    depth: bool = False  # whether the networks are told how far what they paint is (DaGAN)
    memory: int = limited(0, 0, 4096)  # slots of what faces are like, 0: none (MCNet)
    tone: bool = False  # whether the networks are told how light the face is, and its colour
    recolour: float = limited(0.5, 0, 1)  # how far colours are changed in training
    lips_weight: float = limited(4.0, 0, 100)  # of the loss between and on the lips, beside 1

    def __post_init__(self) -> None:
        if self.size % 32:
            raise ValueError("size must be a multiple of 32")
