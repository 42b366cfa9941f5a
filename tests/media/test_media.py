"""media: whatever comes in is understood or refused with a sentence; what goes out is exact or not
there at all.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

import speaker
from talkers.errors import MediaError, ResourceError, UsageError
from talkers.media import (
    VideoWriter,
    audio_blocks,
    audio_duration,
    decode_frames,
    frame_count,
    probe,
    read_audio,
)

RATES = [
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60),
]


def write(
    path: Path,
    rate: Fraction,
    frames: int,
    audio: np.ndarray | None = None,
    audio_rate: int = 48_000,
) -> Path:
    """Frames whose brightness says their number."""
    with VideoWriter(
        path, rate, None if audio is None else np.array_split(audio, 3), audio_rate, crf=0
    ) as writer:
        for k in range(frames):
            writer.write(np.full((32, 48, 3), 10 + 4 * (k % 60), np.uint8))
    return path


def levels(path: Path, rate: Fraction | None = None) -> list[int]:
    return [round((float(f.mean()) - 10) / 4) for f in decode_frames(path, rate)]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seconds", [0.4, 1.0, 2.513])
def test_sound_and_picture_last_equally_long(
    tmp_path: Path, rate: Fraction, seconds: float
) -> None:
    sound = np.zeros(round(48_000 * seconds), np.float32)
    frames = frame_count(seconds, rate)
    path = write(tmp_path / "a.mp4", rate, frames, sound)
    assert len(levels(path)) == frames
    assert abs(frames / rate - seconds) <= 1 / (2 * rate)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert (
            abs(float(stream.duration * stream.time_base) - seconds) < 0.002
        )  # what players are told


def test_the_last_word_is_not_cut(tmp_path: Path) -> None:
    sound = np.zeros(48_000, np.float32)
    sound[-2_400:] = 0.5 * np.sin(np.arange(2_400) * 0.2)
    path = write(tmp_path / "a.mp4", Fraction(25), 25, sound)
    heard = read_audio(path)
    assert np.abs(heard[int(0.955 * 16_000) : 16_000]).max() > 0.3


def test_frames_are_taken_at_the_rate_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", Fraction(50), 50)
    assert levels(path, Fraction(25)) == list(range(0, 50, 2))
    slow = levels(path, Fraction(100))
    assert len(slow) == 100
    assert slow == sorted(slow)


def test_variable_frame_rate_keeps_time(tmp_path: Path) -> None:
    path, times = tmp_path / "vfr.mkv", [0, 40, 80, 400, 440, 960]  # ms
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for k, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(
                np.full((32, 48, 3), 10 + 4 * k, np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    shown = levels(path, Fraction(25))
    assert shown[:3] == [0, 1, 2]
    assert shown[9] == 2
    assert shown[10] == 3
    assert shown[24] == 5


def test_rotation_is_applied(tmp_path: Path) -> None:
    plain = tmp_path / "plain.mp4"
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, :32] = (220, 30, 30)  # left half red
    with VideoWriter(plain, Fraction(25), crf=5) as writer:
        writer.write(picture)
    data = plain.read_bytes()
    unity = b"\x00\x01\x00\x00" + bytes(12) + b"\x00\x01\x00\x00" + bytes(12) + b"\x40\x00\x00\x00"
    turn = (
        bytes(4)
        + b"\x00\x01\x00\x00"
        + bytes(4)
        + b"\xff\xff\x00\x00"
        + bytes(8)
        + bytes(8)
        + b"\x40\x00\x00\x00"
    )
    at = data.index(unity, data.index(b"tkhd"))
    rotated = tmp_path / "rotated.mp4"
    rotated.write_bytes(data[:at] + turn + data[at + 36 :])
    frame = next(decode_frames(rotated))
    assert frame.shape == (64, 32, 3)
    assert (probe(rotated).video.width, probe(rotated).video.height) == (32, 64)  # type: ignore[union-attr]
    assert frame[:16, :, 0].mean() > 150  # turned clockwise by 90 degrees: what was left is on top
    assert frame[-16:, :, 0].mean() < 80


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_any_sound_becomes_16_khz_mono(tmp_path: Path, rate: int, suffix: str) -> None:
    if suffix == ".ogg" and rate > 48_000:
        pytest.skip("Vorbis files of 96 kHz are not written by libsndfile everywhere")
    path, time = tmp_path / f"a{suffix}", np.arange(rate) / rate
    soundfile.write(
        path, np.stack([0.5 * np.sin(2 * np.pi * 440 * time), np.zeros(rate)], -1), rate
    )
    heard = read_audio(path)
    assert abs(len(heard) - 16_000) <= 1
    assert abs(audio_duration(path) - 1) < 1e-3
    spectrum = np.abs(np.fft.rfft(heard[4_000:12_000]))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=4)
    assert np.abs(heard[4_000:12_000]).max() == pytest.approx(
        0.25, abs=0.02
    )  # the mean of both channels
    assert np.array_equal(np.concatenate(list(audio_blocks(path))), heard)


def test_sound_that_begins_late_stays_in_step(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        sound = container.add_stream("flac", rate=16_000, layout="mono")
        for k in range(25):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 48, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(video.encode(frame))
        beep = av.AudioFrame.from_ndarray(
            np.full((1, 4_000), 8_000, np.int16), format="s16", layout="mono"
        )
        beep.sample_rate, beep.pts, beep.time_base = 16_000, 8_000, Fraction(1, 16_000)
        container.mux(sound.encode(beep))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    heard = read_audio(path)
    assert np.flatnonzero(np.abs(heard) > 0.1)[0] == pytest.approx(8_000, abs=80)


def test_bad_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 100)
    speaker.make_clip(tmp_path / "good.mp4", 10, 0)
    whole = (tmp_path / "good.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    soundfile.write(tmp_path / "sound.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0), 16_000)
    write(tmp_path / "mute.mp4", Fraction(25), 5)
    for name, reader in [
        ("missing.mp4", decode_frames),
        ("", decode_frames),
        ("empty.mp4", decode_frames),
        ("text.mp4", decode_frames),
        ("sound.wav", decode_frames),
        ("mute.mp4", audio_blocks),
        ("nothing.wav", audio_blocks),
        ("text.mp4", audio_blocks),
    ]:
        with pytest.raises(MediaError) as caught:
            list(reader(tmp_path / name))
        assert str(tmp_path / name) in str(caught.value)
        assert caught.value.todo
        assert "Errno" not in str(caught.value)


def test_names_are_never_interpreted(tmp_path: Path) -> None:
    for name in [
        "-i evil.mp4",
        "concat:a|b.mp4",
        "$(touch x).mp4",
        "a'b\"c.mp4",
        "zeile\nzwei.mp4",
        "pipe:0.mp4",
    ]:
        path = tmp_path / name
        write(path, Fraction(25), 3)
        assert levels(path) == [0, 1, 2]
    assert not list(Path().glob("x"))


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4", Fraction(25)) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
        raise KeyboardInterrupt
    with pytest.raises(UsageError, match=r"\.xyz"):
        VideoWriter(tmp_path / "a.xyz", Fraction(25))
    with pytest.raises(ResourceError), VideoWriter(tmp_path / "b.mp4", Fraction(25)):
        pass  # no frame at all
    (tmp_path / "file").touch()
    with (
        pytest.raises(ResourceError),
        VideoWriter(tmp_path / "file" / "c.mp4", Fraction(25)) as writer,
    ):
        writer.write(np.zeros((32, 32, 3), np.uint8))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("place", ["__enter__", "_open", "mux", "close"])
def test_an_interrupt_within_the_encoder_is_not_lost(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losing(call: Callable[..., object]) -> Callable[..., object]:
        def answer(*given: object, **named: object) -> object:
            with suppress(KeyboardInterrupt):  # as PyAV does
                signal.raise_signal(signal.SIGINT)
            return call(*given, **named)

        return answer

    class Container:
        def __init__(self, inner: object):
            self.inner = inner

        def __getattr__(self, name: str) -> object:
            found = getattr(self.inner, name)
            return losing(found) if name in (place, {"_open": "add_stream"}.get(place)) else found

    opens = av.open
    monkeypatch.setattr(
        av,
        "open",
        lambda *given, **named: Container(
            (losing(opens) if place == "__enter__" else opens)(*given, **named)
        ),
    )
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4", Fraction(25)) as writer:
        for _ in range(3):
            writer.write(np.zeros((32, 32, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_survives_a_failed_write(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", Fraction(25), 3)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="oops"), VideoWriter(path, Fraction(25)) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
        raise ValueError("oops")
    assert path.read_bytes() == before


def test_an_unfinished_recording_is_told_as_such(tmp_path: Path) -> None:
    """A camera writes the index last: where power fails, it is missing."""
    speaker.make_clip(tmp_path / "whole.mp4", 25, 1)
    content = (tmp_path / "whole.mp4").read_bytes()
    index = content.index(b"moov") - 4
    length = int.from_bytes(content[index : index + 4], "big")
    (tmp_path / "unfinished.mp4").write_bytes(content[:index] + content[index + length :])
    with pytest.raises(MediaError, match=r"not finished.*index"):
        probe(tmp_path / "unfinished.mp4")
    (tmp_path / "text.mp4").write_text("no recording at all, but some words")
    with pytest.raises(MediaError, match="not a media file"):
        probe(tmp_path / "text.mp4")
