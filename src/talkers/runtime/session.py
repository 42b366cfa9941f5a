"""An avatar that listens while somebody speaks: sound in, frames out, with a fraction of a second between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.errors import ArtefactError, UsageError
from talkers.media import AUDIO_RATE, frame_count
from talkers.motion.streaming import AHEAD, HOP, SAMPLED_HOP, MotionStream
from talkers.space.linear import Appearance
from talkers.speech import FEATURE_RATE, TARGET_DB, ActivityStream
from talkers.speech.streaming import EncoderStream

if TYPE_CHECKING:
    from talkers.runtime.avatar import Asked, Avatar

LARGEST_BATCH = 8  # frames decoded together when many are due


class Session:
    """Sound of unknown length, in blocks of any size -> frames as soon as they are settled.

    However the sound is cut, the frames are the same. A frame is settled `delay` seconds after its own sound; what it
    takes to make it comes on top. One for each stream; make it with `Avatar.live`.
    """

    def __init__(
        self,
        avatar: Avatar,
        seed: int,
        steps: int,
        asked: Asked,
        head: Callable[[int, int], Tensor] | None = None,
        look: Appearance | None = None,
        provenance: bool = True,
    ):
        """asked: see `Avatar.asked`. head: first frame, count -> head values to take in place of those asked for."""
        if avatar.listener is None:
            raise ArtefactError(
                "this avatar has no listener, it cannot follow a stream",
                where=avatar.folder,
                todo="Train one: `talkers train --resume`",
            )
        self.avatar, self.seed, self.steps, self.asked = avatar, seed, steps, asked
        self.look, self.provenance = look, provenance
        self._measured = head is not None
        self._space = avatar.motion_model(asked.head.controls.motion)
        self._activity, self._hearing = (
            ActivityStream(AUDIO_RATE, TARGET_DB),
            EncoderStream(avatar.listener),
        )
        adjust, hop = (
            None if head else asked.head.scaled_and_clamped,
            SAMPLED_HOP if asked.head.controls.motion == "sampler" else HOP,
        )
        self._motion = MotionStream(
            asked.motion_model,
            FEATURE_RATE,
            float(avatar.frame_rate),
            head or asked.head,
            adjust,
            seed,
            hop,
        )
        self._samples = 0
        self._given = 0

    @property
    def delay(self) -> float:
        """Seconds of sound after a frame's middle that are heard before the frame is settled, at most."""
        ahead = self._hearing.listener.config.ahead / FEATURE_RATE
        return (AHEAD + self._motion.hop - 0.5) / float(self.avatar.frame_rate) + ahead + 0.0125

    def latents(self, samples: NDArray[np.float32]) -> Tensor:
        """Sound, float32 [n] at 16 kHz -> the latents that are settled by it [m, L]."""
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise UsageError(
                f"the samples are not a finite array [n], but {samples.dtype} {list(samples.shape)}",
                todo="Give float32 mono at 16 kHz, -1..1",
            )
        self._samples += len(samples)
        settled = self._settled(samples.astype(np.float32))
        self._given += len(settled)
        return settled

    def rest(self) -> Tensor:
        """The sound has ended: the latents that are left [m, L]."""
        if not self._samples:
            return torch.zeros(0, 0)
        left = frame_count(self._samples / AUDIO_RATE, self.avatar.frame_rate) - self._given
        silence = np.zeros(int(AUDIO_RATE * (self.delay + 0.1)), np.float32)
        return self._settled(silence)[:left]

    def _settled(self, samples: NDArray[np.float32]) -> Tensor:
        features = self._hearing.hear(self._activity.push(samples))
        if not len(features):
            return torch.zeros(0, 0)
        first = self._motion.done
        latents, head = self._motion.push(features)
        if not len(latents):
            return latents
        if (
            self._measured
        ):  # what the model makes of a given head is told as it is, as `Avatar.latents` does
            return self._space.articulate(latents, self.asked.manner, self.look, head)
        moving = torch.tensor(
            [
                self._activity.share((first + k + 0.5) / float(self.avatar.frame_rate))
                for k in range(len(latents))
            ]
        )
        return self._space.articulate(
            latents,
            self.asked.manner,
            self.look,
            self.asked.head.enforced(first, head),
            moving=moving[:, None],
        )

    def _frames(self, latents: Tensor) -> Iterator[NDArray[np.uint8]]:
        for part in torch.split(latents, LARGEST_BATCH) if len(latents) else ():
            yield from self.avatar.decode(part, self.seed, self.steps, self.provenance)

    def push(self, samples: NDArray[np.float32]) -> Iterator[NDArray[np.uint8]]:
        """Sound, float32 [n] mono at 16 kHz -> frames uint8 [size, size, 3] that are settled by it."""
        return self._frames(self.latents(samples))

    def finish(self) -> Iterator[NDArray[np.uint8]]:
        """The sound has ended -> the frames that are left; in all one for each 1 / frame_rate of sound begun."""
        return self._frames(self.rest())
