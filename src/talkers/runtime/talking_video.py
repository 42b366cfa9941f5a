"""One thing that an avatar says: an iterator over frames, and its video file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.controls.head_track import HeadTrack
from talkers.errors import MediaError, UsageError
from talkers.media import AUDIO_RATE, audio_blocks, frame_count, probe
from talkers.media.generated import write_generated
from talkers.motion import latent_stream
from talkers.motion.windows import HOP, SAMPLED_HOP
from talkers.runtime.session import Session
from talkers.runtime.timing import lookahead, rebatch, resample
from talkers.speech import (
    FEATURE_RATE,
    LEVEL_RATE,
    feature_stream,
    loudness_of,
    moving_share,
    speech_activity,
    speech_gain,
)

if TYPE_CHECKING:
    from talkers.runtime.avatar import Asked, Avatar

LARGEST_BATCH = 8  # frames decoded together; the first batches are smaller, for a fast first frame
SOUND_RATE = 48_000  # Hz of the sound in written videos


class TalkingVideo:
    """Frames of an avatar that speaks, made as they are asked for. Iterate it, or `save` it.

    Attributes: frame_rate; frame_count, exact; seconds of speech; silent, whether no speech was found in it.
    """

    def __init__(
        self,
        avatar: Avatar,
        speech: str | os.PathLike[str] | NDArray[np.float32],
        seed: int,
        steps: int,
        asked: Asked,
        frame_rate: Fraction,
        size: int,
        live: bool = False,
        provenance: bool = True,
    ):
        self.avatar, self.seed, self.steps, self.asked, self.frame_rate, self.size, self.live = (
            avatar,
            seed,
            steps,
            asked,
            frame_rate,
            size,
            live,
        )
        self.provenance = provenance
        self._samples: NDArray[np.float32] | None = None
        self._path: Path | None = None
        if isinstance(speech, np.ndarray):
            if speech.ndim != 1 or not len(speech) or not np.isfinite(speech).all():
                raise UsageError(
                    f"the samples are not a finite array [n], but {speech.dtype} {list(speech.shape)}",
                    todo="Give float32 mono samples at 16 kHz, -1..1",
                )
            self._samples = speech.astype(np.float32)
        else:
            self._path = Path(speech)
        if live:
            self._listening()  # says now if it cannot
        levels = self._levels  # reads the sound once: what cannot be read is said now
        self.gain = speech_gain(levels)
        self._moving = moving_share(speech_activity(levels), LEVEL_RATE)
        self.silent = not self._moving.any()
        self.seconds = self._length / AUDIO_RATE
        self.frame_count = frame_count(self.seconds, frame_rate)

    def _blocks(self) -> Iterator[NDArray[np.float32]]:
        if self._samples is not None:
            return iter(np.array_split(self._samples, max(1, len(self._samples) // AUDIO_RATE)))
        assert self._path is not None
        return audio_blocks(self._path)

    @cached_property
    def _levels(self) -> NDArray[np.float32]:
        """Level of each 1 / LEVEL_RATE of a second in dB; also counts the samples."""
        levels, self._length = loudness_of(self._blocks(), AUDIO_RATE, LEVEL_RATE)
        if not self._length:
            raise MediaError(
                "this file holds no sound at all",
                where=self._path,
                why="its sound is 0 s long",
                todo="Give a recording of speech",
            )
        return levels

    def latents(self) -> Iterator[Tensor]:
        """Latents of the video's frames, in blocks [n, L]."""
        avatar, rate, asked = self.avatar, float(self.avatar.frame_rate), self.asked
        if self.live:
            stream = self._followed(self._listening())
            return (
                stream
                if self.frame_rate == avatar.frame_rate
                else resample(stream, rate, float(self.frame_rate), self.frame_count)
            )
        features = feature_stream(avatar.speech_encoder, self._blocks(), self.gain)
        count = frame_count(self.seconds, avatar.frame_rate) + (
            self.frame_rate != avatar.frame_rate
        )
        hop = SAMPLED_HOP if asked.head.controls.motion == "sampler" else HOP
        stream = self._acted(
            latent_stream(
                asked.motion_model,
                features,
                FEATURE_RATE,
                rate,
                count,
                asked.head,
                asked.head.scaled_and_clamped,
                self.seed,
                hop,
            )
        )
        return (
            stream
            if self.frame_rate == avatar.frame_rate
            else resample(stream, rate, float(self.frame_rate), self.frame_count)
        )

    def _acted(self, blocks: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
        """Latents in the manner that was asked for, the mouth at rest where nothing is said."""
        asked, done = self.asked, 0
        space = self.avatar.motion_model(asked.head.controls.motion)
        for latents, head in blocks:
            times = (done + np.arange(len(latents)) + 0.5) / float(self.avatar.frame_rate)
            share = np.interp(
                times, (np.arange(len(self._moving)) + 0.5) / LEVEL_RATE, self._moving
            )
            yield space.articulate(
                latents,
                asked.manner,
                head=asked.head.enforced(done, head),
                moving=torch.from_numpy(share).float()[:, None],
            )
            done += len(latents)

    def _listening(self) -> Session:
        """One that has heard nothing yet."""
        return Session(self.avatar, self.seed, self.steps, self.asked)

    def _followed(self, live: Session) -> Iterator[Tensor]:
        for block in self._blocks():
            if len(latents := live.latents(block)):
                yield latents
        yield live.rest()

    def _batches(self) -> Iterator[NDArray[np.uint8]]:
        """Frames in growing batches: uint8 [n, size, size, 3]."""
        for latents in rebatch(self.latents(), LARGEST_BATCH):
            yield self.avatar.decode(latents, self.seed, self.steps, self.provenance, self.size)

    @property
    def head(self) -> HeadTrack:
        """Head values that were asked for."""
        return self.asked.head

    def __len__(self) -> int:
        return self.frame_count

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
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

        It carries a mark in its frames and, as .mp4 or .mov, a signed manifest, unless `provenance` was switched off, which
        its metadata then say.

        Args:
            path: ends in .mp4, .mov or .mkv.
            progress: called with frames done and frames in all.

        Returns:
            the path written.

        Raises:
            ArtefactError, MissingComponent: it cannot be signed.
        """
        on_cpu = (
            self.avatar.device.type == "cpu"
        )  # whose cores x264 would take from the network: in turns both are done sooner
        frames = self if on_cpu else lookahead(self, 4 * LARGEST_BATCH)
        return write_generated(
            path,
            frames,
            self.frame_rate,
            self._sound(),
            self.avatar.digest if self.provenance else None,
            lambda done: progress(done, self.frame_count),
        )
