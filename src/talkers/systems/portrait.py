"""Portraits: speech -> face motion of nobody in particular -> a picture that is moved.

The second composition of the house. Its models know no person: who is shown is an identity, made
of one picture. AVCT (Wang et al. 2022) and the one-shot systems after it are of this form.
"""

from __future__ import annotations

from dataclasses import replace

from talkers.motion.flow import FlowConfig
from talkers.motion.regressor import RegressorConfig
from talkers.renderers.warp import WarpConfig
from talkers.space.face_motion import FaceMotionConfig
from talkers.speech import SpeechConfig
from talkers.systems.dae_talker import tiny
from talkers.systems.recipe import Recipe
from talkers.systems.stages import (
    FlowTraining,
    RegressorTraining,
    StreamingEncoderTraining,
    WarpTraining,
)


def portrait() -> Recipe:
    """The default: 256 px, any face from one picture, trained on many people on two CPU cores."""
    return Recipe(
        name="portrait",
        steps=1,
        renderer=WarpConfig(),
        space=FaceMotionConfig(),
        speech=SpeechConfig(encoder="whisper-base", layers=(3, 6)),
        motion={
            "regressor": RegressorConfig(width=192),
            "flow": FlowConfig(width=192, components=33),
        },
        stages=(WarpTraining(), RegressorTraining(), FlowTraining(), StreamingEncoderTraining()),
        weights="int8",
    )


def portrait_phonemes() -> Recipe:
    """The same, driven by phonemes in place of Whisper's features (AVCT, Wang et al. 2022)."""
    return replace(
        portrait(), name="portrait_phonemes", speech=SpeechConfig(encoder="phonemes", layers=())
    )


def tiny_portrait() -> Recipe:
    """For tests and for trying things out: 64 px, log-mel features."""
    base, small = portrait(), tiny()
    flow = replace(small.motion["flow"], components=base.space.width)
    return replace(
        base,
        name="tiny_portrait",
        renderer=WarpConfig(size=64, mouth_width=16, mouth_blocks=1, eye_width=16, eye_blocks=1),
        speech=small.speech,
        motion={**small.motion, "flow": flow},
        streaming_encoder=small.streaming_encoder,
        stages=(
            WarpTraining(frames=1_600, ema=0.95, validate_every=800, save_every=800),
            *(
                stage(
                    frames=40_000,
                    batch=8,
                    window=50,
                    learning_rate=2e-3,
                    ema=0.98,
                    validate_every=40_000,
                    save_every=40_000,
                )
                for stage in (RegressorTraining, FlowTraining, StreamingEncoderTraining)
            ),
        ),
        weights="float16",
    )
