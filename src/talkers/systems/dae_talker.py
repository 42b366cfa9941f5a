"""DAE-Talker (Du et al. 2023) as recipes: the paper's own and the compact ones for a CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from talkers.errors import UsageError
from talkers.motion import FlowConfig, MotionConfig
from talkers.renderers.diffusion_autoencoder import CodecConfig
from talkers.renderers.diffusion_autoencoder.appearance import AppearanceConfig
from talkers.renderers.diffusion_autoencoder.unet import EncoderConfig, UNetConfig
from talkers.speech import SpeechConfig
from talkers.speech.streaming import StreamingEncoderConfig
from talkers.systems.recipe import (
    CodecTraining,
    ListenerTraining,
    MotionTraining,
    Recipe,
    SamplerTraining,
)


def dae_talker() -> Recipe:
    """The paper: 256 px, 138 M + 30 M parameters, 277 GMAC a pass, 100 DDIM steps, wav2vec 2.0, 4 + 4 Conformers."""
    return Recipe(
        name="dae_talker",
        steps=100,
        codec_training=CodecTraining(frames=90_000_000),
        speech=SpeechConfig(encoder="facebook/wav2vec2-base-960h", layers=(-1,)),
        motion=MotionConfig(
            width=512, encoder_blocks=4, decoder_blocks=4, heads=8, dropout=0.2, pose_hidden=128
        ),
    )


def dae_talker_128() -> Recipe:
    """The paper's codec at 128 px: 104 M parameters, 74 GMAC a pass."""
    base = dae_talker()
    unet, encoder = (
        UNetConfig(multipliers=(1, 1, 2, 3, 4)),
        EncoderConfig(multipliers=(1, 1, 2, 3, 4, 4)),
    )
    return dataclasses.replace(
        base,
        name="dae_talker_128",
        codec=CodecConfig(size=128, unet=unet, encoder=encoder),
        codec_training=CodecTraining(frames=72_000_000, batch=128),
    )


def compact() -> Recipe:
    """The default: 256 px, trains on two CPU cores, speaks in real time with one pass a frame.

    A diffusion autoencoder like the paper's, with x0 prediction, on pixel-unshuffled pictures; see docs/method.md for
    what differs and why.
    """
    unet = UNetConfig(
        channels=64,
        multipliers=(1, 2, 4),
        blocks=1,
        attention=(),
        middle_blocks=1,
        resample_blocks=False,
        dropout=0.0,
        time_width=256,
        unshuffle=8,
        positional=16,
        latent_map=96,
        appearance=AppearanceConfig(32, 32, 512),
    )
    encoder = EncoderConfig(
        channels=64,
        multipliers=(1, 1.5, 2, 3),
        blocks=1,
        attention=(),
        resample_blocks=False,
        dropout=0.0,
        unshuffle=8,
        positional=8,
        pool=4,
        normalise=True,
        components=128,
    )
    return Recipe(
        name="compact",
        steps=1,
        codec=CodecConfig(prediction="x0", unet=unet, encoder=encoder),
        codec_training=CodecTraining(
            frames=120_000,
            batch=8,
            learning_rate=8e-4,
            warmup=0.03,
            decay=True,
            ema=0.998,
            mouth_weight=16,
            eye_weight=10,
            shape_weight=0.003,
            blink_boost=4,
            noisiest_share=0.7,
            latent_noise=0.1,
            validate_every=8_000,
        ),
        speech=SpeechConfig(encoder="whisper-base", layers=(3, 6)),
        weights="int8",
    )


def compact_512() -> Recipe:
    """`compact` at 512 px: the same networks on larger pixel blocks, at nearly the same cost a frame."""
    base = compact()
    appearance = dataclasses.replace(base.codec.unet.appearance, pictures=16)
    unet = dataclasses.replace(base.codec.unet, unshuffle=16, appearance=appearance)
    encoder = dataclasses.replace(base.codec.encoder, unshuffle=16)
    return dataclasses.replace(
        base,
        name="compact_512",
        codec=dataclasses.replace(base.codec, size=512, unet=unet, encoder=encoder),
    )


def tiny() -> Recipe:
    """For tests and for trying things out: 64 px, log-mel speech features, trained in about a minute on two CPU cores."""
    unet = UNetConfig(
        channels=32,
        multipliers=(1, 2),
        blocks=1,
        attention=(),
        middle_blocks=1,
        resample_blocks=False,
        dropout=0.0,
        time_width=64,
        unshuffle=4,
        positional=4,
        latent_map=16,
        appearance=AppearanceConfig(4, 8, 64),
    )
    encoder = EncoderConfig(
        channels=32,
        multipliers=(1, 2),
        blocks=1,
        attention=(),
        resample_blocks=False,
        dropout=0.0,
        unshuffle=4,
        pool=4,
        normalise=True,
        components=24,
        small=32,
    )
    return Recipe(
        name="tiny",
        steps=1,
        codec=CodecConfig(size=64, latent=64, prediction="x0", unet=unet, encoder=encoder),
        codec_training=CodecTraining(
            frames=8_000,
            batch=16,
            learning_rate=2e-3,
            warmup=0.05,
            decay=True,
            ema=0.98,
            mouth_weight=8,
            eye_weight=8,
            blink_boost=4,
            noisiest_share=0.5,
            validate_every=3_000,
            save_every=1_000,
        ),
        speech=SpeechConfig(encoder="log-mel", layers=()),
        motion=MotionConfig(
            width=64, encoder_blocks=1, decoder_blocks=1, heads=2, dropout=0.0, pose_hidden=16
        ),
        motion_training=MotionTraining(
            frames=280_000,
            batch=8,
            window=50,
            learning_rate=2e-3,
            ema=0.98,
            validate_every=140_000,
            save_every=70_000,
        ),
        sampler=FlowConfig(width=64, blocks=2, heads=2, dropout=0.0, shapes=16, steps=4),
        sampler_training=SamplerTraining(
            frames=200_000,
            batch=8,
            window=50,
            learning_rate=2e-3,
            ema=0.98,
            validate_every=100_000,
            save_every=70_000,
        ),
        listener=StreamingEncoderConfig(width=64, blocks=2),
        listener_training=ListenerTraining(
            frames=160_000,
            batch=8,
            window=50,
            learning_rate=4e-3,
            ema=0.97,
            validate_every=80_000,
            save_every=60_000,
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    r.__name__: r for r in (compact, compact_512, dae_talker, dae_talker_128, tiny)
}


def recipe_named(name: str) -> Recipe:
    """A recipe by its name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in RECIPES:
        raise UsageError(f"there is no recipe '{name}'", todo=f"Choose one of {', '.join(RECIPES)}")
    return RECIPES[name]()
