"""Files that end the decoder or hold it up cost a sentence, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkers import Avatar
from talkers.cli import main
from talkers.errors import MediaError, ResourceError
from talkers.media import (
    VideoWriter,
    audio_duration,
    decode_frames,
    guard,
    probe,
    read_audio,
    write_flac,
)

CRASH = Path(__file__).with_name(
    "ends-the-decoder.mp4"
)  # its sound ends the process that decodes it with FFmpeg 8.0
STALL = Path(__file__).with_name(
    "holds-the-decoder.mp4"
)  # threads with a picture each wait for each other in it, on a busy machine


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, Fraction(25)) as video:
        for k in range(50):
            video.write(np.full((64, 64, 3), 4 * k, np.uint8))
    return path


def test_the_file_that_ends_a_decoder_does_so() -> None:
    script = f"from talkers.media.audio import blocks_here\nfor _ in blocks_here({str(CRASH)!r}, 16000, 1): pass"
    if (
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode
        >= 0
    ):
        pytest.skip("this version of FFmpeg survives the file")
    with pytest.raises(MediaError, match="ends the decoder"):
        for _ in range(
            10
        ):  # it spoils what is kept in memory: the first reading may come to its end, the next one does not
            read_audio(CRASH)


def test_a_verb_tells_of_it_in_a_sentence(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = guard._Child.read

    def dying(child: guard._Child, *given: object) -> Iterator[guard.Piece]:
        os.kill(child._process.pid, signal.SIGSEGV)
        yield from read(child, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(guard._Child, "read", dying)
    assert main(["speak", str(clip), "-o", str(tmp_path / "out.mp4")]) == 3
    said = capsys.readouterr().err
    assert "ends the decoder (SIGSEGV)" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out.mp4").exists()


def test_a_decoder_that_dies_midway_is_told_and_the_next_file_is_read(clip: Path) -> None:
    frames = decode_frames(clip)
    next(frames)
    child = int(
        subprocess.run(
            ["pgrep", "-P", str(os.getpid()), "-f", "talkers.media.child"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[-1]
    )
    os.kill(child, signal.SIGSEGV)
    with pytest.raises(MediaError, match="ends the decoder"):
        for _ in frames:
            pass
    assert len(list(decode_frames(clip))) == 50


def test_a_file_that_holds_the_decoder_up_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_flac(path := tmp_path / "long.flac", np.zeros(900 * 16_000, np.float32), 16_000)
    assert audio_duration(path) == 900
    monkeypatch.setattr(guard, "LIMIT", 0.01)  # seconds; a quarter of an hour takes longer
    with pytest.raises(MediaError, match=r"holds the decoder up for more than 0\.01 s"):
        audio_duration(path)
    monkeypatch.undo()
    assert audio_duration(path) == 900


def test_a_damaged_file_does_not_hold_busy_decoders_up() -> None:
    def read(_: int) -> int:
        return sum(len(list(decode_frames(STALL))) for _ in range(60))

    with ThreadPoolExecutor(4) as readers:
        assert len(set(readers.map(read, range(4)))) == 1


def test_several_readings_at_once_and_readings_that_are_left(clip: Path, tmp_path: Path) -> None:
    write_flac(sound := tmp_path / "a.flac", np.zeros(16_000, np.float32), 16_000)
    pairs = zip(decode_frames(clip), decode_frames(clip, Fraction(25)), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    for _ in decode_frames(clip):
        assert len(read_audio(sound)) == 16_000
        break
    assert len(guard._idle) <= guard.MAX_IDLE
    assert probe(clip).video is not None


def test_a_child_that_cannot_be_started_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes the avatar speak is not told that there is no room for the sound."""
    write_flac(tmp_path / "a.flac", np.zeros(16_000, np.float32), 16_000)
    monkeypatch.setattr(guard, "_idle", [])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(ResourceError, match=r"no-python: the process that reads .* No such file"):
        Avatar.load("mock").speak(tmp_path / "a.flac")


def test_the_child_may_do_little(clip: Path) -> None:
    resource = pytest.importorskip("resource")
    probe(clip)
    assert len(guard._idle) >= 1
    child = guard._idle[-1]._process.pid
    assert resource.prlimit(child, resource.RLIMIT_FSIZE) == (0, 0)
    assert 0 < resource.prlimit(child, resource.RLIMIT_AS)[0] <= guard.MEMORY
    assert resource.prlimit(child, resource.RLIMIT_CORE) == (0, 0)


def test_a_relative_path_is_told_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MediaError, match=r"^missing\.mp4: there is no such file"):
        probe("missing.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError, match=r"^text\.mp4: "):
        probe("text.mp4")
