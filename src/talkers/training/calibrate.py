"""How far must predicted mouth movements be enlarged for the mouth to open as far as the person's?

A regressor averages what speech does not determine, and a renderer that is not fully trained moves
the mouth too little. The avatar speaks clips of its own training footage at several amplitudes;
where the standard deviation of its mouth's opening, measured on the frames, equals the real one's,
it is right. Likewise for a mouth that shall open half or one and a half times as far: what the
frames show grows more slowly than the latents, so these are measured too. Where the face tracker
does not see in the footage what the corpus recorded (a drawn face, say), nothing is enlarged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.controls.pose_files import ANGLES
from talkers.controls.request import OPENINGS, Controls
from talkers.corpus.views import head_values
from talkers.errors import MissingComponent
from talkers.face import FaceTracker, mouth_opening
from talkers.motion import Conditions
from talkers.runtime.avatar import Avatar
from talkers.space.normalised import NormalisedSpace
from talkers.training.contract import Run

AMPLITUDES = (0.25, 0.5, 1.0, 1.25, 1.5, 2.0, 3.0)
AGREEMENT = 0.9  # least correlation of tracker and corpus, and least ratio of their spreads
MIN_SEEN = 0.9  # share of frames in which the tracker must see a face
EVERY, FEW = 2, 6  # of so many frames one is looked at, as neighbours are alike; and at first
MIN_FEW, MIN_AGREEMENT = 20, 0.6  # frames, and agreement, below which a first look says little
POSE_SHARE_LIMITS = (0.5, 1.5)
LIVE_LIMITS = (1.0, 1.5)


def openings(frames: NDArray[np.uint8], tracker: FaceTracker) -> NDArray[np.float32]:
    """Mouth opening of each frame, NaN where no face is seen: [T]."""
    readings = [tracker.track(frame) for frame in frames]
    return np.array([mouth_opening(r.landmarks) if r else np.nan for r in readings], np.float32)


def agree(
    tracked: NDArray[np.float32],
    recorded: NDArray[np.float32],
    agreement: float = AGREEMENT,
    seen: float = MIN_SEEN,
) -> bool:
    """Whether two measurements of the same openings agree.

    Args:
        tracked: [T], NaN where there is none.
        recorded: [T], likewise.
        agreement: least correlation, and least ratio of the spreads.
        seen: least share of frames in which both see a face.
    """
    both = np.isfinite(tracked) & np.isfinite(recorded)
    if both.mean() < seen or both.sum() < 2:
        return False
    # correlation = cov(a, b) / (std(a) std(b)), spread = std(a) / std(b)
    (a, joint), (_, b) = np.cov(tracked[both], recorded[both])
    spread = np.sqrt(a / b) if b > 0 else 0.0
    return bool(joint > agreement * np.sqrt(a * b) and agreement < spread < 1 / agreement)


def calibrate(run: Run, avatar: Avatar, names: Sequence[str]) -> dict[str, list[float] | None]:
    """The amplitudes at which the mouth opens `OPENINGS` times as far as the person's.

    Args:
        run: the training.
        avatar: what it made.
        names: of the clips that it speaks.

    Returns:
        for each of its motion models an amplitude for each of `OPENINGS`; None where faces cannot
        be measured.
    """
    kinds = list(avatar.engine.motion)
    try:
        with FaceTracker(1) as tracker:
            reference = _real_openings(run, names, tracker)
            if reference is None:
                return dict.fromkeys(kinds)
            spread = max(float(np.nanstd(reference)), 1e-6)
            return {kind: _amplitudes(run, avatar, names, kind, tracker, spread) for kind in kinds}
    except MissingComponent:
        return dict.fromkeys(kinds)


def _real_openings(
    run: Run, names: Sequence[str], tracker: FaceTracker
) -> NDArray[np.float32] | None:
    """Openings of the clips' mouths in every `EVERY`-th frame, None where the tracker does not see
    what the corpus recorded; a few frames tell that soon."""
    frames = np.concatenate([run.frames.clip(name) for name in names])
    recorded = np.concatenate(
        [mouth_opening(run.corpus.column("landmarks", name)) for name in names]
    )
    soon = openings(frames[::FEW], tracker)
    if len(soon) >= MIN_FEW and not agree(soon, recorded[::FEW], MIN_AGREEMENT, MIN_AGREEMENT):
        return None
    tracked = openings(frames[::EVERY], tracker)
    return tracked if agree(tracked, recorded[::EVERY]) else None


def _amplitudes(
    run: Run, avatar: Avatar, names: Sequence[str], kind: str, tracker: FaceTracker, spread: float
) -> list[float] | None:
    """The amplitudes of one motion model, given how far real openings spread."""
    ratios = []
    for done, amplitude in enumerate(AMPLITUDES):
        generated = []
        for name in names:
            head = torch.from_numpy(head_values(run.corpus, name))
            features = run.features.rows(name, "clean")
            motion = avatar.engine.generate(features, head, kind=kind, amplitude=amplitude)
            generated.append(openings(avatar.decode(motion[::EVERY]), tracker))
        opened = np.concatenate(generated)
        if np.isfinite(opened).mean() < MIN_SEEN:
            return None
        ratios.append(float(np.nanstd(opened)) / spread)
        run.report("calibrating", done + 1, len(AMPLITUDES))
    rising = np.maximum.accumulate(ratios)
    return [round(float(a), 3) for a in np.interp(OPENINGS, rising, AMPLITUDES)]


@torch.inference_mode()
def space_amplitudes(run: Run, avatar: Avatar, names: Sequence[str], kind: str) -> list[float]:
    """The same where nobody is shown, read off the key points of a mean face.

    There a mouth opens in proportion to the amplitude.

    Args:
        run: the training.
        avatar: what it made.
        names: of the clips that it speaks.
        kind: key of one of its motion models.
    """
    generated: list[NDArray[np.float32]] = []
    reference: list[NDArray[np.float32]] = []
    for name in names:
        space: Any = avatar.engine.space
        features, spoken = run.features.rows(name, "clean"), run.motion_data.latents[name]
        motion = avatar.engine.generate(features, None, kind=kind, amplitude=1.0)
        for rows, kept in ((motion, generated), (spoken, reference)):
            kept.append(mouth_opening(space.points_of(rows, space.mean).numpy()))
    moves, moved = (float(np.concatenate(rows).std()) for rows in (generated, reference))
    whole = float(np.clip(moved / max(moves, 1e-6), 0.5, AMPLITUDES[-1]))
    return [round(whole * opening, 3) for opening in OPENINGS]


@torch.inference_mode()
def pose_share(run: Run, avatar: Avatar, names: Sequence[str], kind: str) -> float:
    """By what sampled angles are multiplied for heads to move as far as the person's.

    The frames are then made to obey the multiplied angles.

    Args:
        run: the training.
        avatar: what it made.
        names: of the clips that it speaks.
        kind: key of one of its motion models.

    Returns:
        mean real over mean sampled standard deviation within clips, 0.5 to 1.5; 1 for a model
        that does not sample.
    """
    sampled, real = [], []
    for name in names:
        features = run.features.rows(name, "clean")
        motion = avatar.engine.motion_model(kind).generate(Conditions(features[None]))
        if motion.state is None:
            return 1.0
        sampled.append(motion.head[0, :, : len(ANGLES)].std(0).numpy())
        real.append(run.heads(name)[:, : len(ANGLES)].numpy().std(0))
    share = np.mean(real) / max(np.mean(sampled), 1e-6)
    return round(float(np.clip(share, *POSE_SHARE_LIMITS)), 3)


@torch.inference_mode()
def live_share(avatar: Avatar, sounds: Iterable[NDArray[np.float32]], kind: str) -> float:
    """By what amplitudes are multiplied for mouths of streams to move as far as those of files.

    Args:
        avatar: that was trained.
        sounds: that it says, float32 [n] at 16 kHz each.
        kind: key of one of its motion models.

    Returns:
        the standard deviation of a file's mouth over that of a stream's, 1 to 1.5; 1 for an avatar
        that cannot follow streams.
    """
    if avatar.engine.streaming_encoder is None:
        return 1.0
    space = avatar.engine.motion_model(kind).space

    def mouth_of(motion: Tensor) -> Tensor:
        if isinstance(space, NormalisedSpace):
            return space.normalise(motion) @ space.mouth_read
        return space.read(motion).mouth

    controls, energy = Controls(motion=kind, blinks=0), {False: 0.0, True: 0.0}
    for samples in sounds:
        for live in energy:
            said = avatar.speak(samples, controls=controls, live=live, provenance=False)
            mouth = mouth_of(torch.cat(list(said.motion())))
            energy[live] += float((mouth - mouth.mean(0)).square().sum())
    share = np.sqrt(energy[False] / max(energy[True], 1e-9))
    return round(float(np.clip(share, *LIVE_LIMITS)), 3)
