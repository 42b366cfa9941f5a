"""The avatar's own speech encoder: a small causal network that says of sound, a tenth of a second
later, what the pretrained encoder says of the whole window. It is distilled from that encoder and
lies inside the avatar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from talkers.configuration import limited
from talkers.speech.config import FEATURE_RATE
from talkers.speech.mel import HOP_LENGTH, N_FFT, N_MELS, mel_power
from talkers.speech.windows import SAMPLE_RATE

STEP = SAMPLE_RATE // FEATURE_RATE  # samples of a feature
MEL_WIDTH = N_MELS * STEP // HOP_LENGTH  # numbers of the log-mel frames of one feature


@dataclass(frozen=True)
class StreamingEncoderConfig:
    """Shape of a streaming speech encoder."""

    width: int = limited(256, 1, 4096)
    blocks: int = limited(8, 1, 64)
    kernel: int = limited(7, 1, 63)
    dilations: tuple[int, ...] = limited((1, 2, 4, 8), 1, 64)  # of the blocks in turn
    look_ahead: int = limited(4, 0, 50)  # features (of 20 ms) of sound that it waits for


class _Block(nn.Module):
    """Causal depthwise convolution and two pointwise layers, residual: [B, T, W] -> [B, T, W]."""

    def __init__(self, width: int, kernel: int, dilation: int):
        super().__init__()
        self.past = (kernel - 1) * dilation
        self.norm = nn.LayerNorm(width)
        self.depthwise = nn.Conv1d(width, width, kernel, dilation=dilation, groups=width)
        self.expand, self.shrink = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, x: Tensor, past: Tensor, guessed: int = 0) -> tuple[Tensor, Tensor]:
        h = torch.cat([past, self.norm(x)], 1)
        known = h.shape[1] - guessed
        mixed = self.depthwise(h.transpose(1, 2)).transpose(1, 2)
        out: Tensor = x + self.shrink(F.gelu(self.expand(mixed)))
        return out, h[:, known - self.past : known]


class StreamingSpeechEncoder(nn.Module):
    """Log-mel sound -> speech features like those of the encoder it was distilled from,
    `config.look_ahead` rows later.

    Args:
        config: its shape.
        features: width of the speech features.
    """

    mean: Tensor
    std: Tensor
    rate = FEATURE_RATE

    def __init__(self, config: StreamingEncoderConfig, features: int):
        super().__init__()
        self.config, self.width = config, features
        self.in_proj = nn.Linear(MEL_WIDTH, config.width)
        dilations = [config.dilations[k % len(config.dilations)] for k in range(config.blocks)]
        self.blocks = nn.ModuleList([_Block(config.width, config.kernel, d) for d in dilations])
        self.norm, self.out_proj = nn.LayerNorm(config.width), nn.Linear(config.width, features)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    @property
    def lookahead(self) -> float:
        """Seconds of sound after a feature's own that it waits for."""
        return (
            self.config.look_ahead / FEATURE_RATE + (N_FFT - HOP_LENGTH) / 2 / SAMPLE_RATE + 0.005
        )

    def begin(self, batch: int = 1) -> list[Tensor]:
        """The state of its blocks before anything was said: [B, past, W] each."""
        device = self.in_proj.weight.device
        past = [block.past for block in self.blocks if isinstance(block, _Block)]
        return [torch.zeros(batch, n, self.config.width, device=device) for n in past]

    def forward(
        self, mel: Tensor, state: list[Tensor] | None = None, guessed: int = 0
    ) -> tuple[Tensor, list[Tensor]]:
        """Go on with a stream.

        Args:
            mel: [B, T, MEL_WIDTH], see `mel_rows`.
            state: as the last call returned it (None: at the beginning).
            guessed: how many of the last rows are guesses; the state goes on before them.

        Returns:
            standardised features [B, T, F], row t of which belongs to the sound of row
            t - look_ahead; and the state.
        """
        state, after = self.begin(len(mel)) if state is None else state, []
        x = self.in_proj(mel)
        for block, past in zip(self.blocks, state, strict=True):
            x, kept = block(x, past, guessed)
            after.append(kept)
        return self.out_proj(self.norm(x)), after

    def features(self, standardised: Tensor) -> Tensor:
        """Standardised features -> features in the pretrained encoder's units."""
        return standardised * self.std + self.mean

    def start(self, guessed: int = 0) -> EncoderStream:
        """Begin a stream.

        Args:
            guessed: features by which it is sooner, 0 to `config.look_ahead`: the sound that they
                would wait for is guessed.
        """
        return EncoderStream(self, guessed)


def mel_rows(samples: Tensor) -> Tensor:
    """Log-mel rows that are complete within samples [B, n] at 16 kHz: [B, T, MEL_WIDTH].

    A row has two frames of 10 ms. A frame needs 25 ms of sound:
    T = floor((n - N_FFT + HOP_LENGTH) / STEP).
    """
    rows = (samples.shape[1] - N_FFT + HOP_LENGTH) // STEP
    if rows < 1:
        return torch.zeros(len(samples), 0, MEL_WIDTH)
    used = samples[:, : (2 * rows - 1) * HOP_LENGTH + N_FFT]
    mel = mel_power(used, centred=False)  # [B, 80, 2 rows]
    return ((mel + 4) / 4).transpose(1, 2).reshape(len(samples), rows, MEL_WIDTH)


class EncoderStream:
    """Sound in blocks of any size -> features, the same however it is cut. One for each stream.

    Row t of the features comes as soon as sound up to (t + look_ahead - guessed + 1) 20 ms +
    12.5 ms is there. Where sound is guessed, it is taken to go on as it is, and how it is cut
    matters.

    Args:
        encoder: its network.
        guessed: see `StreamingSpeechEncoder.start`.
    """

    def __init__(self, encoder: StreamingSpeechEncoder, guessed: int = 0):
        self.encoder, self._guessed = encoder, guessed
        self._given = 0  # rows of the next call that were given already
        self._state = encoder.begin()
        # Frames are centred: before the beginning is silence.
        self._rest = np.zeros(N_FFT // 2, np.float32)
        self._early = encoder.config.look_ahead  # rows that belong to before the beginning

    @torch.inference_mode()
    def step(self, samples: NDArray[np.float32]) -> Tensor:
        """float32 [n] at 16 kHz -> the features that are complete by it [m, F]."""
        self._rest = np.concatenate([self._rest, samples])
        mel = mel_rows(torch.from_numpy(self._rest)[None])
        if not mel.shape[1]:
            return torch.zeros(0, self.encoder.width)
        self._rest = self._rest[mel.shape[1] * STEP :]
        mel = torch.cat([mel, mel[:, -1:].expand(-1, self._guessed, -1)], 1)
        features, self._state = self.encoder(mel, self._state, self._guessed)
        new, self._given = features[0, self._given :], self._guessed
        rows = new[self._early :]
        self._early = max(0, self._early - len(new))
        return self.encoder.features(rows)
