"""One thing that an avatar says: an iterator over frames, and its video file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts.files import refuse_same_file
from talkers.controls.head_track import HeadTrack
from talkers.media import AUDIO_RATE, frame_count
from talkers.media.canvas import Layout, on_canvas
from talkers.media.generated import write_generated
from talkers.motion import motion_of_speech
from talkers.renderers.contract import RenderOptions, RenderState
from talkers.runtime.engine import Engine
from talkers.runtime.resolved import ResolvedControls
from talkers.runtime.session import Session
from talkers.runtime.source import SpeechSource
from talkers.runtime.timing import lookahead, rebatch, resample
from talkers.speech import (
    LEVEL_RATE,
    feature_stream,
    moving_share,
    speech_activity,
    speech_gain,
)

MAX_BATCH = 8  # frames decoded together; the first batches are smaller, for a fast first frame
FRAMES_AHEAD = 32  # that are made while others are written
Frame = NDArray[np.uint8]  # [H, W, 3] RGB


@dataclass(frozen=True)
class VideoForm:
    """What a talking video is like apart from what is said.

    Attributes:
        frame_rate: frames a second.
        size: side of its frames, pixels.
        live: use the avatar's own speech encoder, exactly as a stream does.
        provenance: mark the frames and sign the file as generated.
        digest: of the avatar, for the manifest; asked for when the file is written.
    """

    frame_rate: Fraction
    size: int
    live: bool
    provenance: bool
    digest: Callable[[], str]


class TalkingVideo:
    """Frames of an avatar that speaks, made as they are asked for. Iterate it, or `save` it.

    Args:
        engine: the avatar's.
        speech: a path, samples, or a `Speech` of these.
        resolved: what controls mean for the avatar.
        options: of the renderer.
        form: frame rate, size and the like.

    Attributes:
        frame_count: exact.
        seconds: of speech.
        silent: whether no speech was found in it.
        notes: sentences on what was chosen while its sound was read.
        watch: called with the motion [n, width] of frames before they are made; None: nobody is.

    Raises:
        MediaError: the speech cannot be read. UsageError: no such samples.
    """

    def __init__(
        self,
        engine: Engine,
        speech: Any,
        resolved: ResolvedControls,
        options: RenderOptions,
        form: VideoForm,
    ):
        self.engine, self.resolved, self.options, self.form = engine, resolved, options, form
        self.notes: list[str] = []
        self.watch: Callable[[Tensor], None] | None = None
        if form.live:
            self._session()  # says now if it cannot
        self._source = SpeechSource(speech, self.notes.append)
        levels = self._source.levels
        self.gain = speech_gain(levels)
        self._moving = moving_share(speech_activity(levels), LEVEL_RATE)
        self.silent = not self._moving.any()
        self.seconds = self._source.length / AUDIO_RATE
        self.frame_count = frame_count(self.seconds, form.frame_rate)

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second."""
        return self.form.frame_rate

    @property
    def size(self) -> int:
        """Side of the frames, pixels."""
        return self.form.size

    @property
    def head(self) -> HeadTrack:
        """Head values that were asked for."""
        assert isinstance(self.resolved.head, HeadTrack)
        return self.resolved.head

    def motion(self) -> Iterator[Tensor]:
        """Motion of the video's frames, in blocks [n, width]."""
        rate, own = float(self.engine.frame_rate), self.engine.frame_rate
        if self.form.live:
            blocks = self._streamed(self._session())
        else:
            features = feature_stream(self.engine.speech_encoder, self._source.blocks(), self.gain)
            count = frame_count(self.seconds, own) + (self.frame_rate != own)
            blocks = self._edited(motion_of_speech(self.resolved.request, features, count))
        if self.frame_rate == own:
            return blocks
        return resample(blocks, rate, float(self.frame_rate), self.frame_count)

    def moving(self, times: NDArray[np.floating]) -> NDArray[np.float32]:
        """How far the mouth may move at some times [n] in seconds: [n], 0 where nothing is said."""
        at = (np.arange(len(self._moving)) + 0.5) / LEVEL_RATE
        return np.interp(times, at, self._moving).astype(np.float32)

    @property
    def path(self) -> Path | None:
        """Of the file that is spoken; None: samples are."""
        return self._source.path

    def sound(self) -> tuple[Iterator[NDArray[np.float32]], int, int]:
        """What is said: its blocks, their rate and channels."""
        return self._source.sound()

    def _edited(self, blocks: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
        """Motion as the controls ask for it, the mouth at rest where nothing is said."""
        resolved, done, rate = self.resolved, 0, float(self.engine.frame_rate)
        for motion, head in blocks:
            times = (done + np.arange(len(motion)) + 0.5) / rate
            moving = torch.from_numpy(self.moving(times))[:, None]
            wanted = self.head.enforced(done, head)
            yield resolved.space.edit(motion, resolved.edit, wanted, moving)
            done += len(motion)

    def _session(self) -> Session:
        """A session at its beginning."""
        return Session(self.engine, self.resolved, self.options)

    def _streamed(self, session: Session) -> Iterator[Tensor]:
        for block in self._source.blocks():
            if len(motion := session.motion(block)):
                yield motion
        yield session.flush()

    def _batches(self) -> Iterator[NDArray[np.uint8]]:
        """Frames in growing batches: uint8 [n, size, size, 3]."""
        state = RenderState()
        for motion in rebatch(self.motion(), MAX_BATCH):
            if self.watch is not None:
                self.watch(motion)
            yield self.engine.decode(
                motion,
                self.options,
                mark=self.form.provenance,
                size=self.form.size,
                state=state,
            )

    def __len__(self) -> int:
        return self.frame_count

    def __iter__(self) -> Iterator[Frame]:
        """Frames one by one, uint8 [size, size, 3] RGB."""
        for batch in self._batches():
            yield from batch

    def save(
        self,
        path: str | os.PathLike[str],
        progress: Callable[[int, int], None] = lambda done, total: None,
        layout: Layout | None = None,
    ) -> Path:
        """Write the video with its sound; the file appears when it is complete.

        It carries a mark in its frames and, as .mp4 or .mov, a signed manifest, unless
        `provenance` was switched off, which its metadata then say.

        Args:
            path: a name that `talkers.media.check_output` knows.
            progress: called with frames done and frames in all.
            layout: how the frames lie on a larger picture (default: they are all of it).

        Returns:
            the path written.

        Raises:
            UsageError: this is the file that is spoken.
            ArtefactError, MissingComponent: it cannot be signed.
        """
        refuse_same_file([path], [self.path])
        # On a CPU x264 would take the network's cores: in turns both are done sooner.
        on_cpu = self.engine.device.type == "cpu"
        with ExitStack() as stack:
            frames: Iterable[NDArray[np.uint8]] = self
            if not on_cpu:
                frames = stack.enter_context(closing(lookahead(self, FRAMES_AHEAD)))
            return write_generated(
                path,
                frames if layout is None else on_canvas(frames, layout),
                self.frame_rate,
                self.sound(),
                self.form.digest() if self.form.provenance else None,
                lambda done: progress(done, self.frame_count),
            )
