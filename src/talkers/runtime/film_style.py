"""How a film's person moves the lips, beside what the motion model makes of the same sound.

A motion model moves lips as people do. A film with sound shows how this person does: how far, and
in what posture. That is the style of a speaker (Imitator, section 3.3; MimicTalk, section 3.2),
here with as few numbers as a film of seconds can tell.
"""

from __future__ import annotations

import os
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from talkers.media import read_audio
from talkers.runtime.engine import Engine
from talkers.runtime.film import SEEN, TOGETHER, FilmFace
from talkers.runtime.resolved import resolve_controls
from talkers.runtime.talking_video import TalkingVideo, VideoForm
from talkers.space.face_motion import FaceMotionSpace

MAX_SECONDS = 30.0  # of a film that are looked at
MIN_SPEECH = 1.0  # seconds in which the face is seen and speaks
AGREEMENT = 0.4  # least correlation of the film's lips with what its sound makes of them
SCALES = 0.5, 1.6  # within which people's ways differ


class FilmStyle(NamedTuple):
    """m' = scale m + share offset.

    Attributes:
        scale: how far the mouth moves, beside what the motion model says.
        offset: [M] the posture of the mouth while it speaks.
    """

    scale: float
    offset: Tensor

    def of(self, mouth: Tensor, share: float) -> Tensor:
        """What the motion model says of a mouth [M], as this person does it.

        Args:
            mouth: 0 at rest.
            share: how far the mouth may move, 0 where nothing is said.
        """
        return self.scale * mouth + share * self.offset


def fitted_style(
    said: Tensor, seen: Tensor, share: Tensor, weights: Tensor
) -> tuple[FilmStyle, float]:
    """The style with which a model's mouth comes near to a person's.

    Args:
        said: [T, M] what the model makes of the sound.
        seen: [T, M] what the mouth does.
        share: [T, 1] how far it may move.
        weights: [M, K] what the M numbers move, such as key points.

    Returns:
        the style, and how well the movements agree but for it: their correlation.
    """
    norm = share.square().sum().clamp(min=1e-6)

    def beside(rows: Tensor) -> Tensor:
        """What no posture explains."""
        return (rows - share * (share * rows).sum(0) / norm) @ weights

    model, person = beside(said), beside(seen)
    joint = (model * person).sum()
    energy = model.square().sum().clamp(min=1e-9), person.square().sum().clamp(min=1e-9)
    agreement = float(joint / (energy[0] * energy[1]).sqrt())
    # Least squares (r |y| / |x|) would shrink what is not foreseen, and equal spreads (|y| / |x|)
    # would enlarge what is foreseen wrongly: their geometric mean.
    far = float((energy[1] / energy[0]).sqrt()) * max(0.0, agreement) ** 0.5
    scale = float(np.clip(far, *SCALES))
    return FilmStyle(scale, (share * (seen - scale * said)).sum(0) / norm), agreement


@torch.inference_mode()
def film_style(
    engine: Engine,
    film: str | os.PathLike[str],
    face: FilmFace,
    frame_rate: Fraction,
) -> FilmStyle | None:
    """The style of a film's person, of the film's beginning.

    Args:
        engine: of a base for portraits.
        film: with sound.
        face: of the film.
        frame_rate: of the film.

    Returns:
        None where too little is said, or the lips do not go with the sound (a voice-over).

    Raises:
        MediaError: its sound cannot be read.
    """
    space = engine.space
    assert isinstance(space, FaceMotionSpace)
    samples = read_audio(film, seconds=MAX_SECONDS)
    form = VideoForm(frame_rate, engine.size, False, False, lambda: "")
    talk = TalkingVideo(engine, samples, resolve_controls(engine, None, 0), engine.options(0), form)
    if talk.silent:
        return None
    motion = torch.cat(list(talk.motion()))[: len(face.state)]
    numbers = np.flatnonzero(face.state[: len(motion)] == SEEN)
    share = torch.from_numpy(talk.moving((numbers + 0.5) / float(frame_rate)))[:, None]
    if float(share.sum()) < MIN_SPEECH * float(frame_rate):
        return None
    seen = list[Tensor]()
    for first in range(0, len(numbers), TOGETHER):
        shares = [face.shares(int(n), face.crop(int(n))) for n in numbers[first : first + TOGETHER]]
        seen.append(space.motion_of(torch.stack(shares), face.rest)[:, space.mouth])
    said = motion[numbers][:, space.mouth]
    moves = space.basis[-space.config.mouth :].flatten(1)
    style, agreement = fitted_style(said, torch.cat(seen), share, moves)
    return style if agreement >= AGREEMENT else None
