"""Damaged media: how do thousands of mutants end?

    python benchmarks/mutants.py [FILE ...] [--count 2000] [--seed 0] [-o mutants.json]

Seeds are small clips in eleven kinds (H.264, 10-bit, HEVC, VP9, MPEG-1, MJPEG, variable rate,
rotated, no sound, no picture, one frame) and the files named; each mutant is one of them cut short,
with bits flipped, with a stretch of another one in it, or with a stretch zeroed. Every mutant is
probed, and its picture and sound are decoded, as every verb would. It must end in frames and
samples or in a `TalkersError`, all within 10 s, or this ends with 1; the table counts these, other
exceptions, and how often the decoding process died or was held up, and names the seeds that could
not be encoded here.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from talkers.hardware import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from damaged_media import ends, mutant, seeds

LIMIT = 10.0  # seconds for all uses of a mutant


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the mutants that ended badly")
    options = parser.parse_args()
    random, found, bad, slowest = np.random.default_rng(options.seed), Counter[str](), [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        made, missing = seeds(Path(folder))
        contents = [path.read_bytes() for path in [*made, *options.files]]
        path = Path(folder) / "mutant"
        for k in range(options.count):
            path.write_bytes(mutant(contents, random))
            begin = time.perf_counter()
            told = list(ends(path))
            spent = time.perf_counter() - begin
            slowest = max(slowest, spent)
            found.update(told)
            if spent > LIMIT or any(not end.startswith(("read", "told")) for end in told):
                bad.append({"number": k, "end": told, "seconds": round(spent, 2)})
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, options.keep / f"mutant-{options.seed}-{k}")
    report = {
        "machine": machine(),
        "mutants": options.count,
        "seed": options.seed,
        "seeds": [path.name for path in [*made, *options.files]],
        "not_encoded": missing,
        "ends": dict(found),
        "slowest": round(slowest, 2),
        "bad": bad[:50],
    }
    print(json.dumps(report, indent=1))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
