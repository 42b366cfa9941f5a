"""Foreign sound -> float samples at the rate the models hear (16 kHz, mono), as a stream or
whole."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from talkers.errors import MediaError
from talkers.media.guard import ask
from talkers.media.samples import AUDIO_RATE, Samples
from talkers.media.timeline import placed_sound
from talkers.media.tracks import choose_track

Note = Callable[[str], None]


def audio_blocks(
    path: str | os.PathLike[str],
    rate: int = AUDIO_RATE,
    channels: int = 1,
    track: int | None = None,
    note: Note | None = None,
) -> Iterator[Samples]:
    """Sound of a file in blocks of at most about a second (constant memory).

    Gaps in its time stamps are silence; channels are mixed as FFmpeg mixes them, unless the mix
    would cancel.

    Args:
        path: any file with sound in it.
        rate: Hz of the result (soxr, high quality).
        channels: 1 mixes all channels to mono, 2 to stereo (mono is doubled).
        track: of the file's sound tracks, 1 for the first; None: the one in which speech is heard.
        note: called with a sentence, without the file's name, for each choice that was made: of
            the track, a channel, a scale.

    Yields:
        float32 [n, channels] ([n] when mono), -1..1; sample 0 lies at the earliest sample of
        picture or sound.

    Raises:
        MediaError: no such file, no sound, no such track, nothing decodes, or its time jumps by
            minutes.
    """
    for head, block in ask("blocks", path, rate=rate, channels=channels, track=track):
        if block is not None:
            yield block
        elif note is not None:
            note(head["note"])


def blocks_here(
    path: str | os.PathLike[str],
    rate: int,
    channels: int,
    track: int | None = None,
    note: Note = lambda text: None,
) -> Iterator[Samples]:
    """`audio_blocks` in this process."""
    resampler: soxr.ResampleStream | None = None
    chosen, read = choose_track(path, track), 0
    for text in chosen.notes:
        note(text)
    for native, samples in placed_sound(path, chosen, channels):
        if resampler is None:
            resampler = soxr.ResampleStream(native, rate, channels, dtype="float32", quality="HQ")
        read += len(samples)
        out = resampler.resample_chunk(np.ascontiguousarray(samples))
        if len(out):
            yield _shaped(out, channels)
    if resampler is not None:
        end = np.zeros((0, channels) if channels > 1 else 0, np.float32)
        out = resampler.resample_chunk(end, last=True)
        if len(out):
            yield _shaped(out, channels)
    if not read:
        raise _no_sound(path)


def _no_sound(path: str | os.PathLike[str]) -> MediaError:
    return MediaError(
        "no sound of this file can be decoded",
        where=path,
        why="it is empty or damaged",
        todo="Record or convert it again",
    )


def _shaped(block: NDArray[np.float32], channels: int) -> Samples:
    return block.reshape(-1) if channels == 1 else block.reshape(-1, channels)


def read_audio(
    path: str | os.PathLike[str],
    rate: int = AUDIO_RATE,
    seconds: float = math.inf,
    track: int | None = None,
    note: Note | None = None,
) -> Samples:
    """The sound of a file, or its first seconds, in memory.

    Args:
        path, rate, track, note: see `audio_blocks`.
        seconds: how much of it, from the beginning.

    Returns:
        float32 [n] mono at `rate` Hz.

    Raises:
        MediaError: see `audio_blocks`.
    """
    read, count = [], 0
    for block in audio_blocks(path, rate, track=track, note=note):
        read.append(block)
        count += len(block)
        if count >= seconds * rate:
            break
    joined = np.concatenate(read)
    return joined if math.isinf(seconds) else joined[: int(seconds * rate)]


def audio_duration(path: str | os.PathLike[str], track: int | None = None) -> float:
    """Exact length of a file's sound in seconds, by decoding it (constant memory).

    Raises:
        MediaError: see `audio_blocks`.
    """
    ((head, _),) = ask("duration", path, track=track)
    return float(head["seconds"])


def duration_here(path: str | os.PathLike[str], track: int | None = None) -> float:
    """`audio_duration` in this process."""
    count, rate = 0, 1
    for native, samples in placed_sound(path, choose_track(path, track), 1):
        count, rate = count + len(samples), native
    if not count:
        raise _no_sound(path)
    return count / rate
