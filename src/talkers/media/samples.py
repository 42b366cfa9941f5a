"""Sound that comes as samples, in any usual form -> float32 mono at 16 kHz, -1..1.

Integers are scaled by the range of their type. Floats are taken as they are up to 1; how larger
ones are read is said in `as_samples`. Whatever cannot be sound is a `UsageError` of one sentence.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from talkers.errors import UsageError
from talkers.media.channels import mix_to_mono, mix_weights

AUDIO_RATE = 16_000  # Hz, what every speech encoder of the field hears
SAMPLE_RATES = 2_000, 768_000  # Hz that sound may have: at lower ones a small file lasts for days
MAX_CHANNELS = 8  # of an array: more rows and columns are no sound

Samples = NDArray[np.float32]  # [n] mono, -1..1

# Type -> (value of silence, full scale). int64 is what Python's own integers become: taken for 16
# bits if they fit.
INTEGER_RANGES = {
    "int8": (0.0, 2.0**7),
    "uint8": (2.0**7, 2.0**7),
    "int16": (0.0, 2.0**15),
    "uint16": (2.0**15, 2.0**15),
    "int32": (0.0, 2.0**31),
}
HEADROOM = 8.0  # peak of floats that is a loud mix (18 dB above full scale), not another range
FLOAT_RANGES = (  # (least peak, full scale) of floats that hold integers: 16, 24 and 32 bits
    (256.0, 2.0**15),
    (2.0**15 + 1, 2.0**23),
    (2.0**23 + 1, 2.0**31),
)
FORMS = (
    "Give float32 samples, -1..1, or int16, as an array [n] or [n, channels], with rate= if it is "
    "not 16000"
)
FILE_STARTS = (
    b"RIFF",
    b"fLaC",
    b"OggS",
    b"ID3",
    b"\x1aE\xdf\xa3",
)  # of files, which bytes may hold


def as_samples(
    speech: Any, rate: float | None = None, note: Callable[[str], None] = lambda text: None
) -> Samples:
    """Take sound in any usual form.

    Args:
        speech: numpy array, torch tensor or anything that numpy reads as an array (lists too), [n],
            [n, channels] or [channels, n]; or bytes, which are 16-bit little-endian mono; or a pair
            of these with their rate, in either order, as scipy, gradio, librosa and torchaudio give
            it. int8, uint8, int16, uint16 and int32 are scaled by their range, int64 as 16 bits if
            it fits. Floats with a peak up to 1 are taken as they are; up to 8 they are a loud mix
            and divided by their peak; from 256 they are integers in floats and divided by 32768,
            2^23 or 2^31, the least that holds them; in between it cannot be known, and they are
            refused.
        rate: Hz of the samples (None: 16000, or what the pair says).
        note: called with a sentence where floats were scaled.

    Returns:
        float32 [n] mono, 16 kHz, -1..1, at least one sample.

    Raises:
        UsageError: this is no sound, or a rate that sound does not have.
    """
    array, found = _array_of(speech)
    if rate is not None and found is not None and _checked_rate(rate) != found:
        raise UsageError(
            f"rate={rate} is given for samples that come with a rate of {found:g}",
            todo="Give one of them",
        )
    native = _checked_rate(rate if rate is not None else found or AUDIO_RATE)
    if not array.size:
        raise UsageError("there are no samples", todo=FORMS)
    channels = _scaled(_channels_first(array), note)
    mono = mix_to_mono(channels) if len(channels) > 1 else channels[0]
    if native != AUDIO_RATE:
        mono = soxr.resample(mono, native, AUDIO_RATE, "HQ")
        if not len(mono):
            raise UsageError("there is less than one sample at 16000 Hz", todo=FORMS)
    return np.ascontiguousarray(np.clip(mono, -1, 1), np.float32)


class SampleStream:
    """Sound that comes in blocks -> float32 mono, at 16 kHz if not told: `as_samples` for streams.

    However the sound is cut, the samples are the same (to rounding). Integers are scaled by the
    range of their type; floats are cut off at 1, and refused above 8, since a stream's peak is not
    known before its end.

    At most 2 ms are held back. That is why FFmpeg resamples here: the filter of `as_samples` is
    steeper (it keeps 7.5 kHz, where this one takes 3 dB), and holds up to 37 ms.

    Args:
        rate: whole Hz of the samples that come.
        target: whole Hz of those that are given.

    Raises:
        UsageError: sound does not have such a rate.
    """

    def __init__(self, rate: float = AUDIO_RATE, target: float = AUDIO_RATE):
        self.rate, target = _whole_rate(rate), _whole_rate(target)
        self._columns = 0  # of blocks [n, channels], once a block has more rows than columns
        self._resampler = av.AudioResampler("fltp", "mono", target) if self.rate != target else None

    def push(self, block: Any) -> Samples:
        """Take the next block.

        Args:
            block: as in `as_samples`; it may be empty. A pair's rate must be the stream's.

        Returns:
            float32 [m], what is complete by now.

        Raises:
            UsageError: this is no sound.
        """
        array, found = _array_of(block)
        if found is not None and found != self.rate:
            raise UsageError(
                f"a block of {found:g} Hz comes in a stream of {self.rate:g} Hz",
                todo="Give all blocks at one rate, and say it at the start",
            )
        if not array.size:
            return np.zeros(0, np.float32)
        channels = _scaled(self._channels_first(array), None)
        mono = mix_weights(None, len(channels)).mean(0) @ channels
        mono = np.clip(mono, -1, 1).astype(np.float32, copy=False)
        return mono if self._resampler is None else self._resampled(mono)

    def _channels_first(self, array: NDArray[Any]) -> NDArray[Any]:
        """As `_channels_first`; a block may be shorter than it has channels."""
        if array.ndim == 2 and array.shape[1] == self._columns:
            return array.T
        channels = _channels_first(array)
        if array.ndim == 2 and array.shape[1] < array.shape[0]:
            self._columns = array.shape[1]
        return channels

    def finish(self) -> Samples:
        """The sound has ended: what is left, float32 [m]."""
        rest = self._resampled(None)
        self._resampler = None
        return rest

    def _resampled(self, mono: Samples | None) -> Samples:
        """Samples at the rate that is given; None: the sound has ended."""
        parts = [np.zeros(0, np.float32)]
        if self._resampler is not None:
            frame = None
            if mono is not None:
                frame = av.AudioFrame.from_ndarray(mono[None], "fltp", "mono")
                frame.sample_rate = self.rate
            parts += [part.to_ndarray()[0] for part in self._resampler.resample(frame)]
        return np.concatenate(parts)


def full_scale(peak: float) -> float | None:
    """What floats are to be divided by, from their largest magnitude.

    Args:
        peak: 0 or more.

    Returns:
        1 for a peak up to 1; the peak itself for a loud mix; the full scale of the integers that
        they hold; None: it cannot be known.
    """
    if peak <= HEADROOM:
        return max(1.0, peak)
    return next((full for least, full in reversed(FLOAT_RANGES) if least <= peak <= full), None)


def _checked_rate(rate: Any) -> float:
    """A sampling rate in Hz, if it is one."""
    if (
        isinstance(rate, bool | np.bool_)
        or not isinstance(rate, numbers.Real | np.number)
        or not SAMPLE_RATES[0] <= float(rate) <= SAMPLE_RATES[1]
    ):
        raise UsageError(
            f"a sampling rate of {rate!r} is not possible",
            todo=f"Give Hz, {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]}",
        )
    return float(rate)


def _whole_rate(rate: Any) -> int:
    """The same of a stream."""
    checked = _checked_rate(rate)
    if checked % 1:
        raise UsageError(
            f"a stream at {checked:g} Hz is not possible",
            todo="Give whole Hz: what is lost by rounding cannot be heard",
        )
    return int(checked)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real | np.number) and not isinstance(value, bool | np.bool_)


def _array_of(speech: Any) -> tuple[NDArray[Any], float | None]:
    """Any form of sound as an array of numbers, and the rate that came with it."""
    if isinstance(speech, tuple) and len(speech) == 2:
        first, second = speech
        if _is_number(first) and not _is_number(second):
            return _array_of(second)[0], _checked_rate(first)
        if _is_number(second) and not _is_number(first):
            return _array_of(first)[0], _checked_rate(second)
    if isinstance(speech, bytes | bytearray) or (
        isinstance(speech, memoryview) and speech.format in ("B", "b", "c")
    ):
        return _array_of_bytes(bytes(speech)), None
    kind = type(speech).__name__
    if speech is None or isinstance(speech, str | dict | set) or hasattr(speech, "__fspath__"):
        raise UsageError(f"these are no samples, but a {kind}", todo=FORMS)
    try:
        if hasattr(speech, "detach"):  # a torch tensor, wherever it is
            speech = speech.detach().cpu()
            speech = speech.float() if speech.is_floating_point() else speech
        array = np.asarray(speech)
    except Exception as error:  # rows of different lengths, tensors without data
        raise UsageError(
            f"this {kind} cannot be read as an array of samples", todo=FORMS
        ) from error
    if array.dtype.kind not in "iuf" and array.size:
        raise UsageError(
            f"these are no samples, but a {kind} of {array.dtype}"
            if array.ndim
            else f"these are no samples, but a {kind}",
            todo=FORMS,
        )
    if not array.ndim:
        raise UsageError("this is a single number, no sound", todo=FORMS)
    return array, None


def _array_of_bytes(data: bytes) -> NDArray[np.int16]:
    if data.startswith(FILE_STARTS):
        raise UsageError(
            "these are the bytes of a sound file, not samples",
            todo="Save them, and give the file's path",
        )
    if len(data) % 2:
        raise UsageError(
            f"{len(data)} bytes are no whole number of 16-bit samples",
            todo="Give 16-bit little-endian mono, or an array",
        )
    return np.frombuffer(data, "<i2").astype(np.int16, copy=False)


def _channels_first(array: NDArray[Any]) -> NDArray[Any]:
    """[n], [n, channels] or [channels, n], with axes of one entry left out -> [channels, n]."""
    shape = list(array.shape)
    if array.ndim > 2:
        array = array.squeeze()
    if array.ndim < 2:
        return array.reshape(1, -1)
    if array.ndim > 2 or min(array.shape) > MAX_CHANNELS:
        raise UsageError(f"an array {shape} is no sound", todo=FORMS)
    return array.T if array.shape[1] <= array.shape[0] else array


def _scaled(channels: NDArray[Any], note: Callable[[str], None] | None) -> NDArray[np.float32]:
    """Samples of any type [channels, n] -> float32, full scale 1.

    note: None in streams, which are scaled by no peak.
    """
    name = channels.dtype.name
    if channels.dtype.kind in "iu":
        if name == "int64" and np.abs(channels, dtype=np.float64).max() <= 2**15:
            name = "int16"
        if name not in INTEGER_RANGES:
            raise UsageError(
                f"samples of type {name} have no scale of their own",
                todo="Give int16, int32 or float32",
            )
        zero, full = INTEGER_RANGES[name]
        return ((channels.astype(np.float64) - zero) / full).astype(np.float32)
    wide = channels.astype(np.float64)
    finite = np.isfinite(wide).all(0)
    if not finite.all():
        raise UsageError(
            f"sample {int(finite.argmin())} of {wide.shape[1]} is not a finite number",
            todo="Look for what made it: a division by zero, an empty mean",
        )
    peak = float(np.abs(wide).max())
    scale = full_scale(peak)
    if scale is None or (note is None and peak > HEADROOM):
        raise UsageError(
            f"the samples reach {peak:.6g}, where full scale is 1",
            todo="Give -1..1: divide by 32768 if they were 16-bit integers, or give int16",
        )
    if note is None:
        return wide.astype(np.float32)
    if scale != 1:
        note(f"the samples reach {peak:.6g}, where full scale is 1: divided by {scale:.6g}")
    return (wide / scale).astype(np.float32)
