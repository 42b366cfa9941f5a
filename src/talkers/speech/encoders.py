"""Speech encoders behind one contract: Whisper, wav2vec 2.0, HuBERT, and a log-mel fallback that needs nothing."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.errors import MissingComponent, UsageError
from talkers.pretrained import TABLE, fetch
from talkers.speech.config import SpeechConfig
from talkers.speech.ctranslate2 import whisper_encoder_weights
from talkers.speech.windows import ROWS, SAMPLE_RATE, SpeechEncoder

N_FFT, HOP_LENGTH, N_MELS = 400, 160, 80  # Whisper's: 25 ms windows every 10 ms


def mel_filters() -> Tensor:
    """Slaney mel filter bank as Whisper uses it: [80, 201], 0 to 8 kHz, area-normalised."""

    def to_mel(hz: Tensor) -> Tensor:
        return torch.where(hz < 1000, 3 * hz / 200, 15 + 27 * torch.log(hz.clamp(min=1e-9) / 1000) / math.log(6.4))

    def to_hz(mel: Tensor) -> Tensor:
        return torch.where(mel < 15, 200 * mel / 3, 1000 * torch.exp(math.log(6.4) * (mel - 15) / 27))

    top = float(to_mel(torch.tensor(SAMPLE_RATE / 2, dtype=torch.float64)))
    edges = to_hz(torch.linspace(0, top, N_MELS + 2, dtype=torch.float64))
    bins = torch.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1, dtype=torch.float64)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = torch.minimum(rise, fall).clamp(min=0)
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


def mel_power(samples: Tensor, filters: Tensor, centred: bool) -> Tensor:
    """log10 mel power of [B, n] at 16 kHz, floored at -10: [B, 80, frames]; centred frames reach beyond both ends."""
    window = torch.hann_window(N_FFT, device=samples.device)
    spectrum = torch.stft(samples, N_FFT, HOP_LENGTH, window=window, center=centred, return_complex=True).abs().square()
    return (filters @ spectrum).clamp(min=1e-10).log10()


def log_mel_spectrogram(samples: Tensor, filters: Tensor) -> Tensor:
    """log10 mel power of [B, n] at 16 kHz -> [B, 80, n / 160], floored at -10."""
    return mel_power(samples, filters, centred=True)[..., :-1]


class LogMel:
    """Two stacked 10 ms log-mel frames a feature: needs no weights, hears no words."""

    width = 2 * N_MELS

    def __init__(self) -> None:
        self.filters = mel_filters()

    def encode(self, windows: Tensor) -> Tensor:
        mel = log_mel_spectrogram(windows, self.filters)  # [B, 80, 2 ROWS]
        return ((mel + 4) / 4).transpose(1, 2).reshape(len(windows), ROWS, self.width)


class HiddenStates:
    """Joined hidden layers of a frozen transformer of the transformers library (Whisper, wav2vec 2.0, HuBERT).

    Args:
        model: the network; `inputs` turns windows [B, WINDOW] into what it takes.
        layers: hidden states to join; 0 is what enters the first block, -1 what leaves the last.
    """

    def __init__(self, model: nn.Module, layers: tuple[int, ...], whisper: bool):
        self.model = model.eval().requires_grad_(False)
        config: Any = model.config
        self.whisper, self.layers = whisper, layers
        count = config.encoder_layers if whisper else config.num_hidden_layers
        if not layers or any(not -count - 1 <= layer <= count for layer in layers):
            raise UsageError(f"speech.layers is {list(layers)}", todo=f"Choose from 0 to {count}, the hidden states of this encoder")
        self.width = len(layers) * int(config.d_model if whisper else config.hidden_size)
        self.filters = mel_filters()

    @torch.inference_mode()
    def encode(self, windows: Tensor) -> Tensor:
        if self.whisper:  # Whisper's own normalisation
            mel = log_mel_spectrogram(windows, self.filters)
            inputs = (torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8) + 4) / 4
        else:  # zero mean, unit variance; padded so that the convolutions give ROWS rows
            centred = windows - windows.mean(1, keepdim=True)
            inputs = F.pad(centred / (centred.var(1, keepdim=True, correction=0) + 1e-7).sqrt(), (40, 40))
        hidden = self.model(inputs, output_hidden_states=True).hidden_states
        return torch.cat([hidden[layer] for layer in self.layers], -1)


def _whisper(name: str) -> nn.Module:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    weights = whisper_encoder_weights(fetch(name))
    blocks = len({key.split(".")[1] for key in weights if key.startswith("layers.")})
    width = weights["layer_norm.weight"].shape[0]
    config = WhisperConfig(
        d_model=width,
        encoder_layers=blocks,
        encoder_attention_heads=width // 64,
        encoder_ffn_dim=weights["layers.0.fc1.weight"].shape[0],
        max_source_positions=ROWS,  # the window is shorter than Whisper's 30 s: its first positions are used
    )
    weights["embed_positions.weight"] = weights["embed_positions.weight"][:ROWS]
    model: nn.Module = WhisperEncoder(config)
    model.load_state_dict(weights)
    return model


def load_speech_encoder(config: SpeechConfig) -> SpeechEncoder:
    """The encoder that a configuration names, with its pretrained weights.

    Raises:
        MissingComponent: weights or a package are missing. UsageError: unknown layers.
    """
    if config.encoder == "log-mel":
        return LogMel()
    if config.encoder in TABLE:
        return HiddenStates(_whisper(config.encoder), config.layers, whisper=True)
    try:
        from transformers import AutoModel

        model = AutoModel.from_pretrained(config.encoder, use_safetensors=True)
    except Exception as error:
        raise MissingComponent(
            f"the speech encoder '{config.encoder}' cannot be loaded",
            why=str(error).splitlines()[0] if str(error) else type(error).__name__,
            todo="Check its name and the network, or choose one of: log-mel, " + ", ".join(n for n in TABLE if n.startswith("whisper")),
        ) from error
    return HiddenStates(model, config.layers, whisper=False)
