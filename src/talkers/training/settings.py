"""What can be chosen about a training; plain values, so that a recipe can be read without any training package."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CodecTraining:
    """How stage 1 is trained."""

    frames: int = 100_000_000  # frames seen in all
    batch: int = 64  # frames a step and process
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    warmup: float = 0.0  # share of training with a rising learning rate
    decay: bool = False  # let the learning rate fall to 1 % (cosine)
    gradient_clip: float = 1.0
    ema: float = 0.9999  # decay of the averaged weights
    mouth_weight: float = 1.0  # loss weight of the mouth's box, relative to the rest of the picture
    eye_weight: float = 1.0
    blink_boost: float = 0.0  # closed eyes are seen 1 + this times as often
    noisiest_share: float = 0.0  # share of training pictures at the very first sampling step (t = 999)
    latent_noise: float = 0.0  # standard deviation of noise added to latents, which keeps neighbours alike
    validate_every: int = 40_000  # frames between validations
    save_every: int = 8_000  # frames between checkpoints
    compile: bool = False  # fuse kernels with torch.compile (needs a C++ compiler on a CPU)


@dataclass(frozen=True)
class MotionTraining:
    """How stage 2 is trained."""

    frames: int = 3_000_000  # frames seen in all
    batch: int = 16  # clips a step and process
    window: int = 75  # frames of a training clip
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warmup: float = 0.03  # share of training with a rising learning rate
    gradient_clip: float = 1.0
    ema: float = 0.998
    pose_weight: float = 0.5  # of the pose predictor's loss, relative to that of the latents
    velocity_weight: float = 0.5  # of the error of frame-to-frame differences of the latents
    readout_weight: float = 1.0  # of the error of the face's shape as a linear reading of the latents tells it
    validate_every: int = 200_000
    save_every: int = 100_000
