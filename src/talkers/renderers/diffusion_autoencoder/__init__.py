"""The codec: frame <-> latent. Tensors in, tensors out."""

from talkers.renderers.diffusion_autoencoder.autoencoder import (
    CodecConfig,
    DiffusionAutoencoder,
    FaceCodec,
    from_frames,
    shared_noise,
    to_frames,
)
from talkers.renderers.diffusion_autoencoder.graphs import GraphedDecoder

__all__ = [
    "CodecConfig",
    "DiffusionAutoencoder",
    "FaceCodec",
    "GraphedDecoder",
    "from_frames",
    "shared_noise",
    "to_frames",
]
