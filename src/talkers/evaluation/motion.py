"""How like the real person's are the movements: mouth, head, eyes, and what should not move."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from talkers.evaluation.tracked import TrackedClip
from talkers.face.landmarks import EYE_CORNERS, LIPS
from talkers.face.regions import ratio

MOVING = 0.02  # change of the mouth's opening from frame to frame, in inter-ocular distances, that is seen as movement
QUIET = 4  # frames by which silence is narrowed on both sides: mouths open before they sound and close after it
BLINK = 0.5  # closedness above which an eye is closed, in shares of the way from its rest to shut
RIGID = (
    33,
    133,
    362,
    263,
    168,
    6,
    197,
    195,
    5,
    4,
)  # eye corners and the ridge of the nose: what only the head moves
TOP = 0.45  # share of the picture, from the top, in which background is looked for: shoulders move below it


def silent_frames(speech: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Frames well inside silence: bool [T] -> bool [T]."""
    near = (
        np.convolve(
            np.pad(speech, QUIET, mode="edge").astype(float), np.ones(2 * QUIET + 1), "valid"
        )
        > 0
    )
    return np.asarray(~near)


def mouth_distance(made: TrackedClip, real: TrackedClip) -> float:
    """Mean distance of the lips' landmarks in pixels (LMD, Chen et al. 2018)."""
    lips = list(LIPS)
    return float(np.linalg.norm(made.landmarks[:, lips] - real.landmarks[:, lips], axis=-1).mean())


def articulation(made: TrackedClip, real: TrackedClip) -> float:
    """How far the mouth moves, relative to the real one: ratio of the standard deviations of its opening; NaN where
    the real one does not move."""
    return ratio(float(made.opening.std()), float(real.opening.std()), 0.005)


def silence_motion(opening: NDArray[np.float32], speech: NDArray[np.bool_]) -> float:
    """Share of silent frames in which the mouth moves; NaN where nothing is silent."""
    quiet = silent_frames(speech)[1:]
    return float((np.abs(np.diff(opening)) > MOVING)[quiet].mean()) if quiet.any() else float("nan")


def blinks_of(closed: NDArray[np.float32]) -> tuple[int, float]:
    """How many blinks a clip holds, and their mean length in frames: closedness [T] -> count, frames."""
    rest, shut = float(np.percentile(closed, 20)), max(float(closed.max()), 0.35)
    high = (
        np.concatenate([[False], (closed - rest) / max(shut - rest, 1e-6) > BLINK, [False]])
        if shut - rest > 0.15
        else np.zeros(2, bool)
    )
    edges = np.flatnonzero(high[1:] != high[:-1]).reshape(-1, 2)
    return len(edges), float(np.diff(edges, axis=1).mean()) if len(edges) else float("nan")


def takes_differ(made: TrackedClip, other: TrackedClip) -> float:
    """Mean distance of the face's landmarks in two takes of one sentence, in inter-ocular distances."""
    eyes = float(
        np.linalg.norm(
            other.landmarks[:, EYE_CORNERS[0]] - other.landmarks[:, EYE_CORNERS[1]], axis=-1
        ).mean()
    )
    return float(np.linalg.norm(made.landmarks - other.landmarks, axis=-1).mean() / max(eyes, 1e-6))


def tremble(landmarks: NDArray[np.float32]) -> float:
    """Mean second difference of points that only the head moves, in inter-ocular distances: jitter of a clip."""
    points = landmarks[:, list(RIGID)]
    eyes = float(
        np.linalg.norm(landmarks[:, EYE_CORNERS[0]] - landmarks[:, EYE_CORNERS[1]], axis=-1).mean()
    )
    return (
        float(np.linalg.norm(np.diff(points, 2, axis=0), axis=-1).mean() / max(eyes, 1e-6))
        if len(points) > 2
        else float("nan")
    )


def background(landmarks: NDArray[np.float32], height: int, width: int) -> NDArray[np.bool_]:
    """Where nothing should move: the upper part of the picture beside the head: bool [H, W]."""
    low, high = landmarks.min((0, 1)), landmarks.max((0, 1))
    margin = 0.35 * (high - low)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    beside = (columns < low[0] - margin[0]) | (columns > high[0] + margin[0])
    return np.asarray((rows < TOP * height) & beside)


def flicker(frames: NDArray[np.uint8], still: NDArray[np.bool_]) -> float:
    """Mean squared change from frame to frame where nothing should move; NaN where there is no such place."""
    if not still.any() or len(frames) < 2:
        return float("nan")
    return float(
        np.mean(
            [np.square(b[still].astype(np.float32) - a[still]).mean() for a, b in pairwise(frames)]
        )
    )


def movement(
    made: TrackedClip, real: TrackedClip, speech: NDArray[np.bool_], frame_rate: float = 25.0
) -> dict[str, float]:
    """Figures of movement of a made clip beside the real one, both of T frames.

    Args:
        speech: bool [T], where something is said.

    Returns:
        lmd_mouth in pixels of a picture 256 high, and lmd_mouth_iod in inter-ocular distances; pose_error in degrees
        (mean over yaw, pitch, roll); pose_std_ratio, pose_speed_ratio, articulation, jitter_ratio, flicker_ratio relative
        to real (1 is right; NaN where the real one is still); silence_motion, a share; blink_rate a minute and
        blink_seconds; blendshape_error; face_found, the share of frames with a face. Where it is seen in fewer than half
        of the made frames, all but face_found and flicker_ratio are NaN.
    """
    height, width = real.frames.shape[1:3]
    eyes = float(
        np.linalg.norm(
            real.landmarks[:, EYE_CORNERS[0]] - real.landmarks[:, EYE_CORNERS[1]], axis=-1
        ).mean()
    )
    distance = mouth_distance(made, real)
    still = background(real.landmarks, height, width)
    count, length = blinks_of(made.blink)
    speeds = [np.abs(np.diff(w.angles, axis=0)).mean() for w in (made, real)]
    figures = {
        "lmd_mouth": distance * 256 / height,
        "lmd_mouth_iod": distance / max(eyes, 1e-6),
        "pose_error": float(np.abs(made.angles - real.angles).mean()),
        "pose_std_ratio": ratio(made.angles.std(0).mean(), real.angles.std(0).mean(), 0.02),
        "pose_speed_ratio": ratio(speeds[0], speeds[1], 0.005),
        "pose_range": float(np.ptp(made.angles, axis=0).mean()),
        "pose_range_ratio": ratio(
            np.ptp(made.angles, axis=0).mean(), np.ptp(real.angles, axis=0).mean(), 0.05
        ),
        "articulation": articulation(made, real),
        "silence_motion": silence_motion(made.opening, speech),
        "blink_rate": count / (len(made.frames) / frame_rate) * 60,
        "blink_seconds": length / frame_rate,
        "blendshape_error": float(np.abs(made.blendshapes - real.blendshapes).mean()),
        "jitter_ratio": ratio(tremble(made.landmarks), tremble(real.landmarks), 1e-5),
    }
    if made.found.mean() < 0.5:  # what is interpolated between no faces means nothing
        figures = dict.fromkeys(figures, float("nan"))
    return figures | {
        "flicker_ratio": ratio(flicker(made.frames, still), flicker(real.frames, still), 0.01),
        "face_found": float(made.found.mean()),
    }
