"""Pictures are read as viewers see them: square pixels, right colours, ordinary brightness, whole
frames.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from talkers.media import decode_frames, probe
from talkers.media.colour import Transfer, to_ordinary_brightness

SKIN = 224, 172, 140  # sRGB


def coded(
    path: Path,
    frames: list[np.ndarray],
    codec: str = "libx264",
    form: str = "yuv444p",
    matrix: int = 5,
    said: dict[str, int] | None = None,
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
) -> Path:
    """Frames [H, W, 3 or 4], coded with a matrix (swscale's number), and what the file says of
    itself.
    """
    with av.open(str(path), "w") as container:
        lossless = {
            "libx264": {"crf": "1"},
            "libx265": {"x265-params": "log-level=none:lossless=1"},
        }
        stream: Any = container.add_stream(
            codec, rate=25, options={**lossless.get(codec, {}), **(options or {})}
        )
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = form
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for name, value in (said or {}).items():
            setattr(stream.codec_context, name, value)
        for k, picture in enumerate(frames):
            kind = {3: "rgb24", 4: "rgba"}[picture.shape[-1]]
            if picture.dtype == np.uint16:
                kind = "rgb48le"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=kind)
            wide = int((said or {}).get("color_range", 1))
            frame = frame.reformat(format=form, dst_colorspace=matrix, dst_color_range=wide)
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def plain(height: int, width: int, colour: tuple[int, ...] = SKIN) -> np.ndarray:
    return np.full((height, width, len(colour)), colour, np.uint8)


def middle(path: Path) -> list[float]:
    frame = next(decode_frames(path))
    h, w = frame.shape[:2]
    return frame[h // 4 : -h // 4, w // 4 : -w // 4].mean((0, 1)).tolist()


def test_pixels_become_square(tmp_path: Path, cases: Path) -> None:
    disc = np.zeros((96, 96, 3), np.uint8)
    y, x = np.mgrid[:96, :96]
    disc[(y - 48) ** 2 + ((x - 48) * Fraction(4, 3)) ** 2 < 30**2] = 255
    path = coded(tmp_path / "a.mp4", [disc], aspect=Fraction(4, 3))
    frame = next(decode_frames(path))
    video = probe(path).video
    assert video is not None
    assert frame.shape == (96, 128, 3)
    assert (video.width, video.height) == (128, 96)
    bright = frame[..., 0] > 128
    assert bright.any(0).sum() == pytest.approx(bright.any(1).sum(), abs=2)
    assert next(decode_frames(cases / "07-anamorphic" / "anamorphic.mp4")).shape == (288, 360, 3)


def test_an_aspect_beyond_belief_is_left_alone(tmp_path: Path) -> None:
    path = coded(tmp_path / "a.mp4", [plain(32, 32)], aspect=Fraction(1, 90))
    assert next(decode_frames(path)).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("height", "width", "matrix", "said"),
    [
        (576, 720, 5, None),
        (720, 1280, 1, None),
        (608, 608, 1, None),
        (576, 720, 1, 1),
        (720, 1280, 5, 6),
    ],
)
def test_colours_are_read_with_the_matrix_they_were_coded_with(
    height: int, width: int, matrix: int, said: int | None, tmp_path: Path
) -> None:
    tags = {"colorspace": said} if said else {}
    path = coded(tmp_path / "a.mp4", [plain(height, width)], matrix=matrix, said=tags)
    assert middle(path) == pytest.approx(SKIN, abs=1.5)


def test_the_full_range_is_read_as_such(tmp_path: Path) -> None:
    path = coded(tmp_path / "a.mp4", [plain(64, 64)], said={"color_range": 2})
    assert middle(path) == pytest.approx(SKIN, abs=1.5)


def hdr(nits: float, transfer: Transfer) -> float:
    """Code value 0..1 of grey light."""
    if transfer is Transfer.PQ:
        y = (nits / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    e = (nits / 1000) ** (1 / 1.2)  # scene light
    return float(
        np.sqrt(3 * e) if e <= 1 / 12 else 0.17883277 * np.log(12 * e - 0.28466892) + 0.55991073
    )


@pytest.mark.parametrize("transfer", list(Transfer))
def test_hdr_is_brought_to_ordinary_brightness(transfer: Transfer, tmp_path: Path) -> None:
    greys, notes = {}, list[str]()
    for nits in (1, 26, 100, 203, 1000):
        code = round(65_535 * hdr(nits, transfer))
        picture = np.full((64, 64, 3), code, np.uint16)
        tags = {"color_trc": int(transfer), "colorspace": 9, "color_primaries": 9}
        path = coded(
            tmp_path / f"{nits}.mkv",
            [picture],
            "libx265",
            "yuv420p10le",
            matrix=9,
            said=tags,
        )
        shown = next(decode_frames(path, warn=notes.append))
        assert float(np.ptp(shown)) <= 3
        greys[nits] = float(shown.mean())
    # A card of 18 % is 26 cd/m2 in HDR and grey level 104 to 109 in ordinary video; white is near
    # its top.
    assert greys[26] == pytest.approx(108, abs=5)
    assert 225 < greys[203] < 245
    assert greys[1] < 35
    assert greys[203] < greys[1000] <= 255
    assert all(transfer.name in note and "HDR" in note for note in notes)
    assert len(notes) == 5


def test_hdr_colours_keep_their_hue() -> None:
    code = [round(65_535 * hdr(nits, Transfer.PQ)) for nits in (100, 60, 40)]
    picture = np.tile(np.array(code, np.uint16), (300, 4, 1))
    shown = to_ordinary_brightness(picture, Transfer.PQ)
    assert (shown == shown[0, 0]).all()
    r, g, b = (float(v) for v in shown[0, 0])
    assert r > g + 20 > b + 20


def test_fields_become_frames(tmp_path: Path) -> None:
    height, width = 64, 128
    frames = []
    for k in range(12):  # a bar moves between the fields, as it does in interlaced film of motion
        picture = np.full((height, width, 3), 30, np.uint8)
        for field in range(2):
            left = 10 + 8 * k + 4 * field
            picture[field::2, left : left + 12] = 220
        frames.append(picture)
    path = coded(
        tmp_path / "a.mkv",
        frames,
        "mpeg2video",
        "yuv420p",
        options={"flags": "+ildct+ilme", "qmin": "1", "q": "1", "b": "20M"},
    )
    shown = list(decode_frames(path, Fraction(25)))
    assert len(shown) == 12

    def combing(picture: np.ndarray) -> float:
        rows = picture[..., 0].astype(float)
        return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())

    assert combing(frames[5]) > 8
    assert combing(shown[5]) < combing(frames[5]) / 4


def test_what_is_see_through_is_plain_grey_and_it_is_said(tmp_path: Path, cases: Path) -> None:
    notes: list[str] = []
    picture = plain(32, 64, (20, 240, 30, 0))  # green that nobody is to see
    picture[:, 32:] = (*SKIN, 255)
    picture[:8, 32:, 3] = 128
    path = coded(tmp_path / "a.mov", [picture] * 2, "png", "rgba")
    for frame in decode_frames(path, warn=notes.append):
        assert (frame[:, :32] == 128).all()
        assert (frame[8:, 32:] == SKIN).all()
        assert frame[:8, 32:].mean((0, 1)) == pytest.approx((np.array(SKIN) + 128) / 2, abs=1)
    assert len(notes) == 1
    assert "transparent" in notes[0]
    notes.clear()
    picture[..., 3] = 255
    list(decode_frames(coded(tmp_path / "b.mov", [picture], "png", "rgba"), warn=notes.append))
    assert not notes
    list(decode_frames(cases / "18-alpha" / "alpha.mov", warn=notes.append))
    assert notes


@pytest.mark.parametrize(("codec", "lossless"), [("libvpx", {}), ("libvpx-vp9", {"lossless": "1"})])
def test_the_transparency_of_webm_is_seen(
    codec: str, lossless: dict[str, str], tmp_path: Path
) -> None:
    picture = plain(64, 64, (20, 240, 30, 0))
    picture[:, 32:] = (*SKIN, 255)
    path, notes = tmp_path / "a.webm", list[str]()
    with av.open(str(path), "w") as container:
        options = {"auto-alt-ref": "0", "b": "4M", **lossless}
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        for k in range(5):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format="yuva420p")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    shown = list(decode_frames(path, Fraction(25), notes.append))
    assert len(shown) == 5
    for frame in shown:
        assert frame[:, :24].mean((0, 1)) == pytest.approx([128] * 3, abs=2)
        assert frame[:, 40:].mean((0, 1)) == pytest.approx(SKIN, abs=4)
    assert "transparent" in notes[0]


def held(path: Path, seconds: float) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for k in range(50):
            frame = av.VideoFrame.from_ndarray(plain(48, 64, (4 * k,) * 3), format="rgb24")
            frame.pts = 40 * k + (round(seconds * 1000) if k >= 25 else 0)
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_picture_that_is_held_is_shown_for_as_long_and_named(tmp_path: Path) -> None:
    notes: list[str] = []
    shown = list(decode_frames(held(tmp_path / "a.mkv", 70), Fraction(25), notes.append))
    assert len(shown) == 50 + 70 * 25
    assert shown[-1].mean() == pytest.approx(196, abs=2)
    assert "stands still for 70 s at 0:01.00" in notes[0]
