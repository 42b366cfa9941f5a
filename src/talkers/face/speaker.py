"""Whose lips go with the sound? The speaker among the faces of a film."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from talkers.face.identity import FaceDescriptor
from talkers.face.landmarks import BLENDSHAPES, FaceReading, FaceTracker, mouth_opening
from talkers.face.sync import (
    MAX_SHIFT,
    SAMPLE_RATE,
    BandEnergies,
    block_scores,
    lip_features,
    sound_features,
    weights,
)
from talkers.media import audio_blocks, decode_frames

MAX_FACES = 6
LOOKS, WITHIN = 12, 20.0  # how often faces are counted, in so many seconds
SMALL_EVERY = 3  # looks at which small faces beside a large one are looked for too
WATCHED = 20.0  # seconds in which lips are compared with the sound
SHIFTS = 4  # frames by which the sound may be late or early
CLEAR = 0.5  # by which the best score must be above the next


@dataclass(frozen=True)
class Speaker:
    """A face whose lips go with the sound.

    Attributes:
        place: its middle in the picture in which most faces are seen, pixels.
        faces: how many are seen there.
        clear: whether it is told apart from the others for sure.
        descriptor: [128] of the face; None where nothing describes it.
    """

    place: tuple[float, float]
    faces: int
    clear: bool
    descriptor: NDArray[np.float32] | None


def speaker_of(
    path: str | os.PathLike[str], rate: Fraction, describer: FaceDescriptor | None
) -> Speaker | None:
    """Find the face of a film whose lips go with its sound.

    Args:
        path: a film with sound.
        rate: its frames a second.
        describer: describes the face, so that it is found again.

    Returns:
        the speaker; None where one face is seen at most.

    Raises:
        MediaError: the film cannot be read. MissingComponent: mediapipe is not installed.
    """
    every = max(1, round(WITHIN * rate / LOOKS))
    begin, faces = 0, list[FaceReading]()
    crowd: NDArray[np.uint8] | None = None
    with FaceTracker(MAX_FACES) as tracker:
        looked = range(0, round(WITHIN * rate), every)
        for number, frame in enumerate(decode_frames(path, rate, only=looked)):
            found = tracker.faces(frame, every=number % SMALL_EVERY == 0)
            if len(found) > len(faces):
                begin, faces, crowd = number * every, found, frame
    if crowd is None or len(faces) < 2:
        return None
    scores = _scores(path, rate, faces, begin)
    best, second = np.argsort(scores)[::-1][:2]
    chosen = faces[best].landmarks
    x, y = chosen.mean(0)
    return Speaker(
        (float(x), float(y)),
        len(faces),
        bool(scores[best] - scores[second] > CLEAR),
        None if describer is None else describer.describe(crowd, chosen),
    )


def _scores(
    path: str | os.PathLike[str], rate: Fraction, faces: list[FaceReading], begin: int
) -> NDArray[np.float64]:
    """How well each face's lips go with the sound from a frame on; -1 for lips that are still."""
    watched = islice(decode_frames(path, rate), begin, begin + round(WATCHED * rate))
    opening: list[list[float]] = [[] for _ in faces]
    shapes: list[list[NDArray[np.float32]]] = [[] for _ in faces]
    nothing = np.full(len(BLENDSHAPES), np.nan, np.float32)
    with ExitStack() as stack:
        trackers = [stack.enter_context(FaceTracker(MAX_FACES, strict=True)) for _ in faces]
        for tracker, face in zip(trackers, faces, strict=True):
            tracker.follow(face)
        for frame in watched:
            for k, tracker in enumerate(trackers):
                reading = tracker.track(frame)
                wide = np.nan if reading is None else float(mouth_opening(reading.landmarks))
                opening[k].append(wide)
                shapes[k].append(nothing if reading is None else reading.blendshapes)
    bands, skipped = BandEnergies(), round(begin / rate * SAMPLE_RATE)
    for block in audio_blocks(path, SAMPLE_RATE, 1):
        bands.add(block[skipped:].reshape(-1))
        skipped = max(0, skipped - len(block))
    energies, scores = bands.all(), np.full(len(faces), -1.0)
    for k in range(len(faces)):
        lips = lip_features(np.array(opening[k], np.float32), np.stack(shapes[k]), float(rate))
        if lips is not None:
            sound = sound_features(energies, len(lips))
            blocks = block_scores(lips, sound, weights())
            near = blocks[:, MAX_SHIFT - SHIFTS : MAX_SHIFT + SHIFTS + 1]
            if np.isfinite(near).any(0).all():
                scores[k] = np.nanmean(near, 0).max()
    return scores
