"""How fast films are dubbed, how much memory that takes, and how well they are dubbed.

    python benchmarks/dub.py FILMS [--films 6] [--sizes 1280x720 1920x1080] [--seconds 12] [-o dub.json]

For speed and memory the first film is enlarged to each size, shown again until it lasts so long, and
dubbed with its own sound; `--films 0` asks for no more than that, and `--sizes 1920x1080 --seconds
600` for the memory of ten minutes. How well films are dubbed is what `talkers evaluate default FILMS
--dub` says: the means of its main figures.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from talkers import Avatar
from talkers.corpus.footage import footage_files
from talkers.evaluation.dubbing import evaluate_dubbing
from talkers.evaluation.report import MAIN_FIGURES, columns_of
from talkers.evaluation.tracked import evenly_picked
from talkers.hardware import machine
from talkers.media import audio_blocks, decode_frames, guard
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


def repeated(path: Path, out: Path, times: int) -> None:
    """A film that is shown several times, without encoding it again."""
    with av.open(str(path)) as first, av.open(str(out), "w") as container:
        streams = [container.add_stream_from_template(s) for s in first.streams]
        seconds = max(float(s.duration * s.time_base) for s in first.streams.video)
        for k in range(times):
            with av.open(str(path)) as again:
                for packet in again.demux():
                    if packet.dts is not None:
                        later = round(k * seconds / packet.time_base)
                        packet.pts, packet.dts = packet.pts + later, packet.dts + later
                        packet.stream = streams[packet.stream.index]
                        container.mux(packet)


def processor_seconds() -> float:
    """Of this process and of those that decode for it, which it ends."""
    guard._end_all()
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("films", type=Path)
    parser.add_argument("--films", dest="count", type=int, default=6)
    parser.add_argument("--sizes", nargs="*", default=["1280x720", "1920x1080"])
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    found = footage_files([arguments.films])
    films = [found[k] for k in evenly_picked(len(found), max(1, arguments.count))]
    base, figures = Avatar.load(base_folder()), dict[str, object]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in arguments.sizes:
            width, height = map(int, size.split("x"))
            once, large = folder / f"{size}-once.mp4", folder / f"{size}.mp4"
            count = enlarged(films[0], (width, height), once, Fraction(25))
            repeated(once, large, max(1, round(arguments.seconds * 25 / count)))
            worked, start = processor_seconds(), time.perf_counter()
            made = base.dub(large, large, DubTerms(when_longer="cut"))
            made.save(folder / "out.mp4")
            figures[f"fps {size}"] = len(made) / (time.perf_counter() - start)
            worked = processor_seconds() - worked
            figures[f"processor ms a frame {size}"] = 1000 * worked / len(made)
            figures[f"kB a frame {size}"] = (folder / "out.mp4").stat().st_size / 1000 / len(made)
        figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if not arguments.count:
            print(json.dumps(figures | {"machine": machine()}, indent=1))
            return
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
