"""How often is the mark found in copies of marked videos, and in videos that bear none?

    python benchmarks/watermark.py FOLDER [FOLDER ...] [--limit 100] [--frames 48] [-o watermark.json]

Every video file in the folders is real; it is scored as it is, and then cut to a square of 256 pixels, marked, and copied in
each way that the table names (two ways at once with the first clips only). A clean copy of each (one way after the other, without the
mark) and the file as it is count for false alarms; how rare these are beyond what so many videos show is read off a Gumbel
distribution, that of maxima, fitted to their scores.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import gumbel_r

from talkers.hardware import machine
from talkers.media import VideoWriter, decode_frames
from talkers.media.watermark import THRESHOLD, find, marked

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


TOGETHER = tuple(way for way in WAYS if "at CRF 28" in way and way != "H.264 at CRF 28")
FEW = 20  # clips that are copied in two ways at once


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    paths = [p for folder in options.folders for p in sorted(folder.iterdir()) if p.is_file()][
        : options.limit
    ]
    clean: list[float] = []
    seen: dict[str, list[float]] = {way: [] for way in WAYS}
    losses = []
    for k, path in enumerate(paths):
        real = list(islice(decode_frames(path, Fraction(25)), options.frames))
        clean.append(find(real).score)
        side = min(real[0].shape[:2])
        square = resized(np.stack([f[:side, :side] for f in real]), 256)
        bears = mark(square)
        losses.append(10 * np.log10(255**2 / np.square(bears.astype(float) - square).mean()))
        way = list(WAYS)[k % len(WAYS)]
        clean.append(find(copied(square, *WAYS[way])).score)
        for way in WAYS:
            if way not in TOGETHER or k < FEW:
                seen[way].append(find(copied(bears, *WAYS[way])).score)
        if k % 10 == 9:
            print(
                f"{k + 1} clips, lowest {min(min(s) for w, s in seen.items() if w not in TOGETHER):.1f}, clean {max(clean):.1f}",
                file=sys.stderr,
                flush=True,
            )
    table = {
        way: {
            "copies": len(s),
            "found": round(float(np.mean(np.array(s) > THRESHOLD)), 4),
            "lowest_score": round(min(s), 1),
        }
        for way, s in seen.items()
    }
    alarms = {
        "videos": len(clean),
        "found": round(float(np.mean(np.array(clean) > THRESHOLD)), 4),
        "highest_score": round(max(clean), 1),
        "expected_by_gumbel": float(f"{gumbel_r.sf(THRESHOLD, *gumbel_r.fit(clean)):.1e}"),
    }
    report = {
        "machine": machine(),
        "threshold": THRESHOLD,
        "psnr": round(float(np.mean(losses)), 2),
        "marked": table,
        "clean": alarms,
        "files": len(paths),
    }
    print(json.dumps(report, indent=1))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
