"""Text -> speech, by a local engine behind a small contract. Piper (VITS, runs faster than speech on one core)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from talkers.errors import ArtefactError, MissingComponent, UsageError
from talkers.pretrained import fetch

VOICES = ("joe",)  # fetched by name; any other Piper voice by the path of its .onnx file
LONGEST = 20_000  # characters said at once


class Voice(Protocol):
    """Says text. `rate`: samples a second."""

    rate: int

    def say(self, text: str) -> NDArray[np.float32]:
        """Text -> float32 [n] mono samples, -1..1."""
        ...


class PiperVoice:
    """A voice of Piper: its .onnx file and the .json beside it."""

    def __init__(self, model: Path, config: Path):
        try:
            from piper import PiperVoice as Engine
        except ImportError as error:
            raise MissingComponent("saying text needs the package piper-tts", todo="Install it: `pip install 'talkers[say]'`") from error
        try:
            self._engine = Engine.load(model, config)
        except Exception as error:  # whatever onnxruntime and json raise at a file that is no voice
            raise ArtefactError(
                "this is not a Piper voice", where=model, why=str(error).splitlines()[0], todo="Give its .onnx file, the .json beside it"
            ) from error
        self.rate = int(self._engine.config.sample_rate)

    def say(self, text: str) -> NDArray[np.float32]:
        """See `Voice`.

        Raises:
            UsageError: there is nothing in the text that can be said.
        """
        if not text.strip() or len(text) > LONGEST:
            raise UsageError(f"a text of {len(text.strip())} characters was given", todo=f"Give 1 to {LONGEST}")
        parts = [chunk.audio_float_array.astype(np.float32) for chunk in self._engine.synthesize(text)]
        if not sum(map(len, parts)):
            raise UsageError("there is nothing in this text that can be said", todo="Write words")
        return np.concatenate(parts)


def load_voice(name: str | os.PathLike[str] = "joe") -> Voice:
    """A voice by its name in VOICES, or by the path of its .onnx file.

    Raises:
        MissingComponent: Piper or the voice cannot be had. ArtefactError, UsageError: it is none.
    """
    if str(name) in VOICES:
        return PiperVoice(fetch(f"piper-{name}"), fetch(f"piper-{name}-config"))
    path = Path(name)
    config = path.with_name(path.name + ".json")
    if not path.is_file() or not config.is_file():
        missing = path if not path.is_file() else config
        raise UsageError(
            "there is no such voice", where=missing, todo=f"Use {', '.join(VOICES)}, or the .onnx file of a Piper voice with its .onnx.json beside it"
        )
    return PiperVoice(path, config)
