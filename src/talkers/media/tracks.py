"""Which sound of a file is read: the track in which somebody speaks, and its channels.

A file's sound is looked at in a few short windows, spread over its length, so that this costs
little for long files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from talkers.errors import MediaError
from talkers.media.channels import cancels, mix_weights
from talkers.media.probe import open_media, sound_streams
from talkers.media.samples import full_scale

WINDOWS = 6  # places that a long file is looked at
WINDOW_SECONDS = 8.0
MAX_PACKETS = 5_000  # of a window for each track, whatever its time stamps say
ENVELOPE_RATE = 100  # Hz
QUIET = 1.8e-3  # root mean square of sound that is none: -55 dB
SYLLABLES = 2.0, 8.0  # Hz, between which the loudness of speech goes up and down
SPEECH_MODULATION = 0.5  # of speech's envelope at these rates, at least; music's is near 0.2
CLEARLY_BETTER = 2.0  # how many times likelier speech another track must be than the first


@dataclass
class _Meter:
    """What is known of one track: its envelope, and the energy of its channels."""

    waiting: list[NDArray[np.float32]] = field(
        default_factory=list
    )  # [channels, n], not yet measured
    envelope: list[NDArray[np.float32]] = field(default_factory=list)
    energies: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    mix_energy: float = 0.0
    peak: float = 0.0

    def add(self, samples: NDArray[np.float32], layout: str, rate: int) -> None:
        """Take samples [channels, n] in, measured a second at a time."""
        if self.waiting and len(self.waiting[0]) != len(samples):  # it may change midway
            self.waiting.clear()
        self.waiting.append(samples)
        if sum(part.shape[1] for part in self.waiting) < rate:
            return
        samples = np.concatenate(self.waiting, 1)
        self.waiting.clear()
        self._measure(samples, layout, rate)

    def _measure(self, samples: NDArray[np.float32], layout: str, rate: int) -> None:
        weights = mix_weights(layout, len(samples)).mean(0)
        mono = weights @ samples
        if len(self.energies) != len(samples):
            self.energies, self.mix_energy = np.zeros(len(samples)), 0.0
        self.energies += np.square(samples, dtype=np.float64).sum(1) * (weights > 0)
        self.mix_energy += float(np.square(mono, dtype=np.float64).sum())
        self.peak = max(self.peak, float(np.abs(samples).max(initial=0.0)))
        # The loudest channel stands for the sound where the mix cancels.
        loud = samples[int(self.energies.argmax())] if self.cancels else mono
        hop = max(1, rate // ENVELOPE_RATE)
        count = len(loud) // hop
        if count:
            frames = loud[: count * hop].reshape(count, hop)
            self.envelope.append(np.sqrt(np.square(frames).mean(1)))

    def end(self, layout: str, rate: int) -> None:
        """Nothing follows: measure what is left."""
        if self.waiting:
            self._measure(np.concatenate(self.waiting, 1), layout, rate)
            self.waiting.clear()

    @property
    def cancels(self) -> bool:
        return cancels(self.mix_energy, self.energies)

    @property
    def speech(self) -> float:
        """How much like speech it is, 0..1.

        It counts for how long there is sound, and whether its loudness moves as syllables do: the
        modulation of the envelope at 2 to 8 Hz (Scheirer and Slaney 1997).
        """
        if not self.envelope:
            return 0.0
        e = np.concatenate(self.envelope).astype(np.float64)
        active = float((e > QUIET).mean())
        if not active or len(e) < ENVELOPE_RATE // 2:
            return 0.0
        # m = sqrt(2 sum |E(f)|^2) / E(0), f from 2 to 8 Hz
        spectrum = np.abs(np.fft.rfft(e - e.mean())) / len(e)
        f = np.fft.rfftfreq(len(e), 1 / ENVELOPE_RATE)
        band = (f >= SYLLABLES[0]) & (f <= SYLLABLES[1])
        modulation = float(np.sqrt(2 * np.square(spectrum[band]).sum()) / e.mean())
        return active * min(1.0, modulation / SPEECH_MODULATION)


@dataclass(frozen=True)
class Track:
    """The sound of a file that is read.

    Attributes:
        number: 1 for the first sound track of the file.
        channel: which channel is taken for all; None: they are mixed.
        scale: what the samples are divided by (1, unless floats go beyond full scale).
        notes: sentences that say what was chosen, if there was a choice.
    """

    number: int
    channel: int | None = None
    scale: float = 1.0
    notes: tuple[str, ...] = ()


def float_samples(frame: Any, resampler: Any) -> Iterator[NDArray[np.float32]]:
    """A decoded frame's samples, float32 [channels, n]; what is no number becomes silence."""
    for part in resampler.resample(frame):
        packed = part.to_ndarray().reshape(-1, len(part.layout.channels)).T
        yield np.nan_to_num(packed, nan=0.0, posinf=0.0, neginf=0.0)


