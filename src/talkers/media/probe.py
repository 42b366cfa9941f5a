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
from talkers.media.boxes import lacks_index
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
    """Picture stream: size in square pixels as shown (after rotation), rate in frames a second.

    `still`: the file is a single picture, no video.
    """

    width: int
    height: int
    frame_rate: Fraction
    rotation: int
    codec: str
    still: bool = False


@dataclass(frozen=True)
class AudioInfo:
    """A sound track.

    Attributes:
        rate: Hz.
        track: 1 for the first of the file.
        title, language: as the file says; empty where it does not.
    """

    rate: int
    channels: int
    codec: str
    track: int = 1
    title: str = ""
    language: str = ""


@dataclass(frozen=True)
class MediaInfo:
    """What a media file holds.

    Attributes:
        duration: seconds, as the container claims (None: it does not).
        video: its picture (None: there is none, or only a cover).
        audio: the sound track that is read (None: there is none).
        tracks: all sound tracks.
        cover: it is a sound file with a cover picture.
    """

    path: Path
    container: str
    duration: float | None
    video: VideoInfo | None
    audio: AudioInfo | None
    tracks: tuple[AudioInfo, ...] = ()
    cover: bool = False


PLAYLISTS = frozenset(
    {"hls", "applehttp", "concat", "dash", "sdp", "rtp", "rtsp"}
)  # formats that make FFmpeg open what they name


