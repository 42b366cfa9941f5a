"""The codec: frame <-> latent. Tensors in, tensors out."""

from talkers.codec.autoencoder import CodecConfig, DiffusionAutoencoder, FaceCodec, from_frames, shared_noise, to_frames

__all__ = ["CodecConfig", "DiffusionAutoencoder", "FaceCodec", "from_frames", "shared_noise", "to_frames"]
