"""Motion models: conditions (speech, head, ...) -> motion in a space. Tensors in, tensors out."""

from talkers.motion.contract import Conditions, Context, Motion, MotionModel, Reference
from talkers.motion.flow import FlowConfig, FlowMotion
from talkers.motion.regressor import RegressorConfig, Speech2Latent
from talkers.motion.streaming import MotionStream
from talkers.motion.windows import MotionRequest, at_frames, motion_of_speech

__all__ = [
    "Conditions",
    "Context",
    "FlowConfig",
    "FlowMotion",
    "Motion",
    "MotionModel",
    "MotionRequest",
    "MotionStream",
    "Reference",
    "RegressorConfig",
    "Speech2Latent",
    "at_frames",
    "motion_of_speech",
]
