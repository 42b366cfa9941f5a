"""A video drives an avatar: its head, its face, or both; frame by frame, or as a new video."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts.files import refuse_same_file
from talkers.errors import FaceError, UsageError
from talkers.media import decode_frames, frame_count, probe
from talkers.media.canvas import Layout, on_canvas
from talkers.media.generated import write_generated
from talkers.progress import Report
from talkers.renderers.contract import RenderOptions, RenderState
from talkers.runtime.driven import Driven, driven
from talkers.runtime.driving import DrivingFace
from talkers.runtime.engine import Engine, Frame
from talkers.runtime.resolved import ResolvedControls
from talkers.runtime.source import SOUND_RATE, Speech, SpeechSource
from talkers.runtime.talking_video import MAX_BATCH, TalkingVideo, VideoForm
from talkers.runtime.timing import rebatch
from talkers.space.contract import HEAD, FaceState
from talkers.space.face_motion import BLINK

Follow = Literal["both", "pose", "expression"]
FOLLOWED: dict[Follow, tuple[str, ...]] = {
    "pose": ("pose",),
    "expression": ("blink", "gaze", "expression", "mouth"),
    "both": FaceState._fields,
}
"""Parts of a face that a video drives."""
UPPER = ("blink", "gaze", "expression")  # that another video may drive
MAX_TOLD = 5  # stretches without a face that are named
Sound = tuple[Iterator[NDArray[np.float32]] | None, int, int]  # blocks, rate, channels
LEAST_LOST = 0.2  # seconds without a face that are told


@dataclass(frozen=True)
class Following:
    """How an avatar follows a video.

    Attributes:
        follow: "pose": its head alone, "expression": its face alone, or "both" (DPE, Pang et al.
            2023).
        absolute: the head's angles are shown as they are, not by how they differ from those of the
            neutral frame.
        neutral: second of the driving video at which its face rests (default: the head's movements
            count from where the face is first seen, and how it rests is told from what it does
            there).
        face: which face of it: "largest", "left", "right" or "x,y" in pixels.
        speech: what drives the mouth in place of the video (EDTalk, Tan et al. 2024).
        upper: another video, which drives brows, eyes and lids.
    """

    follow: Follow = "both"
    absolute: bool = False
    neutral: float | None = None
    face: str = "largest"
    speech: Any = None
    upper: str | os.PathLike[str] | None = None


class Reenactor:
    """An avatar that follows a face frame by frame: a camera's, or a video's. A context manager.

    Args:
        engine: the avatar's.
        following: how; its `neutral`, `speech` and `upper` are a video's.
        resolved: blinks where none are driven.
        options: of the renderer.
        rate: frames a second.
        target: the avatar as one that follows (default: made here).

    Attributes:
        lost: how many frames ago the face was last seen.

    Raises:
        ArtefactError: the avatar cannot follow a face. UsageError: no such part to follow.
    """

    def __init__(
        self,
        engine: Engine,
        following: Following,
        resolved: ResolvedControls,
        options: RenderOptions,
        rate: float,
        target: Driven | None = None,
    ):
        if following.follow not in FOLLOWED:
            raise UsageError(
                f"'{following.follow}' cannot be followed", todo="Use pose, expression or both"
            )
        self.engine, self.following, self.options = engine, following, options
        self.parts = FOLLOWED[following.follow]
        self.target = driven(engine) if target is None else target
        self.face = DrivingFace(self.target.reads, rate, following.absolute, following.face)
        self._resolved, self._rest = resolved, self.target.rest()
        self._last: dict[str, Tensor] = {}
        self._state, self._done = RenderState(), 0
        self.lost = 0

    def __enter__(self) -> Reenactor:
        return self

    def __exit__(self, *error: Any) -> None:
        self.face.__exit__(*error)

    def read(self, frame: NDArray[np.uint8]) -> dict[str, Tensor]:
        """What is driven in the next frame; as before where no face is seen.

        Args:
            frame: uint8 [H, W, 3] RGB; the first with a face says how it rests, unless
                `face.begin` was given another.
        """
        state = None
        if self.face.begun or self.face.begin(frame):
            state = self.face.read(frame)
        self.lost = 0 if state is not None else self.lost + 1
        if state is not None:
            self._last = {name: getattr(state, name) for name in self.parts}
        return self._last

    @property
    def held(self) -> dict[str, Tensor]:
        """What was driven when the face was last seen."""
        return self._last

    def resting(self, number: int) -> Tensor:
        """The avatar's own motion [width] in a frame in which nothing is driven: it blinks."""
        head = torch.full((1, len(HEAD)), torch.nan)
        head[:, BLINK] = self._resolved.head(number, 1)[:, BLINK]
        return self._resolved.space.edit(self._rest[None], head=head)[0]

    def show(self, base: Tensor, parts: dict[str, Tensor]) -> Tensor:
        """Motion [width]; see `Driven.show`."""
        return self.target.show(base, parts, self.following.absolute)

    def push(self, frame: NDArray[np.uint8], mark: bool = True) -> NDArray[np.uint8]:
        """The avatar's frame for the next frame of a camera.

        Args:
            frame: uint8 [H, W, 3] RGB.
            mark: put the watermark into it.

        Returns:
            uint8 [size, size, 3]
        """
        motion = self.show(self.resting(self._done), self.read(frame))
        self._done += 1
        return self.engine.decode(motion[None], self.options, mark=mark, state=self._state)[0]


