"""What an avatar says: a file or samples, decoded once and kept while it is used."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from talkers.errors import MediaError, ResourceError, reason
from talkers.media import AUDIO_RATE, as_samples, audio_blocks, probe
from talkers.speech import LEVEL_RATE, loudness_of

SOUND_RATE = 48_000  # Hz of the sound in written videos
Samples = NDArray[np.float32]  # [n] mono at 16 kHz


@dataclass(frozen=True)
class Speech:
    """Speech with what its source does not say itself.

    Attributes:
        source: any file with sound in it, or samples in any usual form (see
            `talkers.media.as_samples`).
        rate: Hz of samples (default: 16000).
        track: of a file's sound tracks, 1 for the first (default: the one with speech).
    """

    source: Any
    rate: float | None = None
    track: int | None = None


class SpeechSource:
    """Speech that can be read as often as one likes; a file is decoded once.

    Args:
        speech: a path, samples, or a `Speech` of these.
        note: called with a sentence for each choice that was made while reading.

    Attributes:
        length: samples at 16 kHz.
        levels: level of each 1 / LEVEL_RATE of a second in dB.

    Raises:
        MediaError: it cannot be read, or holds no sound. UsageError: no such samples.
        ResourceError: there is no room to keep it while it is used.
    """

    def __init__(self, speech: Any, note: Callable[[str], None]):
        given = speech if isinstance(speech, Speech) else Speech(speech)
        self.track = given.track
        self.path: Path | None = None
        self._samples: Samples | None = None
        self._spool: IO[bytes] | None = None
        if isinstance(given.source, str | os.PathLike):
            self.path = Path(given.source)
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this does
            blocks = self._spooled(audio_blocks(self.path, track=self.track, note=note))
        else:
            self._samples = as_samples(given.source, given.rate, note)
            self.length = len(self._samples)
            blocks = self.blocks()
        self.levels, self.length = loudness_of(blocks, AUDIO_RATE, LEVEL_RATE)
        if not self.length:
            raise MediaError(
                "this file holds no sound at all",
                where=self.path,
                why="its sound is 0 s long",
                todo="Give a recording of speech",
            )

    def _spooled(self, blocks: Iterator[Samples]) -> Iterator[Samples]:
        """The same blocks, which are kept on disk."""
        assert self._spool is not None
        for block in blocks:
            self._keep(np.ascontiguousarray(block, np.float32).tobytes())
            yield block

    def _keep(self, data: bytes) -> None:
        """Append to what is kept on disk."""
        assert self._spool is not None
        try:
            self._spool.write(data)
            self._spool.flush()
        except OSError as error:
            raise ResourceError(
                "the sound cannot be kept while it is used",
                where=tempfile.gettempdir(),
                why=error.strerror or reason(error),
                todo="Free some room there, or name another folder in TMPDIR",
            ) from error

    def blocks(self) -> Iterator[Samples]:
        """The sound at 16 kHz, a second at a time."""
        for at in range(0, self.length, AUDIO_RATE):
            count = min(AUDIO_RATE, self.length - at)
            if self._samples is not None:
                yield self._samples[at : at + count]
            else:
                assert self._spool is not None
                # At its own place: two readers of one source may take turns.
                data = os.pread(self._spool.fileno(), 4 * count, 4 * at)
                yield np.frombuffer(data, np.float32)

    def sound(self) -> tuple[Iterator[NDArray[np.float32]], int, int]:
        """The sound for a video: its blocks, their rate and channels."""
        if self._samples is not None:
            return self.blocks(), AUDIO_RATE, 1
        assert self.path is not None
        info = probe(self.path, self.track).audio
        channels = 2 if info is not None and info.channels > 1 else 1
        blocks = audio_blocks(self.path, SOUND_RATE, channels, track=self.track)
        return blocks, SOUND_RATE, channels