def _begins(container: InputContainer) -> list[float]:
    """Seconds at which the windows begin."""
    duration = (container.duration or 0) / av.time_base
    if duration <= WINDOWS * WINDOW_SECONDS or duration > 1e7:
        return [0.0]
    return [k * duration / WINDOWS for k in range(WINDOWS)]


def _listen(container: InputContainer, streams: list[Any]) -> dict[int, _Meter]:
    """Measure tracks: index of the stream -> what it holds."""
    meters = {s.index: _Meter() for s in streams}
    begins = _begins(container)
    most = WINDOW_SECONDS if len(begins) > 1 else WINDOWS * WINDOW_SECONDS
    forms: dict[int, tuple[str, int]] = {}
    for begin in begins:
        if len(streams) == 1 and meters[streams[0].index].energies.any():
            break  # where there is sound, a moment tells how its channels go together
        length = dict.fromkeys(meters, 0.0)  # seconds
        with suppress(av.error.FFmpegError, ValueError):  # some files cannot be searched
            if begin:
                container.seek(int(begin * av.time_base))
            for index, layout, rate, samples in _decoded(container, streams):
                meters[index].add(samples, layout, rate)
                forms[index] = layout, rate
                length[index] += samples.shape[1] / max(1, rate)
                if max(length.values()) > most:
                    break
    for index, (layout, rate) in forms.items():
        meters[index].end(layout, rate)
    return meters


def _decoded(
    container: InputContainer, streams: list[Any]
) -> Iterator[tuple[int, str, int, NDArray[np.float32]]]:
    """Sound from here on: index of the stream, layout, rate, samples [channels, n].

    What is damaged is left out.
    """
    resamplers: dict[tuple[int, str, str, int], Any] = {}
    for packet in islice(container.demux(streams), MAX_PACKETS * len(streams)):
        try:
            frames: Any = packet.decode()
        except av.error.FFmpegError:
            continue
        for frame in frames:
            rate, layout, index = frame.sample_rate, frame.layout.name, packet.stream.index
            form = index, layout, frame.format.name, rate
            if form not in resamplers:
                resamplers[form] = av.AudioResampler(format="flt", rate=rate)
            for samples in float_samples(frame, resamplers[form]):
                yield index, layout, rate, samples


def _named(stream: Any, number: int) -> str:
    """A track as people call it, such as "2 (Mic)"."""
    said = [stream.metadata.get("title"), stream.metadata.get("language")]
    names = ", ".join(text for text in said if text and text != "und")
    return f"{number} ({names})" if names else str(number)


def choose_track(path: str | os.PathLike[str], number: int | None = None) -> Track:
    """Find the sound of a file that is to be read, in this process.

    Args:
        path: a media file.
        number: of the track, 1 for the first; None: the one in which speech is heard, the first if
            several are alike.

    Raises:
        MediaError: there is no sound, no such track, or samples of an unknown scale.
    """
    with open_media(path) as container:
        streams = sound_streams(container)
        if not streams:
            raise MediaError(
                "there is no sound in this file", where=path, todo="Give a file with speech in it"
            )
        names = [_named(s, k + 1) for k, s in enumerate(streams)]
        if number is not None and not 1 <= number <= len(streams):
            raise MediaError(
                f"there is no sound track {number} in this file",
                where=path,
                todo=f"Choose one of {', '.join(names)}",
            )
        chosen, notes = (number or 1) - 1, []
        several = number is None and len(streams) > 1
        of_floats = streams[chosen].codec_context.name.startswith("pcm_f")
        if not several and streams[chosen].codec_context.channels == 1 and not of_floats:
            return Track(chosen + 1)
        meters = _listen(container, streams if several else [streams[chosen]])
        if several:
            likely = [meters[s.index].speech for s in streams]
            best = int(np.argmax(likely))
            chosen = best if likely[best] > CLEARLY_BETTER * likely[0] else 0
            notes.append(
                f"it has {len(streams)} sound tracks, {'; '.join(names)}. "
                f"Track {chosen + 1} is used{', in which speech is heard' if chosen else ''}"
            )
        stream = streams[chosen]
        meter = meters[stream.index]
        channel = None
        if meter.cancels:
            channel = int(meter.energies.argmax())
            notes.append(
                f"the channels of its sound cancel each other. Channel {channel + 1} is used"
            )
        scale = 1.0
        if stream.codec_context.name.startswith("pcm_f"):
            found = full_scale(meter.peak)
            if found is None:
                raise MediaError(
                    f"its samples reach {meter.peak:.6g}, where full scale is 1",
                    where=path,
                    todo="Save it as 16-bit integers, or as floats in -1..1",
                )
            scale = found
            if scale != 1:
                notes.append(
                    f"its samples reach {meter.peak:.6g}, where full scale is 1. "
                    f"They are divided by {scale:.6g}"
                )
        return Track(chosen + 1, channel, scale, tuple(notes))
