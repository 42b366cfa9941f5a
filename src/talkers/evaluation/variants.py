"""What an avatar makes of a real clip, and the controls beside which its figures mean something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.controls.request import Controls
from talkers.experts.rate import shifted
from talkers.motion.windows import FEATURE_RATE, at_frames
from talkers.renderers.contract import RenderOptions
from talkers.runtime.avatar import Avatar
from talkers.runtime.session import Session
from talkers.space.contract import Appearance
from talkers.speech import recording_features

Frames = NDArray[np.uint8]  # [T, H, W, 3]
MakeFrames = Callable[[int], Frames]  # seed -> frames
MotionKind = Literal["regressor", "sampler"]  # as `Controls` calls the motion models
SHIFT_FRAMES = 5  # of 1/25 s, by which the control's sound is moved


@dataclass(frozen=True)
class RealClip:
    """A real clip of the avatar's person.

    Attributes:
        frames: uint8 [T, S, S, 3] at the avatar's frame rate.
        samples: its sound, float32 [n] at 16 kHz.
        other_samples: another clip's sound, float32 [n].
        head: its measured head values [T, 7], in the order of `HEAD`.
        motion: [T, width] of its frames, for an avatar that cannot encode them.
    """

    frames: Frames
    samples: NDArray[np.float32]
    other_samples: NDArray[np.float32]
    head: Tensor
    motion: Tensor | None = None


def features_at_frames(avatar: Avatar, samples: NDArray[np.float32], frames: int) -> Tensor:
    """Speech features of sound.

    Args:
        avatar: whose speech encoder is used.
        samples: float32 [n] at 16 kHz.
        frames: of the avatar's frame rate, for which features are wanted.

    Returns:
        two a frame, [2 T, F].
    """
    rate = float(avatar.frame_rate)
    features = recording_features(avatar.engine.speech_encoder, samples)
    return at_frames(features, FEATURE_RATE, rate, 0, frames).float()


@torch.inference_mode()
def with_own_noise(avatar: Avatar, motion: Tensor, seed: int) -> Frames:
    """Frames of motion [T, width], each made from a noise of its own."""
    steps = avatar.engine.recipe.steps
    seeds = np.random.default_rng(seed).integers(2**31, size=len(motion))
    frames = [
        avatar.engine.decode(row[None], RenderOptions(int(own), steps))
        for row, own in zip(motion, seeds, strict=True)
    ]
    return np.concatenate(frames)


def moved_only(avatar: Avatar, motion: Tensor) -> Frames:
    """Frames of motion [T, width] of a portrait whose picture is moved, and nothing painted."""
    engine: Any = avatar.engine
    plain = engine.renderer.without_networks(engine.identity)
    frames: Frames = engine.decode(motion, engine.options(0), identity=plain)
    return frames


def of_length(frames: Frames, count: int) -> Frames:
    """The first `count` frames; the last one is repeated where they are fewer."""
    return np.concatenate([frames, np.repeat(frames[-1:], max(0, count - len(frames)), 0)])[:count]


def speak_freely(
    avatar: Avatar,
    samples: NDArray[np.float32],
    frames: int,
    seed: int,
    motion: MotionKind = "regressor",
) -> Frames:
    """What the avatar says, as a user gets it: predicted pose, scheduled blinks.

    Args:
        avatar: that speaks.
        samples: float32 [n] at 16 kHz.
        frames: how many are wanted.
        seed: of everything random.
        motion: the motion model.

    Returns:
        uint8 [frames, S, S, 3].
    """
    video = avatar.speak(samples, seed=seed, controls=Controls(motion=motion))
    return of_length(np.stack(list(video)), frames)


def stream_with_pose(
    avatar: Avatar,
    samples: NDArray[np.float32],
    head: Tensor,
    appearance: Appearance,
    seed: int,
) -> Frames:
    """What the avatar's stream makes of sound with measured head values.

    Args:
        avatar: with a streaming speech encoder.
        samples: float32 [n] at 16 kHz.
        head: measured head values [T, 7].
        appearance: of the clip.
        seed: of everything random.

    Returns:
        uint8 [T, S, S, 3].
    """

    def measured(first: int, count: int) -> Tensor:
        return head[torch.arange(first, first + count).clamp(max=len(head) - 1)]

    resolved = avatar.resolve_controls(seed, live=True)._replace(head=measured)
    options = avatar.engine.options(seed)
    session = Session(avatar.engine, resolved, options, False, appearance)
    return of_length(np.stack([*session.push(samples), *session.finish()]), len(head))


def control_variants(
    avatar: Avatar, clip: RealClip, appearance: Appearance
) -> dict[str, MakeFrames]:
    """The controls, by the names that they have in metrics.json: see `variants`."""
    other = np.pad(clip.other_samples, (0, len(clip.samples)))[: len(clip.samples)]

    def motion_of(samples: NDArray[np.float32]) -> Tensor:
        features = features_at_frames(avatar, samples, len(clip.frames))
        return avatar.engine.generate(features, clip.head, appearance=appearance)

    def spoken(samples: NDArray[np.float32]) -> MakeFrames:
        return lambda seed: avatar.decode(motion_of(samples), seed)

    def mean_frame() -> Frames:
        mean = clip.frames.mean(0, dtype=np.float64).round().astype(np.uint8)
        return np.repeat(mean[None], len(clip.frames), 0)

    own: dict[str, MakeFrames] = {}
    motion = clip.motion
    if motion is None:
        own["controls.per_frame_noise"] = lambda seed: with_own_noise(
            avatar, motion_of(clip.samples), seed
        )
    else:
        own["controls.picture"] = lambda seed: np.repeat(clip.frames[:1], len(clip.frames), 0)
        own["controls.mesh_warp"] = lambda seed: moved_only(avatar, motion)
    return own | {
        "controls.real": lambda seed: clip.frames,
        "controls.silent_audio": spoken(np.zeros_like(clip.samples)),
        "controls.shuffled_audio": spoken(other),
        "controls.audio_later": spoken(shifted(clip.samples, SHIFT_FRAMES)),
        "controls.audio_sooner": spoken(shifted(clip.samples, -SHIFT_FRAMES)),
        "controls.mean_frame": lambda seed: mean_frame(),
        "controls.previous_frame": lambda seed: np.concatenate([clip.frames[:1], clip.frames[:-1]]),
    }


def variants(avatar: Avatar, clip: RealClip) -> dict[str, MakeFrames]:
    """How to make each variant of a clip from a seed.

    Returns:
        codec (reconstruction) or reenacted (a portrait that does what the clip does), speech (as a
        user gets it), speech_given_pose, sampled and sampled_given_pose (the same by the flow
        model), live (the stream, measured pose), and controls: silent_audio, shuffled_audio,
        audio_later, audio_sooner, per_frame_noise (all with measured pose), mean_frame,
        previous_frame, real; of a portrait also picture (its own, still) and mesh_warp (moved
        without networks).
    """
    engine, count = avatar.engine, len(clip.frames)
    motion = avatar.encode(clip.frames) if clip.motion is None else clip.motion
    features = features_at_frames(avatar, clip.samples, count)
    appearance = engine.estimate_appearance(motion, features, clip.head)

    def with_pose(kind: MotionKind, look: Appearance) -> MakeFrames:
        def make(seed: int) -> Frames:
            own = engine.generate(features, clip.head, kind=kind, appearance=look, seed=seed)
            return avatar.decode(own, seed)

        return make

    makers: dict[str, MakeFrames] = {}
    if clip.motion is None:
        makers["codec"] = lambda seed: np.stack(list(avatar.reconstruct(iter(clip.frames), seed)))
    else:
        makers["reenacted"] = lambda seed: avatar.decode(motion, seed)
    makers |= {
        "speech": lambda seed: speak_freely(avatar, clip.samples, count, seed),
        "speech_given_pose": with_pose("regressor", appearance),
    }
    if "flow" in engine.motion:
        sampled = engine.estimate_appearance(motion, features, clip.head, "sampler")
        makers["sampled"] = lambda seed: speak_freely(avatar, clip.samples, count, seed, "sampler")
        makers["sampled_given_pose"] = with_pose("sampler", sampled)
    if engine.streaming_encoder is not None:
        makers["live"] = lambda seed: stream_with_pose(
            avatar, clip.samples, clip.head, appearance, seed
        )
    return makers | control_variants(avatar, clip, appearance)
