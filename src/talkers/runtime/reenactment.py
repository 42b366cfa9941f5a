"""A video drives an avatar: its head, its face, or both; frame by frame, or as a new video."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts.files import refuse_same_file
from talkers.errors import FaceError, MediaError
from talkers.media import audio_blocks, decode_frames, frame_count, probe
from talkers.media.canvas import Layout, on_canvas
from talkers.media.generated import write_generated
from talkers.progress import Report, quiet
from talkers.renderers.contract import RenderOptions, RenderState
from talkers.runtime.driving import DrivingFace
from talkers.runtime.engine import Engine, Frame
from talkers.runtime.reenact_terms import FOLLOWED, UPPER
from talkers.runtime.reenact_terms import ReenactTerms as ReenactTerms
from talkers.runtime.resolved import ResolvedControls
from talkers.runtime.retargeting import Retargeter, retargeter
from talkers.runtime.source import SOUND_RATE, Speech
from talkers.runtime.talking_video import MAX_BATCH, TalkingVideo, VideoForm
from talkers.runtime.timing import rebatch
from talkers.space.contract import HEAD
from talkers.space.face_motion import BLINK

MIN_GAP_SECONDS = 0.2  # without a face, from which on it is remarked
MAX_GAPS = 5  # that are named
PIECE = 960  # samples of sound that are written at once: no more than a frame's
Sound = tuple[Iterator[NDArray[np.float32]] | None, int, int]  # blocks, rate, channels
NO_FACE = "Use a video of one face from the front"


class Reenactor:
    """An avatar that follows a face frame by frame: a camera's, or a video's.

    Close it when it is no longer needed, or use it in a `with`.

    Args:
        engine: the avatar's.
        terms: how; `neutral`, `speech` and `upper` are left to `Reenactment`.
        resolved: blinks where none are driven.
        options: of the renderer.
        form: frame rate, size and whether frames are marked.
        target: what shows motion on the avatar.

    Attributes:
        lost: how many frames ago the face was last seen.
    """

    def __init__(
        self,
        engine: Engine,
        terms: ReenactTerms,
        resolved: ResolvedControls,
        options: RenderOptions,
        form: VideoForm,
        target: Retargeter,
    ):
        self.engine, self.terms, self.options, self.form = engine, terms, options, form
        self.parts, self.target = FOLLOWED[terms.follow], target
        self.face = DrivingFace(target.reads, float(form.frame_rate), terms.absolute, terms.face)
        self._resolved, self._rest = resolved, target.rest()
        self._pace = float(engine.frame_rate / form.frame_rate)
        self._held: dict[str, Tensor] = {}
        self._state, self._done = RenderState(), 0
        self.lost = 0

    def __enter__(self) -> Reenactor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the face tracker holds."""
        self.face.close()

    def begin_at(self, path: Path, second: float | None) -> None:
        """See the neutral frame of a video.

        Args:
            path: the video.
            second: of it, at which the face rests (default: the first at which it is seen).

        Raises:
            FaceError: no face is seen there. MediaError: the video is shorter, or cannot be read.
        """
        rate = self.form.frame_rate
        frames = decode_frames(path, rate)
        if second is None:
            if not any(self.face.begin(frame) for frame in frames):
                raise FaceError("no face is seen in this video", where=path, todo=NO_FACE)
            return
        frame = next(islice(frames, round(second * rate), None), None)
        if frame is None:
            raise MediaError(
                f"the neutral moment, {second:g} s, lies after the end of this video",
                where=path,
                todo="Name a second of it at which the face rests",
            )
        if not self.face.begin(frame, resting=True):
            raise FaceError(
                f"no face is seen at {second:g} s",
                where=path,
                todo="Name a second at which the face is seen and rests",
            )

    def read(self, frame: NDArray[np.uint8]) -> dict[str, Tensor]:
        """What is driven in the next frame; as before where no face is seen.

        Args:
            frame: uint8 [H, W, 3] RGB; the first with a face says how it rests, if none has.
        """
        state = None
        if self.face.begun or self.face.begin(frame):
            state = self.face.read(frame)
        self.lost = 0 if state is not None else self.lost + 1
        if state is not None:
            self._held = {name: getattr(state, name) for name in self.parts}
        return self._held

    @property
    def after_end(self) -> dict[str, Tensor]:
        """What is driven after the driving video has ended: as before, but for the lids."""
        return {name: value for name, value in self._held.items() if name != "blink"}

    def resting(self, number: int) -> Tensor:
        """The avatar's own motion [width] in a frame in which nothing is driven: it blinks."""
        head = torch.full((1, len(HEAD)), torch.nan)
        head[:, BLINK] = self._resolved.head(round(number * self._pace), 1)[:, BLINK]
        return self._resolved.space.edit(self._rest[None], head=head)[0]

    def show(self, base: Tensor, parts: dict[str, Tensor]) -> Tensor:
        """Motion [width]; see `Retargeter.show`."""
        return self.target.show(base, parts, self.terms.absolute)

    def push(self, frame: NDArray[np.uint8]) -> Frame:
        """The avatar's frame for the next frame of a camera.

        Args:
            frame: uint8 [H, W, 3] RGB.

        Returns:
            uint8 [size, size, 3]
        """
        motion, form = self.show(self.resting(self._done), self.read(frame)), self.form
        self._done += 1
        return self.engine.decode(
            motion[None], self.options, mark=form.provenance, size=form.size, state=self._state
        )[0]


