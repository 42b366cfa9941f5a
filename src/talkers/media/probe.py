"""Opening a foreign file and saying what is in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from talkers.errors import MediaError
from talkers.media.guard import ask

av.logging.set_level(av.logging.PANIC)  # FFmpeg's own chatter means nothing to a user

VIDEO_SUFFIXES = {
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".mpg",
    ".mpeg",
    ".mpv",
    ".ts",
    ".mts",
    ".wmv",
    ".flv",
    ".ogv",
    ".3gp",
    ".mxf",
}
"""How the names of video files end."""


@dataclass(frozen=True)
class VideoInfo:
    """Picture stream: size in pixels as shown (after rotation), rate in frames a second."""

    width: int
    height: int
    frame_rate: Fraction
    rotation: int
    codec: str


@dataclass(frozen=True)
class AudioInfo:
    """Sound stream: rate in Hz."""

    rate: int
    channels: int
    codec: str


@dataclass(frozen=True)
class MediaInfo:
    """What a media file holds. `duration` in seconds as the container claims it (None: it does not)."""

    path: Path
    container: str
    duration: float | None
    video: VideoInfo | None
    audio: AudioInfo | None


PLAYLISTS = frozenset(
    {"hls", "applehttp", "concat", "dash", "sdp", "rtp", "rtsp"}
)  # formats that make FFmpeg open what they name


MOST_PIXELS = (
    4096 * 2304
)  # of a picture: what it costs to decode, at most 16 bits in four channels, stays below 300 MB
MOST_STREAMS = 64
LONGEST_GAP = (
    60.0  # seconds without a new picture or sound; a longer gap is taken for damage, not filled
)


@contextmanager
def open_media(path: str | os.PathLike[str]) -> Iterator[InputContainer]:
    """Open a media file for reading.

    Raises:
        MediaError: no such file, a folder, a pipe or device, an empty file, or not a media file.
    """
    path = Path(path)
    try:
        there = path.exists()
    except (OSError, ValueError):  # a name that no file can have
        there = False
    if not there:
        raise MediaError("there is no such file", where=path, todo="Check the path")
    if path.is_dir():
        raise MediaError(
            "this is a folder, not a media file",
            where=path,
            todo=f"Name the files in it, for example {path}/*.mp4",
        )
    if not path.is_file():  # a pipe or a device would be read without end
        raise MediaError(
            "this is no regular file",
            where=path,
            todo="Copy what it gives into a file, and name that",
        )
    if path.stat().st_size == 0:
        raise MediaError("the file is empty", where=path, todo="Copy or record it again")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise MediaError(
            "the file cannot be read", where=path, why=error.strerror, todo="Check its permissions"
        ) from error
    with stream:
        options = {
            "protocol_whitelist": "none",
            "max_streams": str(MOST_STREAMS),
        }  # opens nothing else
        try:
            container = av.open(stream, mode="r", metadata_errors="ignore", options=options)
        except (av.error.FFmpegError, ValueError) as error:
            many = isinstance(
                error, av.error.MemoryError
            )  # how FFmpeg says that no stream may follow
            said = (
                f"it has more than {MOST_STREAMS} streams or asks for too much memory"
                if many
                else None
            )
            raise MediaError(
                "this is not a media file that can be decoded",
                where=path,
                why=said or f"the decoder says: {getattr(error, 'strerror', None) or error}",
                todo="Give a video or sound file (mp4, mov, mkv, webm, mpg, avi, wav, flac, mp3, ...)",
            ) from error
        with container:
            if container.format.name in PLAYLISTS:
                raise MediaError(
                    "this names other files and holds nothing itself",
                    where=path,
                    todo="Give the video or sound file that it names",
                )
            if any(
                s.codec_context is None
                for s in (*container.streams.video[:1], *container.streams.audio[:1])
            ):
                raise MediaError(
                    "its picture or sound is in a form that no decoder is known for",
                    where=path,
                    todo="Convert it to mp4 and try again",
                )
            for picture in container.streams.video:
                if picture.codec_context is None:
                    continue
                if picture.width * picture.height > MOST_PIXELS:
                    raise MediaError(
                        f"its pictures are {picture.width} x {picture.height}",
                        where=path,
                        todo="Make them smaller: 4096 x 2304 at most",
                    )
                picture.codec_context.options = {
                    "max_pixels": str(MOST_PIXELS)
                }  # whatever the header says
            yield container


MOST_DAMAGED = 1000  # packets of a stream that are skipped before the rest is given up


def decoded_of(
    container: InputContainer, stream: Any, damaged: Callable[[], None] = lambda: None
) -> Iterator[Any]:
    """Everything of a stream that decodes, in order; `damaged` is called for each packet that does not."""
    packets, broken = container.demux(stream), 0
    while broken <= MOST_DAMAGED:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except av.error.FFmpegError:
            broken += 1
            damaged()
            continue
        yield from frames


def stream_start(container: InputContainer) -> float:
    """Time of the earliest sample of the first picture and sound streams, in seconds: their common zero."""
    streams: list[Any] = [*container.streams.video[:1], *container.streams.audio[:1]]
    starts = [
        float(s.start_time * s.time_base)
        for s in streams
        if s.start_time is not None and s.time_base
    ]
    return min(starts, default=0.0)


def to_dict(info: MediaInfo) -> dict[str, Any]:
    """Plain JSON values, the path left out."""
    told = asdict(info)
    del told["path"]
    if told["video"]:
        told["video"]["frame_rate"] = str(told["video"]["frame_rate"])
    return told


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """Say what is in a media file, from its headers and its first frame.

    Raises:
        MediaError: see `open_media`.
    """
    ((told, _),) = ask("probe", path)
    video = told["video"] and VideoInfo(
        **(told["video"] | {"frame_rate": Fraction(told["video"]["frame_rate"])})
    )
    return MediaInfo(
        Path(path),
        told["container"],
        told["duration"],
        video,
        told["audio"] and AudioInfo(**told["audio"]),
    )


def probe_here(path: str | os.PathLike[str]) -> MediaInfo:
    """`probe` in this process."""
    with open_media(path) as container:
        video = audio = None
        if container.streams.video:
            v = container.streams.video[0]
            rotation = 0
            try:
                first = next(container.decode(v), None)
                rotation = int(first.rotation) % 360 if first is not None else 0
            except av.error.FFmpegError:
                pass  # decoding tells more, and later
            width, height = (v.height, v.width) if rotation in (90, 270) else (v.width, v.height)
            rate = v.average_rate or v.guessed_rate or v.base_rate or Fraction(0)
            video = VideoInfo(width, height, Fraction(rate), rotation, v.codec_context.name)
        if container.streams.audio:
            a = container.streams.audio[0]
            audio = AudioInfo(
                a.codec_context.sample_rate, a.codec_context.channels, a.codec_context.name
            )
        duration = container.duration / av.time_base if container.duration else None
        return MediaInfo(Path(path), container.format.name, duration, video, audio)
