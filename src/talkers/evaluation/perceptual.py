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
from typing import NamedTuple

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


class Described(NamedTuple):
    """What the network sees in the picked frames of a clip.

    Attributes:
        taps: of each batch of frames, the tapped layers' unit vectors [n, C, H, W].
        pooled: features [n, 1280] of all frames.
    """

    taps: list[list[Tensor]]
    pooled: Tensor


@torch.inference_mode()
def described(network: MobileNetV2, frames: Frames) -> Described:
    """What the network sees in frames uint8 [T, H, W, 3], of which some are looked at."""
    taps, pooled = [], []
    for batch in torch.split(sampled_frames(frames), BATCH_FRAMES):
        tapped, features = network(batch)
        taps.append([F.normalize(layer, dim=1) for layer in tapped])
        pooled.append(features)
    return Described(taps, torch.cat(pooled))


def perceptual_distance(a: Described, b: Described) -> float:
    """LPIPS-MNv2 of two clips of equal length."""
    # d = 1/L sum_l mean_xy |a_l / |a_l| - b_l / |b_l||^2 over the L tapped layers
    apart = [
        len(x[0]) * sum(float((p - q).square().sum(1).mean()) for p, q in zip(x, y, strict=True))
        for x, y in zip(a.taps, b.taps, strict=True)
    ]
    return sum(apart) / len(a.pooled) / len(TAPS)


class MobileNetDistances(Metric):
    """LPIPS-MNv2, and the features of FID-MNv2, of the frame, the face and the mouth.

    Raises:
        MissingComponent: the network's weights cannot be had.
    """

    figures = ("lpips_mnv2", "fid_mnv2")

    def __init__(self) -> None:
        self.network = load_mobilenet()
        self._reference: tuple[TrackedClip, dict[str, Described]] | None = None

    def _of_reference(self, clip: TrackedClip) -> dict[str, Described]:
        """The regions of a clip that many generated ones in turn are compared with."""
        if self._reference is None or self._reference[0] is not clip:
            self._reference = None  # before the next takes its room
            self._reference = (
                clip,
                {
                    suffix: described(self.network, clip.frames[:, *region])
                    for suffix, region in regions(clip).items()
                },
            )
        return self._reference[1]

    def scores(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> dict[str, Score]:
        """Distances and features of each region; see the class."""
        found: dict[str, Score] = {}
        known = self._of_reference(reference)
        for suffix, region in regions(reference).items():
            seen, wanted = described(self.network, generated.frames[:, *region]), known[suffix]
            features = FrameFeatures(seen.pooled.numpy(), wanted.pooled.numpy())
            found[f"lpips_mnv2{suffix}"] = perceptual_distance(seen, wanted)
            found[f"fid_mnv2{suffix}"] = features
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