class Reenactment:
    """Frames of an avatar that follows a video, made as they are asked for. Iterate it, or `save`.

    With speech the video is as long as the speech, else as long as the driving video.

    Args:
        engine: the avatar's.
        driving: the driving video.
        terms: how it is followed.
        resolved: what else moves: speech, and blinks where none are driven.
        options: of the renderer.
        form: frame rate, size and the like.
        report: called with a sentence while the avatar is prepared, frames done and in all.

    Attributes:
        notes: sentences on what happened; complete when all frames are made.
        gaps: stretches of time, in seconds, in which no face was seen; likewise.
        frame_count: of the frames; an estimate until all are made, 0 where the driving video does
            not say how long it is.

    Raises:
        MediaError: a file cannot be read. ArtefactError: the avatar cannot follow a face.
    """

    def __init__(
        self,
        engine: Engine,
        driving: str | os.PathLike[str],
        terms: ReenactTerms,
        resolved: ResolvedControls,
        options: RenderOptions,
        form: VideoForm,
        report: Report = quiet,
    ):
        self.engine, self.driving, self.terms = engine, Path(driving), terms
        self.resolved, self.options, self.form = resolved, options, form
        self.gaps: list[tuple[float, float]] = []
        self._read: list[str] = []  # notes on the files
        self._seen: list[str] = []  # and on what the last run through the frames saw
        info = probe(self.driving)
        seconds = float(info.duration or 0.0)
        self._channels = 0 if info.audio is None else min(2, info.audio.channels)
        self._talk: TalkingVideo | None = None
        if terms.upper is not None:
            probe(terms.upper)
        if terms.speech is not None:
            self._talk = TalkingVideo(engine, terms.speech, resolved, options, form)
            self._read += self._talk.notes
            seconds = self._talk.seconds
        self.frame_count = frame_count(seconds, form.frame_rate) if seconds else 0
        self._target = retargeter(engine, report)
        self._ended = False

    @property
    def notes(self) -> list[str]:
        """See the class."""
        return self._read + self._seen

    def _reenactor(self, stack: ExitStack, path: Path, terms: ReenactTerms) -> Reenactor:
        """What follows a video whose neutral frame it has seen; it is closed with the stack.

        Raises:
            FaceError, MediaError: see `Reenactor.begin_at`.
        """
        found = stack.enter_context(
            Reenactor(self.engine, terms, self.resolved, self.options, self.form, self._target)
        )
        found.begin_at(path, terms.neutral)
        return found

    def motion(self) -> Iterator[Tensor]:
        """Motion of the video's frames, in blocks [1, width].

        Raises:
            FaceError, MediaError: see `Reenactor.begin_at`.
        """
        terms, rate = self.terms, self.form.frame_rate
        self._seen, self.gaps, self._target.limited, self._ended = [], [], 0, False
        done, ends = 0, None
        with ExitStack() as stack:
            main = self._reenactor(stack, self.driving, terms)
            frames = decode_frames(self.driving, rate, warn=self._seen.append)
            upper: Reenactor | None = None
            upper_frames: Iterator[Frame] = iter(())
            if terms.upper is not None:
                alone = replace(terms, follow="expression", neutral=None, face="largest")
                upper = self._reenactor(stack, Path(terms.upper), alone)
                upper_frames = decode_frames(terms.upper, rate)
            for own in self._own(main):
                frame = next(frames, None)
                if frame is None and self._talk is None:
                    break
                if frame is None and ends is None:
                    ends = done
                parts = dict(main.after_end if frame is None else main.read(frame))
                if self._talk is not None:
                    parts.pop("mouth", None)
                if upper is not None:
                    other = next(upper_frames, None)
                    seen = upper.after_end if other is None else upper.read(other)
                    parts = {name: value for name, value in parts.items() if name not in UPPER}
                    parts |= {name: seen[name] for name in UPPER if name in seen}
                if frame is not None and main.lost:
                    self._add_gap(done)
                yield main.show(own, parts)[None]
                done += 1
        self.frame_count, self._ended = done, True
        self._conclude(done, ends)

    def _own(self, main: Reenactor) -> Iterator[Tensor]:
        """The avatar's own motion, frame by frame: of speech, or for ever at rest."""
        if self._talk is not None:
            for block in self._talk.motion():
                yield from block
        else:
            yield from map(main.resting, count())

    def _add_gap(self, number: int) -> None:
        """Remember a frame in which no face is seen."""
        start, end = (float((number + k) / self.form.frame_rate) for k in (0, 1))
        if self.gaps and abs(self.gaps[-1][1] - start) < 1e-6:
            start = self.gaps.pop()[0]
        self.gaps.append((start, end))

    def _conclude(self, frames: int, ends: int | None) -> None:
        """Note what a user should know after all frames are made."""
        long = [gap for gap in self.gaps if gap[1] - gap[0] >= MIN_GAP_SECONDS]
        if long:
            named = ", ".join(f"{start:.1f} to {end:.1f} s" for start, end in long[:MAX_GAPS])
            more = f" and {len(long) - MAX_GAPS} times more" if len(long) > MAX_GAPS else ""
            self._seen.append(f"no face is seen from {named}{more}; what it did before is kept.")
        if ends is not None:
            seconds = float(ends / self.form.frame_rate)
            self._seen.append(
                f"the driving video ends at {seconds:.1f} s, before the speech; the head stays "
                "where it was."
            )
        if self._target.limited:
            self._seen.append(
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
            MediaError: the sound cannot be read.
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
        named = [self.driving, self.terms.upper, None if sound == "keep" else sound]
        speech = self.terms.speech
        source = speech.source if isinstance(speech, Speech) else speech
        named.append(source if isinstance(source, str | os.PathLike) else None)
        return [Path(name) for name in named if name is not None]

    def _sound(self, sound: str | os.PathLike[str] | None) -> Sound:
        """Blocks, rate and channels of the video's sound, no longer than its picture."""
        if sound == "keep" and self._talk is not None:
            return self._talk.sound()
        source, channels = self.driving, self._channels
        if sound not in ("keep", None):
            found = probe(Path(sound)).audio
            source, channels = Path(sound), 0 if found is None else min(2, found.channels)
            if not channels:
                raise MediaError(
                    "there is no sound in this file", where=sound, todo="Name one with sound"
                )
        if sound is None or not channels:
            return None, SOUND_RATE, 1
        blocks = audio_blocks(source, SOUND_RATE, channels, note=self._read.append)
        return self._until_the_end(blocks), SOUND_RATE, channels

    def _until_the_end(
        self, blocks: Iterator[NDArray[np.float32]]
    ) -> Iterator[NDArray[np.float32]]:
        """Sound in pieces, of which there are no more when the picture has ended."""
        given = 0
        for block in blocks:
            for at in range(0, len(block), PIECE):
                piece = block[at : at + PIECE]
                if self._ended:
                    left = round(self.frame_count / self.form.frame_rate * SOUND_RATE) - given
                    piece = piece[: max(0, left)]
                if not len(piece):
                    return
                yield piece
                given += len(piece)
