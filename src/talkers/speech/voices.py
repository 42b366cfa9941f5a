"""Text -> speech, by local engines behind a small contract.

Piper (VITS) and Kokoro (StyleTTS 2) are both faster than speech.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from talkers.artefacts.pretrained import fetch
from talkers.artefacts.pretrained_table import KOKORO_LANGUAGES, KOKORO_VOICES
from talkers.errors import (
    ArtefactError,
    UsageError,
    missing,
    reason,
    refuse_if_out_of_memory,
)
from talkers.speech.subtitles import Word, phrases_of
from talkers.speech.text import FASTEST, SLOWEST, Script, foreign_script

# Voices that are fetched by name; any other of Piper's is named by the path of its .onnx file.
VOICES = ("joe", *KOKORO_VOICES)
MAX_CHARACTERS = 20_000  # of what is said at once
MAX_PHONEMES = 500  # that Kokoro says at once
KOKORO_RATE = 24_000  # samples a second


@dataclass(frozen=True)
class Said:
    """What a voice has said.

    Attributes:
        samples: float32 [n] mono, -1..1, at the voice's rate.
        words: with their times, where the engine tells them: a sentence whose written and spoken
            words cannot be matched has none.
        phrases: what `say_script` said, in pieces for subtitles.
    """

    samples: NDArray[np.float32]
    words: tuple[Word, ...] = ()
    phrases: tuple[Word, ...] = ()


class Voice(Protocol):
    """Says text. `rate`: samples a second; `language`: as espeak names it, such as en-us."""

    rate: int
    language: str

    def say(self, text: str, speed: float = 1.0) -> Said:
        """Say a text.

        Args:
            speed: how many times as fast as the voice speaks, 0.5 to 2.

        Raises:
            UsageError: there is nothing in the text that can be said, or the speed is out of range.
        """
        ...


def _checked(text: str, speed: float) -> str:
    if not SLOWEST <= speed <= FASTEST:
        raise UsageError(f"a speed of {speed} was asked for", todo="Use 0.5 to 2")
    if not text.strip() or len(text) > MAX_CHARACTERS:
        raise UsageError(
            f"a text of {len(text.strip())} characters was given",
            todo=f"Give 1 to {MAX_CHARACTERS}",
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
            raise missing("saying text", "say", error) from error
        self._config = SynthesisConfig
        try:
            self._engine = Engine.load(model, config, include_alignments=True)
            self.rate = int(self._engine.config.sample_rate)
            self.language = str(self._engine.config.espeak_voice)
            if not 8_000 <= self.rate <= 192_000:
                raise ValueError(f"it speaks {self.rate} samples a second")
        except Exception as error:  # whatever onnxruntime and json raise at a file that is no voice
            refuse_if_out_of_memory(error, model)
            raise ArtefactError(
                "this is not a Piper voice",
                where=model,
                why=reason(error),
                todo="Give its .onnx file, the .json beside it",
            ) from error

    def say(self, text: str, speed: float = 1.0) -> Said:
        """See `Voice`."""
        text = _checked(text, speed)
        config = self._config(length_scale=self._engine.config.length_scale / speed)
        chunks = list(self._engine.synthesize(text, config, include_alignments=True))
        parts = [chunk.audio_float_array.astype(np.float32) for chunk in chunks]
        spoken: list[tuple[float, float]] = []
        begun = 0  # samples
        for chunk, part in zip(chunks, parts, strict=True):
            aligned = chunk.phoneme_alignments or []
            lengths = [(a.phoneme, int(a.num_samples)) for a in aligned]
            for start, length in _groups(lengths):
                at = begun + start
                spoken.append((at / self.rate, (at + length) / self.rate))
            begun += len(part)
        return Said(_joined(parts), tuple(self._matched(text, spoken)))

    def _matched(self, text: str, spoken: list[tuple[float, float]]) -> Iterator[Word]:
        """Words as they are written, with the times of what is spoken for them.

        A number is written as one word and spoken as several: how many, the phonemizer tells of
        each written word alone. Where these do not add up to what was spoken, nothing is known.
        """
        written = [word for word in text.split() if any(c.isalnum() for c in word)]
        counts = [1] * len(written)
        if len(written) != len(spoken):
            counts = [self._spoken_words(word) for word in written]
        if sum(counts) != len(spoken):
            return
        at = 0
        for word, count in zip(written, counts, strict=True):
            if count:
                yield Word(word, spoken[at][0], spoken[at + count - 1][1])
            at += count

    def _spoken_words(self, word: str) -> int:
        """How many words are spoken for a written one."""
        sentences = self._engine.phonemize(word)
        return sum(1 for phonemes in sentences for _ in _groups((p, 1) for p in phonemes))


def _groups(phonemes: Iterable[tuple[str, int]]) -> Iterator[tuple[int, int]]:
    """Start and length of each spoken word.

    Args:
        phonemes: symbol and length of each; what lies between words is no letter.
    """
    at = 0
    for pause, group in groupby(phonemes, key=lambda p: not p[0].isalpha() and p[0] not in "ˈˌː"):
        length = sum(n for _, n in group)
        if not pause:
            yield at, length
        at += length


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
            raise missing("saying text", "say", error) from error
        self._phonemizer, self.language = EspeakPhonemizer(), KOKORO_LANGUAGES[name[0]][1]
        self._codes: dict[str, int] = json.loads(fetch("kokoro-phonemes").read_text("utf-8"))[
            "vocab"
        ]
        self._styles = np.fromfile(fetch(f"kokoro-{name}"), "<f4").reshape(
            -1, 1, 256
        )  # by the number of phonemes

    def say(self, text: str, speed: float = 1.0) -> Said:
        """See `Voice`."""
        parts = []
        for sentence in self._phonemizer.phonemize(self.language, _checked(text, speed)):
            codes = [self._codes[p] for p in sentence if p in self._codes]
            while any(c != self._codes[" "] for c in codes):
                cut = len(codes)
                if cut > MAX_PHONEMES:
                    gaps = [k for k, c in enumerate(codes[:MAX_PHONEMES]) if c == self._codes[" "]]
                    cut = gaps[-1] + 1 if gaps else MAX_PHONEMES
                said, codes = codes[:cut], codes[cut:]
                tokens, fast = np.array([[0, *said, 0]], np.int64), np.full(1, speed, np.float32)
                parts.append(
                    self._engine.run(
                        None, {"tokens": tokens, "style": self._styles[len(said)], "speed": fast}
                    )[0].astype(np.float32)
                )
        return Said(_joined(parts))


def say_script(voice: Voice, script: Script, speed: float = 1.0) -> Said:
    """Say a script, sentence by sentence.

    Args:
        voice: who says it.
        script: what is said; see `talkers.speech.text`.
        speed: how many times as fast as the voice speaks, 0.5 to 2.

    Returns:
        the sound with its words and phrases. A sentence whose words are not known stands among the
        words as a whole; where no sentence's are known there are none.

    Raises:
        UsageError: there is nothing that can be said, it is too long, in a script that the voice
            does not read, or the speed is out of range.
    """
    text = _checked(script.text, speed)
    if (foreign := foreign_script(text, voice.language)) is not None:
        raise UsageError(
            f"the text is written in {foreign}, which this voice ({voice.language}) does not read",
            todo="Give the .onnx file of a Piper voice of that language to --voice; the voices by "
            "name read Latin letters",
        )
    parts: list[NDArray[np.float32]] = []
    words: list[Word] = []
    phrases: list[Word] = []
    known, done = False, 0  # samples
    for passage in script.passages:
        silence = np.zeros(round(passage.pause * voice.rate), np.float32)
        parts.append(silence)
        done += len(silence)
        if not any(c.isalnum() for c in passage.text):
            continue
        rate = min(max(speed * passage.rate, SLOWEST), FASTEST)
        said = voice.say(passage.text, rate)
        start, end = done / voice.rate, (done + len(said.samples)) / voice.rate
        own = [Word(w.text, w.start + start, w.end + start) for w in said.words]
        known = known or bool(own)
        phrases += phrases_of(passage.text, start, end, own)
        words += own or [Word(passage.text, start, end)]
        parts.append(said.samples)
        done += len(said.samples)
    if not phrases:
        parts = []
    return Said(_joined(parts), tuple(words) if known else (), tuple(phrases))


def load_voice(name: str | os.PathLike[str] = "joe") -> Voice:
    """A voice by its name in VOICES, or by the path of a Piper voice's .onnx file.

    Raises:
        MissingComponent: an engine or the voice cannot be had.
        ArtefactError, UsageError: it is none.
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
            todo=f"Use {', '.join(VOICES)}, or the .onnx file of a Piper voice with its "
            ".onnx.json beside it",
        )
    return PiperVoice(path, config)
