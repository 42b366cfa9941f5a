"""The speaking style of a reference clip: how far it moves mouth, brows and head.

Models that sample take up the clip itself too.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts.files import file_digest
from talkers.controls.head_track import PoseChange
from talkers.controls.pose_files import ANGLES, Curves
from talkers.errors import ArtefactError, FaceError, UsageError
from talkers.media import AUDIO_RATE, read_audio
from talkers.motion import Conditions, FlowMotion, Reference, at_frames
from talkers.runtime.engine import Engine
from talkers.space.contract import FaceEdit
from talkers.speech import (
    FEATURE_RATE,
    features_of,
    loudness,
    recording_gain,
    speech_activity,
)

MAX_SECONDS = 30.0  # of a reference clip that are looked at
MIN_SPEECH_FRAMES = 25
REFERENCE_FRAMES = 32  # that a model that samples goes on from
MAX_LOSS_DB = 10.0  # by which the codec may do worse on a clip than on its person's held-out ones
CACHE_SIZE = 8  # styles that are kept of each avatar, and heads of videos


class Style(NamedTuple):
    """How a clip's person moves beside what the motion model makes of the same speech.

    Attributes:
        edit: how far mouth and brows move.
        pose: what becomes of predicted poses.
        reference: for a model that samples.
    """

    edit: FaceEdit
    pose: PoseChange
    reference: Reference | None


_styles: WeakKeyDictionary[Engine, OrderedDict[tuple[Any, ...], Style]] = WeakKeyDictionary()


_curves: OrderedDict[str, Curves] = OrderedDict()


def pose_curves(video: str | os.PathLike[str]) -> Curves:
    """The head of any person in a video, as curves; kept for the next call.

    Raises:
        MediaError: it cannot be read. FaceError: a face is seen in fewer than half of its frames.
        MissingComponent: mediapipe, which finds the face, is not installed.
    """
    from talkers.face.analysis import poses_in

    if not Path(video).is_file():
        return poses_in(video)
    known = file_digest(Path(video))
    curves = _curves.pop(known, None) or poses_in(video)
    _curves[known] = curves
    while len(_curves) > CACHE_SIZE:
        _curves.popitem(last=False)
    return curves


def style_of(engine: Engine, path: str | os.PathLike[str], key: str, live: bool = False) -> Style:
    """The style of a clip, up to its first MAX_SECONDS; kept for the next call.

    Args:
        engine: the avatar's.
        path: a video of the avatar's person.
        key: of the motion model.
        live: use the avatar's own speech encoder, so that no pretrained one is needed.

    Raises:
        MediaError: it cannot be read or has no sound. FaceError: no face, or another person's.
        UsageError: too little is said in it. ArtefactError: the avatar's motion space has no
        style. MissingComponent: mediapipe, which finds the face, is not installed.
    """
    known: tuple[Any, ...] = ()
    kept = _styles.setdefault(engine, OrderedDict())
    if Path(path).is_file():
        known = (file_digest(Path(path)), key, live)
        if known in kept:
            kept.move_to_end(known)
            return kept[known]
    style = _measured(engine, path, key, live)
    if known:
        kept[known] = style
        while len(kept) > CACHE_SIZE:
            kept.popitem(last=False)
    return style


@torch.inference_mode()
def _measured(engine: Engine, path: str | os.PathLike[str], key: str, live: bool) -> Style:
    frames = _frames(engine, path)
    _check_person(engine, path, frames)
    model = engine.motion[key]
    rate, space = float(engine.frame_rate), model.space
    samples = read_audio(path, seconds=len(frames) / rate)
    spoken = speech_activity(loudness(samples, AUDIO_RATE, rate, len(frames)))
    speech = torch.from_numpy(spoken)
    if int(speech.sum()) < MIN_SPEECH_FRAMES:
        raise UsageError(
            f"in this style clip {int(speech.sum())} frames hold speech",
            where=path,
            todo=f"Use one with at least {MIN_SPEECH_FRAMES / 25:g} s of speech",
        )
    motion = engine.encode(frames)
    seen = space.read(motion)
    if not seen.mouth.shape[-1]:
        raise ArtefactError(
            "a style cannot be taken up by this avatar",
            where=engine.folder,
            why=f"its motion space '{space.name}' does not say what mouths do",
            todo="Leave out the style",
        )
    features = _features(engine, samples, len(frames), live)
    head = torch.cat([seen.pose, seen.blink], -1)
    given = torch.full_like(head, float("nan"))
    given[:, len(ANGLES) :] = head[:, len(ANGLES) :]
    generated = model.generate(Conditions(features[None], given[None]))
    plain = space.read(generated.values[0].float())
    poses = [rows[:, : len(ANGLES)] for rows in (head, generated.head[0].float())]

    def spread(rows: Tensor) -> float:
        """How far a reading moves while something is said: |std|."""
        return float(rows[speech].std(0).norm())

    own = spread(plain.mouth) * engine.calibration(key).amplitude(1.0, live)
    mouth = float(np.clip(spread(seen.mouth) / max(own, 1e-6), 0.5, 1.5))
    expression = spread(seen.expression) / max(spread(plain.expression), 1e-6)
    # s = |std of the clip's angles| / |std of the predicted ones|; the offset is what is left of
    # the means after scaling about the footage's mean.
    wide = poses[0].std(0).norm() / poses[1].std(0).norm().clamp(min=1e-3)
    scale = float(np.clip(wide, 0.0, 2.0))
    mean = engine.bundle.head.mean[: len(ANGLES)]
    offset = poses[0].mean(0) - mean - scale * (poses[1].mean(0) - mean)
    reference = None
    if isinstance(model, FlowMotion):
        last = min(len(frames), int(speech.nonzero()[-1]) + 4)
        part = slice(max(0, last - REFERENCE_FRAMES), last)
        state = model.states(motion, head)[None, part]
        reference = Reference(features[None, 2 * part.start : 2 * part.stop], state)
    change = PoseChange(scale, (float(offset[0]), float(offset[1]), float(offset[2])))
    return Style(FaceEdit(mouth, float(np.clip(expression, 0.0, 3.0))), change, reference)


def _frames(engine: Engine, path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    from talkers.face.source import FaceScale, cropped_clip

    most = int(MAX_SECONDS * engine.frame_rate)
    scale = FaceScale.from_json(engine.bundle.about.get("crop"))
    _, frames = cropped_clip(path, engine.frame_rate, engine.size, most=most, scale=scale)
    return np.stack(list(frames))


def _check_person(engine: Engine, path: str | os.PathLike[str], frames: NDArray[np.uint8]) -> None:
    """Refuse a clip that the codec cannot show as it shows its person.

    Raises:
        FaceError: it shows somebody or something else.
    """
    shown = frames[:: max(1, len(frames) // 8)]
    options = engine.options(0)
    again = np.stack(list(engine.reconstruct(iter(shown), options))).astype(np.float32)
    error = np.square(again - shown).mean()
    psnr = 10 * np.log10(255**2 / max(float(error), 1e-3))
    metrics = engine.bundle.about.get("metrics") or {}
    codec = metrics.get("codec")
    usual = codec.get("psnr") if isinstance(codec, dict) else None
    usual = float(usual) if isinstance(usual, int | float) else 30.0
    if psnr < usual - MAX_LOSS_DB:
        raise FaceError(
            "this style clip does not show the avatar's person as its footage did",
            where=path,
            why=f"the avatar's codec keeps it at {psnr:.0f} dB, its own footage at {usual:.0f} dB",
            todo="Use a clip of the same person, place and camera as the footage",
        )


def _features(engine: Engine, samples: NDArray[np.float32], frames: int, live: bool) -> Tensor:
    """Speech features of a clip, two a frame: [2 T, F]."""
    rate, gain = float(engine.frame_rate), recording_gain(samples)
    encoder = engine.streaming_encoder if live else None
    if encoder is not None:
        tail = np.zeros(int(AUDIO_RATE * (encoder.lookahead + 0.1)), np.float32)
        features = encoder.start().step(np.concatenate([samples * np.float32(gain), tail]))
    else:
        features = features_of(engine.speech_encoder, samples, gain)
    return at_frames(features, FEATURE_RATE, rate, 0, frames).float()
