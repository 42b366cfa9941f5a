"""What people do to videos: marked frames, copied in several ways, for tests and benchmarks of the watermark."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from talkers.media import VideoWriter, decode_frames
from talkers.media.watermark import marked

Frames = NDArray[np.uint8]


def mark(frames: Frames) -> Frames:
    """Frames with the mark, as an avatar's are."""
    pictures = marked(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1)
    return np.asarray(
        ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    )


def resized(frames: Frames, side: int) -> Frames:
    return np.stack(
        [
            np.asarray(Image.fromarray(f).resize((side, side), Image.Resampling.BICUBIC))
            for f in frames
        ]
    )


def cut(frames: Frames) -> Frames:
    """Nine tenths of each side, from a place off the middle."""
    side = int(frames.shape[1] * 0.9) // 2 * 2
    return frames[:, 7 : 7 + side, 3 : 3 + side]


def faster(frames: Frames) -> Frames:
    """25 -> 30 frames a second, blended."""
    at = np.arange(int(len(frames) * 1.2)) / 1.2
    low = at.astype(int)
    high, share = np.minimum(low + 1, len(frames) - 1), (at - low)[:, None, None, None]
    return np.asarray(frames[low] * (1 - share) + frames[high] * share, np.uint8)


WAYS: dict[str, tuple[Callable[[Frames], Frames], float, int]] = {
    "H.264 at CRF 28": (lambda f: f, 28, 25),
    "half size": (lambda f: resized(f, 128), 23, 25),
    "10 % crop": (cut, 23, 25),
    "25 -> 30 fps": (faster, 23, 30),
    "half size at CRF 28": (lambda f: resized(f, 128), 28, 25),
    "all of these at CRF 28": (lambda f: cut(resized(faster(f), 128)), 28, 30),
}


def copied(
    frames: Frames, change: Callable[[Frames], Frames], crf: float, rate: int
) -> list[Frames]:
    """What comes out of a video file of changed frames."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.mp4"
        with VideoWriter(path, Fraction(rate), crf=crf) as writer:
            for frame in change(frames):
                writer.write(np.ascontiguousarray(frame))
        return list(decode_frames(path))