MAX_PIXELS = (
    4096 * 2304
)  # of a picture: what it costs to decode, at most 16 bits in four channels, stays below 300 MB
MAX_STREAMS = 64
MAX_GAP = (
    600.0  # seconds without a new picture or sound; a longer gap is taken for damage, not filled
)
MAX_ASPECT = 4  # of a pixel, width to height or height to width; what is beyond is taken for damage


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
            "max_streams": str(MAX_STREAMS),
        }  # opens nothing else
        try:
            container = av.open(stream, mode="r", metadata_errors="ignore", options=options)
        except (av.error.FFmpegError, ValueError) as error:
            if lacks_index(path):
                raise MediaError(
                    "this recording was not finished, or is cut short",
                    where=path,
                    why="its index, which cameras write last, is missing",
                    todo="Record or copy it again, or repair it with the camera's own tool",
                ) from error
            many = isinstance(
                error, av.error.MemoryError
            )  # how FFmpeg says that no stream may follow
            said = (
                f"it has more than {MAX_STREAMS} streams or asks for too much memory"
                if many
                else None
            )
            raise MediaError(
                "this is not a media file that can be decoded",
                where=path,
                why=said or f"the decoder says: {getattr(error, 'strerror', None) or error}",
                todo="Give a video or sound file "
                "(mp4, mov, mkv, webm, mpg, avi, wav, flac, mp3, ...)",
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
                if picture.width * picture.height > MAX_PIXELS:
                    raise MediaError(
                        f"its pictures are {picture.width} x {picture.height}",
                        where=path,
                        todo="Make them smaller: 4096 x 2304 at most",
                    )
                picture.codec_context.options = {
                    "max_pixels": str(MAX_PIXELS)
                }  # whatever the header says
            yield container


MAX_DAMAGED = 1000  # packets of a stream that are skipped before the rest is given up


ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these leave the transparency out that a file has beside its colours."""


def _decoder_of(stream: Any) -> Any:
    """The decoder of a stream, one that sees its transparency."""
    context = stream.codec_context
    said = {key.lower(): value for key, value in stream.metadata.items()}
    name = ALPHA_DECODERS.get(context.name)
    if name is None or said.get("alpha_mode") != "1" or name not in av.codecs_available:
        return context
    decoder: Any = av.CodecContext.create(name, "r")
    decoder.extradata, decoder.options = context.extradata, context.options
    return decoder


def decoded_of(
    container: InputContainer, stream: Any, damaged: Callable[[], None] = lambda: None
) -> Iterator[Any]:
    """Everything of a stream that decodes, in order.

    Args:
        damaged: called for each packet that does not.
    """
    packets, broken, decoder = container.demux(stream), 0, _decoder_of(stream)
    while broken <= MAX_DAMAGED:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode() if decoder is stream.codec_context else decoder.decode(packet)
        except av.error.FFmpegError:
            broken += 1
            damaged()
            continue
        yield from frames


def picture_stream(container: InputContainer) -> Any | None:
    """The first picture stream that is no cover of a sound file."""
    return next((s for s in container.streams.video if not _is_cover(s)), None)


def _is_cover(stream: Any) -> bool:
    return bool(int(stream.disposition) & int(av.stream.Disposition.attached_pic))


def sound_streams(container: InputContainer) -> list[Any]:
    """The sound tracks that a decoder is known for, in the file's order."""
    return [s for s in container.streams.audio if s.codec_context is not None]


def require_picture(container: InputContainer, path: str | os.PathLike[str]) -> Any:
    """The picture stream.

    Raises:
        MediaError: there is none.
    """
    stream = picture_stream(container)
    if stream is not None:
        return stream
    raise _no_picture(path, cover=bool(container.streams.video))


def _no_picture(path: str | os.PathLike[str], cover: bool) -> MediaError:
    return MediaError(
        "this is a sound file with a cover picture: no video"
        if cover
        else "there is no picture in this file",
        where=path,
        todo="Give a video file",
    )


def require_footage(info: MediaInfo) -> VideoInfo:
    """The picture of a file that is to be footage.

    Raises:
        MediaError: there is none, or it is a single one.
    """
    if info.video is None:
        raise _no_picture(info.path, info.cover)
    if info.video.still:
        raise MediaError(
            "this is a photograph",
            where=info.path,
            todo="Give video: an avatar is trained from minutes of it, a photograph does not do",
        )
    return info.video


def pixel_aspect(stream: Any) -> Fraction:
    """Width of the stream's pixels in heights."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return Fraction(aspect) if Fraction(1, MAX_ASPECT) <= aspect <= MAX_ASPECT else Fraction(1)


def shown_width(width: int, aspect: Fraction) -> int:
    """Width in square pixels of a picture whose height stays."""
    return max(1, round(width * aspect))


def stream_start(container: InputContainer) -> float:
    """Earliest time of the picture and all sound tracks, in seconds: their common zero."""
    picture = picture_stream(container)
    streams: list[Any] = [*([picture] if picture else []), *sound_streams(container)]
    starts = [
        float(s.start_time * s.time_base)
        for s in streams
        if s.start_time is not None and s.time_base
    ]
    return min(starts, default=0.0)


def to_dict(info: MediaInfo) -> dict[str, Any]:
    """Plain JSON values, the path left out."""
    content = asdict(info)
    del content["path"]
    if content["video"]:
        content["video"]["frame_rate"] = str(content["video"]["frame_rate"])
    return content


def probe(path: str | os.PathLike[str], track: int | None = None) -> MediaInfo:
    """Say what is in a media file, from its headers and its first frame.

    Args:
        path: any media file.
        track: the sound track that `audio` tells of, 1 for the first; None: the one that
            `audio_blocks` takes.

    Raises:
        MediaError: see `open_media`; or there is no such track.
    """
    ((content, _),) = ask("probe", path, track=track)
    if content["video"]:
        rate = Fraction(content["video"]["frame_rate"])
        content["video"] = VideoInfo(**(content["video"] | {"frame_rate": rate}))
    tracks = tuple(AudioInfo(**audio) for audio in content["tracks"])
    audio = content["audio"] and AudioInfo(**content["audio"])
    return MediaInfo(**(content | {"path": Path(path), "tracks": tracks, "audio": audio}))


def probe_here(path: str | os.PathLike[str]) -> MediaInfo:
    """`probe` in this process; `audio` is the first track."""
    with open_media(path) as container:
        tracks = tuple(
            AudioInfo(
                s.codec_context.sample_rate,
                s.codec_context.channels,
                s.codec_context.name,
                k + 1,
                s.metadata.get("title", ""),
                s.metadata.get("language", "").replace("und", ""),
            )
            for k, s in enumerate(sound_streams(container))
        )
        stream, video = picture_stream(container), None
        if stream is not None:
            video = _video_info(container, stream)
        return MediaInfo(
            Path(path),
            container.format.name,
            container.duration / av.time_base if container.duration else None,
            video,
            tracks[0] if tracks else None,
            tracks,
            cover=stream is None and bool(container.streams.video),
        )


def _video_info(container: InputContainer, stream: Any) -> VideoInfo:
    rotation = 0
    try:
        first: Any = next(container.decode(stream), None)
        rotation = int(first.rotation) % 360 if first is not None else 0
    except av.error.FFmpegError:
        pass  # decoding tells more, and later
    width, height = shown_width(stream.width, pixel_aspect(stream)), stream.height
    if rotation in (90, 270):
        width, height = height, width
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(0)
    name = container.format.name
    still = name.endswith("_pipe") or name == "image2"
    return VideoInfo(width, height, Fraction(rate), rotation, stream.codec_context.name, still)
