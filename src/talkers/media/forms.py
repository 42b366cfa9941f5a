"""In which form a video is written: said by its name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from talkers.errors import UsageError

PIPE = "-"  # the name of standard input and output
NUMBER = re.compile(r"%0?\d*d")  # in the name of pictures, for the frame's number
VP9_FROM_H264 = 12  # added to a constant quality of H.264, for about the same of VP9


@dataclass(frozen=True)
class Form:
    """A container and what is in it, as FFmpeg names them.

    Attributes:
        container: None where the file's suffix says it.
        sound: None: it holds no sound.
        pixels: format of its pictures.
        muxing: options of the container.
    """

    video: str = "libx264"
    sound: str | None = "aac"
    container: str | None = None
    pixels: str = "yuv420p"
    muxing: dict[str, str] = field(default_factory=dict)

    def options(self, crf: float, preset: str) -> dict[str, str]:
        """Options of the picture's encoder for a quality and an effort of x264."""
        if self.video == "libx264":
            return {"crf": str(crf), "preset": preset}
        if self.video == "libvpx-vp9":
            # Constant quality, at the speed that VP9 keeps for video as it is made.
            return {
                "crf": str(min(63, round(crf + VP9_FROM_H264))),
                "b": "0",
                "deadline": "realtime",
                "cpu-used": "5",
                "row-mt": "1",
            }
        return {}


FAST_START = {"movflags": "+faststart"}
FORMS = {
    ".mp4": Form(muxing=FAST_START),
    ".m4v": Form(muxing=FAST_START),
    ".mov": Form(muxing=FAST_START),
    ".mkv": Form(),
    ".webm": Form("libvpx-vp9", "libopus"),
    ".gif": Form("gif", None, pixels="pal8"),
}
STREAM = Form(container="matroska", muxing={"live": "1", "flush_packets": "1"})
NAMES = (
    "Use a name ending in .mp4, .mov, .mkv, .webm or .gif, frames/%05d.png for pictures, or - for "
    "standard output"
)


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether a name stands for standard input or output."""
    return os.fspath(path) == PIPE


def is_sequence(path: str | os.PathLike[str]) -> bool:
    """Whether a name stands for many pictures: a numbered .png, as frame-%05d.png."""
    path = Path(path)
    return path.suffix.lower() == ".png" and NUMBER.search(path.name) is not None


def takes_planes(path: str | os.PathLike[str]) -> bool:
    """Whether a video of this name may be written from planes, see `talkers.media.planes`."""
    return not is_sequence(path) and form_of(path).pixels == Form.pixels


def form_of(path: str | os.PathLike[str]) -> Form:
    """The form that a video's name asks for.

    Raises:
        UsageError: videos are not written under such a name.
    """
    if is_pipe(path):
        return STREAM
    form = FORMS.get(Path(path).suffix.lower())
    if form is None:
        suffix = Path(path).suffix
        raise UsageError(
            f"videos are not written as '{suffix}'" if suffix else "this name has no ending",
            where=path,
            todo=NAMES,
        )
    return form


def check_output(path: str | os.PathLike[str]) -> None:
    """Say before any work whether a video can be written under a name.

    Raises:
        UsageError: it cannot.
    """
    if not is_sequence(path):
        form_of(path)
