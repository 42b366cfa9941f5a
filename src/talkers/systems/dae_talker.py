"""DAE-Talker (Du et al. 2023) as recipes: the paper's own and the compact ones for a CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from talkers.motion.flow import FlowConfig
from talkers.motion.regressor import RegressorConfig
from talkers.renderers.diffusion_autoencoder import CodecConfig
from talkers.renderers.diffusion_autoencoder.appearance import AppearanceConfig
from talkers.renderers.diffusion_autoencoder.unet import EncoderConfig, UNetConfig
from talkers.speech import SpeechConfig
from talkers.speech.streaming import StreamingEncoderConfig
from talkers.systems.recipe import Recipe
from talkers.systems.stages import (
    CodecTraining,
    FlowTraining,
    RegressorTraining,
    StreamingEncoderTraining,
)


def _stages(codec: CodecTraining) -> tuple[Any, ...]:
    """The four stages in their order, all but the first with their defaults."""
    return codec, RegressorTraining(), FlowTraining(), StreamingEncoderTraining()


def dae_talker() -> Recipe:
    """The paper: 256 px, 138 M + 30 M parameters, 277 GMAC a pass, 100 DDIM steps.

    Speech features come from wav2vec 2.0; the regressor has 4 + 4 Conformer blocks.
    """
    return Recipe(
        name="dae_talker",
        steps=100,
        stages=_stages(CodecTraining(frames=90_000_000)),
        speech=SpeechConfig(encoder="facebook/wav2vec2-base-960h", layers=(-1,)),
        motion={
            "regressor": RegressorConfig(
                width=512, encoder_blocks=4, decoder_blocks=4, heads=8, dropout=0.2, pose_hidden=128
            ),
            "flow": FlowConfig(),
        },
    )


def dae_talker_128() -> Recipe:
    """The paper's codec at 128 px: 104 M parameters, 74 GMAC a pass."""
    base = dae_talker()
    unet, encoder = (
        UNetConfig(multipliers=(1, 1, 2, 3, 4)),
        EncoderConfig(multipliers=(1, 1, 2, 3, 4, 4)),
    )
    return replace(
        base,
        name="dae_talker_128",
        renderer=CodecConfig(size=128, unet=unet, encoder=encoder),
        stages=_stages(CodecTraining(frames=72_000_000, batch=128)),
    )


def compact() -> Recipe:
    """The default: 256 px, trains on two CPU cores, speaks in real time with one pass a frame.

    A diffusion autoencoder like the paper's, with x0 prediction, on pixel-unshuffled pictures;
    the guide's page on the method says what differs and why.
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
        renderer=CodecConfig(prediction="x0", unet=unet, encoder=encoder),
        stages=_stages(
            CodecTraining(
                frames=120_000,
                batch=8,
                learning_rate=8e-4,
                warmup=0.03,
                decay=True,
                ema=0.998,
                mouth_weight=16,
                eye_weight=10,
                descriptor_weight=0.003,
                blink_boost=4,
                max_noise_fraction=0.7,
                latent_noise=0.1,
                validate_every=8_000,
            )
        ),
        speech=SpeechConfig(encoder="whisper-base", layers=(3, 6)),
        motion={"regressor": RegressorConfig(), "flow": FlowConfig()},
        weights="int8",
    )


def compact_512() -> Recipe:
    """`compact` at 512 px: the same networks on larger pixel blocks, at nearly the same cost."""
    base = compact()
    codec: CodecConfig = base.renderer
    appearance = replace(codec.unet.appearance, basis_images=16)
    unet = replace(codec.unet, unshuffle=16, appearance=appearance)
    encoder = replace(codec.encoder, unshuffle=16)
    renderer = replace(codec, size=512, unet=unet, encoder=encoder)
    return replace(base, name="compact_512", renderer=renderer)


def tiny() -> Recipe:
    """For tests and for trying things out: 64 px, log-mel features, trained in minutes on a CPU."""
    unet = UNetConfig(
        channels=24,
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
        channels=24,
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
        renderer=CodecConfig(size=64, latent=64, prediction="x0", unet=unet, encoder=encoder),
        speech=SpeechConfig(encoder="log-mel", layers=()),
        motion={
            "regressor": RegressorConfig(
                width=64, encoder_blocks=1, decoder_blocks=1, heads=2, dropout=0.0, pose_hidden=16
            ),
            "flow": FlowConfig(width=64, blocks=2, heads=2, dropout=0.0, components=16, steps=4),
        },
        streaming_encoder=StreamingEncoderConfig(width=64, blocks=2, guesses=6),
        stages=(
            CodecTraining(
                frames=4_000,
                batch=16,
                learning_rate=2e-3,
                warmup=0.05,
                decay=True,
                ema=0.98,
                mouth_weight=8,
                eye_weight=8,
                blink_boost=4,
                max_noise_fraction=0.5,
                validate_every=2_000,
                save_every=1_000,
            ),
            RegressorTraining(
                frames=40_000,
                batch=8,
                window=50,
                learning_rate=2e-3,
                ema=0.98,
                validate_every=20_000,
                save_every=20_000,
            ),
            FlowTraining(
                frames=30_000,
                batch=8,
                window=50,
                learning_rate=2e-3,
                ema=0.98,
                validate_every=15_000,
                save_every=30_000,
            ),
            StreamingEncoderTraining(
                frames=30_000,
                batch=8,
                window=50,
                learning_rate=4e-3,
                ema=0.97,
                validate_every=15_000,
                save_every=30_000,
            ),
        ),
    )
