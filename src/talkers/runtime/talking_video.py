"""One thing that an avatar says: an iterator over frames, and its video file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.controls.head_track import HeadTrack
from talkers.errors import MediaError, ResourceError, reason
from talkers.media import AUDIO_RATE, as_samples, audio_blocks, frame_count, probe
from talkers.media.generated import write_generated
from talkers.motion import motion_of_speech
from talkers.renderers.contract import RenderOptions, RenderState
from talkers.runtime.engine import Engine
from talkers.runtime.resolved import ResolvedControls
from talkers.runtime.session import Session
from talkers.runtime.timing import lookahead, rebatch, resample
from talkers.speech import (
    LEVEL_RATE,
    feature_stream,
    loudness_of,
    moving_share,
    speech_activity,
    speech_gain,
)

MAX_BATCH = 8  # frames decoded together; the first batches are smaller, for a fast first frame
SOUND_RATE = 48_000  # Hz of the sound in written videos
FRAMES_AHEAD = 32  # that are made while others are written
Frame = NDArray[np.uint8]  # [H, W, 3] RGB
Samples = NDArray[np.float32]  # [n] mono at 16 kHz


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
        speech: any file with sound in it, or samples.
        resolved: what controls mean for the avatar.
        options: of the renderer.
        form: frame rate, size and the like.

    Attributes:
        frame_count: exact.
        seconds: of speech.
        silent: whether no speech was found in it.

    Raises:
        MediaError: the speech cannot be read. UsageError: no such samples.
    """

    def __init__(
        self,
        engine: Engine,
        speech: str | os.PathLike[str] | Samples,
        resolved: ResolvedControls,
        options: RenderOptions,
        form: VideoForm,
    ):
        self.engine, self.resolved, self.options, self.form = engine, resolved, options, form
        self._samples: Samples | None = None
        self._path: Path | None = None
        self._spool: IO[bytes] | None = None
        if isinstance(speech, str | os.PathLike):
            self._path = Path(speech)
        else:
            self._samples = as_samples(speech)
        if form.live:
            self._session()  # says now if it cannot
        levels = self._levels  # reads the sound once: what cannot be read is said now
        self.gain = speech_gain(levels)
        self._moving = moving_share(speech_activity(levels), LEVEL_RATE)
        self.silent = not self._moving.any()
        self.seconds = self._length / AUDIO_RATE
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

    @cached_property
    def _levels(self) -> NDArray[np.float32]:
        """Level of each 1 / LEVEL_RATE of a second in dB; counts the samples, and keeps those of
        a file on disk, so that it is decoded once."""
        if self._samples is not None:
            blocks: Iterable[Samples] = self._blocks()
        else:
            assert self._path is not None
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this does
            blocks = self._spooled(audio_blocks(self._path), self._spool)
        try:
            levels, self._length = loudness_of(blocks, AUDIO_RATE, LEVEL_RATE)
            if self._spool is not None:
                self._spool.flush()
        except OSError as error:
            raise ResourceError(
                "the sound cannot be kept while it is used",
                where=tempfile.gettempdir(),
                why=error.strerror or reason(error),
                todo="Free some room there, or name another folder in TMPDIR",
            ) from error
        if not self._length:
            raise MediaError(
                "this file holds no sound at all",
                where=self._path,
                why="its sound is 0 s long",
                todo="Give a recording of speech",
            )
        return levels

    @staticmethod
    def _spooled(blocks: Iterable[Samples], spool: IO[bytes]) -> Iterator[Samples]:
        for block in blocks:
            spool.write(np.ascontiguousarray(block, np.float32).tobytes())
            yield block

    def _blocks(self) -> Iterator[Samples]:
        """The sound at 16 kHz, a second at a time."""
        if self._samples is not None:
            yield from np.array_split(self._samples, max(1, len(self._samples) // AUDIO_RATE))
            return
        assert self._spool is not None
        for at in range(0, 4 * self._length, 4 * AUDIO_RATE):
            # At its own place: two iterators over one video may take turns.
            count = min(4 * AUDIO_RATE, 4 * self._length - at)
            yield np.frombuffer(os.pread(self._spool.fileno(), count, at), np.float32)

    def motion(self) -> Iterator[Tensor]:
        """Motion of the video's frames, in blocks [n, width]."""
        rate, own = float(self.engine.frame_rate), self.engine.frame_rate
        if self.form.live:
            blocks = self._streamed(self._session())
        else:
            features = feature_stream(self.engine.speech_encoder, self._blocks(), self.gain)
            count = frame_count(self.seconds, own) + (self.frame_rate != own)
            blocks = self._edited(motion_of_speech(self.resolved.request, features, count))
        if self.frame_rate == own:
            return blocks
        return resample(blocks, rate, float(self.frame_rate), self.frame_count)

    def _edited(self, blocks: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
        """Motion as the controls ask for it, the mouth at rest where nothing is said."""
        resolved, done, rate = self.resolved, 0, float(self.engine.frame_rate)
        at = (np.arange(len(self._moving)) + 0.5) / LEVEL_RATE
        for motion, head in blocks:
            times = (done + np.arange(len(motion)) + 0.5) / rate
            moving = torch.from_numpy(np.interp(times, at, self._moving)).float()[:, None]
            wanted = self.head.enforced(done, head)
            yield resolved.space.edit(motion, resolved.edit, wanted, moving)
            done += len(motion)

    def _session(self) -> Session:
        """A session at its beginning."""
        return Session(self.engine, self.resolved, self.options)

    def _streamed(self, session: Session) -> Iterator[Tensor]:
        for block in self._blocks():
            if len(motion := session.motion(block)):
                yield motion
        yield session.flush()

    def _batches(self) -> Iterator[NDArray[np.uint8]]:
        """Frames in growing batches: uint8 [n, size, size, 3]."""
        state = RenderState()
        for motion in rebatch(self.motion(), MAX_BATCH):
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

    def _sound(self) -> tuple[Iterator[NDArray[np.float32]], int, int]:
        """Blocks of sound for the video, their rate and channels."""
        if self._samples is not None:
            return self._blocks(), AUDIO_RATE, 1
        assert self._path is not None
        info = probe(self._path).audio
        channels = 2 if info is not None and info.channels > 1 else 1
        return audio_blocks(self._path, SOUND_RATE, channels), SOUND_RATE, channels

    def save(
        self,
        path: str | os.PathLike[str],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Path:
        """Write the video with its sound; the file appears when it is complete.

        It carries a mark in its frames and, as .mp4 or .mov, a signed manifest, unless
        `provenance` was switched off, which its metadata then say.

        Args:
            path: ends in .mp4, .mov or .mkv.
            progress: called with frames done and frames in all.

        Returns:
            the path written.

        Raises:
            ArtefactError, MissingComponent: it cannot be signed.
        """
        # On a CPU x264 would take the network's cores: in turns both are done sooner.
        on_cpu = self.engine.device.type == "cpu"
        frames = self if on_cpu else lookahead(self, FRAMES_AHEAD)
        return write_generated(
            path,
            frames,
            self.frame_rate,
            self._sound(),
            self.form.digest() if self.form.provenance else None,
            lambda done: progress(done, self.frame_count),
        )
