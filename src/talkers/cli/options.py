"""Arguments that several verbs have in common, as typed objects."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import UseAppendAction, arg

from talkers.controls.request import Controls
from talkers.errors import UsageError

if TYPE_CHECKING:
    from talkers.media.canvas import Layout

Out = Annotated[Path, arg(aliases=["-o"])]
Json = Annotated[bool, arg(name="json")]
Settings = UseAppendAction[tuple[tuple[str, ...], ...]]  # as often as one likes, several at once

MIN_SIDE = 32  # pixels of the smallest video


@dataclass(frozen=True)
class PictureOptions:
    """Which avatar is shown, and what its video is like."""

    avatar: str = "default"
    """Folder of an avatar, a photo, default for the bundled one, or mock for a drawn face."""
    consent: str | None = None
    """Who agreed to be shown, where the avatar is a photo."""
    seed: int = 0
    """Of the noise and the blinks; the same seed gives the same frames."""
    steps: int | None = None
    """Network passes a frame (default: what the avatar was made for)."""
    fps: str | None = None
    """Frames a second (default: the avatar's own), such as 30 or 30000/1001."""
    size: int | None = None
    """Side of the video in pixels (default: the avatar's own)."""
    provenance: bool = True
    """Mark the frames and sign the video as made by a machine (see talkers verify)."""
    shape: str = "1:1"
    """Width to height of the video, such as 9:16 or 16:9; the avatar is in its middle."""
    background: str | None = None
    """What is around the square: a colour such as #203040 or white, or a picture's file (default:
    the colour of the square's border)."""

    def __post_init__(self) -> None:
        """Raises UsageError: no such frame rate or shape."""
        if self.fps:
            frame_rate_of(self.fps)
        if self.shape != "1:1":
            _ = self.layout  # refuses what is no shape

    @property
    def files(self) -> list[Path]:
        """Files that may be read beside what drives the avatar."""
        return [Path(self.background)] if self.background else []

    @property
    def layout(self) -> Layout | None:
        """How the square lies on a larger picture; None: it is the whole picture."""
        from talkers.media.canvas import Layout

        layout = Layout(self.shape, self.background)
        width, height = layout.size(MIN_SIDE)
        return None if width == height == MIN_SIDE else layout

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames a second that were asked for; None: the avatar's own.

        Raises:
            UsageError: it is no number, or out of range.
        """
        return frame_rate_of(self.fps) if self.fps else None


@dataclass(frozen=True)
class VideoOptions(PictureOptions):
    """Which avatar speaks, how, and what its video is like."""

    live: bool = False
    """Hear with the avatar's own streaming encoder, as a stream does, instead of the pretrained
    speech model."""
    controls: Annotated[Controls, arg(name="")] = Controls()
    """Of head, eyes and mouth."""

    @property
    def files(self) -> list[Path]:
        """Files that may be read beside the speech: of poses, a style and a background."""
        named = (self.controls.pose, self.controls.style)
        return [Path(p) for p in named if p] + super().files


def frame_rate_of(text: str) -> Fraction:
    """'25', '29.97' or '30000/1001' -> frames a second.

    Raises:
        UsageError: anything else, or out of 1 to 240.
    """
    try:
        if "e" in text.lower():  # Fraction would write exponents out, however many digits
            raise ValueError
        rate = Fraction(text).limit_denominator(1001)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"'{text}' is not a frame rate", todo="Write it as 25, 29.97 or 30000/1001"
        ) from error
    if not 1 <= rate <= 240:
        raise UsageError(f"{text} frames a second were asked for", todo="Use 1 to 240")
    return rate


def some(paths: tuple[Path, ...], what: str = "footage") -> tuple[Path, ...]:
    """The paths, at least one.

    Raises:
        UsageError: there is none.
    """
    if not paths:
        raise UsageError(f"no {what} was named", todo="Name video files, or a folder of them")
    return paths
