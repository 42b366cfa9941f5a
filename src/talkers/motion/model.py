from dataclasses import dataclass


@dataclass(frozen=True)
class MotionConfig:
    """Shape of speech2latent."""

    width: int = 256
    encoder_blocks: int = 2
    decoder_blocks: int = 2
    heads: int = 4
    kernel: int = 13  # of the Conformers' convolutions, frames
    dropout: float = 0.1
    pose_hidden: int = 64  # width of the pose predictor's and projector's LSTMs
