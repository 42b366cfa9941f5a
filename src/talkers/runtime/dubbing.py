"""A film says other words: only its lips change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts.files import refuse_same_file
from talkers.errors import ArtefactError, UsageError
from talkers.face.crop import paste_back
from talkers.face.portrait import checked_face
from talkers.media import audio_blocks, decode_frames, frame_count
from talkers.media.generated import write_generated
from talkers.progress import Report, quiet
from talkers.renderers.contract import from_frames, to_frames
from talkers.renderers.warp import WarpRenderer
from talkers.renderers.warp.lips import LipPainter
from talkers.renderers.warp.renderer import Look
from talkers.runtime.engine import Engine, Frame
from talkers.runtime.film import SEEN, WHY, film_face, film_info
from talkers.runtime.resolved import ResolvedControls
from talkers.runtime.talking_video import TalkingVideo, VideoForm
from talkers.space.face_motion import FaceMotionSpace

WhenLonger = Literal["loop", "freeze", "stretch", "cut", "error"]
WhenShorter = Literal["keep", "silence", "cut"]
FADE_SECONDS = 0.12  # in which dubbed lips take over from the film's own
SLACK_SECONDS = 0.2  # by which a speech may be longer than its film as if it were not
CRF = 10  # of the encoder: low, since what lies outside the lips should stay as it was


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

    def __post_init__(self) -> None:
        """Raises UsageError: one of them is not what it can be."""
        for name, kind in (("when_longer", WhenLonger), ("when_shorter", WhenShorter)):
            if (value := getattr(self, name)) not in get_args(kind):
                raise UsageError(
                    f"'{value}' is no way to go on", todo=f"Use {', '.join(get_args(kind))}"
                )
        checked_face(self.face)


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
        order: [frames] the film's frame that each frame of the result shows.
        left: stretches of the result that are left as the film was: start and end in seconds, and
            why.
        notes: sentences on what was chosen while the files were read.

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
        self.film, self.notes = Path(film), list[str]()
        self.info = film_info(film)
        assert self.info.video is not None
        self.frame_rate = self.info.video.frame_rate
        form = VideoForm(self.frame_rate, engine.size, False, False, lambda: "")
        self._talk = TalkingVideo(engine, speech, resolved, engine.options(0), form)
        self.notes += self._talk.notes
        self._refuse_longer(self.info.duration or self._talk.seconds)
        self.painter = LipPainter(renderer)
        self.face = film_face(film, space, terms.face, report, self.notes.append)
        self._refuse_longer(len(self.face.state) / self.frame_rate)
        self.said = frame_count(self._talk.seconds, self.frame_rate)
        self.order = self._order(len(self.face.state))
        self._weights = self._fading()
        self.left = self._left_alone()

    def _refuse_longer(self, seconds: Any) -> None:
        """Raises UsageError: the speech is longer than a film of so many seconds, and must not."""
        longer = self._talk.seconds > float(seconds) + SLACK_SECONDS
        if longer and self.terms.when_longer == "error":
            raise UsageError(
                f"the speech lasts {self._talk.seconds:.1f} s, the film {float(seconds):.1f} s",
                where=self.film,
                todo="Choose what is shown then: --when-longer loop, freeze, stretch or cut",
            )

    def _order(self, shown: int) -> NDArray[np.int64]:
        """The film's frame, of so many, that each frame of the result shows."""
        terms, said = self.terms, self.said
        if said <= shown:
            return np.arange(said if terms.when_shorter == "cut" else shown)
        if terms.when_longer == "cut":
            return np.arange(shown)
        if terms.when_longer == "stretch":
            return np.arange(said) * shown // said
        if terms.when_longer == "loop" and said - shown > SLACK_SECONDS * self.frame_rate:
            return np.arange(said) % shown
        return np.minimum(np.arange(said), shown - 1)

    def _fading(self) -> NDArray[np.float32]:
        """How far each frame of the result is dubbed, 0..1: 0 where it cannot be, rising beside.

        A film that goes on as it was does so from the end of the speech on.
        """
        kept = self.terms.when_shorter == "keep"
        good = self.face.state[self.order] == SEEN
        good &= ~((np.arange(len(good)) >= self.said) & kept)
        bad = np.flatnonzero(~good)
        if not len(bad):
            return np.ones(len(good), np.float32)
        after = np.searchsorted(bad, np.arange(len(good)))
        nearest = np.minimum(
            np.abs(bad[np.minimum(after, len(bad) - 1)] - np.arange(len(good))),
            np.abs(bad[np.maximum(after - 1, 0)] - np.arange(len(good))),
        )
        return np.clip(nearest / (FADE_SECONDS * float(self.frame_rate) + 1), 0, 1).astype(
            np.float32
        )

    def _left_alone(self) -> list[tuple[float, float, str]]:
        """See `left`."""
        dubbed = len(self.order) if self.terms.when_shorter != "keep" else self.said
        state, rate = self.face.state[self.order][:dubbed], float(self.frame_rate)
        edges = np.flatnonzero(np.diff(state, prepend=-1, append=-1))
        spans = [(a, b) for a, b in pairwise(edges) if state[a] != SEEN]
        return [(a / rate, b / rate, WHY[int(state[a])]) for a, b in spans]

    @property
    def frame_count(self) -> int:
        """Frames of the result, exact."""
        return len(self.order)

    def __len__(self) -> int:
        return self.frame_count

    def _shown(self) -> Iterator[tuple[int, Frame]]:
        """The film's frames in the order in which they are shown, and their numbers."""
        frames, at, frame = decode_frames(self.film, self.frame_rate), -1, None
        for number in map(int, self.order):
            if number < at:
                frames, at = decode_frames(self.film, self.frame_rate), -1
            while at < number:
                frame, at = next(frames, frame), at + 1
            assert frame is not None
            yield number, frame

    def __iter__(self) -> Iterator[Frame]:
        """Frames one by one, uint8 [H, W, 3] RGB, in the film's own size."""
        reference = self.painter.look(
            self._picture(self.face.widest), self.face.widest_points.to(self.engine.device)
        )
        motion = (row for block in self._talk.motion() for row in block)
        resting = torch.zeros(self.space.width)
        for done, (number, frame) in enumerate(self._shown()):
            said = next(motion, None) if done < self.said else None
            weight = float(self._weights[done])
            if weight > 0:
                mouth = (resting if said is None else said)[self.space.mouth]
                frame = self._dubbed(frame, number, mouth, weight, reference)
            yield frame

    def _picture(self, square: Frame) -> Tensor:
        """uint8 [S, S, 3] -> [3, S, S] in -1..1, on the device."""
        return from_frames(torch.from_numpy(square)[None])[0].to(self.engine.device)

    def _dubbed(
        self, frame: Frame, number: int, mouth: Tensor, weight: float, reference: Look
    ) -> Frame:
        """A frame whose mouth does something else.

        Args:
            frame: of the film.
            number: its number.
            mouth: [M] what the mouth is to do.
            weight: how far of all.
            reference: another mouth of the person.
        """
        crop = self.face.crop(number)
        points, rest, device = self.face.shares(number, crop), self.face.rest, self.engine.device
        own = self.space.motion_of(points, rest)
        wanted = own.clone()
        wanted[self.space.mouth] = torch.lerp(own[self.space.mouth], mouth, weight)
        # what the space does not say of the frame's key points stays as it is
        moved = self.space.points_of(wanted, rest) - self.space.points_of(own, rest)
        painted = self.painter.paint(
            self._picture(crop.cut(frame)),
            points.to(device),
            (points + moved).to(device),
            reference,
        )
        square = to_frames(painted[None])[0].cpu().numpy()
        return paste_back(frame, square, crop, feather=0)

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
        refuse_same_file([path], [self.film, self._talk.path])
        return write_generated(
            path,
            map(even, self),
            self.frame_rate,
            self._sound(),
            self.digest() if self.digest is not None else None,
            lambda done: progress(done, self.frame_count),
            crf=CRF,
        )

    def _sound(self) -> tuple[Iterator[NDArray[np.float32]], int, int]:
        """What is heard: the speech, cut where the film ends, and after it as was asked."""
        blocks, rate, channels = self._talk.sound()
        total, own = round(self.frame_count / self.frame_rate * rate), self.info.audio
        kept = own is not None and self.terms.when_shorter == "keep"
        wide = 2 if kept and own is not None and own.channels > 1 else channels

        def heard() -> Iterator[NDArray[np.float32]]:
            done = 0
            for block in blocks:
                part = block[: total - done]
                if len(part):
                    yield part if wide == channels else np.stack([part, part], 1)
                done += len(part)
            if kept and done < total:
                skipped = done
                for block in audio_blocks(self.film, rate, wide):
                    part = block[skipped:][: total - done]
                    skipped = max(0, skipped - len(block))
                    done += len(part)
                    if len(part):
                        yield part

        return heard(), rate, wide


def even(frame: Frame) -> Frame:
    """A frame of even height and width, as encoders want it: its last row and column repeated."""
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    return frame
