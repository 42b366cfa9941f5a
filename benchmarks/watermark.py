"""How often is the mark found in copies of marked videos, and in videos that bear none?

    python benchmarks/watermark.py FOLDER [FOLDER ...] [--limit 100] [--frames 48] [-o
    watermark.json]

Every video file in the folders is real; it is scored as it is, and then cut to a square of 256
pixels, marked, and copied in each way that the table names (two ways at once with the first clips
only). A clean copy of each (one way after the other, without the mark) and the file as it is count
for false alarms; how rare these are beyond what so many videos show is read off a Gumbel
distribution, that of maxima, fitted to their scores.
"""

from __future__ import annotations

import argparse
import json
import sys
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.stats import gumbel_r

from talkers.hardware import machine
from talkers.media import decode_frames
from talkers.media.watermark import THRESHOLD, find

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from attacks import WAYS, copied, mark, resized

TOGETHER = tuple(way for way in WAYS if "at CRF 28" in way and way != "H.264 at CRF 28")
FEW = 20  # clips that are copied in two ways at once


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
