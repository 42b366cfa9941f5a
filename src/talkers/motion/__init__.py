"""Motion models: conditions (speech, head) -> motion in a space. Tensors in, tensors out."""

from talkers.motion.contract import Context, Motion, MotionModel
from talkers.motion.flow import FlowConfig, FlowMotion
from talkers.motion.regressor import MotionConfig, Speech2Latent
from talkers.motion.windows import latent_stream

__all__ = [
    "Context",
    "FlowConfig",
    "FlowMotion",
    "Motion",
    "MotionConfig",
    "MotionModel",
    "Speech2Latent",
    "latent_stream",
]
