"""Motion: speech features and controls -> latents. Tensors in, tensors out."""

from talkers.motion.head import HeadCurve
from talkers.motion.model import HEAD, Motion, MotionConfig, MotionModel, Speech2Latent
from talkers.motion.stream import latent_stream

__all__ = ["HEAD", "HeadCurve", "Motion", "MotionConfig", "MotionModel", "Speech2Latent", "latent_stream"]
