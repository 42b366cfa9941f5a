"""Deterministic samplers (DDIM with eta = 0), as plain functions of a denoiser.

A denoiser maps x_t [B, 3, H, W], steps t [B] and latents [B, L] to clean pictures [B, 3, H, W].
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from talkers.errors import UsageError
from talkers.renderers.diffusion_autoencoder.schedule import TIMESTEPS, eps_of, signal_and_noise

Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]


def step_times(steps: int) -> list[int]:
    """`steps` schedule positions from 999 down, evenly spaced; the first is always the noisiest.

    Raises:
        UsageError: steps outside 1..1000.
    """
    if not 1 <= steps <= TIMESTEPS:
        raise UsageError(f"{steps} sampling steps were asked for", todo=f"Use 1 to {TIMESTEPS}")
    return [round(TIMESTEPS * (1 - k / steps)) - 1 for k in range(steps)]


def ddim_sample(
    denoise: Denoiser, x_T: Tensor, latents: Tensor, levels: Tensor, steps: int
) -> Tensor:
    """Decode latents from noise by DDIM (Song et al. 2021, equation 12 with sigma = 0).

    Args:
        denoise: predicts x0.
        x_T: [B, 3, H, W] noise, the same for every frame of a video (DAE-Talker's shared noise).
        latents: [B, 512].
        levels: alpha_bar of every schedule position, [1000].
        steps: network passes.

    Returns:
        [B, 3, H, W] pictures, -1..1.
    """
    x, times = x_T, step_times(steps)
    for t, following in zip(times, [*times[1:], None], strict=True):
        level = levels[t].expand(len(x))
        x0 = denoise(x, torch.full((len(x),), t, device=x.device), latents).clamp(-1, 1)
        if following is None:
            return x0
        # x_{t-1} = sqrt(alpha_bar_{t-1}) x0 + sqrt(1 - alpha_bar_{t-1}) eps
        eps = eps_of(x0, x, level)
        a, s = signal_and_noise(levels[following].expand(len(x)))
        x = a * x0 + s * eps
    return x


def ddim_encode(
    denoise: Denoiser, x0: Tensor, latents: Tensor, levels: Tensor, steps: int
) -> Tensor:
    """Stochastic encoding: the x_T from which DDIM leads back to x0 (DAE, section 3.2, equation 8).

    Args:
        denoise, latents, levels, steps: as in `ddim_sample`.
        x0: [B, 3, H, W] pictures, -1..1.

    Returns:
        [B, 3, H, W] their noise.
    """
    x, times = x0, [0, *reversed(step_times(steps))]
    for t, following in itertools.pairwise(times):
        level = levels[t].expand(len(x))
        clean = denoise(x, torch.full((len(x),), t, device=x.device), latents)
        eps = eps_of(clean, x, level)
        a, s = signal_and_noise(levels[following].expand(len(x)))
        x = a * clean + s * eps
    return x
