"""Perceptual distances, and features for Frechet distances.

LPIPS (Zhang et al. 2018) and FID (Heusel et al. 2017) are defined on AlexNet and Inception, whose
weights are to be had from few places: they are computed, by torchmetrics, on machines that can get
them. The stand-ins LPIPS-MNv2 and FID-MNv2 are computed everywhere, alike, on the features of
MobileNetV2. They order pictures as LPIPS and FID do, but their values are not comparable with
published ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from talkers.errors import MissingComponent, refuse_if_out_of_memory
from talkers.evaluation.contract import FrameFeatures, Metric, Score, Utterance
from talkers.evaluation.fidelity import regions
from talkers.evaluation.mobilenet import TAPS, MobileNetV2, load_mobilenet
from talkers.evaluation.tracked import TrackedClip, evenly_picked

Frames = NDArray[np.uint8]  # [T, H, W, 3]
MAX_FRAMES = 15  # of a clip that are looked at, evenly picked
BATCH_FRAMES = 5  # of them at once, so that what a network holds of them is little
MIN_SIDE = 96  # pixels to which a smaller region is enlarged: networks shrink pictures 32 times


def sampled_frames(frames: Frames) -> Tensor:
    """Up to MAX_FRAMES evenly picked frames, enlarged if they are small: uint8 [n, H, W, 3]."""
    few = torch.from_numpy(frames[evenly_picked(len(frames), MAX_FRAMES)])
    shortest = min(few.shape[1:3])
    if shortest >= MIN_SIDE or not shortest:
        return few
    larger = F.interpolate(
        few.permute(0, 3, 1, 2).float(),
        scale_factor=MIN_SIDE / shortest,
        mode="bilinear",
        antialias=True,
    )
    return larger.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


@torch.inference_mode()
def perceptual_distance(
    network: MobileNetV2, generated: Frames, reference: Frames
) -> tuple[float, FrameFeatures]:
    """LPIPS-MNv2 of a clip, and the pooled features of its frames for FID-MNv2.

    Args:
        network: with its weights.
        generated: uint8 [T, H, W, 3].
        reference: of the same shape.

    Returns:
        the distance, and features [n, 1280] of both.
    """
    few, wanted, distance = sampled_frames(generated), sampled_frames(reference), 0.0
    pooled: list[tuple[Tensor, Tensor]] = []
    for first in range(0, len(few), BATCH_FRAMES):
        batch = slice(first, first + BATCH_FRAMES)
        (taps_a, pooled_a), (taps_b, pooled_b) = network(few[batch]), network(wanted[batch])
        # d = 1/L sum_l mean_xy |a_l / |a_l| - b_l / |b_l||^2 over the L tapped layers
        apart = sum(
            float((F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean())
            for a, b in zip(taps_a, taps_b, strict=True)
        )
        distance += len(few[batch]) * apart / len(few)
        pooled.append((pooled_a, pooled_b))
    features = (torch.cat(part).numpy() for part in zip(*pooled, strict=True))
    return distance / len(TAPS), FrameFeatures(*features)


class MobileNetDistances(Metric):
    """LPIPS-MNv2, and the features of FID-MNv2, of the frame, the face and the mouth.

    Raises:
        MissingComponent: the network's weights cannot be had.
    """

    figures = ("lpips_mnv2", "fid_mnv2")

    def __init__(self) -> None:
        self.network = load_mobilenet()

    def scores(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> dict[str, Score]:
        """Distances and features of each region; see the class."""
        found: dict[str, Score] = {}
        for suffix, region in regions(reference).items():
            pair = generated.frames[:, *region], reference.frames[:, *region]
            distance, features = perceptual_distance(self.network, *pair)
            found |= {f"lpips_mnv2{suffix}": distance, f"fid_mnv2{suffix}": features}
        return found


def _published(name: str, packages: str, make: Callable[[], nn.Module]) -> nn.Module:
    """A network of torchmetrics that brings its weights itself.

    Raises:
        MissingComponent: a package or the weights cannot be had here.
    """
    todo = (
        f"Install what it needs (`pip install {packages}`) on a machine that reaches its weights; "
        f"{name}-MNv2 stands in for it"
    )
    if os.environ.get("TALKERS_OFFLINE"):
        raise MissingComponent(
            f"{name} fetches its own weights", why="switched off by TALKERS_OFFLINE", todo=todo
        )
    try:
        return make().eval().requires_grad_(False)
    except ImportError as error:  # torchmetrics' own, which does not name the package
        what = f"{name} needs packages that are not installed"
        raise MissingComponent(what, todo=todo) from error
    except (OSError, RuntimeError) as error:  # no weights, or packages that do not fit each other
        refuse_if_out_of_memory(error)
        why = str(error).splitlines()[0].rstrip(".")
        raise MissingComponent(f"{name} cannot be had here", why=why, todo=todo) from error


class Lpips(Metric):
    """LPIPS on AlexNet as torchmetrics computes it, of the frame, the face and the mouth.

    Raises:
        MissingComponent: see `_published`.
    """

    figures = ("lpips",)

    def __init__(self) -> None:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        self.network = _published(
            "LPIPS", "torchvision", lambda: LearnedPerceptualImagePatchSimilarity(net_type="alex")
        )

    @torch.inference_mode()
    def distance(self, generated: Frames, reference: Frames) -> float:
        """LPIPS of frames uint8 [T, H, W, 3]."""
        pair = (
            sampled_frames(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
            for frames in (generated, reference)
        )
        return float(self.network(*pair))

    def scores(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> dict[str, Score]:
        """The distance of each region."""
        return {
            f"lpips{suffix}": self.distance(
                generated.frames[:, *region], reference.frames[:, *region]
            )
            for suffix, region in regions(reference).items()
        }


class InceptionFeatures(Metric):
    """The features of FID as torchmetrics computes them, of the frame, the face and the mouth.

    Raises:
        MissingComponent: see `_published`.
    """

    figures = ("fid",)

    def __init__(self) -> None:
        from torchmetrics.image.fid import NoTrainInceptionV3

        self.network = _published(
            "FID",
            "torch-fidelity torchvision",
            lambda: NoTrainInceptionV3("inception-v3-compat", ["2048"]),
        )

    @torch.inference_mode()
    def features(self, frames: Frames) -> NDArray[np.float32]:
        """Frames uint8 [T, H, W, 3] -> [n, 2048]."""
        rows = self.network(sampled_frames(frames).permute(0, 3, 1, 2))
        return np.asarray(rows.float().numpy())

    def scores(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> dict[str, Score]:
        """Features of each region."""
        return {
            f"fid{suffix}": FrameFeatures(
                self.features(generated.frames[:, *region]),
                self.features(reference.frames[:, *region]),
            )
            for suffix, region in regions(reference).items()
        }


def frechet_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Frechet distance of two sets of features [n, d], seen as Gaussians."""
    mean_a, mean_b = a.mean(0, dtype=np.float64), b.mean(0, dtype=np.float64)
    # X: centred rows over sqrt(n - 1), so that the covariance is C = X^T X
    x, y = (a - mean_a) / np.sqrt(max(len(a) - 1, 1)), (b - mean_b) / np.sqrt(max(len(b) - 1, 1))
    # d = |m_a - m_b|^2 + tr C_a + tr C_b - 2 tr sqrt(C_a C_b); the last trace is the nuclear norm
    # of X_a X_b^T: no d x d matrix is needed. Where there are more rows than features, R of X = Q R
    # stands for X: Q changes no singular value
    x, y = (m if len(m) <= m.shape[1] else np.linalg.qr(m).R for m in (x, y))
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return float(
        np.square(mean_a - mean_b).sum() + np.square(x).sum() + np.square(y).sum() - 2 * cross
    )
