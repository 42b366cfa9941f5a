"""How like the real person's are the movements: mouth, head, eyes, and what should not move."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from talkers.evaluation.contract import Metric, Score, Utterance
from talkers.evaluation.tracked import TrackedClip
from talkers.experts.contract import MIN_FACE_SHARE
from talkers.experts.rate import RATE
from talkers.face.landmarks import EYE_CORNERS, LIPS
from talkers.face.regions import ratio

MOVING = 0.02
"""Change of the mouth's opening from frame to frame, in inter-ocular distances, that is seen."""
STILL = 0.005
"""Standard deviation of the opening, in inter-ocular distances, of a mouth that does not move."""
MARGIN_FRAMES = 4
"""By which silence is narrowed on both sides: mouths open before they sound and close after it."""
BLINK = 0.5
"""Above which an eye is closed, in shares of the way from its rest to shut."""
RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4)
"""Eye corners and the ridge of the nose: what only the head moves."""
BACKGROUND_SHARE = 0.45
"""Of the picture, from the top, in which background is looked for: shoulders move below it."""


def silent_frames(speech: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Frames well inside silence: bool [T] -> bool [T]."""
    padded = np.pad(speech, MARGIN_FRAMES, mode="edge").astype(float)
    near_speech = np.convolve(padded, np.ones(2 * MARGIN_FRAMES + 1), "valid") > 0
    return np.asarray(~near_speech)


def eye_distance(landmarks: NDArray[np.float32]) -> float:
    """Mean inter-ocular distance of a clip in pixels: [T, 478, 2]."""
    right, left = (landmarks[:, corner] for corner in EYE_CORNERS)
    return max(float(np.linalg.norm(right - left, axis=-1).mean()), 1e-6)


def mouth_distance(generated: TrackedClip, reference: TrackedClip) -> float:
    """Mean distance of the lips' landmarks in pixels (LMD, Chen et al. 2018)."""
    apart = (generated.landmarks - reference.landmarks)[:, list(LIPS)]
    return float(np.linalg.norm(apart, axis=-1).mean())


def articulation(generated: TrackedClip, reference: TrackedClip) -> float:
    """How far the mouth moves, relative to the real one: ratio of the standard deviations of its
    opening; NaN where the real one does not move."""
    return opening_spread(generated.opening, reference.opening)


def opening_spread(opening: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """How far a mouth moves beside another: ratio of the standard deviations of their openings
    [T], NaN where there is no face; NaN where the other does not move."""
    return ratio(float(np.nanstd(opening)), float(np.nanstd(reference)), STILL)


def opening_correlation(opening: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """How two mouths' openings go together.

    Args:
        opening: [T], NaN where there is no face.
        reference: [T'] of the other; what one has more of is left out.

    Returns:
        their correlation, -1..1; 0 where only the reference moves, NaN where that does not move.
    """
    count = min(len(opening), len(reference))
    seen = np.isfinite(opening[:count]) & np.isfinite(reference[:count])
    a, b = opening[:count][seen], reference[:count][seen]
    if not len(b) or b.std() <= STILL:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > STILL else 0.0


def silence_motion(opening: NDArray[np.float32], speech: NDArray[np.bool_]) -> float:
    """Share of silent frames in which the mouth moves; NaN where nothing is silent."""
    quiet = silent_frames(speech)[1:]
    return float((np.abs(np.diff(opening)) > MOVING)[quiet].mean()) if quiet.any() else float("nan")


def blinks_of(closed: NDArray[np.float32]) -> tuple[int, float]:
    """Count the blinks of a clip.

    Args:
        closed: how closed the eyes are [T], 0..1.

    Returns:
        how many, and their mean length in frames (NaN without any).
    """
    rest, shut = float(np.percentile(closed, 20)), max(float(closed.max()), 0.35)
    high = (
        np.concatenate([[False], (closed - rest) / max(shut - rest, 1e-6) > BLINK, [False]])
        if shut - rest > 0.15
        else np.zeros(2, bool)
    )
    edges = np.flatnonzero(high[1:] != high[:-1]).reshape(-1, 2)
    return len(edges), float(np.diff(edges, axis=1).mean()) if len(edges) else float("nan")


def takes_differ(take: TrackedClip, other: TrackedClip) -> float:
    """Mean distance of the face's landmarks in two takes of one sentence, in inter-ocular
    distances."""
    apart = np.linalg.norm(take.landmarks - other.landmarks, axis=-1).mean()
    return float(apart / eye_distance(other.landmarks))


def jitter(landmarks: NDArray[np.float32]) -> float:
    """Mean second difference of points that only the head moves, in inter-ocular distances; NaN
    for fewer than three frames."""
    points = landmarks[:, list(RIGID)]
    if len(points) < 3:
        return float("nan")
    second = np.diff(points, 2, axis=0)  # x_(t-1) - 2 x_t + x_(t+1)
    return float(np.linalg.norm(second, axis=-1).mean() / eye_distance(landmarks))


def background(landmarks: NDArray[np.float32], height: int, width: int) -> NDArray[np.bool_]:
    """Where nothing should move: the upper part of the picture beside the head.

    Args:
        landmarks: [T, 478, 2] in pixels.
        height: of the frames.
        width: of the frames.

    Returns:
        bool [H, W]
    """
    low, high = landmarks.min((0, 1)), landmarks.max((0, 1))
    margin = 0.35 * (high - low)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    beside = (columns < low[0] - margin[0]) | (columns > high[0] + margin[0])
    return np.asarray((rows < BACKGROUND_SHARE * height) & beside)


def flicker(frames: NDArray[np.uint8], still: NDArray[np.bool_]) -> float:
    """Mean squared change from frame to frame where nothing should move; NaN where there is no such
    place."""
    if not still.any() or len(frames) < 2:
        return float("nan")
    return float(
        np.mean(
            [np.square(b[still].astype(np.float32) - a[still]).mean() for a, b in pairwise(frames)]
        )
    )


def movement(
    generated: TrackedClip,
    reference: TrackedClip,
    speech: NDArray[np.bool_],
    frame_rate: float = RATE,
) -> dict[str, float]:
    """Compare the movements of a generated clip with the real one's.

    Args:
        generated: of T frames.
        reference: the real clip, of T frames.
        speech: bool [T], where something is said.
        frame_rate: of both.

    Returns:
        lmd_mouth in pixels of a picture 256 high, and lmd_mouth_iod in inter-ocular distances;
        pose_error in degrees (mean over yaw, pitch, roll); pose_range in degrees;
        pose_range_ratio, pose_std_ratio, pose_speed_ratio, articulation, jitter_ratio,
        flicker_ratio relative to the real clip (1 is right; NaN where the real one is still);
        silence_motion, a share; blink_rate a minute and blink_seconds; blendshape_error;
        face_found, the share of frames with a face. Where it is seen in fewer than half of the
        generated frames, all but face_found and flicker_ratio are NaN.
    """
    height, width = reference.frames.shape[1:3]
    distance = mouth_distance(generated, reference)
    still = background(reference.landmarks, height, width)
    count, length = blinks_of(generated.blink)
    clips = (generated, reference)
    spreads = [clip.angles.std(0).mean() for clip in clips]
    speeds = [np.abs(np.diff(clip.angles, axis=0)).mean() for clip in clips]
    ranges = [np.ptp(clip.angles, axis=0).mean() for clip in clips]
    shapes = np.abs(generated.blendshapes - reference.blendshapes)
    figures = {
        "lmd_mouth": distance * 256 / height,
        "lmd_mouth_iod": distance / eye_distance(reference.landmarks),
        "pose_error": float(np.abs(generated.angles - reference.angles).mean()),
        "pose_std_ratio": ratio(spreads[0], spreads[1], 0.02),
        "pose_speed_ratio": ratio(speeds[0], speeds[1], 0.005),
        "pose_range": float(ranges[0]),
        "pose_range_ratio": ratio(ranges[0], ranges[1], 0.05),
        "articulation": articulation(generated, reference),
        "silence_motion": silence_motion(generated.opening, speech),
        "blink_rate": count / (len(generated.frames) / frame_rate) * 60,
        "blink_seconds": length / frame_rate,
        "blendshape_error": float(shapes.mean()),
        "jitter_ratio": ratio(jitter(generated.landmarks), jitter(reference.landmarks), 1e-5),
    }
    # what is interpolated between no faces means nothing
    if generated.found.mean() < MIN_FACE_SHARE:
        figures = dict.fromkeys(figures, float("nan"))
    flickers = [flicker(clip.frames, still) for clip in clips]
    return figures | {
        "flicker_ratio": ratio(flickers[0], flickers[1], 0.01),
        "face_found": float(generated.found.mean()),
    }


class Movement(Metric):
    """Mouth, head, eyes and background; see `movement`."""

    figures = ("lmd_mouth", "pose_error", "articulation", "silence_motion", "jitter_ratio")

    def scores(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> dict[str, Score]:
        """See `movement`."""
        return dict(movement(generated, reference, utterance.speech))
