"""Whisper's encoder (Radford et al. 2022, section 2.2) on torch's own transformer layers.

Importing the transformers library for it would take longer than a sentence takes to say.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.errors import UsageError
from talkers.speech.config import FEATURE_RATE
from talkers.speech.mel import log_mel_spectrogram
from talkers.speech.windows import MARGIN, ROWS, SAMPLE_RATE

HEAD_WIDTH = 64  # of an attention head, in every Whisper


class WhisperEncoder(nn.Module):
    """Whisper-normalised log-mel [B, 80, 2 T] -> hidden states [B, T, width] each.

    The first is what enters the first block, the last what leaves the last one.

    Args:
        weights: float32, under the names of a CTranslate2 file's `encoder/` variables.
        rows: hidden states of the longest sound; a window of speech features is shorter than
            Whisper's 30 s.
    """

    def __init__(self, weights: Mapping[str, Tensor], rows: int = ROWS):
        super().__init__()
        layers = [n for n in weights if n.startswith("layer_") and n[6].isdigit()]
        blocks = len({name.split("/")[0] for name in layers})
        width, mels, _ = weights["conv1/weight"].shape
        inner = len(weights["layer_0/ffn/linear_0/bias"])
        with torch.device("meta"):
            self.conv1 = nn.Conv1d(mels, width, 3, padding=1)
            self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
            shape = (width, width // HEAD_WIDTH, inner, 0.0, "gelu")
            self.layers = nn.ModuleList(
                nn.TransformerEncoderLayer(*shape, batch_first=True, norm_first=True)
                for _ in range(blocks)
            )
            self.norm = nn.LayerNorm(width)
        self.positions = nn.Parameter(weights["position_encodings/encodings"][:rows])
        parts = {"conv1": "conv1", "conv2": "conv2", "norm": "layer_norm"}
        for i in range(blocks):
            inside = {
                "self_attn.in_proj_": "self_attention/linear_0",
                "self_attn.out_proj": "self_attention/linear_1",
                "linear1": "ffn/linear_0",
                "linear2": "ffn/linear_1",
                "norm1": "self_attention/layer_norm",
                "norm2": "ffn/layer_norm",
            }
            parts |= {f"layers.{i}.{new}": f"layer_{i}/{old}" for new, old in inside.items()}
        state: dict[str, Tensor] = {"positions": self.positions}
        for new, old in parts.items():
            kinds = ("gamma", "beta") if old.endswith("norm") else ("weight", "bias")
            for kind, name in zip(kinds, ("weight", "bias"), strict=True):
                state[f"{new}{'' if new.endswith('_') else '.'}{name}"] = weights[f"{old}/{kind}"]
        self.load_state_dict(state, assign=True)

    def forward(self, mel: Tensor) -> list[Tensor]:
        """Log-mel [B, 80, 2 T] -> hidden states, [B, T, width] each."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        hidden = [x]
        for layer in self.layers:
            x = layer(x)
            hidden.append(x)
        hidden[-1] = self.norm(x)
        return hidden


class Whisper:
    """Joined hidden states of Whisper's encoder.

    Args:
        weights: see `WhisperEncoder`.
        layers: hidden states to join; 0 is what enters the first block, -1 what leaves the last.

    Raises:
        UsageError: there is no such layer.
    """

    rate = FEATURE_RATE
    lookahead = MARGIN / SAMPLE_RATE

    def __init__(self, weights: Mapping[str, Tensor], layers: tuple[int, ...]):
        self.model, self.layers = WhisperEncoder(weights).eval().requires_grad_(False), layers
        check_layers(layers, len(self.model.layers))
        self.width = len(layers) * self.model.conv1.out_channels

    @torch.inference_mode()
    def encode(self, windows: Tensor) -> Tensor:
        """See `SpeechEncoder`."""
        mel = log_mel_spectrogram(windows)
        hidden = self.model(
            (torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8) + 4) / 4
        )  # Whisper's own normalisation
        return torch.cat([hidden[layer] for layer in self.layers], -1)


def check_layers(layers: tuple[int, ...], count: int) -> None:
    """Raises UsageError when `layers` are not hidden states of an encoder of `count` blocks."""
    if not layers or any(not -count - 1 <= layer <= count for layer in layers):
        raise UsageError(
            f"speech.layers is {list(layers)}",
            todo=f"Choose from 0 to {count}, the hidden states of this encoder",
        )