class Reenactment:
    """Frames of an avatar that follows a video, made as they are asked for. Iterate it, or `save`.

    With speech the video is as long as the speech, else as long as the driving video.

    Args:
        engine: the avatar's.
        driving: the driving video.
        following: how it is followed.
        resolved: what else moves: speech, and blinks where none are driven.
        options: of the renderer.
        form: frame rate, size and the like.
        progress: called with a sentence while the avatar is prepared, frames done and in all.

    Attributes:
        notes: sentences on what happened; complete when all frames are made.
        lost: stretches of time, in seconds, in which no face was seen; likewise.
        frame_count: of the frames, as far as the driving video's container says it.

    Raises:
        MediaError: a file cannot be read. ArtefactError: the avatar cannot follow a face.
        UsageError: a value out of range.
    """

    def __init__(
        self,
        engine: Engine,
        driving: str | os.PathLike[str],
        following: Following,
        resolved: ResolvedControls,
        options: RenderOptions,
        form: VideoForm,
        progress: Report = lambda what, done, total: None,
    ):
        self.engine, self.driving, self.following = engine, Path(driving), following
        self.resolved, self.options, self.form = resolved, options, form
        self.notes: list[str] = []
        self.lost: list[tuple[float, float]] = []
        info = probe(self.driving)
        seconds = float(info.duration or 0.0)
        self._sounds = info.audio is not None
        self._talk: TalkingVideo | None = None
        if following.speech is not None:
            self._talk = TalkingVideo(engine, following.speech, resolved, options, form)
            self.notes += self._talk.notes
            seconds = self._talk.seconds
        self.frame_count = frame_count(seconds, form.frame_rate)
        self._target = driven(engine, progress)

    def _reenactor(self, path: Path, following: Following) -> Reenactor:
        """What follows a video, its neutral frame seen where one was named.

        Raises:
            FaceError: no face is seen at that moment. UsageError: the video is shorter.
        """
        rate = self.form.frame_rate
        found = Reenactor(
            self.engine, following, self.resolved, self.options, float(rate), self._target
        )
        if following.neutral is None:
            return found
        wanted = max(0, round(following.neutral * rate))
        frame = next(islice(decode_frames(path, rate), wanted, None), None)
        if frame is None:
            raise UsageError(
                f"the neutral moment, {following.neutral:g} s, lies after the end of the video",
                where=path,
                todo="Name a second of it at which the face rests",
            )
        if not found.face.begin(frame, resting=True):
            raise FaceError(
                f"no face is seen at {following.neutral:g} s",
                where=path,
                todo="Name a second at which the face is seen and rests",
            )
        return found

    def motion(self) -> Iterator[Tensor]:
        """Motion of the video's frames, in blocks [1, width].

        Raises:
            FaceError: no face is seen in the driving video. UsageError: see `_reenactor`.
        """
        following, rate = self.following, self.form.frame_rate
        with ExitStack() as stack:
            main = stack.enter_context(self._reenactor(self.driving, following))
            frames = decode_frames(self.driving, rate, warn=self.notes.append)
            upper: Reenactor | None = None
            upper_frames: Iterator[Frame] = iter(())
            if following.upper is not None:
                alone = replace(following, follow="expression", neutral=None, face="largest")
                path = Path(following.upper)
                upper = stack.enter_context(self._reenactor(path, alone))
                upper_frames = decode_frames(path, rate)
            number = 0
            for number, own in enumerate(self._own(main)):
                frame = next(frames, None)
                if frame is None and self._talk is None:
                    break
                parts = dict(main.held if frame is None else main.read(frame))
                if self._talk is not None:
                    parts.pop("mouth", None)
                if upper is not None:
                    other = next(upper_frames, None)
                    seen = upper.held if other is None else upper.read(other)
                    parts |= {name: seen[name] for name in UPPER if name in seen}
                self._note_lost(number, main.lost > 0 and frame is not None)
                yield main.show(own, parts)[None]
            if not main.face.begun:
                raise FaceError(
                    "no face is seen in this video",
                    where=self.driving,
                    todo="Use a video of one face from the front",
                )
        self._conclude(number)

    def _own(self, main: Reenactor) -> Iterator[Tensor]:
        """The avatar's own motion, frame by frame: of speech, or for ever at rest."""
        if self._talk is not None:
            for block in self._talk.motion():
                yield from block
        else:
            yield from map(main.resting, count())

    def _note_lost(self, number: int, lost: bool) -> None:
        """Remember a frame in which no face is seen."""
        if not lost:
            return
        start, end = (float((number + k) / self.form.frame_rate) for k in (0, 1))
        if self.lost and abs(self.lost[-1][1] - start) < 1e-6:
            start = self.lost.pop()[0]
        self.lost.append((start, end))

    def _conclude(self, frames: int) -> None:
        """Note what a user should know after all frames are made."""
        told = [span for span in self.lost if span[1] - span[0] >= LEAST_LOST]
        if told:
            shown = ", ".join(f"{start:.1f} to {end:.1f} s" for start, end in told[:MAX_TOLD])
            more = f" and {len(told) - MAX_TOLD} times more" if len(told) > MAX_TOLD else ""
            self.notes.append(f"no face is seen from {shown}{more}; what it did before is kept.")
        if self._target.limited:
            self.notes.append(
                f"in {self._target.limited} of {frames} frames the driving head turns farther than "
                "the avatar can; it was limited."
            )

    def __iter__(self) -> Iterator[Frame]:
        """Frames one by one, uint8 [size, size, 3] RGB."""
        state, form = RenderState(), self.form
        for motion in rebatch(self.motion(), MAX_BATCH):
            yield from self.engine.decode(
                motion, self.options, mark=form.provenance, size=form.size, state=state
            )

    def save(
        self,
        path: str | os.PathLike[str],
        progress: Callable[[int, int], None] = lambda done, total: None,
        layout: Layout | None = None,
        sound: str | os.PathLike[str] | None = "keep",
    ) -> Path:
        """Write the video; the file appears when it is complete.

        Args:
            path: a name that `talkers.media.check_output` knows.
            progress: called with frames done and frames in all.
            layout: how the frames lie on a larger picture (default: they are all of it).
            sound: a file whose sound it has; "keep": the speech's, or else the driving video's;
                None: it is silent.

        Returns:
            the path written.

        Raises:
            UsageError: this is one of the files that are read.
            ArtefactError, MissingComponent: it cannot be signed.
        """
        refuse_same_file([path], self._files(sound))
        return write_generated(
            path,
            self if layout is None else on_canvas(self, layout),
            self.form.frame_rate,
            self._sound(sound),
            self.form.digest() if self.form.provenance else None,
            lambda done: progress(done, max(done, self.frame_count)),
        )

    def _files(self, sound: str | os.PathLike[str] | None) -> list[Path]:
        """All files that are read."""
        named = [self.driving, self.following.upper, None if sound == "keep" else sound]
        speech = self.following.speech
        source = speech.source if isinstance(speech, Speech) else speech
        named.append(source if isinstance(source, str | os.PathLike) else None)
        return [Path(name) for name in named if name is not None]

    def _sound(self, sound: str | os.PathLike[str] | None) -> Sound:
        """Blocks, rate and channels of the video's sound."""
        silent = (None, SOUND_RATE, 1)
        if sound == "keep":
            if self._talk is not None:
                return self._talk.sound()
            return SpeechSource(self.driving, self.notes.append).sound() if self._sounds else silent
        if sound is None:
            return silent
        blocks, rate, channels = SpeechSource(sound, self.notes.append).sound()
        return _cut(blocks, round(self.frame_count / self.form.frame_rate * rate)), rate, channels


def _cut(
    blocks: Iterator[NDArray[np.float32]] | None, samples: int
) -> Iterator[NDArray[np.float32]]:
    """The first samples of sound."""
    for block in blocks or ():
        if samples <= 0:
            return
        yield block[:samples]
        samples -= len(block)
