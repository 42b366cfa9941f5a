"""Speech of any length -> latents, window by window with overlap: memory does not grow, and the seams are blended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from talkers.motion.contract import MotionModel
from talkers.space.linear import HEAD, Adjust

WINDOW, HOP, BLEND = (
    100,
    50,
    8,
)  # frames heard at once, moved by, and over which neighbouring windows are blended
SAMPLED_HOP = 75  # for the sampler, which goes on from what is settled and costs so much more


@torch.inference_mode()
def latent_stream(
    model: MotionModel,
    features: Iterable[Tensor],
    feature_rate: float,
    frame_rate: float,
    frames: int,
    head: Callable[[int, int], Tensor] | None = None,
    adjust: Adjust | None = None,
    seed: int = 0,
    hop: int = HOP,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Latents of `frames` frames from features that come in blocks.

    Args:
        features: blocks [n, F], in all feature_rate a second; when they end early the last one is repeated.
        frame_rate: of the latents (the rate the model was trained at).
        head: first frame, count -> [count, 7] head poses (NaN: predicted), or None for predicted ones.
        adjust: predicted head poses [..., 7] -> the ones to take.
        seed: of what is sampled.
        hop: frames by which the window moves.

    Yields:
        latents [n, L] and head poses used [n, 7].
    """
    source, ended = iter(features), False
    held: Tensor | None = None  # features from frame `start` on
    start = 0  # first frame of the coming window
    done = 0  # frames given
    tail: Tensor | None = None  # the last window's opinion of frames from `done` on
    state: Tensor | None = None  # of the last window's frames
    per_frame = feature_rate / frame_rate
    while done < frames:
        need = round((WINDOW + 1) * per_frame)
        while not ended and (held is None or len(held) < need):
            block = next(source, None)
            if block is None:
                ended = True
            else:
                held = block if held is None else torch.cat([held, block])
        if held is None or not len(held):
            return
        count = min(WINDOW, frames - start)
        window = at_frames(held, feature_rate, frame_rate, 0, count)
        asked = (
            head(start, count) if head is not None else torch.full((count, len(HEAD)), float("nan"))
        )
        known = state[:, hop : hop + done - start] if state is not None else None
        motion = model(
            window[None], asked[None], adjust=adjust, known=known, first=start, seed=seed
        )
        state = motion.state
        joined = torch.cat(
            [motion.latents[0], torch.where(asked.isnan(), motion.head[0], asked)], -1
        ).float()
        joined = joined[done - start :]
        if tail is not None:
            n = min(BLEND, len(tail), len(joined))
            ramp = ((torch.arange(n) + 1) / (n + 1))[:, None]
            joined = torch.cat([torch.lerp(tail[:n], joined[:n], ramp), joined[n:]])
        last = start + count >= frames
        given = len(joined) if last else start + WINDOW - (WINDOW - hop) // 2 - done
        out, tail = joined[:given], joined[given:]
        done += len(out)
        width = out.shape[1] - len(HEAD)
        yield out[:, :width], out[:, width:]
        step = round((start + hop) * per_frame) - round(start * per_frame)
        held = held[min(step, len(held) - 1) :]
        start += hop


def at_frames(
    features: Tensor, feature_rate: float, frame_rate: float, first: int, count: int
) -> Tensor:
    """Speech features two a frame, by linear interpolation at quarter and three-quarter of each frame.

    Args:
        features: [N, F] at feature_rate a second.
        first, count: frames wanted; beyond the end the last feature is repeated.

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
