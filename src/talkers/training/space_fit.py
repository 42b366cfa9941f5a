"""Fit the space of an avatar's motion on the clips for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from talkers.corpus import Corpus
from talkers.corpus.store import fill_gaps
from talkers.corpus.views import face_parts, key_points
from talkers.errors import ArtefactError
from talkers.face.landmarks import BLINKS, FaceTracker
from talkers.face.portrait import straight_depth
from talkers.progress import Report
from talkers.space.contract import FaceEdit
from talkers.space.face_measures import POINTS, FaceClip
from talkers.space.face_motion import FaceMotionSpace
from talkers.space.linear import LinearSpace
from talkers.training.motion_data import MotionData

REST = FaceEdit(amplitude=0.0)
MAX_SPEAKER_CLIPS = 12  # from which the space of face motion is learnt
DEPTH_FRAMES = 3  # of a clip in which the tracker says how deep a face is


def fit_space(space: Any, clips: MotionData, names: Sequence[str]) -> dict[str, Tensor]:
    """Fit a linear space on clips; other spaces mean what they mean without footage.

    Args:
        space: is fitted.
        clips: everything of the clips.
        names: of those that it learns from.

    Returns:
        motion [T, width] of each clip with the mouth at rest wherever something is said.
    """
    if not isinstance(space, LinearSpace):
        return rest(space, clips, names)
    motion, heads = clips.joined(clips.latents, names), clips.joined(clips.heads, names)
    space.set_statistics(motion, heads)
    descriptors = face_parts(clips.joined(clips.descriptors, names))
    space.fit_probes(motion, heads, descriptors, clips.joined(clips.silent, names))
    # before the appearances are known: each clip keeps its own
    resting = rest(space, clips, names)
    fit_appearance(space, clips, names)
    return resting


def fit_appearance(space: LinearSpace, clips: MotionData, names: Sequence[str]) -> None:
    """Learn from clips what turning and appearances are in the motion."""
    usable: Mapping[str, Tensor] = clips.usable
    space.fit_appearance([(clips.latents[n][usable[n]], clips.heads[n][usable[n]]) for n in names])


def rest(space: Any, clips: MotionData, names: Sequence[str]) -> dict[str, Tensor]:
    """Motion [T, width] of clips whose mouth rests wherever something is said."""
    return {
        n: torch.where(
            clips.silent[n][:, None], clips.latents[n], space.edit(clips.latents[n], REST)
        )
        for n in names
    }


def face_clip(corpus: Corpus, name: str) -> FaceClip:
    """What the space of face motion learns of a clip: its frames with a face."""
    seen = torch.from_numpy(np.array(corpus.column("face", name), bool))
    shapes = torch.from_numpy(np.nan_to_num(corpus.column("blendshapes", name)))
    still = ~torch.from_numpy(np.array(corpus.column("speech", name), bool))
    blink = shapes[:, list(BLINKS)].mean(1)
    points = key_points(corpus.column("landmarks", name), corpus.size)
    return FaceClip(*(part[seen] for part in (points, blink, still, shapes)))


def fit_face_motion(
    space: FaceMotionSpace, corpus: Corpus, names: Sequence[str], report: Report
) -> None:
    """Fit a space of face motion on clips, of each speaker at most `MAX_SPEAKER_CLIPS`.

    Args:
        space: is fitted.
        corpus: the footage.
        names: of the clips that may be used.
        report: called with what is done, how much of it is done and how much there is.

    Raises:
        ArtefactError: a face is seen in none of them.
    """
    allowed = set(names)
    chosen = [
        name
        for own in corpus.speakers.values()
        for name in [n for n in own if n in allowed][:MAX_SPEAKER_CLIPS]
    ]
    clips = [clip for name in chosen if len((clip := face_clip(corpus, name)).points)]
    if not clips:
        raise ArtefactError(
            "a face is seen in no clip of this corpus", where=corpus.folder, todo="Prepare more"
        )
    space.fit(clips, mean_depth(corpus, chosen, report))


def mean_depth(corpus: Corpus, names: Sequence[str], report: Report) -> Tensor:
    """Depth of a mean face in inter-ocular distances, as the tracker says it: [478]."""
    found = []
    with FaceTracker(1) as tracker:
        for done, name in enumerate(names):
            frames = corpus.frames(name)
            for frame in frames[:: max(1, len(frames) // DEPTH_FRAMES)]:
                if (reading := tracker.track(frame)) is not None:
                    found.append(torch.from_numpy(straight_depth(reading)))
            report("looking at faces", done + 1, len(names))
    return torch.stack(found).median(0).values if found else torch.zeros(POINTS)


def face_motions(space: FaceMotionSpace, corpus: Corpus, names: Sequence[str]) -> dict[str, Tensor]:
    """Face motion of clips, as if all were of one person who rests where the space's mean is.

    Frames in which no face was found have what lies between their neighbours.

    Returns:
        {name: [T, width]}
    """
    motions = {}
    for name in names:
        marks = np.array(corpus.column("landmarks", name), np.float32)
        marks[~np.asarray(corpus.column("face", name), bool)] = np.nan
        marks = fill_gaps(marks.reshape(len(marks), -1)).reshape(marks.shape)
        points = key_points(marks, corpus.size)
        still = ~torch.from_numpy(np.array(corpus.column("speech", name), bool))
        motion = space.motion_of(points, space.rest(points, still))
        motions[name] = space.retarget(motion, space.rest_of(motion), space.home)
    return motions
