"""The sound of a file is read as a listener hears it: all channels, the track in which somebody
speaks, at its time.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

import speaker
from talkers.errors import MediaError
from talkers.media import (
    audio_blocks,
    audio_duration,
    decode_frames,
    probe,
    read_audio,
    require_footage,
)
from talkers.media.channels import stereo_matrix

RATE = 48_000


def voice(seconds: float = 3.0, rate: int = RATE) -> np.ndarray:
    """Something that goes up and down as speech does: float32 [n]."""
    time = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 9))
    return (0.15 * np.clip(np.sin(2 * np.pi * 4 * time), 0, 1) * tone).astype(np.float32)


def music(seconds: float = 3.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return sum(0.2 * np.sin(2 * np.pi * f * time) for f in (220, 277, 330)).astype(np.float32)


def written(
    path: Path,
    tracks: list[tuple[np.ndarray, str, str]],
    starts: list[float] | None = None,
    picture: bool = False,
) -> Path:
    """A file with sound tracks: samples [n] or [channels, n], layout, title; blocks of 20 ms, some
    left out (NaN).
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25) if picture else None
        if video:
            video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        streams = []
        for _, layout, title in tracks:
            streams.append(container.add_stream("pcm_s16le", rate=RATE, layout=layout))
            streams[-1].metadata["title"] = title
        if video:
            for k in range(25):
                frame = av.VideoFrame.from_ndarray(np.zeros((32, 48, 3), np.uint8), format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 25)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        starts = starts or [0.0] * len(tracks)
        for at in range(0, max(np.atleast_2d(t[0]).shape[1] for t in tracks), RATE // 50):
            for stream, (samples, layout, _), start in zip(streams, tracks, starts, strict=True):
                part = np.atleast_2d(samples)[:, at : at + RATE // 50]
                if np.isnan(part).any():
                    continue  # a gap
                packed = (part.T.reshape(1, -1) * 32_767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
                frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
                frame.pts = at + round(start * RATE)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def power(samples: np.ndarray) -> float:
    return float(np.square(samples, dtype=np.float64).mean())


@pytest.mark.parametrize("place", range(6))
def test_a_voice_in_any_channel_is_heard(place: int, tmp_path: Path) -> None:
    rows = np.zeros((6, 3 * RATE), np.float32)
    rows[place] = voice()
    path = written(tmp_path / "a.mkv", [(rows, "5.1", "")])
    mono, stereo = read_audio(path, RATE), np.concatenate(list(audio_blocks(path, RATE, 2)))
    if place == 3:  # low effects, which FFmpeg's mix leaves out
        assert power(mono) == 0
        return
    assert power(mono) > 0.1 * power(voice())
    left, right = power(stereo[:, 0]), power(stereo[:, 1])
    loud = {0: (1, 0), 1: (0, 1), 2: (0.5, 0.5), 4: (0.5, 0), 5: (0, 0.5)}[place]
    assert left == pytest.approx(loud[0] * power(voice()), rel=0.02, abs=1e-6)
    assert right == pytest.approx(loud[1] * power(voice()), rel=0.02, abs=1e-6)


def test_a_film_in_5_1_is_not_silent(cases: Path) -> None:
    path = cases / "01-film-5.1-centre" / "film51.m4a"
    for channels in (1, 2):
        assert np.abs(np.concatenate(list(audio_blocks(path, RATE, channels)))).max() > 0.2


def test_mixes_are_those_of_ffmpeg() -> None:
    matrix = stereo_matrix("5.1")
    assert matrix is not None
    assert matrix.tolist() == pytest.approx(
        np.array([[1, 0, 0.707, 0, 0.707, 0], [0, 1, 0.707, 0, 0, 0.707]]), abs=1e-3
    )
    assert stereo_matrix("no such layout") is None


def test_opposite_phases_do_not_cancel(tmp_path: Path) -> None:
    notes: list[str] = []
    path = written(tmp_path / "a.mkv", [(np.stack([voice(), -0.98 * voice()]), "stereo", "")])
    heard = read_audio(path, RATE, note=notes.append)
    assert power(heard) == pytest.approx(power(voice()), rel=0.02)
    assert "cancel" in notes[0]
    stereo = np.concatenate(list(audio_blocks(path, RATE, 2)))
    assert power(stereo.mean(1)) == pytest.approx(power(voice()), rel=0.02)
    notes.clear()
    read_audio(
        written(tmp_path / "b.mkv", [(np.stack([voice(), 0 * voice()]), "stereo", "")]),
        note=notes.append,
    )
    assert not notes


def test_the_track_with_speech_is_taken_and_it_is_said(tmp_path: Path) -> None:
    silence = np.zeros(3 * RATE, np.float32)
    for name, first in (("silence", silence), ("music", music())):
        tracks = [(first, "mono", "Desktop"), (voice(), "mono", "Mic")]
        path = written(tmp_path / f"{name}.mkv", tracks, picture=True)
        notes: list[str] = []
        heard = read_audio(path, RATE, note=notes.append)
        assert np.allclose(heard[: len(voice())], voice(), atol=0.02)
        assert "2 sound tracks, 1 (Desktop); 2 (Mic). Track 2 is used" in notes[0]
        info = probe(path)
        assert info.audio is not None
        assert (info.audio.track, info.audio.title, len(info.tracks)) == (2, "Mic", 2)
        assert power(read_audio(path, RATE, track=1)) == pytest.approx(power(first), rel=0.02)
        assert probe(path, track=1).audio == info.tracks[0]
        assert audio_duration(path, track=2) == pytest.approx(3, abs=0.01)


def test_of_tracks_that_are_alike_the_first_is_taken(tmp_path: Path) -> None:
    tracks = [(voice(), "mono", "English"), (0.8 * voice(), "mono", "Deutsch")]
    heard = read_audio(written(tmp_path / "a.mkv", tracks), RATE)
    assert power(heard) == pytest.approx(power(voice()), rel=0.02)


@pytest.mark.parametrize("track", [0, 3, -1])
def test_a_track_that_is_not_there_is_told(track: int, tmp_path: Path) -> None:
    path = written(tmp_path / "a.mkv", [(voice(0.2), "mono", "A"), (voice(0.2), "mono", "B")])
    for read in (read_audio, audio_duration, probe):
        with pytest.raises(MediaError, match=r"no sound track .*1 \(A\), 2 \(B\)"):
            read(path, track=track)  # type: ignore[operator]


def test_the_speech_of_a_long_file_is_found_wherever_it_is(tmp_path: Path) -> None:
    late = np.zeros(160 * RATE, np.float32)
    late[120 * RATE :] = voice(40)
    path = written(tmp_path / "a.mkv", [(late * 0, "mono", "A"), (late, "mono", "B")])
    info = probe(path)
    assert info.audio is not None
    assert info.audio.track == 2


def test_gaps_are_silence_of_their_length(tmp_path: Path) -> None:
    sound = voice()
    gap = slice(RATE, round(2.5 * RATE))
    cut = sound.copy()
    cut[gap] = np.nan
    path = written(tmp_path / "a.mkv", [(cut, "mono", "")])
    heard = read_audio(path, RATE)
    assert len(heard) == len(sound)
    assert not heard[gap].any()
    assert np.allclose(heard[gap.stop :], sound[gap.stop :], atol=1e-3)
    assert audio_duration(path) == pytest.approx(3, abs=1e-3)


def test_a_gap_of_a_real_recording_is_kept(cases: Path) -> None:
    path = cases / "04-gap-in-sound" / "gap.mkv"
    assert audio_duration(path) == pytest.approx(5.96, abs=0.02)
    assert len(read_audio(path)) == pytest.approx(5.96 * 16_000, abs=320)


def retimed(path: Path, begin: float, moved: dict[int, float], seconds: float = 2.0) -> Path:
    """A file of sound that begins at a second; blocks of 20 ms from these numbers on are moved by
    seconds.
    """
    sound, shift = voice(seconds), begin
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp2", rate=RATE, layout="mono")
        for k in range(round(seconds * 50)):
            shift += moved.get(k, 0.0)
            part = (sound[k * 960 : (k + 1) * 960] * 32_767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(part[None], format="s16", layout="mono")
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = k * 960 + round(shift * RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("begin", "seconds"), [(1.0, 3.0), (4.5, 6.5), (-20.0, 4.0)], ids=["overlap", "gap", "set back"]
)
def test_joined_recordings_keep_their_time(begin: float, seconds: float, tmp_path: Path) -> None:
    first = retimed(tmp_path / "a.ts", 30.0, {})
    second = retimed(tmp_path / "b.ts", 30.0 + begin, {})
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    assert audio_duration(path) == pytest.approx(seconds, abs=0.1)


def test_jitter_is_no_gap(tmp_path: Path) -> None:
    plain = read_audio(retimed(tmp_path / "a.mkv", 0.0, {}), RATE)
    jitter = read_audio(retimed(tmp_path / "b.mkv", 0.0, {50: 0.02, 60: -0.015}), RATE)
    assert np.array_equal(plain, jitter)


def test_a_gap_beyond_belief_is_told_with_its_time(tmp_path: Path) -> None:
    path = retimed(tmp_path / "a.mkv", 0.0, {50: 5_000.0})
    with pytest.raises(MediaError, match=r"at \d\.\d\d s: the time jumps by (5000|4999) s"):
        read_audio(path)


def test_sound_may_begin_more_than_a_minute_late(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mkv", [(voice(1), "mono", "")], [70.0], picture=True)
    heard = read_audio(path)
    assert len(heard) == 71 * 16_000
    assert np.abs(heard[: 70 * 16_000 - 100]).max() < 1e-4


@pytest.mark.parametrize("scale", [2.0**15, 2.0**23, 2.0])
def test_floats_of_integer_range_in_a_file_are_scaled(scale: float, tmp_path: Path) -> None:
    path, notes = tmp_path / "a.wav", list[str]()
    soundfile.write(path, np.float32(scale) * voice(), RATE, subtype="FLOAT")
    heard = read_audio(path, RATE, note=notes.append)
    peak = np.abs(voice()).max()
    expected = voice() / (2 * peak) * 2 if scale == 2 and 2 * peak > 1 else voice()
    expected = voice() * 2 if scale == 2 and 2 * peak <= 1 else expected
    assert np.allclose(heard, expected, atol=1e-3)
    assert bool(notes) == (scale * peak > 1)
    soundfile.write(path, np.float32(100 / peak) * voice(), RATE, subtype="FLOAT")
    with pytest.raises(MediaError, match="reach 100"):
        read_audio(path)


def test_a_cover_picture_is_no_video(cases: Path) -> None:
    path = cases / "15-cover-picture" / "cover.mp3"
    info = probe(path)
    assert (info.video, info.cover) == (None, True)
    for read in (lambda: list(decode_frames(path)), lambda: require_footage(info)):
        with pytest.raises(MediaError, match="a sound file with a cover picture: no video"):
            read()
    assert len(read_audio(path)) > 40_000


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".avi", "libmp3lame"),
        (".flv", "aac"),
        (".flv", "libmp3lame"),
        (".ts", "aac"),
        (".opus", "libopus"),
        (".m4a", "aac"),
        (".mp3", "libmp3lame"),
        (".mkv", "libopus"),
        (".ac3", "ac3"),
        (".mpg", "mp2"),
        (".aiff", "pcm_s16be"),
        (".3gp", "aac"),
    ],
)
def test_no_container_makes_gaps_by_its_own_time_stamps(
    suffix: str, codec: str, tmp_path: Path
) -> None:
    rate, path = 48_000 if codec == "libopus" else 44_100, tmp_path / f"a{suffix}"
    tone = (0.3 * np.sin(np.arange(6 * rate) * 2 * np.pi * 300 / rate)).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        for k, part in enumerate(np.array_split(tone, 12)):
            frame = av.AudioFrame.from_ndarray(part[None], format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = k * len(part)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    heard = read_audio(path)
    assert len(heard) / 16_000 == pytest.approx(6, abs=0.06)
    levels = np.sqrt(np.square(heard[: len(heard) // 320 * 320].reshape(-1, 320)).mean(1))
    assert levels[5:-8].min() > 0.17


def test_a_photograph_is_no_footage(cases: Path) -> None:
    path = cases / "22-photo" / "me.jpg"
    with pytest.raises(MediaError, match="a photograph does not do"):
        require_footage(probe(path))
    assert len(list(decode_frames(path))) == 1  # it may be a background


def test_a_clip_keeps_the_sound_that_it_had(tmp_path: Path) -> None:
    acts = speaker.make_clip(tmp_path / "a.mp4", 25, 0)
    heard = read_audio(tmp_path / "a.mp4")
    assert len(heard) == 16_000
    assert np.corrcoef(heard, speaker.voice(acts.opening, 25))[0, 1] > 0.95
