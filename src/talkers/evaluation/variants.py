"""What an avatar makes of a real clip, and the controls beside which its figures mean something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.controls.request import Controls
from talkers.experts.load import shifted
from talkers.media import AUDIO_RATE
from talkers.motion.windows import at_frames
from talkers.renderers.diffusion_autoencoder import to_frames
from talkers.runtime.avatar import Avatar
from talkers.runtime.session import Session
from talkers.space.linear import Appearance
from talkers.speech import FEATURE_RATE, features_of, loudness, speech_gain

Frames = NDArray[np.uint8]
AnyMotionModel = Literal["regressor", "sampler"]
SHIFT = 5  # frames by which the control's sound is moved


def features_at_frames(avatar: Avatar, samples: NDArray[np.float32], frames: int) -> Tensor:
    """Speech features of sound (float32 [n], 16 kHz), two a frame: [2 T, F]."""
    gain = speech_gain(loudness(samples, AUDIO_RATE, float(avatar.frame_rate), frames))
    return at_frames(
        features_of(avatar.speech_encoder, samples, gain),
        FEATURE_RATE,
        float(avatar.frame_rate),
        0,
        frames,
    ).float()


def given_pose_latents(
    avatar: Avatar,
    samples: NDArray[np.float32],
    head: Tensor,
    look: Appearance,
    motion: AnyMotionModel = "regressor",
    seed: int = 0,
) -> Tensor:
    """Latents [T, L] for sound (float32 [n], 16 kHz), measured head values [T, 7] and the clip's look."""
    return avatar.latents(
        features_at_frames(avatar, samples, len(head)), head, look=look, kind=motion, seed=seed
    )


@torch.inference_mode()
def with_own_noise(avatar: Avatar, latents: Tensor, seed: int) -> Frames:
    """Frames of latents [T, L], each from a noise of its own."""
    generator, made = torch.Generator().manual_seed(seed), []
    for part in torch.split(latents, 8):
        noise = torch.randn(len(part), 3, avatar.size, avatar.size, generator=generator).to(
            avatar.device
        )
        made.append(
            to_frames(avatar.codec.decode(part.to(avatar.device), noise, avatar.recipe.steps))
            .cpu()
            .numpy()
        )
    return np.concatenate(made)


def spoken(
    avatar: Avatar,
    samples: NDArray[np.float32],
    frames: int,
    seed: int,
    motion: AnyMotionModel = "regressor",
) -> Frames:
    """`frames` frames of what the avatar says, as a user gets it: predicted pose, scheduled blinks."""
    made = np.stack(list(avatar.speak(samples, seed=seed, controls=Controls(motion=motion))))
    return np.concatenate([made, np.repeat(made[-1:], max(0, frames - len(made)), 0)])[:frames]


def followed(
    avatar: Avatar, samples: NDArray[np.float32], head: Tensor, look: Appearance, seed: int
) -> Frames:
    """What the avatar's stream makes of sound with measured head values [T, 7] and the clip's look."""

    def measured(first: int, count: int) -> Tensor:
        return head[torch.arange(first, first + count).clamp(max=len(head) - 1)]

    live = Session(
        avatar,
        seed,
        avatar.recipe.steps,
        avatar.asked(seed, None),
        measured,
        look,
        provenance=False,
    )
    made = np.stack([*live.push(samples), *live.finish()])
    return np.concatenate([made, np.repeat(made[-1:], max(0, len(head) - len(made)), 0)])[
        : len(head)
    ]


def variants(
    avatar: Avatar,
    real: Frames,
    samples: NDArray[np.float32],
    other: NDArray[np.float32],
    head: Tensor,
) -> dict[str, Callable[[int], Frames]]:
    """How to make each variant of a clip from a seed.

    Args:
        real: uint8 [T, S, S, 3]. samples: its sound, float32 [n] at 16 kHz. other: another clip's sound.
        head: its measured head values [T, 7].

    Returns:
        codec (reconstruction), speech (as a user gets it), speech_given_pose, sampled and sampled_given_pose (the same by
        the motion sampler), live (the stream, measured pose), and controls: silent_audio,
        shuffled_audio, audio_later, audio_sooner, per_frame_noise (all with measured pose), mean_frame, previous_frame,
        real.
    """
    count = len(real)
    latents, heard = avatar.encode(real), features_at_frames(avatar, samples, count)
    look = avatar.estimate_appearance(latents, heard, head)
    fitted = np.pad(other, (0, max(0, len(samples) - len(other))))[: len(samples)]

    def given(sound: NDArray[np.float32]) -> Callable[[int], Frames]:
        return lambda seed: avatar.decode(given_pose_latents(avatar, sound, head, look), seed)

    made: dict[str, Callable[[int], Frames]] = {
        "codec": lambda seed: np.stack(list(avatar.reconstruct(iter(real), seed))),
        "speech": lambda seed: spoken(avatar, samples, count, seed),
        "speech_given_pose": given(samples),
    }
    if avatar.sampler is not None:
        own = avatar.estimate_appearance(latents, heard, head, "sampler")
        made["sampled"] = lambda seed: spoken(avatar, samples, count, seed, "sampler")
        made["sampled_given_pose"] = lambda seed: avatar.decode(
            given_pose_latents(avatar, samples, head, own, "sampler", seed), seed
        )
    if avatar.listener is not None:
        made["live"] = lambda seed: followed(avatar, samples, head, look, seed)
    return made | {
        "controls.real": lambda seed: real,
        "controls.silent_audio": given(np.zeros_like(samples)),
        "controls.shuffled_audio": given(fitted),
        "controls.audio_later": given(shifted(samples, SHIFT)),
        "controls.audio_sooner": given(shifted(samples, -SHIFT)),
        "controls.per_frame_noise": lambda seed: with_own_noise(
            avatar, given_pose_latents(avatar, samples, head, look), seed
        ),
        "controls.mean_frame": lambda seed: np.repeat(
            real.mean(0, dtype=np.float64).round().astype(np.uint8)[None], count, 0
        ),
        "controls.previous_frame": lambda seed: np.concatenate([real[:1], real[:-1]]),
    }
