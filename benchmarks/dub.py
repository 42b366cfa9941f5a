"""How well films are dubbed: own words, silence, what lies outside the lips, and how fast.

    python benchmarks/dub.py FILMS [--films 6] [--sizes 1280x720 1920x1080] [-o dub.json]

Each film is dubbed with its own sound, and compared with itself: PSNR of the mouth beside that of
the film's mean frame, and how far lips are from where they were (LMD, in pixels of a face cut to
256). Then with silence: how far the mouth still moves (LipLeak), of 1 as in the film, and, as
control, with the sound of another film: how its opening goes with that film's. What lies outside
the lower face is compared after encoding, by brightness. For speed the films are enlarged to each size first.
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
from numpy.typing import NDArray
from PIL import Image

from talkers import Avatar
from talkers.evaluation.tracked import TrackedClip, track_clip
from talkers.face.landmarks import LIPS
from talkers.hardware import machine
from talkers.media import audio_blocks, decode_frames, probe, read_audio
from talkers.media.encode import VideoWriter
from talkers.runtime.bundle import base_folder
from talkers.runtime.dubbing import DubTerms

GREY = np.array([0.299, 0.587, 0.114])
CUT = DubTerms(when_longer="cut")


def frames_of(path: Path, rate: Fraction) -> NDArray[np.uint8]:
    return np.stack(list(decode_frames(path, rate)))


def psnr(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    return float(10 * np.log10(255**2 / max(float(np.square(a - b).mean()), 1e-9)))


def mouth_box(clip: TrackedClip) -> tuple[slice, slice]:
    """Rows and columns of the mouth in all frames."""
    lips = clip.landmarks[:, list(LIPS)]
    (left, top), (right, bottom) = lips.min((0, 1)), lips.max((0, 1))
    more = 0.3 * (right - left)
    return slice(int(top - more), int(bottom + more)), slice(int(left - more), int(right + more))


def lip_distance(a: TrackedClip, b: TrackedClip) -> float:
    """Mean distance of lips' points, in pixels of a face whose eyes are 56 apart."""
    unit = np.linalg.norm(a.landmarks[:, 33] - a.landmarks[:, 263], axis=1).mean()
    apart = np.linalg.norm((a.landmarks - b.landmarks)[:, list(LIPS)], axis=-1)
    return float(apart.mean() / unit * 56)


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
    found = sorted(p for p in arguments.films.rglob("*") if p.suffix in (".mpg", ".mp4"))
    films = [
        found[k] for k in np.unique(np.linspace(0, len(found) - 1, arguments.count).astype(int))
    ]
    base, rows = Avatar.load(base_folder()), []
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        for film, other in zip(films, films[1:] + films[:1], strict=True):
            info = probe(film).video
            assert info is not None
            real = frames_of(film, info.frame_rate)
            tracked = track_clip(real)
            box = mouth_box(tracked)
            mouth = (slice(None), *box)
            mean = np.broadcast_to(real.mean(0), real.shape)
            out = Path(name) / "out.mp4"
            base.dub(film, film, CUT).save(out)
            written = frames_of(out, info.frame_rate)
            again = track_clip(written)
            nothing = np.zeros(int(len(real) / info.frame_rate * 16_000), np.float32)
            silent = track_clip(np.stack(list(base.dub(film, nothing))))
            crossed = track_clip(np.stack(list(base.dub(film, read_audio(other), CUT))))
            theirs = track_clip(frames_of(other, info.frame_rate))
            count = min(len(crossed.frames), len(theirs.frames))
            made = base.dub(film, film, CUT)
            changed = np.zeros(real.shape[1:3], bool)
            for own, (_, shown) in zip(made, made._shown(), strict=True):
                changed |= (own != shown).any(-1)
            count = min(len(real), len(written))
            grey = [(part[:count].astype(float) @ GREY)[:, ~changed] for part in (real, written)]
            rows.append(
                {
                    "film": film.name,
                    "mouth_psnr": psnr(written[mouth].astype(float), real[mouth].astype(float)),
                    "mean_frame_psnr": psnr(mean[mouth], real[mouth].astype(float)),
                    "lmd": lip_distance(tracked, again),
                    "opening": float(np.corrcoef(tracked.opening, again.opening)[0, 1]),
                    "leak": float(silent.opening.std() / tracked.opening.std()),
                    "crossed": float(
                        np.corrcoef(crossed.opening[:count], theirs.opening[:count])[0, 1]
                    ),
                    "outside": psnr(*grey),
                }
            )
            print(json.dumps(rows[-1]))
        for size in arguments.sizes:
            width, height = map(int, size.split("x"))
            large = Path(name) / f"{size}.mp4"
            count = enlarged(films[0], (width, height), large, Fraction(25))
            start = time.perf_counter()
            base.dub(large, large, CUT).save(Path(name) / "out.mp4")
            figures[f"fps {size}"] = count / (time.perf_counter() - start)
    figures |= {
        key: float(np.median([row[key] for row in rows])) for key in rows[0] if key != "film"
    }
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures["machine"] = machine()
    print(json.dumps(figures, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps({"figures": figures, "films": rows}, indent=1))


if __name__ == "__main__":
    main()
