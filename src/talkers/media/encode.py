"""Frames and sound -> files that play everywhere. A file appears under its name only when it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from talkers.artefacts.files import atomic
from talkers.errors import UsageError, interrupts_held


def frame_count(duration: float, rate: Fraction) -> int:
    """How many frames show `duration` seconds: the nearest count, at least one (|video - audio| <= half a frame)."""
    return max(1, round(Fraction(duration).limit_denominator(1_000_000) * rate))


class VideoWriter:
    """Writes an H.264 + AAC mp4 frame by frame with constant memory; the file appears when `close` succeeds.

    Args:
        path: where to write; the parent folder is made.
        rate: frames a second.
        audio: blocks of sound, float32 [n] or [n, channels], drawn as the picture advances.
        audio_rate: Hz of `audio`.
        channels: of `audio`, 1 or 2.
        crf: constant quality of x264 (lower is better; 16 looks lossless).
        preset: x264's effort ("fast" takes as long as making the frames).
        comment: kept in the file's metadata.

    Use as a context manager; an exception or interrupt inside it leaves no file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        rate: Fraction,
        audio: Iterable[NDArray[np.float32]] | None = None,
        audio_rate: int = 48_000,
        channels: int = 1,
        crf: float = 16,
        preset: str = "veryfast",
        comment: str = "",
    ):
        self.path, self.rate = Path(path), Fraction(rate)
        if self.path.suffix.lower() not in {".mp4", ".m4v", ".mov", ".mkv"}:
            raise UsageError(
                f"videos are not written as '{self.path.suffix}'",
                where=self.path,
                todo="Use a name ending in .mp4, .mov or .mkv",
            )
        self._options, self._comment = {"crf": str(crf), "preset": preset}, comment
        self._audio_blocks = iter(audio) if audio is not None else None
        self._audio_rate, self._channels = audio_rate, channels
        self._audio_samples = self._frames = 0
        self._container: Any = None
        self._video: Any = None
        self._sound: Any = None

    def __enter__(self) -> Self:
        self._atomic = atomic(self.path)
        temporary = self._atomic.__enter__()
        try:
            with interrupts_held():
                self._container = av.open(
                    str(temporary.absolute()), mode="w", options={"movflags": "+faststart"}
                )
                self._container.metadata["comment"] = self._comment
        except (OSError, av.error.FFmpegError) as error:
            self._atomic.__exit__(OSError, OSError(*error.args), None)
            raise
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _open(self, height: int, width: int) -> None:
        video: Any = self._container.add_stream("libx264", rate=self.rate, options=self._options)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = 1 / self.rate
        self._video = video
        if self._audio_blocks is not None:
            layout = "mono" if self._channels == 1 else "stereo"
            self._sound = self._container.add_stream("aac", rate=self._audio_rate, layout=layout)
            self._sound.bit_rate = 96_000 * self._channels

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame, uint8 [H, W, 3] RGB, even H and W."""
        if self._video is None:
            with interrupts_held():
                self._open(*frame.shape[:2])
        self._pull_audio(float((self._frames + 1) / self.rate))
        with interrupts_held():
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = self._frames, 1 / self.rate
            self._frames += 1
            self._container.mux(self._video.encode(picture))

    def _pull_audio(self, until: float) -> None:
        while self._audio_blocks is not None and self._audio_samples < until * self._audio_rate:
            block = next(self._audio_blocks, None)
            if block is None:
                self._audio_blocks = None
                return
            packed = np.ascontiguousarray(block, np.float32).reshape(
                1, -1
            )  # interleaved, as "flt" wants it
            with interrupts_held():
                sound = av.AudioFrame.from_ndarray(
                    packed, format="flt", layout="mono" if self._channels == 1 else "stereo"
                )
                sound.sample_rate, sound.pts, sound.time_base = (
                    self._audio_rate,
                    self._audio_samples,
                    Fraction(1, self._audio_rate),
                )
                self._audio_samples += len(block)
                self._container.mux(self._sound.encode(sound))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        late: BaseException | None = None
        try:
            try:
                if kind is None and self._video is not None:
                    self._pull_audio(float("inf"))
                    with interrupts_held():
                        self._container.mux(self._video.encode(None))
                        if self._sound is not None:
                            self._container.mux(self._sound.encode(None))
            finally:
                if self._container is not None:
                    with interrupts_held():
                        self._container.close()
            if kind is None and self._video is None:
                late = OSError("no frame was written")
        except BaseException as raised:
            if kind is None or not isinstance(
                raised, Exception
            ):  # else what the block raised is the cause
                late = (
                    OSError(*raised.args)
                    if isinstance(raised, OSError | av.error.FFmpegError)
                    else raised
                )
        if late is not None:
            kind, error, trace = type(late), late, late.__traceback__
        self._atomic.__exit__(kind, error, trace)
        if late is not None:
            raise late


def write_flac(path: str | os.PathLike[str], samples: NDArray[np.float32], rate: int) -> None:
    """Write mono sound, float32 [n] in -1..1, as 16-bit FLAC."""
    with atomic(path) as temporary:
        soundfile.write(temporary, np.clip(samples, -1, 1), rate, format="FLAC", subtype="PCM_16")


def write_png(path: str | os.PathLike[str], image: NDArray[np.uint8]) -> None:
    """Write a picture, uint8 [H, W, 3] RGB."""
    with atomic(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", optimize=True)
