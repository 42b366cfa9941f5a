"""Foreign sound -> mono float samples at the rate the models hear (16 kHz), as a stream or whole."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from talkers.errors import MediaError
from talkers.media.guard import ask
from talkers.media.probe import LONGEST_GAP, decoded_of, open_media, stream_start
from talkers.media.samples import AUDIO_RATE, SAMPLE_RATES, Samples


def audio_blocks(
    path: str | os.PathLike[str], rate: int = AUDIO_RATE, channels: int = 1
) -> Iterator[Samples]:
    """Sound of a file in blocks of at most about a second (constant memory).

    Args:
        path: any file with sound in it.
        rate: Hz of the result (soxr, high quality).
        channels: 1 mixes all channels to mono; 2 keeps the first two (mono is doubled).

    Yields:
        float32 [n, channels] ([n] when mono), -1..1; sample 0 lies at the earliest sample of picture or sound.

    Raises:
        MediaError: no such file, no sound, nothing decodes, or it begins more than a minute late.
    """
    for _, block in ask("blocks", path, rate=rate, channels=channels):
        if block is not None:
            yield block


def blocks_here(path: str | os.PathLike[str], rate: int, channels: int) -> Iterator[Samples]:
    """`audio_blocks` in this process."""
    resampler: soxr.ResampleStream | None = None
    heard = 0
    for block in _decoded(path, channels):
        native, samples = block
        if resampler is None:
            resampler = soxr.ResampleStream(native, rate, channels, dtype="float32", quality="HQ")
        heard += len(samples)
        out = resampler.resample_chunk(np.ascontiguousarray(samples))
        if len(out):
            yield _shaped(out, channels)
    if resampler is not None:
        out = resampler.resample_chunk(
            np.zeros((0, channels) if channels > 1 else 0, np.float32), last=True
        )
        if len(out):
            yield _shaped(out, channels)
    if not heard:
        raise MediaError(
            "no sound of this file can be decoded",
            where=path,
            why="it is empty or damaged",
            todo="Record or convert it again",
        )


def _shaped(block: NDArray[np.float32], channels: int) -> Samples:
    return block.reshape(-1) if channels == 1 else block.reshape(-1, channels)


EXACT_LENGTH = {
    "ogg",
    "mov,mp4,m4a,3gp,3g2,mj2",
}  # containers that state the sound's length to the sample; others estimate it
CODEC_PADDING = 0.1  # seconds by which a codec may overrun the length that its container states


def _decoded(path: str | os.PathLike[str], channels: int) -> Iterator[tuple[int, Samples]]:
    """(native rate, samples [n] or [n, channels]); what a codec adds at the end to fill its last block is cut off."""
    seconds, given = math.inf, 0
    late: list[
        tuple[int, Samples]
    ] = []  # beyond the stated end: padding, unless there is more than a codec pads
    for entry in _with_padding(path, channels):
        if isinstance(entry, float):
            seconds = entry
            continue
        rate, samples = entry
        limit = (
            len(samples)
            if math.isinf(seconds)
            else max(0, min(len(samples), round(seconds * rate) - given))
        )
        given += len(samples)
        if limit:
            yield rate, samples[:limit]
        if limit < len(samples):
            late.append((rate, samples[limit:]))
            if given - seconds * rate > CODEC_PADDING * rate:  # the stated end was wrong
                yield from late
                late, seconds = [], math.inf


def _with_padding(
    path: str | os.PathLike[str], channels: int
) -> Iterator[float | tuple[int, Samples]]:
    """First the stated end in seconds from the common zero (inf: unknown), then (native rate, samples)."""
    with open_media(path) as container:
        if not container.streams.audio:
            raise MediaError(
                "there is no sound in this file", where=path, todo="Give a file with speech in it"
            )
        stream = container.streams.audio[0]
        start, placed, native = stream_start(container), 0, 0
        tick = float(stream.time_base or 0)
        exact = container.format.name in EXACT_LENGTH and stream.duration and tick
        yield (
            ((stream.start_time or 0) + (stream.duration or 0)) * tick - start
            if exact
            else math.inf
        )
        converter: av.AudioResampler | None = None
        form: tuple[str, str, int] | None = None
        for frame in decoded_of(container, stream):
            if not SAMPLE_RATES[0] <= frame.sample_rate <= SAMPLE_RATES[1]:
                raise MediaError(
                    f"its sound has {frame.sample_rate} samples a second",
                    where=path,
                    todo="Convert it to 16000 or 48000 Hz",
                )
            if converter is None:
                native, late = frame.sample_rate, float(frame.time or 0.0) - start
                if late > LONGEST_GAP:
                    why = f"the sound begins {late:.0f} s after the picture"
                    raise MediaError(
                        "the time jumps",
                        where=f"{path} at 0.00 s",
                        why=why,
                        todo="Cut the file where the sound begins",
                    )
                lead = round(late * native)
                while (
                    placed < lead
                ):  # sound that begins after the picture: silence before it, a second at a time
                    n = min(native, lead - placed)
                    placed += n
                    yield native, np.zeros((n, channels) if channels > 1 else n, np.float32)
            if (
                converter is None
                or (frame.format.name, frame.layout.name, frame.sample_rate) != form
            ):  # it may change midway
                form, converter = (
                    (frame.format.name, frame.layout.name, frame.sample_rate),
                    av.AudioResampler(format="fltp", rate=native),
                )
            for part in converter.resample(frame):
                samples = np.nan_to_num(
                    part.to_ndarray(), nan=0.0, posinf=0.0, neginf=0.0
                )  # [C, n]
                placed += samples.shape[1]
                if channels == 1:
                    yield native, samples.mean(0, dtype=np.float32)
                else:
                    yield (
                        native,
                        np.repeat(samples, 2, 0)[:2].T if len(samples) == 1 else samples[:2].T,
                    )


def read_audio(
    path: str | os.PathLike[str], rate: int = AUDIO_RATE, seconds: float = math.inf
) -> Samples:
    """The sound of a file, or its first seconds: float32 [n] mono at `rate` Hz. Raises MediaError like `audio_blocks`."""
    read, count = [], 0
    for block in audio_blocks(path, rate):
        read.append(block)
        count += len(block)
        if count >= seconds * rate:
            break
    joined = np.concatenate(read)
    return joined if math.isinf(seconds) else joined[: int(seconds * rate)]


def audio_duration(path: str | os.PathLike[str]) -> float:
    """Exact length of a file's sound in seconds, by decoding it (constant memory). Raises MediaError like `audio_blocks`."""
    ((head, _),) = ask("duration", path)
    return float(head["seconds"])


def duration_here(path: str | os.PathLike[str]) -> float:
    """`audio_duration` in this process."""
    count, rate = 0, 1
    for native, samples in _decoded(path, 1):
        count, rate = count + len(samples), native
    if not count:
        raise MediaError(
            "no sound of this file can be decoded",
            where=path,
            why="it is empty or damaged",
            todo="Record or convert it again",
        )
    return count / rate
