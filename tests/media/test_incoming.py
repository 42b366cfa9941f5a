"""What comes through a pipe is read like a file."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

import speaker
from talkers.errors import MediaError, UsageError
from talkers.media import audio_duration, decode_frames, read_audio
from talkers.media.incoming import received

TONE = (0.4 * np.sin(np.arange(16_000) * 0.1)).astype(np.float32)


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_a_file_through_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speaker.make_clip(tmp_path / "a.mp4", 25, 0)
    piped(monkeypatch, (tmp_path / "a.mp4").read_bytes())
    with received("-") as path:
        for _ in range(2):  # as often as one likes
            assert len(read_audio(path)) == 16_000
        assert len(list(decode_frames(path))) == 25
    assert not path.exists()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_samples_without_a_header(
    channels: int, rate: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    samples = np.repeat((TONE[:8_000] * 32_767).astype("<i2")[:, None], channels, 1)
    piped(monkeypatch, samples.tobytes())
    with received("-", rate, channels) as path:
        assert audio_duration(path) == pytest.approx(8_000 / rate)
        assert np.allclose(read_audio(path, rate), TONE[:8_000], atol=1e-3)
    (tmp_path / "a.pcm").write_bytes(samples.tobytes())
    with received(tmp_path / "a.pcm", rate, channels) as path:
        assert audio_duration(path) == pytest.approx(8_000 / rate)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_named_pipe(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", TONE, 16_000)
    os.mkfifo(pipe := tmp_path / "pipe")
    data = (tmp_path / "a.flac").read_bytes()
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    with received(pipe) as path:
        assert len(read_audio(path)) == 16_000
    writer.join()


def test_a_file_is_itself(tmp_path: Path) -> None:
    with received(tmp_path / "a.wav") as path:
        assert path == tmp_path / "a.wav"


def test_what_is_wrong_is_told_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"no sound at all" * 99)
    with pytest.raises(MediaError, match=r"^standard input: "), received("-") as path:
        read_audio(path)
    piped(monkeypatch, b"")
    with pytest.raises(MediaError, match=r"^standard input: nothing came in"), received("-"):
        pass
    for rate in (0, -1, 10**9):
        with pytest.raises(UsageError, match="sampling rate"), received("-", rate):
            pass

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(UsageError, match="nothing is piped"), received("-"):
        pass
