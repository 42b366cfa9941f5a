"""How like the real frames are the generated ones, whole and where it matters."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.image import structural_similarity_index_measure

from talkers.evaluation.contract import Metric, Score, Utterance
from talkers.evaluation.tracked import TrackedClip, evenly_picked
from talkers.face.regions import psnr, region_boxes, region_figures

Frames = NDArray[np.uint8]  # [T, H, W, 3]
Region = tuple[slice, slice]  # rows, columns
SSIM_FRAMES = 25  # of a clip that are compared, evenly picked
MIN_SSIM_SIDE = 12  # pixels; smaller pictures do not hold SSIM's window


def face_box(landmarks: NDArray[np.float32], height: int, width: int) -> Region:
    """The rows and columns that a face fills throughout a clip.

    Args:
        landmarks: [T, 478, 2] in pixels.
        height: of the frames.
        width: of the frames.
    """
    low, high = np.percentile(landmarks.reshape(-1, 2), [1, 99], axis=0)
    left, top = np.clip(np.floor(low), 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(np.ceil(high), 1, [width, height]).astype(int)
    return slice(top, bottom), slice(left, right)


def regions(reference: TrackedClip) -> dict[str, Region]:
    """Where figures are taken, by the suffix of their names: the whole frame, the face, and the
    mouth throughout a clip."""
    height, width = reference.frames.shape[1:3]
    mouth = region_boxes(reference.landmarks, max(height, width))[:, 0]
    (left, top), (right, bottom) = mouth[:, :2].min(0), mouth[:, 2:].max(0)
    return {
        "": (slice(None), slice(None)),
        "_face": face_box(reference.landmarks, height, width),
        "_mouth": (slice(top, bottom), slice(left, right)),
    }


def fidelity(generated: Frames, reference: TrackedClip) -> dict[str, float]:
    """Compare the frames of a clip with the real ones, frame by frame.

    Args:
        generated: uint8 [T, H, W, 3].
        reference: the real clip.

    Returns:
        psnr, psnr_face, psnr_mouth in dB; ssim, ssim_face, ssim_mouth; mouth_r2 and eye_r2: the
        share of the region's variation about the clip's mean frame that is explained (0: a still
        picture does as well; 1: perfect).
    """
    frames, where = reference.frames, regions(reference)
    boxes = region_boxes(reference.landmarks, max(frames.shape[1:3]))
    face = where["_face"]
    error = [
        np.square(g[face].astype(np.float32) - r[face]).mean()
        for g, r in zip(generated, frames, strict=True)
    ]
    similarity = {
        f"ssim{suffix}": _ssim(generated[:, *region], frames[:, *region])
        for suffix, region in where.items()
    }
    whole = region_figures(generated, frames, boxes)
    return {**whole, "psnr_face": psnr(float(np.mean(error))), **similarity}


def _ssim(generated: Frames, reference: Frames) -> float:
    """Mean structural similarity (Wang et al. 2004) of some frames."""
    if min(generated.shape[1:3]) < MIN_SSIM_SIDE:
        return float("nan")
    picks = evenly_picked(len(generated), SSIM_FRAMES)
    a, b = (
        torch.from_numpy(frames[picks]).permute(0, 3, 1, 2).float()
        for frames in (generated, reference)
    )
    similarities = [
        structural_similarity_index_measure(*pair, data_range=255.0)
        for pair in zip(a[:, None], b[:, None], strict=True)
    ]
    return float(np.mean([float(s) for s in similarities if isinstance(s, torch.Tensor)]))


class Fidelity(Metric):
    """PSNR, SSIM and explained variation; see `fidelity`."""

    figures = ("psnr", "ssim", "mouth_r2", "eye_r2")

    def scores(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> dict[str, Score]:
        """See `fidelity`."""
        return dict(fidelity(generated.frames, reference))
