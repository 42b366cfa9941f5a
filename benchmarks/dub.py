"""How fast films are dubbed, how much memory that takes, and how well they are dubbed.

    python benchmarks/dub.py FILMS [--films 6] [--sizes 1280x720 1920x1080] [-o dub.json]

For speed and memory the first film is enlarged to each size, and dubbed with its own sound. How well
films are dubbed is what `talkers evaluate default FILMS --dub` says: the means of its main figures.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from talkers import Avatar
from talkers.corpus.footage import footage_files
from talkers.evaluation.dubbing import evaluate_dubbing
from talkers.evaluation.report import MAIN_FIGURES, columns_of
from talkers.evaluation.tracked import evenly_picked
from talkers.hardware import machine
from talkers.media import audio_blocks, decode_frames
from talkers.media.encode import VideoWriter
from talkers.runtime.bundle import base_folder
from talkers.runtime.dubbing import DubTerms


def enlarged(path: Path, size: tuple[int, int], out: Path, rate: Fraction) -> int:
    """The film in another size; returns how many frames it has."""
    done = 0
    with VideoWriter(out, rate, audio_blocks(path, 48_000, 1), 48_000) as writer:
        for frame in decode_frames(path, rate):
            writer.write(np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)))
            done += 1
    return done


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("films", type=Path)
    parser.add_argument("--films", dest="count", type=int, default=6)
    parser.add_argument("--sizes", nargs="*", default=["1280x720", "1920x1080"])
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    found = footage_files([arguments.films])
    films = [found[k] for k in evenly_picked(len(found), arguments.count)]
    base, figures = Avatar.load(base_folder()), dict[str, object]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in arguments.sizes:
            width, height = map(int, size.split("x"))
            large = folder / f"{size}.mp4"
            count = enlarged(films[0], (width, height), large, Fraction(25))
            start = time.perf_counter()
            base.dub(large, large, DubTerms(when_longer="cut")).save(folder / "out.mp4")
            figures[f"fps {size}"] = count / (time.perf_counter() - start)
        figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        metrics = evaluate_dubbing("default", films, folder / "report").metrics
    for column, values in columns_of(metrics).items():
        means = {key: values[key]["mean"] for key in MAIN_FIGURES if key in values}
        figures[column] = {key: mean for key, mean in means.items() if mean is not None}
    figures |= {"films": metrics["about"]["clips"], "machine": machine()}
    print(json.dumps(figures, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
