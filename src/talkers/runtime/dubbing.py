"""A film says other words: only its lips change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts.files import refuse_same_file
from talkers.errors import ArtefactError, MediaError, UsageError
from talkers.face.portrait import checked_face
from talkers.media import audio_blocks, frame_count, probe
from talkers.media.forms import takes_planes
from talkers.media.generated import write_generated
from talkers.media.planes import rgb_of
from talkers.progress import Report, quiet
from talkers.renderers.warp import WarpRenderer
from talkers.renderers.warp.lips import LipPainter
from talkers.runtime.dub_painting import BATCH, Dub, FilmPainter
from talkers.runtime.dub_sound import followed, mixed, of_length, widened
from talkers.runtime.engine import Engine, Frame
from talkers.runtime.film import SEEN, WHY, film_face, film_info
from talkers.runtime.film_box import Picture
from talkers.runtime.film_order import (
    SLACK_SECONDS,
    WhenLonger,
    WhenShorter,
    even,
    frames_in_order,
    shown_frames,
)
from talkers.runtime.film_style import FilmStyle, film_style
from talkers.runtime.resolved import ResolvedControls
from talkers.runtime.talking_video import TalkingVideo, VideoForm
from talkers.runtime.timing import lookahead
from talkers.space.face_motion import FaceMotionSpace

FADE_SECONDS = 0.12  # in which dubbed lips take over from the film's own
CRF, PRESET = 14, "ultrafast"  # of x264: what lies outside the lips stays within 48 dB
WEBM_CRF = 8  # as `write_generated` counts it, for about the same of VP9
FRAMES_AHEAD = 8  # that are made while others are written
MAX_BED_GAIN = 24.0  # dB


@dataclass(frozen=True)
class DubTerms:
    """How a film is dubbed.

    Attributes:
        face: which face of it: "auto" (whose lips go with the film's sound), "largest", "left",
            "right" or "x,y" in its first frame with faces.
        when_longer: what is shown where the speech is longer than the film: the film again, the
            film there and back, its last frame, the film at a slower pace, or nothing more of the
            speech.
        when_shorter: what happens after a speech that is shorter: the film as it was, the film with
            a mouth that rests, or nothing.
        bed: a file whose sound goes on under the speech, or None.
        bed_gain: by how many dB it is louder than it is in its file.
    """

    face: str = "auto"
    when_longer: WhenLonger = "loop"
    when_shorter: WhenShorter = "silence"
    bed: str | os.PathLike[str] | None = None
    bed_gain: float = 0.0

    def __post_init__(self) -> None:
        """Raises UsageError: one of them is not what it can be."""
        for name, kind in (("when_longer", WhenLonger), ("when_shorter", WhenShorter)):
            if (value := getattr(self, name)) not in get_args(kind):
                raise UsageError(
                    f"'{value}' is no way to go on", todo=f"Use {', '.join(get_args(kind))}"
                )
        if not -120 <= self.bed_gain <= MAX_BED_GAIN:
            raise UsageError(
                f"{self.bed_gain} dB is no gain for a bed",
                todo=f"Use -120 to {MAX_BED_GAIN:.0f}; below 0 makes it quieter",
            )
        if self.face != "auto":
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
        style: how its person moves the lips; None where the film does not tell.
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
        if terms.bed is not None and probe(terms.bed).audio is None:
            raise MediaError("this holds no sound", where=terms.bed, todo="Name another --bed")
        self.painter = LipPainter(renderer)
        self.face = film_face(film, space, terms.face, report, self.notes.append)
        self._refuse_longer(len(self.face.state) / self.frame_rate)
        self.said = frame_count(self._talk.seconds, self.frame_rate)
        self.order = shown_frames(
            len(self.face.state), self.said, self.frame_rate, terms.when_longer, terms.when_shorter
        )
        self.style: FilmStyle | None = None
        if self.info.audio is not None:
            self.style = film_style(engine, film, self.face, self.frame_rate)
        self._weights = self._fading()
        self.left = self._left_alone()

    def _refuse_longer(self, seconds: Any) -> None:
        """Raises UsageError: the speech is longer than a film of so many seconds, and must not."""
        longer = self._talk.seconds > float(seconds) + SLACK_SECONDS
        if longer and self.terms.when_longer == "error":
            raise UsageError(
                f"the speech lasts {self._talk.seconds:.1f} s, the film {float(seconds):.1f} s",
                where=self.film,
                todo="Choose what is shown: --when-longer loop, bounce, freeze, stretch or cut",
            )

    def _fading(self) -> NDArray[np.float32]:
        """How far each frame of the result is dubbed, 0..1: 0 where it cannot be, rising beside.

        A film that goes on as it was does so from the end of the speech on. Nothing fades over a
        cut.
        """
        good = self.face.state[self.order] == SEEN
        good &= ~((np.arange(len(good)) >= self.said) & (self.terms.when_shorter == "keep"))
        shot, step = self.face.shot[self.order], 1 / (FADE_SECONDS * float(self.frame_rate) + 1)
        weights = np.where(good, np.float32(1), np.float32(0))
        for way in (slice(None), slice(None, None, -1)):
            level, own = weights[way], shot[way]  # level is a view: forwards, then backwards
            for k in range(1, len(level)):
                if own[k] == own[k - 1]:
                    level[k] = min(level[k], level[k - 1] + step)
        return weights

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

    def __iter__(self) -> Iterator[Frame]:
        """Frames one by one, uint8 [H, W, 3] RGB, in the film's own size."""
        for picture in self._pictures():
            yield rgb_of(picture)

    def _pictures(self) -> Iterator[Picture]:
        """Frames one by one, planes or RGB as the film stores them."""
        painter = FilmPainter(self.painter, self.space, self.face, self.engine.device)
        motion = (row for block in self._talk.motion() for row in block)
        resting, waiting = torch.zeros(self.space.width)[self.space.mouth], list[Dub]()
        shown = frames_in_order(self.film, self.frame_rate, self.order)
        for done, (number, picture) in enumerate(shown):
            said = next(motion, None) if done < self.said else None
            weight = float(self._weights[done])
            if weight > 0:
                mouth = resting if said is None else self._mouth(said, done)
                waiting.append(Dub(picture, number, mouth, weight))
            if waiting and (weight == 0 or len(waiting) == BATCH):
                yield from painter.painted(waiting)
                waiting.clear()
            if weight == 0:
                yield picture
        if waiting:
            yield from painter.painted(waiting)

    def _mouth(self, said: Tensor, done: int) -> Tensor:
        """What the mouth does in a frame [M], as the film's person does it."""
        mouth = said[self.space.mouth]
        if self.style is None:
            return mouth
        time = np.array([(done + 0.5) / float(self.frame_rate)])
        return self.style.of(mouth, float(self._talk.moving(time)[0]))

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
        refuse_same_file([path], [self.film, self._talk.path, self.terms.bed])
        # painting leaves a core to the encoder
        shown = self._pictures() if takes_planes(path) else self
        with closing(lookahead(map(even, shown), FRAMES_AHEAD)) as frames:
            return write_generated(
                path,
                frames,
                self.frame_rate,
                self._sound(),
                self.digest() if self.digest is not None else None,
                lambda done: progress(done, self.frame_count),
                WEBM_CRF if Path(path).suffix.lower() == ".webm" else CRF,
                PRESET,
            )

    def _sound(self) -> tuple[Iterator[NDArray[np.float32]], int, int]:
        """What is heard: the speech, cut where the film ends, what follows it, and the bed."""
        blocks, rate, channels = self._talk.sound()
        total, bed = round(self.frame_count / self.frame_rate * rate), self.terms.bed
        own = self.info.audio if self.terms.when_shorter == "keep" else None
        under = None if bed is None else probe(bed).audio
        if any(info is not None and info.channels > 1 for info in (own, under)):
            channels = 2
        speech = widened(blocks, channels)
        if own is not None:
            speech = followed(speech, audio_blocks(self.film, rate, channels))
        if bed is None:
            return of_length(speech, total), rate, channels
        gain = float(10 ** (self.terms.bed_gain / 20))
        return mixed(speech, audio_blocks(bed, rate, channels), gain, total), rate, channels
