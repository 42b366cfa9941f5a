"""The diffusion autoencoder: frame <-> latent. Tensors in, tensors out."""

from talkers.renderers.contract import from_frames, to_frames
from talkers.renderers.diffusion_autoencoder.autoencoder import (
    CodecConfig,
    DiffusionAutoencoder,
    shared_noise,
)
from talkers.renderers.diffusion_autoencoder.graphs import GraphedDecoder

__all__ = [
    "CodecConfig",
    "DiffusionAutoencoder",
    "GraphedDecoder",
    "from_frames",
    "shared_noise",
    "to_frames",
]
