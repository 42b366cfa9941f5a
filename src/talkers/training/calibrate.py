"""How far must predicted mouth movements be enlarged for the mouth to open as far as the person's?

A regressor averages what speech does not determine, and a codec that is not fully trained moves the mouth too little.
The avatar speaks clips of its own training footage at several amplitudes; where the standard deviation of its mouth's
opening, measured on the frames, equals the real one's, it is right. Likewise for a mouth that shall open half or one and a
half times as far: what the frames show grows more slowly than the latents, so these are measured too. Where the face
tracker does not see in the footage what the corpus recorded (a drawn face, say), nothing is enlarged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from talkers.controls.pose_files import ANGLES
from talkers.controls.request import OPENINGS
from talkers.corpus import Corpus
from talkers.corpus.views import head_values
from talkers.errors import MissingComponent
from talkers.face import FaceTracker, mouth_opening
from talkers.progress import Report
from talkers.runtime.avatar import Avatar
from talkers.training.motion_data import speech_features

AMPLITUDES = (0.25, 0.5, 1.0, 1.25, 1.5, 2.0, 3.0)
AGREEMENT = 0.9  # least correlation of what the tracker sees with what the corpus recorded, and least ratio of their spreads


def openings(frames: NDArray[np.uint8], tracker: FaceTracker) -> NDArray[np.float32]:
    """Mouth opening of each frame, NaN where no face is seen: [T]."""
    readings = [tracker.track(frame) for frame in frames]
    return np.array([mouth_opening(r.landmarks) if r else np.nan for r in readings], np.float32)


def agree(seen: NDArray[np.float32], known: NDArray[np.float32]) -> bool:
    """Whether two measurements of the same openings [T], NaN where there is none, tell the same."""
    both = np.isfinite(seen) & np.isfinite(known)
    if both.mean() < 0.9:
        return False
    (a, joint), (_, b) = np.cov(seen[both], known[both])
    spread = np.sqrt(a / b) if b > 0 else 0.0
    return bool(joint > AGREEMENT * np.sqrt(a * b) and AGREEMENT < spread < 1 / AGREEMENT)


def calibrate(
    avatar: Avatar,
    corpus: Corpus,
    names: Sequence[str],
    report: Report,
    kind: Literal["regressor", "sampler"] = "regressor",
) -> list[float] | None:
    """The amplitudes at which one of the avatar's motion models opens the mouth 0.5, 1 and 1.5 times (`OPENINGS`) as far as
    the person does; None where faces cannot be measured."""
    features, ratios = speech_features(corpus, avatar.recipe, report), []
    try:
        with FaceTracker(1) as tracker:
            real = np.concatenate([openings(corpus.frames(n), tracker) for n in names])
            known = np.concatenate([mouth_opening(corpus.column("landmarks", n)) for n in names])
            if not agree(real, known):
                return None
            for done, amplitude in enumerate(AMPLITUDES):
                made = []
                for name in names:
                    head = torch.from_numpy(head_values(corpus, name))
                    made.append(
                        openings(
                            avatar.decode(
                                avatar.latents(
                                    features[name][0].float(), head, amplitude, kind=kind
                                )
                            ),
                            tracker,
                        )
                    )
                seen = np.concatenate(made)
                if np.isfinite(seen).mean() < 0.9:
                    return None
                ratios.append(float(np.nanstd(seen) / max(np.nanstd(real), 1e-6)))
                report("calibrating", done + 1, len(AMPLITUDES))
    except MissingComponent:
        return None
    return [
        round(float(a), 3) for a in np.interp(OPENINGS, np.maximum.accumulate(ratios), AMPLITUDES)
    ]


@torch.inference_mode()
def pose_share(avatar: Avatar, corpus: Corpus, names: Sequence[str], report: Report) -> float:
    """By what the angles that the sampler draws must be multiplied for heads to move as far as the person's (standard
    deviations within clips); the frames are then made to obey them."""
    features, made, real = speech_features(corpus, avatar.recipe, report), [], []
    for name in names:
        drawn = avatar.motion_model("sampler")(features[name][0].float()[None]).head[0]
        made.append(drawn[:, : len(ANGLES)].std(0).numpy())
        real.append(head_values(corpus, name)[:, : len(ANGLES)].std(0))
    return round(float(np.clip(np.mean(real) / max(np.mean(made), 1e-6), 0.5, 1.5)), 3)
