"""MobileNetV2 (Sandler et al. 2018), trained on ImageNet: features for perceptual distances."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from talkers.artefacts.pretrained import fetch

TAPS = (1, 3, 6, 13, 17)  # blocks whose outputs are compared
BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # expansion, channels, blocks, stride of the first


def _unit(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class _Block(nn.Module):
    """An inverted residual."""

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
        for expand, outputs, count, stride in BLOCKS:
            for k in range(count):
                layers.append(_Block(inputs, outputs, stride if k == 0 else 1, expand))
                inputs = outputs
        self.features = nn.Sequential(*layers, _unit(inputs, 1280))
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, frames: Tensor) -> tuple[list[Tensor], Tensor]:
        """uint8 [N, H, W, 3] -> outputs of the blocks in TAPS, and pooled features [N, 1280]."""
        x = (frames.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std  # channels last
        taps = []
        for k, layer in enumerate(self.features):
            x = layer(x)
            if k in TAPS:
                taps.append(x)
        return taps, x.mean((2, 3))


def load_mobilenet() -> MobileNetV2:
    """The network with its pretrained weights.

    Raises:
        MissingComponent: they cannot be had.
    """
    # tensors only, and of a known digest
    weights = torch.load(fetch("mobilenet-v2"), weights_only=True)
    model = MobileNetV2()
    model.load_state_dict({k: v for k, v in weights.items() if not k.startswith("classifier.")})
    model.eval().requires_grad_(False)
    _join_norms(model)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _join_norms(module: nn.Module) -> None:
    """Put normalisations into the convolutions before them: the same values, for less work."""
    for child in module.children():
        if isinstance(child, nn.Sequential):
            for k in range(1, len(child)):
                before, norm = child[k - 1], child[k]
                if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    child[k - 1], child[k] = fuse_conv_bn_eval(before, norm), nn.Identity()
        _join_norms(child)
