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
    guesses: int = limited(0, 0, 50)  # features that it learns to guess before they are due


class _Block(nn.Module):
    """Causal depthwise convolution and two pointwise layers, residual: [B, T, W] -> [B, T, W]."""

    def __init__(self, width: int, kernel: int, dilation: int):
        super().__init__()
        self.past = (kernel - 1) * dilation
        self.norm = nn.LayerNorm(width)
        self.depthwise = nn.Conv1d(width, width, kernel, dilation=dilation, groups=width)
        self.expand, self.shrink = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.cat([past, self.norm(x)], 1)
        mixed = self.depthwise(h.transpose(1, 2)).transpose(1, 2)
        out: Tensor = x + self.shrink(F.gelu(self.expand(mixed)))
        return out, h[:, h.shape[1] - self.past :]


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
        self.unheard: nn.Parameter | None = None
        if config.guesses:  # rows that stand for sound that has not come, in its order
            self.unheard = nn.Parameter(torch.zeros(config.guesses, config.width))
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
        self, mel: Tensor, state: list[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Go on with a stream.

        Args:
            mel: [B, T, MEL_WIDTH], see `mel_rows`.
            state: as the last call returned it (None: at the beginning).

        Returns:
            standardised features [B, T, F], row t of which belongs to the sound of row
            t - look_ahead; and the state.
        """
        state = self.begin(len(mel)) if state is None else state
        return self._blocks(self.in_proj(mel), state)

    def guess(self, state: list[Tensor], count: int) -> Tensor:
        """The next features of a stream, whose sound has not come.

        Args:
            state: of the stream; it stays as it is.
            count: of features, 0 to `config.guesses`.

        Returns:
            standardised features [B, count, F].
        """
        if self.unheard is None or not count:
            return state[0].new_zeros(len(state[0]), 0, self.width)
        rows = self.unheard[:count].expand(len(state[0]), -1, -1)
        return self._blocks(rows, state)[0]

    def _blocks(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        after = []
        for block, past in zip(self.blocks, state, strict=True):
            x, kept = block(x, past)
            after.append(kept)
        return self.out_proj(self.norm(x)), after

    def features(self, standardised: Tensor) -> Tensor:
        """Standardised features -> features in the pretrained encoder's units."""
        return standardised * self.std + self.mean

    @property
    def guesses(self) -> int:
        """See `StreamingEncoder`."""
        return self.config.guesses

    def start(self) -> EncoderStream:
        """Begin a stream."""
        return EncoderStream(self)


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

    Row t of the features comes as soon as sound up to (t + look_ahead + 1) 20 ms + 12.5 ms is
    there.

    Args:
        encoder: its network.
    """

    def __init__(self, encoder: StreamingSpeechEncoder):
        self.encoder = encoder
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
        features, self._state = self.encoder(mel, self._state)
        rows = features[0, self._early :]
        self._early = max(0, self._early - features.shape[1])
        return self.encoder.features(rows)

    @torch.inference_mode()
    def guess(self, count: int) -> Tensor:
        """See `FeatureStream.guess`."""
        rows = self.encoder.guess(self._state, count)[0, self._early :]
        return self.encoder.features(rows)
