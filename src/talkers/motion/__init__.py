"""Motion: speech features and controls -> latents. Tensors in, tensors out."""

from talkers.motion.model import MotionConfig

__all__ = ["MotionConfig"]
