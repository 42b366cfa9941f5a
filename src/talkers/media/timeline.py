"""Sound at its place in time: what a track holds, with silence where its time stamps leave gaps."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from talkers.errors import MediaError
from talkers.media.channels import mix_weights
from talkers.media.probe import MAX_GAP, decoded_of, open_media, sound_streams, stream_start
from talkers.media.samples import SAMPLE_RATES, Samples
from talkers.media.tracks import Track, float_samples

EXACT_LENGTH = {"ogg", "mov,mp4,m4a,3gp,3g2,mj2"}
"""Containers that state the sound's length to the sample; others estimate it."""
CODEC_PADDING = 0.1  # seconds by which a codec may overrun the length that its container states
MAX_JITTER = (
    0.08  # seconds by which time stamps may differ from the count of samples (FFmpeg's is 0.1)
)
MAX_OVERLAP = (
    2.0  # seconds that are cut off where sound overlaps; more is a clock that was set back
)


def placed_sound(
    path: str | os.PathLike[str], track: Track, channels: int
) -> Iterator[tuple[int, Samples]]:
    """Read the sound of a track from the file's first moment on.

    What a codec adds at the end to fill its last block is left out.

    Args:
        path: a media file.
        track: what `choose_track` found.
        channels: 1 or 2.

    Yields:
        the track's own rate, and samples float32 [n] or [n, 2], a second or less.

    Raises:
        MediaError: rates that sound does not have, or time that jumps by minutes.
    """
    seconds, given = math.inf, 0
    late: list[
        tuple[int, Samples]
    ] = []  # beyond the stated end: padding, unless there is more of it
    for entry in _with_padding(path, track, channels):
        if isinstance(entry, float):
            seconds = entry
            continue
        rate, samples = entry
        limit = len(samples)
        if not math.isinf(seconds):
            limit = max(0, min(limit, round(seconds * rate) - given))
        given += len(samples)
        if limit:
            yield rate, samples[:limit]
        if limit < len(samples):
            late.append((rate, samples[limit:]))
            if given - seconds * rate > CODEC_PADDING * rate:  # the stated end was wrong
                yield from late
                late, seconds = [], math.inf


@dataclass
class _Clock:
    """Where the next samples belong: counted, and by the file's time stamps."""

    path: str | os.PathLike[str]
    zero: float  # seconds of the file's own time at which sample 0 lies
    rate: int
    count: int = 0  # samples so far

    def before(self, stamp: float | None) -> int:
        """How many samples of silence belong before a frame with this time stamp.

        Below 0: how many samples of the frame are to be cut off.
        """
        if stamp is None:
            return 0
        offset = stamp - self.zero - self.count / self.rate
        if offset > MAX_GAP:
            late = not self.count
            raise MediaError(
                "the time jumps" if late else f"the time jumps by {offset:.0f} s",
                where=f"{self.path} at {self.count / self.rate:.2f} s",
                why=f"the sound begins {offset:.0f} s after the picture" if late else None,
                todo="Cut the file where the sound begins"
                if late
                else "Cut the file there and give the parts",
            )
        if offset < -MAX_OVERLAP:  # the clock was set back: the sound goes on from here
            self.zero += offset
            return 0
        first = self.count == 0 and offset > 0
        return round(offset * self.rate) if first or abs(offset) > MAX_JITTER else 0


def _with_padding(
    path: str | os.PathLike[str], track: Track, channels: int
) -> Iterator[float | tuple[int, Samples]]:
    """First the stated end in seconds (inf: unknown), then (native rate, samples)."""
    with open_media(path) as container:
        stream = sound_streams(container)[track.number - 1]
        zero = stream_start(container)
        tick = float(stream.time_base or 0)
        exact = container.format.name in EXACT_LENGTH and stream.duration and tick
        end = ((stream.start_time or 0) + (stream.duration or 0)) * tick - zero
        yield end if exact else math.inf
        clock: _Clock | None = None
        resampler, form = None, None
        for frame in decoded_of(container, stream):
            if not SAMPLE_RATES[0] <= frame.sample_rate <= SAMPLE_RATES[1]:
                raise MediaError(
                    f"its sound has {frame.sample_rate} samples a second",
                    where=path,
                    todo="Convert it to 16000 or 48000 Hz",
                )
            clock = clock or _Clock(path, zero, frame.sample_rate)
            cut = clock.before(frame.time)
            for silent in _silence(cut, clock.rate, channels):
                clock.count += len(silent)
                yield clock.rate, silent
            now = frame.format.name, frame.layout.name, frame.sample_rate
            if now != form:  # it may change midway
                form, resampler = now, av.AudioResampler(format="flt", rate=clock.rate)
            for part in float_samples(frame, resampler):
                kept = part[:, max(0, -cut) :]
                cut = min(0, cut + part.shape[1])
                clock.count += kept.shape[1]
                if kept.shape[1]:
                    yield (
                        clock.rate,
                        _mixed(kept / np.float32(track.scale), now[1], track, channels),
                    )


def _silence(count: int, rate: int, channels: int) -> Iterator[Samples]:
    """Samples of silence, a second at a time."""
    while count > 0:
        n = min(rate, count)
        count -= n
        yield np.zeros((n, channels) if channels > 1 else n, np.float32)


def _mixed(samples: NDArray[np.float32], layout: str, track: Track, channels: int) -> Samples:
    """Samples [channels of the file, n] -> [n] or [n, 2]."""
    if track.channel is not None and track.channel < len(samples):
        samples = samples[track.channel][None]
        layout = "mono"
    left_right = mix_weights(layout, len(samples))
    if channels == 1:
        return np.clip(left_right.mean(0) @ samples, -1, 1)
    return np.clip((left_right @ samples).T, -1, 1)
