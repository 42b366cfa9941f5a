"""A film says other words: only its lips change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts.files import refuse_same_file
from talkers.errors import ArtefactError, UsageError
from talkers.media import audio_blocks, decode_frames, frame_count
from talkers.media.generated import write_generated
from talkers.progress import Report, quiet
from talkers.renderers.contract import from_frames, to_frames
from talkers.renderers.warp import WarpRenderer
from talkers.renderers.warp.lips import LipPainter
from talkers.renderers.warp.renderer import Look
from talkers.runtime.engine import Engine, Frame
from talkers.runtime.film import SEEN, FilmFace, film_face
from talkers.runtime.resolved import ResolvedControls
from talkers.runtime.talking_video import TalkingVideo, VideoForm
from talkers.space.face_motion import FaceMotionSpace

WhenLonger = Literal["loop", "freeze", "stretch", "cut", "error"]
WhenShorter = Literal["keep", "silence", "cut"]
FADE = 5  # frames in which dubbed lips take over from the film's own
CRF = 15  # of the encoder: what lies outside the lips stays within 45 dB


@dataclass(frozen=True)
class DubTerms:
    """How a film is dubbed.

    Attributes:
        face: which face of it: "largest", "left", "right" or "x,y" in its first frame with faces.
        when_longer: what is shown where the speech is longer than the film: the film again, its
            last frame, the film at a slower pace, or nothing more of the speech.
        when_shorter: what happens after a speech that is shorter: the film as it was, the film with
            a mouth that rests, or nothing.
    """

    face: str = "largest"
    when_longer: WhenLonger = "loop"
    when_shorter: WhenShorter = "silence"


class Dubbing:
    """Frames of a film whose face says something else, made as they are asked for; or `save` it.

    Args:
        engine: of a base for portraits: its motion models and its renderer.
        film: the film.
        speech: what is said instead, see `Avatar.speak`.
        terms: how.
        resolved: how far the mouth moves.
        digest: of the base, for the manifest; None: the film is not signed.
        report: called with a sentence, frames done and frames in all.

    Attributes:
        face: what was found in the film.
        frame_count: of the result, exact.
        left: stretches that were left alone: start and end in seconds, and why.

    Raises:
        MediaError: a file cannot be read. FaceError: no frame of the film can be dubbed.
        ArtefactError: the avatar is no base for portraits. UsageError: the speech is longer than
            the film, and that was to be an error.
    """

    def __init__(
        self,
        engine: Engine,
        film: str | os.PathLike[str],
        speech: Any,
        terms: DubTerms,
        resolved: ResolvedControls,
        digest: Callable[[], str] | None,
        report: Report = quiet,
    ):
        space, renderer = engine.space, engine.renderer
        if not isinstance(space, FaceMotionSpace) or not isinstance(renderer, WarpRenderer):
            raise ArtefactError(
                "this avatar cannot dub films",
                where=engine.folder,
                todo="Leave out --base, or name one trained with the recipe 'portrait'",
            )
        self.engine, self.space, self.terms, self.digest = engine, space, terms, digest
        self.film = Path(film)
        self.painter = LipPainter(renderer)
        self.face: FilmFace = film_face(film, space, terms.face, report)
        form = VideoForm(self.face.rate, engine.size, False, False, lambda: "")
        self._talk = TalkingVideo(engine, speech, resolved, engine.options(0), form)
        self.notes = list(self._talk.notes)
        self.left = self.face.left_alone()
        shown, said = len(self.face.state), frame_count(self._talk.seconds, self.face.rate)
        if said > shown and terms.when_longer == "error":
            seconds = float(shown / self.face.rate)
            raise UsageError(
                f"the speech lasts {self._talk.seconds:.1f} s, the film {seconds:.1f} s",
                where=film,
                todo="Choose what is shown then: --when-longer loop, freeze, stretch or cut",
            )
        self.said = said
        shorter = said if terms.when_shorter == "cut" else shown
        longer = shown if terms.when_longer == "cut" else said
        self.frame_count = longer if said > shown else shorter
        self._stretched = said > shown and terms.when_longer == "stretch"

    @property
    def frame_rate(self) -> Any:
        """Frames a second: the film's."""
        return self.face.rate

    def _shown(self) -> Iterator[tuple[int, Frame]]:
        """Numbers of the film's frames, and the frames, in the order in which they are shown."""
        shown, rate, count = 0, self.face.rate, len(self.face.state)
        while shown < self.frame_count:
            number, frame = -1, None
            for number, frame in enumerate(decode_frames(self.film, rate)):
                if number >= count:
                    break
                until = shown + 1
                if self._stretched:  # frame k is shown until k + 1 of the film's share is
                    until = round((number + 1) * self.frame_count / count)
                while shown < min(until, self.frame_count):
                    yield number, frame
                    shown += 1
            if frame is None:
                return
            while self.terms.when_longer != "loop" and shown < self.frame_count:
                yield min(number, count - 1), frame
                shown += 1

    def _weights(self) -> Tensor:
        """How far each of the film's frames is dubbed: [T], 0..1; at once 0 where it cannot be."""
        seen = torch.from_numpy((self.face.state == SEEN).astype(np.float32))
        padded = torch.nn.functional.pad(seen[None, None], (FADE, FADE), mode="replicate")
        least = -torch.nn.functional.max_pool1d(-padded, 2 * FADE + 1, 1)[0, 0]
        smooth = torch.nn.functional.avg_pool1d(
            torch.nn.functional.pad(least[None, None], (FADE, FADE), mode="replicate"),
            2 * FADE + 1,
            1,
        )[0, 0]
        return smooth * seen

    def __len__(self) -> int:
        return self.frame_count

    def __iter__(self) -> Iterator[Frame]:
        """Frames one by one, uint8 [H, W, 3] RGB, in the film's own size."""
        weights, reference = self._weights(), self._reference()
        motion = (row for block in self._talk.motion() for row in block)
        resting = torch.zeros(self.space.width)
        for done, (number, frame) in enumerate(self._shown()):
            said = next(motion, None) if done < self.said else None
            weight = float(weights[number])
            after = done >= self.said and self.terms.when_shorter == "keep"
            if weight > 0 and not after:
                mouth = (resting if said is None else said)[self.space.mouth]
                frame = self._dubbed(frame, number, mouth, weight, reference)
            yield frame

    def _reference(self) -> Look:
        """The film's widest mouth, which shows what the teeth are like."""
        number = self.face.widest
        frame = next(islice(decode_frames(self.film, self.face.rate), number, None))
        crop = self.face.crop(number)
        picture = from_frames(torch.from_numpy(crop.cut(frame))[None])[0]
        return self.painter.look(picture, self.face.shares(number, crop))

    def _dubbed(
        self, frame: Frame, number: int, mouth: Tensor, weight: float, reference: Look
    ) -> Frame:
        """A frame whose mouth does something else.

        Args:
            frame: of the film.
            number: its number.
            mouth: [M] what the mouth is to do.
            weight: how far of all.
            reference: see `_reference`.
        """
        crop = self.face.crop(number)
        points, rest = self.face.shares(number, crop), self.face.rest
        own = self.space.motion_of(points, rest)
        wanted = own.clone()
        wanted[self.space.mouth] = torch.lerp(own[self.space.mouth], mouth, weight)
        # what the space does not say of the frame's key points stays as it is
        moved = self.space.points_of(wanted, rest) - self.space.points_of(own, rest)
        picture = from_frames(torch.from_numpy(crop.cut(frame))[None])[0]
        painted = self.painter.paint(picture, points, points + moved, reference)
        return pasted(frame, to_frames(painted[None])[0].numpy(), crop)

    def save(
        self,
        path: str | os.PathLike[str],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Path:
        """Write the film with its new sound; the file appears when it is complete.

        Args:
            path: a name that `talkers.media.check_output` knows.
            progress: called with frames done and frames in all.

        Raises:
            UsageError: this is one of the files that are read.
            ArtefactError, MissingComponent: it cannot be signed.
        """
        refuse_same_file([path], [self.film])
        return write_generated(
            path,
            self,
            self.face.rate,
            self._sound(),
            self.digest() if self.digest is not None else None,
            lambda done: progress(done, self.frame_count),
            crf=CRF,
        )

    def _sound(self) -> tuple[Iterator[NDArray[np.float32]], int, int]:
        """What is heard: the speech, cut where the film ends, and after it as was asked."""
        blocks, rate, channels = self._talk.sound()
        total = round(self.frame_count / self.face.rate * rate)

        def heard() -> Iterator[NDArray[np.float32]]:
            left = total
            for block in blocks:
                yield block[:left]
                left -= len(block[:left])
            if left > 0 and self.terms.when_shorter == "keep":
                skipped = total - left
                for block in audio_blocks(self.film, rate, channels):
                    kept = block[skipped:][:left]
                    skipped = max(0, skipped - len(block))
                    left -= len(kept)
                    if len(kept):
                        yield kept

        return heard(), rate, channels


def pasted(frame: Frame, square: Frame, crop: Any) -> Frame:
    """A frame with a square put back where it was cut, to the pixel; the frame itself stays."""
    out = frame.copy()
    top, left = max(crop.top, 0), max(crop.left, 0)
    bottom = min(crop.top + crop.side, frame.shape[0])
    right = min(crop.left + crop.side, frame.shape[1])
    if top < bottom and left < right:
        rows = slice(top - crop.top, bottom - crop.top)
        columns = slice(left - crop.left, right - crop.left)
        out[top:bottom, left:right] = square[rows, columns]
    return out
