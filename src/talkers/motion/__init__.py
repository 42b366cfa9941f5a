"""Motion: speech features and controls -> latents. Tensors in, tensors out."""

from talkers.motion.flow import FlowConfig, FlowMotion
from talkers.motion.head import HeadCurve
from talkers.motion.model import MotionConfig, Speech2Latent
from talkers.motion.space import HEAD, Context, LatentSpace, Look, Manner, Motion, MotionModel
from talkers.motion.stream import latent_stream

__all__ = [
    "HEAD",
    "Context",
    "FlowConfig",
    "FlowMotion",
    "HeadCurve",
    "LatentSpace",
    "Look",
    "Manner",
    "Motion",
    "MotionConfig",
    "MotionModel",
    "Speech2Latent",
    "latent_stream",
]
