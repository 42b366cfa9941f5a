"""Speech of any length -> motion, window by window with overlap: memory does not grow, and the
seams are blended. `talkers.motion.streaming` does the same while the speech is still going on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from talkers.motion.contract import AdjustHead, Conditions, Motion, MotionModel, Reference
from talkers.space.contract import HEAD

FEATURE_RATE = 50  # speech features a second, of every encoder
BLEND = 0.32  # seconds over which neighbouring windows are blended


@dataclass(frozen=True)
class MotionRequest:
    """What a motion model is asked for over a whole talk.

    Attributes:
        model: it.
        frame_rate: of the motion, the one that the model was trained at.
        head: first frame, count -> [count, 7] head values to take (NaN: the model's own); None:
            all are the model's own.
        adjust_head: the model's own head values [..., 7] -> those to take.
        reference: a clip whose style is taken up.
        seed: of what is sampled.
    """

    model: MotionModel
    frame_rate: float
    head: Callable[[int, int], Tensor] | None = None
    adjust_head: AdjustHead | None = None
    reference: Reference | None = None
    seed: int = 0

    def frames(self, seconds: float) -> int:
        """How many frames last so long, at least one."""
        return max(1, round(seconds * self.frame_rate))

    def generate(
        self, features: Tensor, first: int, observed: Tensor | None
    ) -> tuple[Tensor, Motion]:
        """Generate the motion of a window.

        Args:
            features: [2 T, F], two a frame.
            first: number of its first frame.
            observed: [1, N, C] state of its first frames, which are committed.

        Returns:
            motion and the head values that it has [T, width + 7], and what the model gave.
        """
        count = len(features) // 2
        head = torch.full((count, len(HEAD)), float("nan"))
        if self.head is not None:
            head = self.head(first, count)
        conditions = Conditions(
            features[None], head[None], reference=self.reference, adjust_head=self.adjust_head
        )
        motion = self.model.generate(conditions, observed, first, self.seed)
        used = torch.where(head.isnan(), motion.head[0], head)
        return torch.cat([motion.values[0], used], -1).float(), motion


@torch.inference_mode()
def motion_of_speech(
    request: MotionRequest, features: Iterable[Tensor], frames: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Motion of `frames` frames from features that come in blocks.

    Args:
        request: what is asked for.
        features: blocks [n, F] at FEATURE_RATE; when they end early the last one is repeated.
        frames: how many are wanted.

    Yields:
        motion [n, width] and the head values that it has [n, 7].
    """
    context, per_frame = request.model.context, FEATURE_RATE / request.frame_rate
    window, hop = request.frames(context.window), request.frames(context.hop)
    blend = request.frames(BLEND)
    source, ended = iter(features), False
    held: Tensor | None = None  # features from frame `start` on
    start = done = 0  # first frame of the coming window; frames given
    overlap: Tensor | None = None  # what the last window said of frames from `done` on
    state: Tensor | None = None  # of the last window's frames
    while done < frames:
        need = round((window + 1) * per_frame)
        while not ended and (held is None or len(held) < need):
            block = next(source, None)
            if block is None:
                ended = True
            else:
                held = block if held is None else torch.cat([held, block])
        if held is None or not len(held):
            return
        count = min(window, frames - start)
        rows = at_frames(held, FEATURE_RATE, request.frame_rate, 0, count)
        observed = state[:, hop : hop + done - start] if state is not None else None
        joined, motion = request.generate(rows, start, observed)
        state, joined = motion.state, joined[done - start :]
        if overlap is not None:
            # Cross-fade: y = (1 - r) y_before + r y_now, r rising over the blended frames.
            n = min(blend, len(overlap), len(joined))
            ramp = ((torch.arange(n) + 1) / (n + 1))[:, None]
            joined = torch.cat([torch.lerp(overlap[:n], joined[:n], ramp), joined[n:]])
        last = start + count >= frames
        given = len(joined) if last else start + window - (window - hop) // 2 - done
        out, overlap = joined[:given], joined[given:]
        done += len(out)
        yield out[:, : -len(HEAD)], out[:, -len(HEAD) :]
        step = round((start + hop) * per_frame) - round(start * per_frame)
        held = held[min(step, len(held) - 1) :]
        start += hop


def at_frames(
    features: Tensor, feature_rate: float, frame_rate: float, first: int, count: int
) -> Tensor:
    """Speech features two a frame, interpolated at a quarter and three quarters of each frame.

    Args:
        features: [N, F] at feature_rate a second.
        feature_rate: features a second.
        frame_rate: frames a second.
        first: first frame wanted.
        count: frames wanted; beyond the end the last feature is repeated.

    Returns:
        [2 count, F]
    """
    if feature_rate == 2 * frame_rate and len(features) >= 2 * (first + count):
        return features[2 * first : 2 * (first + count)]
    times = (first + (torch.arange(2 * count, device=features.device) + 0.5) / 2) / frame_rate
    position = (times * feature_rate - 0.5).clamp(0, len(features) - 1)
    low = position.floor().long()
    high = (low + 1).clamp(max=len(features) - 1)
    return torch.lerp(features[low], features[high], (position - low)[:, None])
