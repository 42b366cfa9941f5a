"""Frames as numbered PNG files, with their sound beside them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from talkers.artefacts.files import atomic, folder_beside
from talkers.errors import ResourceError, UsageError
from talkers.media.forms import NUMBER


class SequenceWriter:
    """Write frames as PNG files numbered from 1, and their sound as sound.flac.

    All appear when the context ends well.

    Files of the same names are replaced; further ones of the same pattern are refused before
    anything is written.

    Args:
        pattern: name of the pictures with a number in it, such as frames/%05d.png; the folder is
            made.
        rate: frames a second.
        audio: blocks of sound, float32 [n] or [n, channels].
        audio_rate: Hz of `audio`.
        comment: kept in the pictures' metadata.

    Raises:
        UsageError: pictures of this pattern are there.
    """

    def __init__(
        self,
        pattern: str | os.PathLike[str],
        rate: Fraction,
        audio: Iterable[NDArray[np.float32]] | None = None,
        audio_rate: int = 48_000,
        comment: str = "",
    ):
        self.path, self.rate, self._frames = Path(pattern), Fraction(rate), 0
        self._audio, self._audio_rate = audio, audio_rate
        self._about = PngInfo()
        self._about.add_text("Comment", comment)
        there = next(self.path.parent.glob(NUMBER.sub("[0-9]*", self.path.name)), None)
        if there is not None:
            raise UsageError(
                "pictures of this name are there",
                where=there,
                todo="Remove them, or name another folder",
            )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._folder = stack.enter_context(folder_beside(self.path))
            except OSError as error:
                raise _unwritable(self.path, error) from error
            self._stack = stack.pop_all()
        return self

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame, uint8 [H, W, 3] RGB."""
        self._frames += 1
        image = Image.fromarray(frame)
        name = NUMBER.sub(lambda found: found[0] % self._frames, self.path.name, count=1)
        try:
            image.save(self._folder / name, compress_level=3, pnginfo=self._about)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _finish(self) -> None:
        """Write the sound, and put everything in its place."""
        blocks = iter(self._audio or ())
        first = next(blocks, None)
        if first is not None:
            with atomic(self.path.parent / "sound.flac") as temporary:
                self._write_sound(temporary, chain([first], blocks))
        for picture in sorted(self._folder.iterdir()):
            picture.replace(self.path.parent / picture.name)

    def _write_sound(self, path: Path, blocks: Iterator[NDArray[np.float32]]) -> None:
        first = next(blocks)
        channels = 1 if first.ndim == 1 else first.shape[1]
        try:
            with soundfile.SoundFile(
                path, "w", self._audio_rate, channels, "PCM_16", format="FLAC"
            ) as file:
                for block in chain([first], blocks):
                    file.write(np.clip(block, -1, 1))
        except soundfile.LibsndfileError as error:
            raise OSError(str(error)) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if kind is None:
                if not self._frames:
                    raise _unwritable(self.path, OSError("no frame was written"))
                try:
                    self._finish()
                except OSError as raised:
                    raise _unwritable(self.path, raised) from raised


def _unwritable(path: Path, error: OSError) -> ResourceError:
    return ResourceError(
        "the pictures cannot be written",
        where=path,
        why=error.strerror or str(error),
        todo="Free some room or choose another folder",
    )
