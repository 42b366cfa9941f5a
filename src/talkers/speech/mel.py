"""Log-mel spectra as Whisper makes them."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from talkers.speech.windows import SAMPLE_RATE

N_FFT, HOP_LENGTH, N_MELS = 400, 160, 80  # Whisper's: 25 ms windows every 10 ms


@cache
def mel_filters() -> Tensor:
    """Slaney mel filter bank as Whisper uses it: [80, 201], 0 to 8 kHz, area-normalised."""

    def to_mel(hz: Tensor) -> Tensor:
        return torch.where(
            hz < 1000, 3 * hz / 200, 15 + 27 * torch.log(hz.clamp(min=1e-9) / 1000) / math.log(6.4)
        )

    def to_hz(mel: Tensor) -> Tensor:
        return torch.where(
            mel < 15, 200 * mel / 3, 1000 * torch.exp(math.log(6.4) * (mel - 15) / 27)
        )

    top = float(to_mel(torch.tensor(SAMPLE_RATE / 2, dtype=torch.float64)))
    edges = to_hz(torch.linspace(0, top, N_MELS + 2, dtype=torch.float64))
    bins = torch.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1, dtype=torch.float64)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = torch.minimum(rise, fall).clamp(min=0)
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


def mel_power(samples: Tensor, centred: bool) -> Tensor:
    """log10 mel power of sound, floored at -10.

    Args:
        samples: [B, n] at 16 kHz.
        centred: frames reach beyond both ends.

    Returns:
        [B, 80, frames]
    """
    window = torch.hann_window(N_FFT, device=samples.device)
    spectrum = (
        torch.stft(samples, N_FFT, HOP_LENGTH, window=window, center=centred, return_complex=True)
        .abs()
        .square()
    )
    return (mel_filters().to(samples.device) @ spectrum).clamp(min=1e-10).log10()


def log_mel_spectrogram(samples: Tensor) -> Tensor:
    """log10 mel power of [B, n] at 16 kHz -> [B, 80, n / 160], floored at -10."""
    return mel_power(samples, centred=True)[..., :-1]
