"""Speech -> text by Whisper (Radford et al. 2022): tiny.en, the same file whose encoder gives
speech features. It understands English.

Decoding is greedy, without time stamps. A turn that is no speech gives an empty text where the
model says so, or where its words are unlikely.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts.pretrained import fetch
from talkers.errors import missing
from talkers.media import AUDIO_RATE
from talkers.speech.ctranslate2 import encoder_variables, read_variables
from talkers.speech.mel import log_mel_spectrogram
from talkers.speech.whisper import HEAD_WIDTH, WhisperEncoder

NAME = "whisper-tiny.en"
ROWS = 1500  # positions of the encoder: 30 s at 50 a second
MAX_SECONDS = 28.0  # of a turn; silence fills 30 s up, without which it repeats itself
SPARE = 0.4  # seconds without which nothing is asked for
MAX_TOKENS = 160
UNLIKELY = -1.1  # nats a token: below it is no speech
START, NO_TIMES, END = "<|startoftranscript|>", "<|notimestamps|>", "<|endoftext|>"
BEGINNING = np.array([220, 50256])  # a space and the end: never first, as Whisper has it


class WhisperDecoder:
    """Tokens and the encoder's states -> logits of the next token.

    Args:
        weights: float32, under the names of a CTranslate2 file's `decoder/` variables.
    """

    def __init__(self, weights: Mapping[str, Tensor]):
        self._weights = weights
        self._blocks = len(
            {n.split("/")[0] for n in weights if n.startswith("layer_") and n[6].isdigit()}
        )
        self._embedding = weights["embeddings/weight"]  # [tokens, width]
        self._positions = weights["position_encodings/encodings"]
        self.vocabulary = len(self._embedding)

    def across(self, states: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of the encoder's states [T, width], for each block."""
        found = []
        for k in range(self._blocks):
            keys, values = self._linear(states, f"layer_{k}/attention/linear_1").chunk(2, -1)
            found.append((_heads(keys), _heads(values)))
        return found

    def __call__(
        self, tokens: Tensor, begun: int, across: list[tuple[Tensor, Tensor]], cache: list[Any]
    ) -> Tensor:
        """Read tokens [n] that stand at `begun`; returns logits [tokens] after the last. The cache
        grows."""
        x = self._embedding[tokens] + self._positions[begun : begun + len(tokens)]
        seen = torch.ones(len(tokens), begun + len(tokens), dtype=torch.bool).tril(begun)
        for k in range(self._blocks):
            own, other, inner = (
                f"layer_{k}/{part}" for part in ("self_attention", "attention", "ffn")
            )
            q, keys, values = self._linear(self._norm(x, own), f"{own}/linear_0").chunk(3, -1)
            keys, values = _heads(keys), _heads(values)
            if begun:
                keys = torch.cat([cache[k][0], keys], 1)
                values = torch.cat([cache[k][1], values], 1)
                cache[k] = keys, values
            else:
                cache.append((keys, values))
            mixed = F.scaled_dot_product_attention(_heads(q), keys, values, attn_mask=seen)
            x = x + self._linear(_joined(mixed), f"{own}/linear_1")
            q = _heads(self._linear(self._norm(x, other), f"{other}/linear_0"))
            mixed = F.scaled_dot_product_attention(q, *across[k])
            x = x + self._linear(_joined(mixed), f"{other}/linear_2")
            hidden = F.gelu(self._linear(self._norm(x, inner), f"{inner}/linear_0"))
            x = x + self._linear(hidden, f"{inner}/linear_1")
        last = self._norm(x[-1], "")
        return F.linear(last, self._embedding)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._weights[f"{name}/weight"], self._weights.get(f"{name}/bias"))

    def _norm(self, x: Tensor, name: str) -> Tensor:
        prefix = f"{name}/layer_norm" if name else "layer_norm"
        gain, shift = self._weights[f"{prefix}/gamma"], self._weights[f"{prefix}/beta"]
        return F.layer_norm(x, x.shape[-1:], gain, shift)


def _heads(x: Tensor) -> Tensor:
    """[n, width] -> [heads, n, HEAD_WIDTH]."""
    return x.view(len(x), -1, HEAD_WIDTH).transpose(0, 1)


def _joined(x: Tensor) -> Tensor:
    """The way back."""
    return x.transpose(0, 1).reshape(x.shape[1], -1)


class WhisperRecogniser:
    """See above, and `Recogniser`. Safe from several threads.

    Raises:
        MissingComponent: its files, or the package that reads its words, cannot be had.
    """

    def __init__(self) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise missing("understanding speech", "chat", error) from error
        path = fetch(NAME)
        self._tokenizer: Any = Tokenizer.from_file(str(fetch(f"{NAME}-words")))
        encoder = WhisperEncoder(encoder_variables(path), ROWS)
        self._encoder = encoder.eval().requires_grad_(False)
        decoder = read_variables(path, "decoder/")
        self._decoder = WhisperDecoder({name: value.float() for name, value in decoder.items()})
        self._special: dict[str, Any] = {
            name: self._tokenizer.token_to_id(name) for name in (START, NO_TIMES, END)
        }

    @torch.inference_mode()
    def text(self, samples: NDArray[np.float32]) -> str:
        """See `Recogniser`; what is longer than MAX_SECONDS is cut off."""
        if len(samples) < SPARE * AUDIO_RATE:
            return ""
        taken = samples[: round(MAX_SECONDS * AUDIO_RATE)]
        padded = np.zeros(ROWS * AUDIO_RATE // 50, np.float32)
        padded[: len(taken)] = taken
        mel = log_mel_spectrogram(torch.from_numpy(padded)[None])
        mel = (torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8) + 4) / 4
        across = self._decoder.across(self._encoder(mel)[-1][0])
        tokens, nats = self._greedy(across)
        if not tokens or nats / len(tokens) < UNLIKELY:
            return ""
        return " ".join(self._tokenizer.decode(tokens).split())

    def _greedy(self, across: list[tuple[Tensor, Tensor]]) -> tuple[list[int], float]:
        """The likeliest token, again and again: the tokens, and log p of them all."""
        end, cache, tokens, nats = self._special[END], list[Any](), list[int](), 0.0
        given = torch.tensor([self._special[START], self._special[NO_TIMES]])
        begun = 0
        for _ in range(MAX_TOKENS):
            logits = self._decoder(given, begun, across, cache)
            begun += len(given)
            if not tokens:
                logits[torch.from_numpy(BEGINNING)] = -torch.inf
            logits[end + 1 :] = -torch.inf  # no special tokens
            shares = logits.log_softmax(-1)
            token = int(shares.argmax())
            nats += float(shares[token])
            if token == end:
                break
            tokens.append(token)
            if tokens[-12:] == tokens[-24:-12] and len(tokens) >= 24:
                break  # it turns in circles
            given = torch.tensor([token])
        return tokens, nats


@lru_cache(maxsize=1)
def load_recogniser() -> WhisperRecogniser:
    """Whisper, loaded once; it is fetched on first use.

    Raises:
        MissingComponent: it cannot be had.
    """
    return WhisperRecogniser()
