"""Text -> speech, by local engines behind a small contract: Piper (VITS) and Kokoro (StyleTTS 2), both faster than speech."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from talkers.artefacts.pretrained import KOKORO_VOICES, fetch
from talkers.errors import ArtefactError, MissingComponent, UsageError, reason

VOICES = (
    "joe",
    *KOKORO_VOICES,
)  # fetched by name; any other Piper voice by the path of its .onnx file
LONGEST = 20_000  # characters said at once
LANGUAGES = {
    "a": "en-us",
    "b": "en-gb-x-rp",
    "e": "es",
    "f": "fr",
    "i": "it",
    "p": "pt-br",
}  # of Kokoro's voices, by their first letter
MOST_PHONEMES = 500  # that Kokoro says at once
KOKORO_RATE = 24_000


class Word(NamedTuple):
    """A word and when it is said, seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Said:
    """samples: float32 [n] mono, -1..1, at the voice's rate. words: with their times, where the engine tells them: a
    sentence whose written and spoken words are not as many (numbers, say) has none."""

    samples: NDArray[np.float32]
    words: tuple[Word, ...] = ()


class Voice(Protocol):
    """Says text. `rate`: samples a second."""

    rate: int

    def say(self, text: str, speed: float = 1.0) -> Said:
        """Say a text.

        Args:
            speed: how many times as fast as the voice speaks, 0.5 to 2.

        Raises:
            UsageError: there is nothing in the text that can be said, or the speed is out of range.
        """
        ...


def _checked(text: str, speed: float) -> str:
    if not 0.5 <= speed <= 2:
        raise UsageError(f"a speed of {speed} was asked for", todo="Use 0.5 to 2")
    if not text.strip() or len(text) > LONGEST:
        raise UsageError(
            f"a text of {len(text.strip())} characters was given", todo=f"Give 1 to {LONGEST}"
        )
    return text


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    if not sum(map(len, parts)):
        raise UsageError("there is nothing in this text that can be said", todo="Write words")
    return np.clip(np.concatenate(parts), -1, 1)


class PiperVoice:
    """A voice of Piper: its .onnx file and the .json beside it. Tells when words are said."""

    def __init__(self, model: Path, config: Path):
        try:
            from piper import PiperVoice as Engine
            from piper import SynthesisConfig
        except ImportError as error:
            raise MissingComponent(
                "saying text needs the package piper-tts",
                todo="Install it: `pip install 'talkers[say]'`",
            ) from error
        self._manner = SynthesisConfig
        try:
            self._engine = Engine.load(model, config, include_alignments=True)
            self.rate = int(self._engine.config.sample_rate)
            if not 8_000 <= self.rate <= 192_000:
                raise ValueError(f"it speaks {self.rate} samples a second")
        except Exception as error:  # whatever onnxruntime and json raise at a file that is no voice
            raise ArtefactError(
                "this is not a Piper voice",
                where=model,
                why=reason(error),
                todo="Give its .onnx file, the .json beside it",
            ) from error

    def say(self, text: str, speed: float = 1.0) -> Said:
        """See `Voice`."""
        text = _checked(text, speed)
        manner = self._manner(length_scale=self._engine.config.length_scale / speed)
        chunks = list(self._engine.synthesize(text, manner, include_alignments=True))
        parts = [chunk.audio_float_array.astype(np.float32) for chunk in chunks]
        spoken: list[tuple[float, float]] = []
        begun = 0
        for chunk, part in zip(chunks, parts, strict=True):
            at = begun
            for pause, phonemes in groupby(
                chunk.phoneme_alignments or [],
                key=lambda a: not a.phoneme.isalpha() and a.phoneme not in "ˈˌː",
            ):
                length = sum(int(p.num_samples) for p in phonemes)
                if not pause:
                    spoken.append((at / self.rate, (at + length) / self.rate))
                at += length
            begun += len(part)
        written = [word for word in text.split() if any(c.isalnum() for c in word)]
        words = (
            tuple(Word(w, *times) for w, times in zip(written, spoken, strict=True))
            if len(written) == len(spoken)
            else ()
        )
        return Said(_joined(parts), words)


@lru_cache(maxsize=1)
def _kokoro(model: Path) -> Any:
    """Kokoro's network, one for all of its voices."""
    import onnxruntime

    return onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])


class KokoroVoice:
    """One of Kokoro's voices; see KOKORO_VOICES. Does not tell when words are said."""

    rate = KOKORO_RATE

    def __init__(self, name: str):
        try:
            from piper.phonemize_espeak import EspeakPhonemizer

            self._engine = _kokoro(fetch("kokoro"))
        except ImportError as error:
            raise MissingComponent(
                "saying text needs the package piper-tts",
                todo="Install it: `pip install 'talkers[say]'`",
            ) from error
        self._phonemizer, self._language = EspeakPhonemizer(), LANGUAGES[name[0]]
        self._codes: dict[str, int] = json.loads(fetch("kokoro-phonemes").read_text("utf-8"))[
            "vocab"
        ]
        self._styles = np.fromfile(fetch(f"kokoro-{name}"), "<f4").reshape(
            -1, 1, 256
        )  # by the number of phonemes

    def say(self, text: str, speed: float = 1.0) -> Said:
        """See `Voice`."""
        parts = []
        for sentence in self._phonemizer.phonemize(self._language, _checked(text, speed)):
            codes = [self._codes[p] for p in sentence if p in self._codes]
            while any(c != self._codes[" "] for c in codes):
                cut = len(codes)
                if cut > MOST_PHONEMES:
                    gaps = [k for k, c in enumerate(codes[:MOST_PHONEMES]) if c == self._codes[" "]]
                    cut = gaps[-1] + 1 if gaps else MOST_PHONEMES
                said, codes = codes[:cut], codes[cut:]
                tokens, fast = np.array([[0, *said, 0]], np.int64), np.full(1, speed, np.float32)
                parts.append(
                    self._engine.run(
                        None, {"tokens": tokens, "style": self._styles[len(said)], "speed": fast}
                    )[0].astype(np.float32)
                )
        return Said(_joined(parts))


def subtitles(words: Sequence[Word]) -> str:
    """Words as WebVTT subtitles, one cue a word."""

    def clock(seconds: float) -> str:
        return f"{int(seconds // 3600):02}:{int(seconds // 60) % 60:02}:{seconds % 60:06.3f}"

    text = [
        re.sub(r"[&<>]", lambda m: {"&": "&amp;", "<": "&lt;", ">": "&gt;"}[m[0]], word.text)
        for word in words
    ]
    return "\n".join(
        [
            "WEBVTT\n",
            *(
                f"{clock(w.start)} --> {clock(w.end)}\n{t}\n"
                for w, t in zip(words, text, strict=True)
            ),
        ]
    )


def load_voice(name: str | os.PathLike[str] = "joe") -> Voice:
    """A voice by its name in VOICES, or by the path of a Piper voice's .onnx file.

    Raises:
        MissingComponent: an engine or the voice cannot be had. ArtefactError, UsageError: it is none.
    """
    if str(name) in KOKORO_VOICES:
        return KokoroVoice(str(name))
    if str(name) in VOICES:
        return PiperVoice(fetch(f"piper-{name}"), fetch(f"piper-{name}-config"))
    path = Path(name)
    config = path.with_name(path.name + ".json")
    if not path.is_file() or not config.is_file():
        missing = path if not path.is_file() else config
        raise UsageError(
            "there is no such voice",
            where=missing,
            todo=f"Use {', '.join(VOICES)}, or the .onnx file of a Piper voice with its .onnx.json beside it",
        )
    return PiperVoice(path, config)
