"""Motion for a stream that is still going on: every latent is settled a few frames after its sound."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from talkers.motion.contract import MotionModel
from talkers.motion.windows import at_frames
from talkers.space.linear import HEAD, Adjust

WINDOW = 48  # frames heard at once
HOP, SAMPLED_HOP = (
    1,
    2,
)  # frames that are settled together: by the regressor, and by the sampler, which costs more
AHEAD = 4  # frames of speech after them that are heard before they are settled
TRUST = 0.7  # in the newest window, which heard most, against the one before: takes the trembling out of the seams


class MotionStream:
    """Speech features in blocks of any size -> latents, the same however the features are cut. One for each stream.

    Args:
        frame_rate: of the latents (the rate the model was trained at).
        head: first frame, count -> [count, 7] head values (NaN: predicted).
        adjust: predicted head values [..., 7] -> the ones to take.
        seed: of what is sampled.
        hop: frames that are settled together.
    """

    def __init__(
        self,
        model: MotionModel,
        feature_rate: float,
        frame_rate: float,
        head: Callable[[int, int], Tensor],
        adjust: Adjust | None = None,
        seed: int = 0,
        hop: int = HOP,
    ):
        self.model, self.feature_rate, self.frame_rate, self.head = (
            model,
            feature_rate,
            frame_rate,
            head,
        )
        self.adjust, self.seed, self.hop = adjust, seed, hop
        self._state: Tensor | None = None  # of the last window's frames, which began at `_begun`
        self._begun = 0
        self.per_frame = feature_rate / frame_rate
        self.done = 0  # frames settled
        self._held: Tensor | None = None  # features from row `_first` on
        self._first = 0
        self._opinion: Tensor | None = (
            None  # the last window's latents and head values of frames from `done` on
        )

    @torch.inference_mode()
    def push(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features [n, F] -> the latents that are settled by them [m, L], and their head values [m, 7]."""
        self._held = features if self._held is None else torch.cat([self._held, features])
        settled, hop = [], self.hop
        while (self.done + hop + AHEAD) * self.per_frame <= self._first + len(self._held):
            begin, end = max(0, self.done + hop + AHEAD - WINDOW), self.done + hop + AHEAD
            first = round(begin * self.per_frame)
            self._held, self._first = self._held[first - self._first :], first
            rows = at_frames(self._held, self.feature_rate, self.frame_rate, 0, end - begin)
            known = (
                self._state[:, begin - self._begun : self.done - self._begun]
                if self._state is not None
                else None
            )
            asked = self.head(begin, end - begin)
            motion = self.model(
                rows[None],
                asked[None],
                adjust=self.adjust,
                known=known,
                first=begin,
                seed=self.seed,
            )
            self._state, self._begun = motion.state, begin
            latents = torch.cat(
                [motion.latents[0], torch.where(asked.isnan(), motion.head[0], asked)], -1
            )[self.done - begin :].float()
            if self._opinion is not None:
                latents[: len(self._opinion)] = torch.lerp(
                    self._opinion, latents[: len(self._opinion)], TRUST
                )
            settled.append(latents[:hop])
            self._opinion = latents[hop:]
            self.done += hop
        rows = torch.cat(settled) if settled else torch.zeros(0, len(HEAD))
        return rows[:, : -len(HEAD)], rows[:, -len(HEAD) :]
