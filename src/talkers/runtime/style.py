"""The speaking style of a reference clip: how far it moves mouth, brows and head, and the clip itself for the sampler."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.controls.pose_files import ANGLES, Curves
from talkers.errors import FaceError, UsageError
from talkers.media import AUDIO_RATE, read_audio
from talkers.motion import FlowMotion
from talkers.motion.contract import Context
from talkers.motion.windows import at_frames
from talkers.space.linear import FaceEdit
from talkers.speech import FEATURE_RATE, features_of, loudness, speech_activity, speech_gain

if TYPE_CHECKING:
    from talkers.runtime.avatar import Avatar

LONGEST = 30.0  # seconds of a reference clip that are looked at
LEAST = 25  # frames with speech
CONTEXT = 32  # frames that the sampler goes on from
STRANGER = 10.0  # dB by which the codec may do worse on a clip than on the held-out ones of the avatar's person


class Style(NamedTuple):
    """manner: how far mouth and brows move. pose_scale, pose_offset: what becomes of predicted poses, degrees.
    context: for a model that samples."""

    manner: FaceEdit
    pose_scale: float
    pose_offset: tuple[float, float, float]
    context: Context | None


def _frames(avatar: Avatar, path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    from talkers.face.source import cropped_clip

    return np.stack(
        list(
            cropped_clip(
                path, avatar.frame_rate, avatar.size, most=int(LONGEST * avatar.frame_rate)
            )[1]
        )
    )


def poses_of(video: str | os.PathLike[str]) -> Curves:
    """The head of any person in a video, as curves.

    Raises:
        MediaError: it cannot be read. FaceError: a face is seen in fewer than half of its frames. MissingComponent: mediapipe, which
        finds the face, is not installed.
    """
    from talkers.face.analysis import poses_in

    return poses_in(video)


@torch.inference_mode()
def style_of(avatar: Avatar, path: str | os.PathLike[str], kind: str) -> Style:
    """The style of a clip, up to its first LONGEST seconds.

    Raises:
        MediaError: it cannot be read or has no sound. FaceError: no face, or another person's.
        UsageError: too little is said in it. MissingComponent: mediapipe, which finds the face, is not installed.
    """
    frames = _frames(avatar, path)
    shown = frames[:: max(1, len(frames) // 8)]
    error = np.square(
        np.stack(list(avatar.reconstruct(iter(shown)))).astype(np.float32) - shown
    ).mean()
    reached = 10 * np.log10(255**2 / max(float(error), 1e-3))
    usual = float(avatar.about.get("metrics", {}).get("codec", {}).get("psnr", 30.0))
    if reached < usual - STRANGER:
        raise FaceError(
            "this style clip does not show the avatar's person as its footage did",
            where=path,
            why=f"the avatar's codec keeps it at {reached:.0f} dB, its own footage at {usual:.0f} dB",
            todo="Use a clip of the same person, place and camera as the footage",
        )
    samples = read_audio(path, seconds=len(frames) / float(avatar.frame_rate))
    levels = loudness(samples, AUDIO_RATE, float(avatar.frame_rate), len(frames))
    spoken = torch.from_numpy(speech_activity(levels))
    if int(spoken.sum()) < LEAST:
        raise UsageError(
            f"in this style clip {int(spoken.sum())} frames hold speech",
            where=path,
            todo=f"Use one with at least {LEAST / 25:g} s of speech",
        )
    motion_model = avatar.motion_model("sampler" if kind == "sampler" else "regressor")
    latents = avatar.encode(frames)
    head = motion_model.head_of(latents)
    features = at_frames(
        features_of(avatar.speech_encoder, samples, speech_gain(levels)),
        FEATURE_RATE,
        float(avatar.frame_rate),
        0,
        len(frames),
    ).float()
    asked = torch.full_like(head, float("nan"))
    asked[:, len(ANGLES) :] = head[:, len(ANGLES) :]
    made = motion_model(features[None], asked[None])
    plain = made.latents[0].float()
    poses = [rows[:, : len(ANGLES)] for rows in (head, made.head[0].float())]

    def spread(rows: Tensor, reading: Tensor) -> float:
        return float(
            (((rows - motion_model.latent_mean) / motion_model.latent_std) @ reading)[spoken]
            .std(0)
            .norm()
        )

    own = spread(plain, motion_model.mouth_read) * avatar.articulation(
        "sampler" if kind == "sampler" else "regressor"
    )
    amplitude = float(np.clip(spread(latents, motion_model.mouth_read) / max(own, 1e-6), 0.5, 1.5))
    expression = float(
        np.clip(
            spread(latents, motion_model.brows_read)
            / max(spread(plain, motion_model.brows_read), 1e-6),
            0.0,
            3.0,
        )
    )
    scale = float(
        np.clip(poses[0].std(0).norm() / poses[1].std(0).norm().clamp(min=1e-3), 0.0, 2.0)
    )
    mean = torch.tensor(avatar.about["head"]["mean"])[: len(ANGLES)]
    offset = poses[0].mean(0) - mean - scale * (poses[1].mean(0) - mean)
    context = None
    if isinstance(motion_model, FlowMotion):
        last = min(len(frames), int(spoken.nonzero()[-1]) + 4)
        part = slice(max(0, last - CONTEXT), last)
        context = Context(
            features[None, 2 * part.start : 2 * part.stop],
            motion_model.rows(latents, head)[None, part],
        )
    return Style(
        FaceEdit(amplitude, expression),
        scale,
        (float(offset[0]), float(offset[1]), float(offset[2])),
        context,
    )
