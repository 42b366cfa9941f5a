"""Frames and sound -> files that play everywhere.

A file appears under its name only when it is complete.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import av
import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from talkers.artefacts.files import atomic
from talkers.errors import UsageError, interrupts_held
from talkers.media.colour import Matrix, usual_matrix
from talkers.media.forms import Form, form_of, is_pipe
from talkers.media.planes import STORED, as_video_frame, is_stored, rgb_of, size_of


def frame_count(duration: float, rate: Fraction) -> int:
    """How many frames show `duration` seconds: the nearest count, at least one.

    Picture and sound differ by half a frame at most.
    """
    return max(1, round(Fraction(duration).limit_denominator(1_000_000) * rate))


class FrameWriter(Protocol):
    """What frames are written to, one by one; as a context, it leaves nothing half-written."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame, uint8 [H, W, 3] RGB."""
        ...


class VideoWriter:
    """Write a video frame by frame in constant memory; it appears when the context ends well.

    H.264 and AAC in .mp4, .m4v, .mov and .mkv; VP9 and Opus in .webm; .gif has no sound; `-` is
    Matroska on standard output, as it is made. The colours are BT.709 for HD and BT.601 below, and
    the file says so.

    Args:
        path: where to write; the parent folder is made.
        rate: frames a second.
        audio: blocks of sound, float32 [n] or [n, 2], drawn as the picture advances.
        audio_rate: Hz of `audio`.
        crf: constant quality (lower is better; 16 looks lossless).
        preset: x264's effort ("fast" takes as long as making the frames).
        comment: kept in the file's metadata.

    Use as a context manager; an exception or interrupt inside it leaves no file.

    Raises:
        UsageError: videos are not written under such a name.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        rate: Fraction,
        audio: Iterable[NDArray[np.float32]] | None = None,
        audio_rate: int = 48_000,
        crf: float = 16,
        preset: str = "veryfast",
        comment: str = "",
    ):
        self.path, self.rate = Path(path), Fraction(rate)
        self.form: Form = form_of(path)
        self._options = self.form.options(crf, preset)
        self._comment = comment
        self._audio_blocks: Iterator[NDArray[np.float32]] | None = (
            iter(audio) if audio is not None and self.form.sound is not None else None
        )
        self._audio_rate, self._channels = audio_rate, 0
        self._audio_samples = self._frames = 0
        self._container: Any = None
        self._video: Any = None
        self._sound: Any = None
        self._palette: Any = None

    def __enter__(self) -> Self:
        self._atomic: AbstractContextManager[Path | _Stdout] = (
            _standard_output() if is_pipe(self.path) else atomic(self.path)
        )
        target = self._atomic.__enter__()
        try:
            with interrupts_held():
                self._container = av.open(
                    str(target.absolute()) if isinstance(target, Path) else target,
                    mode="w",
                    format=self.form.container,
                    options=self.form.muxing,
                )
                self._container.metadata["comment"] = self._comment
        except (OSError, av.error.FFmpegError) as error:
            self._atomic.__exit__(OSError, OSError(*error.args), None)
            raise
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _look_at_audio(self) -> None:
        """Learn from the first block of sound how many channels it has, and whether there is
        any."""
        if self._audio_blocks is None:
            return
        first = next(self._audio_blocks, None)
        if first is None:
            self._audio_blocks = None
            return
        self._channels = 1 if first.ndim == 1 else first.shape[1]
        self._audio_blocks = chain([first], self._audio_blocks)

    def _open(self, height: int, width: int) -> None:
        video: Any = self._container.add_stream(
            self.form.video, rate=self.rate, options=self._options
        )
        video.width, video.height, video.pix_fmt = width, height, self.form.pixels
        video.codec_context.time_base = 1 / self.rate
        self._matrix = usual_matrix(width, height)
        if self.form.pixels == STORED:
            context = video.codec_context
            context.color_range, context.colorspace = 1, int(self._matrix)
            # Primaries and transfer of BT.709: those of sRGB and of every screen of today.
            context.color_primaries = context.color_trc = int(Matrix.BT709)
        self._video = video
        if self._audio_blocks is not None:
            layout = "mono" if self._channels == 1 else "stereo"
            self._sound = self._container.add_stream(
                self.form.sound, rate=self._audio_rate, layout=layout
            )
            self._sound.bit_rate = 96_000 * self._channels

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame of even H and W: uint8 [H, W, 3] RGB, or planes [H * 3 / 2, W] of
        `talkers.media.planes`, which are written without a conversion."""
        if self._video is None:
            self._look_at_audio()
            with interrupts_held():
                self._open(*size_of(frame))
        self._pull_audio(float((self._frames + 1) / self.rate))
        with interrupts_held():
            if is_stored(frame) and self.form.pixels == STORED:
                picture = as_video_frame(frame)
            else:
                shown = np.ascontiguousarray(rgb_of(frame))
                picture = av.VideoFrame.from_ndarray(shown, format="rgb24")
            if self.form.pixels == STORED and not is_stored(frame):
                picture = picture.reformat(
                    format=STORED,
                    dst_colorspace=1 if self._matrix is Matrix.BT709 else 5,
                    dst_color_range=1,
                )
            elif self.form.pixels == "pal8":
                picture = self._indexed(picture)
            picture.pts, picture.time_base = self._frames, 1 / self.rate
            self._frames += 1
            self._container.mux(self._video.encode(picture))

    def _indexed(self, picture: Any) -> Any:
        """A frame in the 256 colours that suit it best."""
        if self._palette is None:
            graph = self._palette = av.filter.Graph()
            source = graph.add_buffer(
                width=picture.width,
                height=picture.height,
                format=picture.format,
                time_base=1 / self.rate,
            )
            both, use = graph.add("split"), graph.add("paletteuse", "new=1:dither=bayer")
            palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
            source.link_to(both)
            both.link_to(use, 0, 0)
            both.link_to(palette, 1, 0)
            palette.link_to(use, 0, 1)
            use.link_to(graph.add("buffersink"))
            graph.configure()
        picture.pts, picture.time_base = self._frames, 1 / self.rate
        self._palette.push(picture)
        return self._palette.pull()

    def _pull_audio(self, until: float) -> None:
        while self._audio_blocks is not None and self._audio_samples < until * self._audio_rate:
            block = next(self._audio_blocks, None)
            if block is None:
                self._audio_blocks = None
                return
            # Interleaved, as "flt" wants it.
            packed = np.ascontiguousarray(block, np.float32).reshape(1, -1)
            with interrupts_held():
                layout = "mono" if self._channels == 1 else "stereo"
                sound = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
                sound.sample_rate, sound.pts = self._audio_rate, self._audio_samples
                sound.time_base = Fraction(1, self._audio_rate)
                self._audio_samples += len(block)
                self._container.mux(self._sound.encode(sound))

    def _finish(self) -> None:
        """Write what the encoders still hold."""
        self._pull_audio(float("inf"))
        with interrupts_held():
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._container.mux(self._sound.encode(None))

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
                    self._finish()
            finally:
                if self._container is not None:
                    with interrupts_held():
                        self._container.close()
            if kind is None and self._video is None:
                late = OSError("no frame was written")
        except BaseException as raised:
            # What the block raised is the cause, unless this is an interrupt.
            if kind is None or not isinstance(raised, Exception):
                foreign = isinstance(raised, OSError | av.error.FFmpegError)
                late = OSError(*raised.args) if foreign else raised
        if late is not None:
            kind, error, trace = type(late), late, late.__traceback__
        self._atomic.__exit__(kind, error, trace)
        if late is not None:
            raise late


class _Stdout:
    """Standard output as FFmpeg writes to it: it cannot be searched."""

    name = "-"

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        self._stream.flush()
        return len(data)


@contextmanager
def _standard_output() -> Iterator[_Stdout]:
    """Standard output as a target, where `atomic` gives a file.

    Raises:
        UsageError: it is a terminal.
    """
    if sys.stdout.isatty():
        raise UsageError(
            "a video is not written to a terminal",
            todo="Pass it on, for example `... -o - | ffplay -`",
        )
    yield _Stdout(sys.stdout.buffer)


def write_flac(path: str | os.PathLike[str], samples: NDArray[np.float32], rate: int) -> None:
    """Write mono sound, float32 [n] in -1..1, as 16-bit FLAC."""
    with atomic(path) as temporary:
        soundfile.write(temporary, np.clip(samples, -1, 1), rate, format="FLAC", subtype="PCM_16")


def write_png(path: str | os.PathLike[str], image: NDArray[np.uint8]) -> None:
    """Write a picture, uint8 [H, W, 3] RGB."""
    with atomic(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
