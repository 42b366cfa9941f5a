"""Videos in every form: right colours, readable again, and nothing half-written."""

from __future__ import annotations

import io
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

import speaker
from talkers.errors import UsageError
from talkers.media import VideoWriter, check_output, decode_frames, probe, read_audio
from talkers.media.generated import write_generated
from talkers.media.sequence import SequenceWriter

SKIN = 224, 172, 140


def frames(count: int = 10, size: int = 64) -> list[np.ndarray]:
    acts = speaker.perform(count, 0)
    return [
        speaker.draw(size, *map(float, row))
        for row in zip(acts.opening, acts.shift, acts.blink, strict=True)
    ]


def tone(seconds: float, rate: int = 48_000) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 440 / rate)).astype("f4")


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize(
    ("height", "width", "matrix"), [(64, 64, 6), (576, 720, 6), (720, 720, 1), (1080, 608, 1)]
)
def test_colours_are_tagged_and_are_what_the_tags_say(
    suffix: str, height: int, width: int, matrix: int, tmp_path: Path
) -> None:
    if suffix != ".mp4" and height not in (64, 720):
        pytest.skip("one of each kind is enough")
    path = tmp_path / f"a{suffix}"
    with VideoWriter(path, Fraction(25), crf=4) as writer:
        for _ in range(2):
            writer.write(np.full((height, width, 3), SKIN, np.uint8))
    with av.open(str(path)) as container:
        frame: Any = next(container.decode(video=0))
        context = container.streams.video[0].codec_context
        assert (frame.colorspace, frame.color_range) == (matrix, 1)
        if suffix != ".webm":  # VP9 itself has no room for these
            assert (context.color_primaries, context.color_trc) == (1, 1)
        planes = [float(np.frombuffer(p, np.uint8)[0]) for p in frame.planes]
    # What a player makes of it: Y'CbCr -> R'G'B' with the matrix that the tags name.
    kr, kb = {6: (0.299, 0.114), 1: (0.2126, 0.0722)}[matrix]
    y, u, v = (planes[0] - 16) / 219, (planes[1] - 128) / 224, (planes[2] - 128) / 224
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    assert [255 * c for c in (red, green, blue)] == pytest.approx(SKIN, abs=1.5)
    shown = next(decode_frames(path))
    assert shown.reshape(-1, 3).mean(0).tolist() == pytest.approx(SKIN, abs=2.5)


def test_webm_holds_vp9_and_opus(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    for rate in (16_000, 48_000):
        with VideoWriter(path, Fraction(25), [tone(1, rate)], rate) as writer:
            for frame in frames(25):
                writer.write(frame)
        info = probe(path)
        assert info.video is not None
        assert info.audio is not None
        assert (info.video.codec, info.audio.codec) == ("vp9", "opus")
        shown = list(decode_frames(path))
        assert len(shown) == 25
        assert np.abs(shown[12].astype(int) - frames(25)[12]).mean() < 6
        assert len(read_audio(path)) == pytest.approx(16_000, abs=400)


def test_a_gif_moves_and_has_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    with VideoWriter(path, Fraction(25), [tone(0.4)]) as writer:
        for frame in frames():
            writer.write(frame)
    with Image.open(path) as image:
        assert image.n_frames == 10  # type: ignore[attr-defined]
        assert image.info["duration"] == 40
        assert image.info.get("loop") == 0
    shown = list(decode_frames(path))
    assert len(shown) == 10
    assert np.abs(shown[5].astype(int) - frames()[5]).mean() < 6


def test_pictures_are_numbered_and_exact(tmp_path: Path) -> None:
    pattern = tmp_path / "frames" / "%04d.png"
    with SequenceWriter(pattern, Fraction(25), [tone(0.4)], 48_000, "made up") as writer:
        for frame in frames():
            writer.write(frame)
    names = sorted(p.name for p in pattern.parent.iterdir())
    assert names == [*(f"{k:04d}.png" for k in range(1, 11)), "sound.flac"]
    with Image.open(pattern.parent / "0006.png") as image:
        assert np.array_equal(np.asarray(image), frames()[5])
        assert image.info["Comment"] == "made up"
    assert soundfile.info(pattern.parent / "sound.flac").frames == 19_200
    with pytest.raises(UsageError, match="are there"):
        SequenceWriter(pattern, Fraction(25))


def test_pictures_appear_all_or_none(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        SequenceWriter(tmp_path / "a%d.png", Fraction(25)) as writer,
    ):
        writer.write(frames(1)[0])
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


class Pipe(io.RawIOBase):
    """What standard output is when it is piped: it can only be written."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data)
        return len(data)


def test_a_pipe_gets_a_video_as_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Pipe()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(pipe)))
    with VideoWriter("-", Fraction(25), [tone(4)]) as writer:
        for k, frame in enumerate(frames(100)):
            writer.write(frame)
            if k == 90:
                assert len(pipe.data) > 1_000
    (tmp_path / "a.mkv").write_bytes(bytes(pipe.data))
    assert len(list(decode_frames(tmp_path / "a.mkv"))) == 100
    assert len(read_audio(tmp_path / "a.mkv")) == pytest.approx(64_000, abs=400)


@pytest.mark.parametrize("name", ["a.webm", "a.gif", "f/%03d.png", "a.mkv"])
def test_generated_videos_come_in_every_form(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    done: list[int] = []
    sound = (iter([tone(0.4)]), 48_000, 1)
    written = write_generated(path, frames(), Fraction(25), sound, "0" * 64, done.append)
    assert written == path
    assert done[-1] == 10
    assert list(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.png", "a.wav", ""])
def test_other_names_are_refused_before_anything_is_done(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.mp4"):
        check_output(tmp_path / name if name else name)
    for known in ("a.mp4", "A.WEBM", "a.gif", "-", "f/%05d.png", "f-%d.PNG"):
        check_output(known)
