"""Perceptual and Frechet distances.

LPIPS (Zhang et al. 2018) and FID (Heusel et al. 2017) are defined on AlexNet and Inception, whose weights are to be had
from few places: they are computed, by torchmetrics, on machines that can get them. The stand-ins LPIPS-MNv2 and
FID-MNv2 are computed everywhere, alike, on the features of MobileNetV2 (Sandler et al. 2018), trained on ImageNet. They
order pictures as LPIPS and FID do, but their values are not comparable with published ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from talkers.artefacts.pretrained import fetch
from talkers.errors import MissingComponent

Frames = NDArray[np.uint8]  # [T, H, W, 3]
MOST = 15  # frames of a clip that are looked at, evenly picked
TOGETHER = 5  # of them, so that what a network holds of them is little
LEAST = 96  # pixels to which the shorter side of a smaller region is enlarged: networks shrink pictures 32 times
TAPS = (1, 3, 6, 13, 17)  # blocks whose outputs are compared
SETTINGS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _unit(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expand: int):
        super().__init__()
        hidden = inputs * expand
        widen = [_unit(inputs, hidden)] if expand > 1 else []
        self.conv = nn.Sequential(
            *widen,
            _unit(hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


class MobileNetV2(nn.Module):
    """The network's features, with torchvision's names for its weights."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_unit(3, 32, 3, 2)]
        inputs = 32
        for expand, outputs, count, stride in SETTINGS:
            for k in range(count):
                layers.append(_Block(inputs, outputs, stride if k == 0 else 1, expand))
                inputs = outputs
        self.features = nn.Sequential(*layers, _unit(inputs, 1280))
        self.register_buffer(
            "mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False
        )
        self.register_buffer(
            "std", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False
        )

    def forward(self, frames: Tensor) -> tuple[list[Tensor], Tensor]:
        """uint8 [N, H, W, 3] -> outputs of the blocks in TAPS, and pooled features [N, 1280]."""
        x = (frames.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        taps = []
        for k, layer in enumerate(self.features):
            x = layer(x)
            if k in TAPS:
                taps.append(x)
        return taps, x.mean((2, 3))


def load_features() -> MobileNetV2:
    """The network with its pretrained weights.

    Raises:
        MissingComponent: they cannot be had.
    """
    weights = torch.load(
        fetch("mobilenet-v2"), weights_only=True
    )  # tensors only, and of a known digest
    model = MobileNetV2()
    model.load_state_dict({k: v for k, v in weights.items() if not k.startswith("classifier.")})
    return model.eval().requires_grad_(False)


def picked(frames: Frames) -> Tensor:
    """Up to MOST evenly picked frames, enlarged if they are small: uint8 [n, H, W, 3]."""
    few = torch.from_numpy(
        frames[
            np.unique(np.linspace(0, len(frames) - 1, min(MOST, len(frames))).round().astype(int))
        ]
    )
    if (shortest := min(few.shape[1:3])) >= LEAST or not shortest:
        return few
    larger = F.interpolate(
        few.permute(0, 3, 1, 2).float(),
        scale_factor=LEAST / shortest,
        mode="bilinear",
        antialias=True,
    )
    return larger.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


@torch.inference_mode()
def perceptual(
    network: MobileNetV2, made: Frames, real: Frames
) -> tuple[float, NDArray[np.float32], NDArray[np.float32]]:
    """LPIPS-MNv2 of a clip, and the pooled features of its frames for FID-MNv2.

    Returns:
        distance, features of made and of real [n, 1280].
    """
    few, wanted, distance, pooled = picked(made), picked(real), 0.0, list[tuple[Tensor, Tensor]]()
    for first in range(0, len(few), TOGETHER):
        some = few[first : first + TOGETHER]
        (taps_a, pooled_a), (taps_b, pooled_b) = (
            network(some),
            network(wanted[first : first + TOGETHER]),
        )
        apart = sum(
            float((F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean())
            for a, b in zip(taps_a, taps_b, strict=True)
        )
        distance += len(some) * apart / len(few)
        pooled.append((pooled_a, pooled_b))
    pooled_made, pooled_real = (torch.cat(part).numpy() for part in zip(*pooled, strict=True))
    return distance / len(TAPS), pooled_made, pooled_real


def _published(name: str, packages: str, make: Callable[[], nn.Module]) -> nn.Module:
    """A network of torchmetrics that brings its weights itself.

    Raises:
        MissingComponent: a package or the weights cannot be had here.
    """
    todo = f"Install what it needs (`pip install {packages}`) on a machine that reaches its weights; {name}-MNv2 stands in for it"
    if os.environ.get("TALKERS_OFFLINE"):
        raise MissingComponent(
            f"{name} fetches its own weights", why="switched off by TALKERS_OFFLINE", todo=todo
        )
    try:
        return make().eval().requires_grad_(False)
    except ImportError as error:
        raise MissingComponent(
            f"{name} needs packages that are not installed", todo=todo
        ) from error
    except (
        OSError,
        RuntimeError,
    ) as error:  # its weights are not reached, or a package does not fit the torch that is here
        raise MissingComponent(
            f"{name} cannot be had here", why=str(error).splitlines()[0].rstrip("."), todo=todo
        ) from error


def load_lpips() -> Callable[[Frames, Frames], float]:
    """LPIPS on AlexNet as torchmetrics computes it: made, real -> distance.

    Raises:
        MissingComponent: see `_published`.
    """
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    network = _published(
        "LPIPS", "torchvision", lambda: LearnedPerceptualImagePatchSimilarity(net_type="alex")
    )

    @torch.inference_mode()
    def distance(made: Frames, real: Frames) -> float:
        a, b = (picked(x).permute(0, 3, 1, 2).float() / 127.5 - 1 for x in (made, real))
        return float(network(a, b))

    return distance


def load_inception() -> Callable[[Frames], NDArray[np.float32]]:
    """The features of FID as torchmetrics computes them: frames -> [n, 2048].

    Raises:
        MissingComponent: see `_published`.
    """
    from torchmetrics.image.fid import NoTrainInceptionV3

    network = _published(
        "FID",
        "torch-fidelity torchvision",
        lambda: NoTrainInceptionV3("inception-v3-compat", ["2048"]),
    )

    @torch.inference_mode()
    def features(frames: Frames) -> NDArray[np.float32]:
        return np.asarray(network(picked(frames).permute(0, 3, 1, 2)).float().numpy())

    return features


def frechet_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Frechet distance of two sets of features [n, d], seen as Gaussians."""
    mean_a, mean_b = a.mean(0, dtype=np.float64), b.mean(0, dtype=np.float64)
    # trace of sqrt(C_a C_b) is the nuclear norm of X_a X_b^T for centred rows X: no d x d matrix is needed
    x, y = (a - mean_a) / np.sqrt(max(len(a) - 1, 1)), (b - mean_b) / np.sqrt(max(len(b) - 1, 1))
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return float(
        np.square(mean_a - mean_b).sum() + np.square(x).sum() + np.square(y).sum() - 2 * cross
    )
