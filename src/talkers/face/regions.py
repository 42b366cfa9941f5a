"""Mouth and eyes as regions of the picture, and how well they are reproduced."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkers.face.landmarks import LEFT_EYE, LIPS, RIGHT_EYE


def region_boxes(landmarks: NDArray[np.float32], size: int) -> NDArray[np.int16]:
    """Boxes of mouth and eyes around their landmarks: [T, 478, 2] pixels -> [T, 3, 4] (left, top,
    right, bottom)."""
    boxes = []
    for points, wide, high in ((LIPS, 0.25, 0.55), (RIGHT_EYE, 0.3, 1.0), (LEFT_EYE, 0.3, 1.0)):
        region = landmarks[:, list(points)]
        low, high_corner = region.min(1), region.max(1)
        width = high_corner[:, :1] - low[:, :1]
        # margins in shares of the width: the height of an eye changes with every blink
        margin = np.concatenate([wide * width, high * 0.5 * width], -1)
        boxes.append(np.concatenate([np.floor(low - margin), np.ceil(high_corner + margin)], -1))
    return np.clip(np.stack(boxes, 1), 0, size).astype(np.int16)


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error of uint8 pixels."""
    return float(10 * np.log10(255**2 / max(mse, 1e-3)))


def ratio(generated: float, reference: float, least: float) -> float:
    """generated / reference, or NaN where the reference is too small to compare with."""
    return float(generated / reference) if reference > least else float("nan")


def region_figures(
    generated: NDArray[np.uint8], reference: NDArray[np.uint8], boxes: NDArray[np.int16]
) -> dict[str, float]:
    """Fidelity of a clip, whole and where it matters.

    Args:
        generated, reference: uint8 [T, S, S, 3].
        boxes: [T, 3, 4] mouth and eyes of each frame.

    Returns:
        psnr and psnr_mouth in dB; mouth_r2 and eye_r2: the share of the region's variation about
        the clip's mean frame that is explained (0: a still picture does as well; 1: perfect; NaN:
        nothing moves there).
    """
    mean = reference.mean(0, dtype=np.float32)
    error = np.stack(
        [
            np.square(m.astype(np.float32) - r).mean(-1)
            for m, r in zip(generated, reference, strict=True)
        ]
    )  # [T, S, S]
    spread = np.stack([np.square(r - mean).mean(-1) for r in reference])
    sums = {"mouth": np.zeros(3), "eye": np.zeros(3)}
    for k, region in enumerate(("mouth", "eye", "eye")):
        for t, (left, top, right, bottom) in enumerate(boxes[:, k]):
            window = (t, slice(top, bottom), slice(left, right))
            sums[region] += (error[window].sum(), spread[window].sum(), error[window].size)

    return {
        "psnr": psnr(float(error.mean())),
        "psnr_mouth": psnr(sums["mouth"][0] / max(sums["mouth"][2], 1)),
        "mouth_r2": 1 - ratio(sums["mouth"][0], sums["mouth"][1], 0.05 * sums["mouth"][2]),
        "eye_r2": 1 - ratio(sums["eye"][0], sums["eye"][1], 0.05 * sums["eye"][2]),
    }
