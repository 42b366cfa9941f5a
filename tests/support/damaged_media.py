"""Small clips of many kinds, damaged ones made of them, and how reading them ends: for tests and benchmarks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from talkers.errors import TalkersError
from talkers.media import audio_blocks, decode_frames, probe


def clip(
    path: Path,
    codec: str,
    sound: str | None,
    frames: int = 20,
    options: dict[str, str] | None = None,
) -> Path:
    """A moving pattern with a tone."""
    options, rate = options or {}, 25
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options) if codec else None
        if stream is not None:
            stream.width, stream.height = 96, 64
            stream.pix_fmt = (
                "yuvj420p"
                if codec == "mjpeg"
                else "yuv420p10le"
                if options.get("profile") == "high10"
                else "yuv420p"
            )
        voice = container.add_stream(sound, rate=48_000, layout="mono") if sound else None
        for k in range(frames):
            if stream is not None:
                picture = np.zeros((64, 96, 3), np.uint8)
                picture[:, (4 * k) % 90 : (4 * k) % 90 + 6] = 255
                frame = av.VideoFrame.from_ndarray(picture + np.uint8(3 * k), format="rgb24")
                frame.pts = k if "vfr" not in path.name else k + k * k // 4
                frame.time_base = Fraction(1, rate)
                container.mux(stream.encode(frame))
            if voice is not None:
                tone = 0.3 * np.sin(2 * np.pi * 220 * (np.arange(1920) + 1920 * k) / 48_000).astype(
                    np.float32
                )
                block = av.AudioFrame.from_ndarray(
                    tone[None],
                    format="fltp" if sound in ("aac", "libvorbis", "libopus") else "flt",
                    layout="mono",
                )
                block.sample_rate, block.pts, block.time_base = (
                    48_000,
                    1920 * k,
                    Fraction(1, 48_000),
                )
                container.mux(voice.encode(block))
        for open_stream in (stream, voice):
            if open_stream is not None:
                container.mux(open_stream.encode(None))
    return path


def turned(path: Path) -> Path:
    """Let a clip's header say that it is to be turned by 90 degrees."""
    data = path.read_bytes()
    one, unity = b"\x00\x01\x00\x00", b"\x40\x00\x00\x00"
    plain = one + bytes(12) + one + bytes(12) + unity  # 1 0 0, 0 1 0, 0 0 1
    at = data.index(plain, data.index(b"tkhd"))
    path.write_bytes(
        data[:at]
        + bytes(4)
        + one
        + bytes(4)
        + b"\xff\xff\x00\x00"
        + bytes(16)
        + unity
        + data[at + len(plain) :]
    )
    return path


def seeds(folder: Path) -> tuple[list[Path], list[str]]:
    """The clips, and the names of those that cannot be encoded here."""
    kinds = {
        "h264.mp4": ("libx264", "aac"),
        "ten-bit.mp4": ("libx264", "aac"),
        "hevc.mkv": ("libx265", "aac"),
        "vp9.webm": ("libvpx-vp9", "libopus"),
        "mpeg1.mpg": ("mpeg1video", "mp2"),
        "mjpeg.avi": ("mjpeg", "pcm_s16le"),
        "vfr.mkv": ("libx264", "aac"),
        "silent.mp4": ("libx264", None),
        "sound.flac": ("", "flac"),
        "one.mp4": ("libx264", "aac"),
        "rotated.mp4": ("libx264", "aac"),
    }
    made, missing = [], []
    for name, (codec, sound) in kinds.items():
        options = {"profile": "high10"} if name == "ten-bit.mp4" else {}
        try:
            made.append(clip(folder / name, codec, sound, 1 if name == "one.mp4" else 20, options))
        except (av.error.FFmpegError, ValueError) as error:
            print(f"left out: {name} cannot be encoded here: {error}", file=sys.stderr)
            missing.append(name)
            continue
        if name == "rotated.mp4":
            turned(made[-1])
    return made, missing


def mutant(contents: list[bytes], random: np.random.Generator) -> bytes:
    """One of the contents, damaged."""
    data = bytearray(contents[int(random.integers(len(contents)))])
    kind, at = int(random.integers(4)), int(random.integers(len(data)))
    length = int(random.integers(1, max(2, len(data) // 8)))
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        for _ in range(int(random.integers(1, 40))):
            data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
    elif kind == 2:
        other = contents[int(random.integers(len(contents)))]
        start = int(random.integers(len(other)))
        data[at : at + length] = other[start : start + length]
    else:
        data[at : at + length] = bytes(len(data[at : at + length]))
    return bytes(data)


def ends(path: Path) -> Iterator[str]:
    """How probing, decoding the picture and decoding the sound end: read, told, told of a death, or an exception's name."""
    for use in (
        probe,
        lambda p: sum(1 for _ in decode_frames(p, Fraction(25))),
        lambda p: sum(map(len, audio_blocks(p))),
    ):
        try:
            use(path)
            yield "read"
        except TalkersError as error:
            yield (
                "told, it ends the decoder"
                if "it ends the decoder" in str(error)
                else "told, too slow"
                if "holds the decoder up" in str(error)
                else "told"
            )
        except Exception as error:
            yield type(error).__name__
