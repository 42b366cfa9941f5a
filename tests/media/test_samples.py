"""Sound that comes as samples is taken in every usual form, at the loudness it had, or refused with
a sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from talkers import Avatar
from talkers.errors import TalkersError, UsageError
from talkers.media import SampleStream, as_samples, write_flac

TONE = (0.5 * np.sin(np.arange(16_000) * 2 * np.pi * 440 / 16_000)).astype(np.float32)
INT16 = (TONE * 32_768).round().astype(np.int16)

FORMS: dict[str, Any] = {
    "float32": TONE,
    "float64": TONE.astype(np.float64),
    "float16": TONE.astype(np.float16),
    "int16": INT16,
    "big-endian int16": INT16.astype(">i2"),
    "int32": (TONE.astype(np.float64) * 2**31).astype(np.int32),
    "int8": (TONE * 128).round().astype(np.int8),
    "uint8": (TONE * 128 + 128).round().astype(np.uint8),
    "uint16": (TONE * 32_768 + 32_768).round().astype(np.uint16),
    "int64": INT16.astype(np.int64),
    "float of 16 bits": INT16.astype(np.float32),
    "float of 24 bits": TONE * 2.0**23,
    "float of 32 bits": TONE * 2.0**31,
    "list": TONE.tolist(),
    "list of integers": INT16.tolist(),
    "bytes": INT16.tobytes(),
    "bytearray": bytearray(INT16.tobytes()),
    "memoryview of bytes": memoryview(INT16.tobytes()),
    "memoryview of int16": memoryview(INT16),
    "tensor": torch.from_numpy(TONE),
    "tensor with gradients": torch.from_numpy(TONE).requires_grad_(),
    "bfloat16": torch.from_numpy(TONE).bfloat16(),
    "tensor of a channel": torch.from_numpy(TONE)[None],
    "batch of a channel": torch.from_numpy(TONE)[None, None],
    "scipy, gradio": (16_000, INT16),
    "librosa": (TONE, 16_000),
    "torchaudio": (torch.from_numpy(TONE)[None], 16_000),
    "columns": np.stack([TONE, TONE], 1),
    "rows": np.stack([TONE, TONE]),
    "a column": TONE[:, None],
    "strided": np.repeat(TONE, 2)[::2],
    "opposite phases": np.stack([TONE, -TONE]),
    "one of two channels, twice": np.stack([2 * TONE, 0 * TONE]).clip(-1, 1),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_sound_is_the_same_sound(form: str) -> None:
    taken = as_samples(FORMS[form])
    assert taken.dtype == np.float32
    assert taken.shape == TONE.shape
    assert np.abs(taken - TONE).max() < (0.01 if "8" in form or "bfloat" in form else 1e-3)


REFUSED: dict[str, Any] = {
    "nothing": None,
    "empty": np.zeros(0, np.float32),
    "no bytes": b"",
    "a text": "hello",
    "a list of texts": ["a", "b"],
    "a dictionary": {"array": TONE},
    "a number": 3.0,
    "an iterator": iter([TONE]),
    "ragged": [[1.0, 2.0], [3.0]],
    "booleans": TONE > 0,
    "complex": TONE.astype(np.complex64),
    "objects": np.array([object()]),
    "a batch": np.zeros((3, 2, 16_000), np.float32),
    "a picture": np.zeros((64, 64), np.float32),
    "nan": np.where(np.arange(16_000) == 9, np.nan, TONE),
    "infinite": np.where(np.arange(16_000) == 9, np.inf, TONE),
    "unknown scale": 200 * TONE,
    "too large": TONE * 1e12,
    "64 bits": (TONE.astype(np.float64) * 2**62).astype(np.int64),
    "odd bytes": b"abc",
    "a file's bytes": b"RIFF" + bytes(40),
    "a rate that is none": (0, TONE),
    "rate without samples": (16_000, None),
    "meta tensor": torch.zeros(16, device="meta"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_sound_is_refused_with_a_sentence(form: str) -> None:
    with pytest.raises(UsageError) as caught:
        as_samples(REFUSED[form])
    assert caught.value.todo


def test_floats_above_full_scale_are_scaled_and_it_is_said() -> None:
    notes: list[str] = []
    assert as_samples(INT16.astype(np.float32), note=notes.append).max() == pytest.approx(
        0.5, abs=1e-3
    )
    assert "32768" in notes[0]
    assert as_samples(3 * TONE, note=notes.append).max() == pytest.approx(1)
    assert "1.5" in notes[1]
    as_samples(TONE, note=notes.append)
    assert len(notes) == 2


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000.0, np.int64(48_000)])
def test_a_rate_is_resampled(rate: Any) -> None:
    tone = np.sin(np.arange(int(rate)) * 2 * np.pi * 440 / float(rate)).astype(np.float32) / 2
    for taken in (as_samples(tone, rate), as_samples((rate, tone)), as_samples((rate, tone), rate)):
        assert abs(len(taken) - 16_000) <= 1
        assert np.abs(taken[2_000:14_000] - TONE[2_000:14_000]).max() < 0.01


@pytest.mark.parametrize("rate", [0, -1, 1e9, float("nan"), "16000", True, None, [16_000]])
def test_a_rate_that_sound_does_not_have_is_refused(rate: Any) -> None:
    if rate is not None:
        with pytest.raises(UsageError, match="sampling rate"):
            as_samples(TONE, rate)
    with pytest.raises(UsageError, match="sampling rate"):
        SampleStream(rate)
    with pytest.raises(UsageError, match="come with a rate"):
        as_samples((16_000, TONE), 48_000)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_stream_is_the_same_however_it_is_cut(rate: int, dtype: type) -> None:
    tone = np.sin(np.arange(rate) * 2 * np.pi * 440 / rate) / 2
    sound = (tone * (32_768 if dtype is np.int16 else 1)).astype(dtype)
    whole, once, cut = as_samples(sound, rate), SampleStream(rate), SampleStream(rate)
    parts = [cut.push(part) for part in np.split(sound, [0, 1, 7, 500, 501, 20_000])]
    parts.append(cut.finish())
    joined = np.concatenate(parts)
    assert joined.dtype == np.float32
    assert np.array_equal(joined, np.concatenate([once.push(sound), once.finish()]))
    assert abs(len(joined) - len(whole)) <= 1
    n = min(len(joined), len(whole)) - 20
    assert np.abs(joined[20:n] - whole[20:n]).max() < 1e-4


@pytest.mark.parametrize("rates", [(8_000, 16_000), (44_100, 16_000), (16_000, 48_000)])
def test_a_stream_holds_hardly_any_sound_back(rates: tuple[int, int]) -> None:
    rate, target = rates
    stream, came = SampleStream(rate, target), 0
    for k in range(1, 20):
        came += len(stream.push(np.zeros(rate // 50, np.float32)))
        assert k * 0.02 - came / target < 0.0025
    assert came + len(stream.finish()) == pytest.approx(19 * 0.02 * target, abs=1)
    with pytest.raises(UsageError, match="whole Hz"):
        SampleStream(16_000.5)


def test_a_stream_takes_what_callers_have_and_refuses_the_rest() -> None:
    stream = SampleStream()
    assert np.allclose(stream.push(INT16.tobytes()), TONE, atol=1e-4)
    assert np.allclose(stream.push(np.stack([INT16, INT16], 1)), TONE, atol=1e-4)
    assert np.allclose(stream.push(np.array([[16_384, 16_384]], np.int16)), 0.5)
    assert len(stream.push(b"")) == 0
    assert stream.push(np.array([1.5, -3.0], np.float32)).tolist() == [1.0, -1.0]
    for odd in (INT16.astype(np.float32), None, "x", (48_000, TONE), np.array([np.nan])):
        with pytest.raises(UsageError):
            stream.push(odd)


def test_an_avatar_speaks_integers_as_loudly_as_floats(mock: Avatar) -> None:
    floats, integers = mock.speak(TONE), mock.speak(INT16)
    assert integers.gain == pytest.approx(floats.gain, rel=1e-3)
    assert np.abs(next(iter(integers)).astype(int) - next(iter(floats))).max() <= 2
    assert len(list(mock.stream([INT16[:8_000], INT16[8_000:]]))) == 25
    for odd in REFUSED.values():
        if not isinstance(odd, str):
            with pytest.raises(TalkersError):
                mock.speak(odd)


def test_the_file_that_is_spoken_is_not_overwritten(mock: Avatar, tmp_path: Path) -> None:
    write_flac(source := tmp_path / "a.mp4", TONE[:8_000], 16_000)
    (tmp_path / "link.mp4").symlink_to(source)
    before = source.read_bytes()
    for name in ("a.mp4", "link.mp4"):
        with pytest.raises(UsageError, match="overwritten"):
            mock.speak(source).save(tmp_path / name)
    assert source.read_bytes() == before
