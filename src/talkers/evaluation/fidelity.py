"""How like the real frames are the made ones, whole and where it matters."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.image import structural_similarity_index_measure

from talkers.evaluation.tracked import TrackedClip
from talkers.face.regions import psnr, region_boxes, region_figures

Region = tuple[slice, slice]


def face_box(landmarks: NDArray[np.float32], height: int, width: int) -> Region:
    """The rows and columns that a face fills in a clip: [T, 478, 2]."""
    low, high = np.percentile(landmarks.reshape(-1, 2), [1, 99], axis=0)
    left, top = np.clip(np.floor(low), 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(np.ceil(high), 1, [width, height]).astype(int)
    return slice(top, bottom), slice(left, right)


def regions(real: TrackedClip) -> dict[str, Region]:
    """Where figures are taken, by the suffix of their names: the whole frame, the face, and the mouth throughout a clip."""
    height, width = real.frames.shape[1:3]
    mouth = region_boxes(real.landmarks, max(height, width))[:, 0]
    (left, top), (right, bottom) = mouth[:, :2].min(0), mouth[:, 2:].max(0)
    return {
        "": (slice(None), slice(None)),
        "_face": face_box(real.landmarks, height, width),
        "_mouth": (slice(top, bottom), slice(left, right)),
    }


def fidelity(made: NDArray[np.uint8], real: TrackedClip) -> dict[str, float]:
    """Fidelity of a clip: uint8 [T, H, W, 3] against the real one, frame by frame.

    Returns:
        psnr, psnr_face, psnr_mouth in dB; ssim, ssim_face, ssim_mouth; mouth_r2 and eye_r2: the share of the region's
        variation about the clip's mean frame that is explained (0: a still picture does as well; 1: perfect).
    """
    frames = real.frames
    where = regions(real)
    boxes = region_boxes(real.landmarks, max(frames.shape[1:3]))
    face = where["_face"]
    return {
        **region_figures(made, frames, boxes),
        "psnr_face": psnr(
            float(
                np.mean(
                    [
                        np.square(m[face].astype(np.float32) - r[face]).mean()
                        for m, r in zip(made, frames, strict=True)
                    ]
                )
            )
        ),
        **{
            f"ssim{name}": _ssim(made[:, *region], frames[:, *region])
            for name, region in where.items()
        },
    }


def _ssim(made: NDArray[np.uint8], real: NDArray[np.uint8]) -> float:
    """Mean structural similarity (Wang et al. 2004) of up to 25 evenly picked frames."""
    if min(made.shape[1:3]) < 12:
        return float("nan")
    picks = np.unique(np.linspace(0, len(made) - 1, min(25, len(made))).round().astype(int))
    a, b = (torch.from_numpy(x[picks]).permute(0, 3, 1, 2).float() for x in (made, real))
    few = [
        structural_similarity_index_measure(*pair, data_range=255.0)
        for pair in zip(a[:, None], b[:, None], strict=True)
    ]
    return float(np.mean([float(value) for value in few if isinstance(value, torch.Tensor)]))
