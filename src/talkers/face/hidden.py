"""Is a part of a face hidden in a picture: eyes behind dark glasses, a mouth behind a hand?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkers.artefacts import pretrained
from talkers.face.landmarks import EYE_CORNERS, LIPS, hushed, load_mediapipe

EYES = (  # key points of their lids
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
SKIN = (50, 280, 205, 425, 101, 330, 36, 266, 4, 5, 195, 117, 346)  # cheeks and nose
ACROSS, DOWN = (-0.17, 0.17), (-0.09, 0.13)  # inter-ocular distances around an eye's middle
DARK = 12.0  # grey levels below which brightness is not told apart
BRIGHT = 80  # percentile: lids and the white of an eye are among the brightest around it
BEHIND = -0.73  # of log brightness, beside the skin
HANDS = 2  # that are looked for
SURE = 0.8  # of a hand
NEAR = 0.25  # inter-ocular distances from the lips
WRIST = 0  # of a hand's 21 points


def eyes_hidden(picture: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> bool:
    """Whether all around the eyes is dark beside the skin: dark glasses, or deep shadow.

    Args:
        picture: uint8 [H, W, 3] RGB.
        landmarks: [478, 2] pixels.
    """
    corners = landmarks[list(EYE_CORNERS)]
    across = corners[1] - corners[0]
    down = np.array([-across[1], across[0]])
    steps = np.stack(np.meshgrid(np.linspace(*ACROSS, 15), np.linspace(*DOWN, 10)), -1)
    offsets = steps.reshape(-1, 2) @ np.stack([across, down])
    skin = np.median(_brightness(picture, landmarks[list(SKIN)]))
    around = [_brightness(picture, landmarks[list(eye)].mean(0) + offsets) for eye in EYES]
    return bool(max(np.percentile(eye, BRIGHT) for eye in around) - skin < BEHIND)


def _brightness(picture: NDArray[np.uint8], points: NDArray[Any]) -> NDArray[Any]:
    """Log brightness at points [P, 2] in pixels: [P]."""
    height, width = picture.shape[:2]
    at = np.clip(points.round().astype(int), 0, (width - 1, height - 1))
    found: NDArray[Any] = np.log(picture[at[:, 1], at[:, 0]].mean(-1) + DARK)
    return found


def hand_at_mouth(picture: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> bool:
    """Whether a hand is before the mouth, or touches it (MediaPipe Hand Landmarker).

    Args:
        picture: uint8 [H, W, 3] RGB.
        landmarks: [478, 2] pixels.

    Raises:
        MissingComponent: mediapipe or the network cannot be had.
    """
    right, left = landmarks[list(EYE_CORNERS)]
    reach = NEAR * float(np.linalg.norm(left - right))
    lips = landmarks[list(LIPS)]
    for hand in _hands(picture):
        apart = np.linalg.norm(hand[:, None] - lips, axis=-1).min()
        # what is all within the face is a nose or a chin that the network takes for a hand
        if apart < reach and not _within(hand[WRIST], landmarks):
            return True
    return False


def _within(point: NDArray[Any], landmarks: NDArray[np.float32]) -> bool:
    """Whether a face is around a point: key points lie on all sides of it, none more than 120
    degrees from the next."""
    apart = landmarks - point
    angles = np.sort(np.arctan2(apart[:, 1], apart[:, 0]))
    gaps = np.diff(angles, append=angles[0] + 2 * np.pi)
    return bool(gaps.max() < np.radians(120))


def _hands(picture: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Hands of a picture, [21, 2] pixels each."""
    mediapipe = load_mediapipe("finding hands in a picture")
    from mediapipe.tasks.python import BaseOptions, vision

    model = pretrained.fetch("hand-landmarker").read_bytes()
    options = vision.HandLandmarkerOptions(
        base_options=BaseOptions(model_asset_buffer=model), num_hands=HANDS
    )
    image = mediapipe.Image(
        image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture)
    )
    with hushed(), vision.HandLandmarker.create_from_options(options) as finder:
        found = finder.detect(image)
    size = picture.shape[1::-1]
    return [
        np.array([(point.x, point.y) for point in points]) * size
        for points, sides in zip(found.hand_landmarks, found.handedness, strict=True)
        if sides[0].score >= SURE
    ]
