"""The noise schedule of DDPM as DAE uses it, and the three ways to say what a denoiser predicts."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["x0", "eps", "v"]

TIMESTEPS = 1000
BETA_FIRST, BETA_LAST = 1e-4, 0.02


def alpha_bars() -> Tensor:
    """alpha_bar_t = prod (1 - beta_s), beta linear: float32 [1000], falling from 0.9999 to 4e-5."""
    betas = torch.linspace(BETA_FIRST, BETA_LAST, TIMESTEPS, dtype=torch.float64, device="cpu")
    return torch.cumprod(1 - betas, 0).float()


def signal_and_noise(alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
    """Scales of x0 and of the noise at a level: x_t = a x0 + s eps; [B, 1, 1, 1] each."""
    level = alpha_bar.reshape(-1, 1, 1, 1)
    return level.sqrt(), (1 - level).sqrt()


def diffuse(x0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """q(x_t | x0), DDPM equation 4: x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps."""
    a, s = signal_and_noise(alpha_bar)
    return a * x0 + s * eps


def target_of(prediction: Prediction, x0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """What a denoiser of this kind must output; v = a eps - s x0 (Salimans & Ho 2022, app. D)."""
    if prediction == "x0":
        return x0
    if prediction == "eps":
        return eps
    a, s = signal_and_noise(alpha_bar)
    return a * eps - s * x0


def x0_of(prediction: Prediction, output: Tensor, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """The clean picture that an output of this kind stands for."""
    if prediction == "x0":
        return output
    a, s = signal_and_noise(alpha_bar)
    return (x_t - s * output) / a if prediction == "eps" else a * x_t - s * output


def eps_of(x0: Tensor, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """The noise that leads from a clean picture to x_t."""
    a, s = signal_and_noise(alpha_bar)
    return (x_t - a * x0) / s
