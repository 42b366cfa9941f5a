"""Speech encoders behind one contract: Whisper, wav2vec 2.0, HuBERT, and log-mel, which needs no
weights."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from talkers.artefacts.pretrained import fetch
from talkers.errors import MissingComponent, missing, refuse_if_out_of_memory
from talkers.registry import component, names
from talkers.speech.config import FEATURE_RATE, SpeechConfig
from talkers.speech.contract import SpeechEncoder
from talkers.speech.ctranslate2 import encoder_variables
from talkers.speech.mel import N_FFT, N_MELS, log_mel_spectrogram
from talkers.speech.streaming import STEP, mel_rows
from talkers.speech.whisper import Whisper, check_layers
from talkers.speech.windows import MARGIN, ROWS, SAMPLE_RATE


class LogMel:
    """Two stacked 10 ms log-mel frames a feature: needs no weights, knows no words.

    Args:
        config: nothing in it changes anything.
    """

    width = 2 * N_MELS
    rate = FEATURE_RATE
    lookahead = 0.0125
    guesses = 0
    streams = True

    def __init__(self, config: SpeechConfig | None = None):
        self.config = config

    def encode(self, windows: Tensor) -> Tensor:
        """See `SpeechEncoder`."""
        mel = log_mel_spectrogram(windows)  # [B, 80, 2 ROWS]
        return ((mel + 4) / 4).transpose(1, 2).reshape(len(windows), ROWS, self.width)

    def start(self) -> LogMelStream:
        """Begin a stream."""
        return LogMelStream()


class LogMelStream:
    """The features of `LogMel` while the sound goes on; see `FeatureStream`."""

    def __init__(self) -> None:
        # Frames are centred: before the beginning is silence.
        self._rest = np.zeros(N_FFT // 2, np.float32)

    def step(self, samples: NDArray[np.float32]) -> Tensor:
        """See `FeatureStream.step`."""
        self._rest = np.concatenate([self._rest, samples])
        features = mel_rows(torch.from_numpy(self._rest)[None])[0]
        self._rest = self._rest[len(features) * STEP :]
        return features

    def guess(self, count: int) -> Tensor:
        """See `FeatureStream.guess`: none, nothing is known of sound to come."""
        return torch.zeros(0, LogMel.width)


class HiddenStates:
    """Joined hidden layers of a frozen wav2vec 2.0 or HuBERT of the transformers library.

    Args:
        model: the network.
        layers: hidden states to join; 0 is what enters the first block, -1 what leaves the last.

    Raises:
        UsageError: there is no such layer.
    """

    rate = FEATURE_RATE
    lookahead = MARGIN / SAMPLE_RATE

    def __init__(self, model: nn.Module, layers: tuple[int, ...]):
        self.model, self.layers = model.eval().requires_grad_(False), layers
        config: Any = model.config
        check_layers(layers, config.num_hidden_layers)
        self.width = len(layers) * int(config.hidden_size)

    @torch.inference_mode()
    def encode(self, windows: Tensor) -> Tensor:
        """See `SpeechEncoder`."""
        # Zero mean, unit variance; padded so that the convolutions give ROWS rows.
        centred = windows - windows.mean(1, keepdim=True)
        scale = (centred.var(1, keepdim=True, correction=0) + 1e-7).sqrt()
        inputs = F.pad(centred / scale, (40, 40))
        hidden = self.model(inputs, output_hidden_states=True).hidden_states
        return torch.cat([hidden[layer] for layer in self.layers], -1)


def whisper(config: SpeechConfig) -> Whisper:
    """A Whisper of the table of pretrained models, by its name there."""
    return Whisper(encoder_variables(fetch(config.encoder)), config.layers)


def can_stream(config: SpeechConfig) -> bool:
    """Whether the encoder that a configuration names follows sound while it goes on."""
    if config.encoder not in names("speech_encoder"):
        return False
    return bool(getattr(component("speech_encoder", config.encoder).load(), "streams", False))


def load_speech_encoder(config: SpeechConfig) -> SpeechEncoder:
    """The encoder that a configuration names, with its pretrained weights.

    Raises:
        MissingComponent: weights or a package are missing. UsageError: unknown layers.
    """
    if config.encoder in names("speech_encoder"):
        encoder: SpeechEncoder = component("speech_encoder", config.encoder).load()(config)
        return encoder
    try:
        from transformers import AutoModel
    except ImportError as error:
        raise missing(f"the speech encoder '{config.encoder}'", "encoders", error) from error
    try:
        model = AutoModel.from_pretrained(  # never code: the name may come from a foreign avatar
            config.encoder,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=bool(os.environ.get("TALKERS_OFFLINE")),
        )
    except Exception as error:
        refuse_if_out_of_memory(error, config.encoder)
        raise MissingComponent(
            f"the speech encoder '{config.encoder}' cannot be loaded",
            why=str(error).splitlines()[0] if str(error) else type(error).__name__,
            todo="Check its name and the network, or choose one of: "
            + ", ".join(names("speech_encoder")),
        ) from error
    return HiddenStates(model, config.layers)
