"""The avatar's own ears: a small causal network that tells from sound, a tenth of a second later, what the speech
encoder tells from the whole window. It is distilled from that encoder and shipped inside the avatar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from talkers.speech.config import FEATURE_RATE
from talkers.speech.mel import HOP_LENGTH, N_FFT, N_MELS, mel_power
from talkers.speech.windows import SAMPLE_RATE

STEP = SAMPLE_RATE // FEATURE_RATE  # samples of a feature
SOUND = N_MELS * STEP // HOP_LENGTH  # numbers that tell the sound of a feature: its log-mel frames


@dataclass(frozen=True)
class StreamingEncoderConfig:
    """Shape of a listener."""

    width: int = 256
    blocks: int = 8
    kernel: int = 7
    dilations: tuple[int, ...] = (1, 2, 4, 8)  # of the blocks in turn
    ahead: int = 4  # features (of 20 ms) of sound that it hears ahead


class _Block(nn.Module):
    """Causal depthwise convolution and two pointwise layers, residual: [B, T, W] -> [B, T, W]."""

    def __init__(self, width: int, kernel: int, dilation: int):
        super().__init__()
        self.past = (kernel - 1) * dilation
        self.norm = nn.LayerNorm(width)
        self.depthwise = nn.Conv1d(width, width, kernel, dilation=dilation, groups=width)
        self.expand, self.shrink = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.cat([before, self.norm(x)], 1)
        heard = self.depthwise(h.transpose(1, 2)).transpose(1, 2)
        out: Tensor = x + self.shrink(F.gelu(self.expand(heard)))
        return out, h[:, h.shape[1] - self.past :]


class StreamingSpeechEncoder(nn.Module):
    """Log-mel sound -> speech features like those of the encoder it was distilled from, `config.ahead` rows later.

    Args:
        features: width of the speech features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: StreamingEncoderConfig, features: int):
        super().__init__()
        self.config, self.width = config, features
        self.enter = nn.Linear(SOUND, config.width)
        self.blocks = nn.ModuleList(
            [
                _Block(config.width, config.kernel, config.dilations[k % len(config.dilations)])
                for k in range(config.blocks)
            ]
        )
        self.norm, self.leave = nn.LayerNorm(config.width), nn.Linear(config.width, features)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    def begin(self, batch: int = 1) -> list[Tensor]:
        """What it has heard before anything was said."""
        device = self.enter.weight.device
        return [
            torch.zeros(batch, block.past, self.config.width, device=device)
            for block in self.blocks
            if isinstance(block, _Block)
        ]

    def forward(
        self, sounds: Tensor, heard: list[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Listen on.

        Args:
            sounds: [B, T, SOUND], see `sounds_of`.
            heard: what was heard before, as the last call returned it (None: nothing).

        Returns:
            standardised features [B, T, F], row t of which belongs to the sound of row t - ahead; and what was heard.
        """
        heard, after = self.begin(len(sounds)) if heard is None else heard, []
        x = self.enter(sounds)
        for block, before in zip(self.blocks, heard, strict=True):
            x, kept = block(x, before)
            after.append(kept)
        return self.leave(self.norm(x)), after

    def features(self, told: Tensor) -> Tensor:
        """Standardised features -> features in the encoder's units."""
        return told * self.std + self.mean


def sounds_of(samples: Tensor) -> Tensor:
    """Log-mel rows that are complete within [B, n] samples at 16 kHz: [B, T, SOUND], two 10 ms frames a row.

    A frame needs 25 ms of sound: T = floor((n - N_FFT + HOP_LENGTH) / STEP).
    """
    rows = (samples.shape[1] - N_FFT + HOP_LENGTH) // STEP
    if rows < 1:
        return torch.zeros(len(samples), 0, SOUND)
    used = samples[:, : (2 * rows - 1) * HOP_LENGTH + N_FFT]
    mel = mel_power(used, centred=False)  # [B, 80, 2 rows]
    return ((mel + 4) / 4).transpose(1, 2).reshape(len(samples), rows, SOUND)


class EncoderStream:
    """Sound in blocks of any size -> features, the same however it is cut. One for each stream.

    Row t of the features is given as soon as sound up to (t + ahead + 1) 20 ms + 12.5 ms is there.
    """

    def __init__(self, listener: StreamingSpeechEncoder):
        self.listener = listener
        self._heard = listener.begin()
        self._rest = np.zeros(
            N_FFT // 2, np.float32
        )  # frames are centred: before the beginning is silence
        self._early = (
            listener.config.ahead
        )  # rows that still belong to the time before the beginning

    @torch.inference_mode()
    def hear(self, samples: NDArray[np.float32]) -> Tensor:
        """float32 [n] at 16 kHz -> the features that are settled by it [m, F]."""
        self._rest = np.concatenate([self._rest, samples])
        sounds = sounds_of(torch.from_numpy(self._rest)[None])
        if not sounds.shape[1]:
            return torch.zeros(0, self.listener.width)
        self._rest = self._rest[sounds.shape[1] * STEP :]
        told, self._heard = self.listener(sounds, self._heard)
        rows, self._early = told[0, self._early :], max(0, self._early - told.shape[1])
        return self.listener.features(rows)
