"""What a live face's latency costs: lips in step, and read, by judges.

    python benchmarks/latency.py CLIPS [--avatar default] [--count 10] [-o latency.json]

Each clip's sound is said by an avatar (`portrait`: one that is made of the clip's first frame) as a
file, and as it is spoken with each latency. The judges of `talkers evaluate --pairs` see all of them
beside the real clip: the share that is in sync, the confidence, the offset in frames, and the share
of words that a lip reader gets wrong (`lip_wer`: by the lips' pixels and by their points).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from talkers import Avatar, Controls
from talkers.corpus.footage import footage_files
from talkers.errors import TalkersError
from talkers.evaluation.evaluate import EvaluationOptions
from talkers.evaluation.pairs import evaluate_pairs
from talkers.evaluation.tracked import evenly_picked
from talkers.hardware import machine
from talkers.media import AUDIO_RATE, VideoWriter, decode_frames, read_audio
from talkers.runtime.behaviour import WAITS
from talkers.runtime.portrait import PortraitTerms, make_portrait
from talkers.runtime.session import Session

SEED = 0
SHOWN = ("in_sync", "sync_confidence", "sync_offset", "lip_wer", "articulation", "jitter_ratio")


def spoken_live(
    avatar: Avatar, samples: NDArray[np.float32], latency: Any
) -> Iterator[NDArray[np.uint8]]:
    """Frames of speech that comes a frame at a time."""
    ahead, hurry = WAITS[latency]
    resolved = avatar.resolve_controls(SEED, Controls(), live=True)
    options = avatar.engine.options(SEED)
    session = Session(avatar.engine, resolved, options, look_ahead=ahead, hurry=hurry)
    period = round(AUDIO_RATE / float(avatar.frame_rate))
    for begin in range(0, len(samples), period):
        yield from session.push(samples[begin : begin + period])
    yield from session.finish()


def made(avatar: Avatar, clip: Path, folder: Path) -> None:
    """The videos of a clip, in a folder for each way."""
    samples = read_audio(clip)
    ways = {"file": lambda: avatar.speak(samples, seed=SEED)}
    ways |= {name: lambda name=name: spoken_live(avatar, samples, name) for name in WAITS}
    for name, frames in ways.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        path = folder / name / f"{clip.stem}.mp4"
        with VideoWriter(path, avatar.frame_rate, iter([samples]), AUDIO_RATE) as writer:
            for frame in frames():
                writer.write(frame)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path)
    parser.add_argument("--avatar", default="default")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    found = footage_files([options.clips])
    clips = [found[k] for k in evenly_picked(len(found), options.count)]
    report: dict[str, Any] = {"machine": machine(), "avatar": options.avatar}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "real").mkdir()
        avatar = None if options.avatar == "portrait" else Avatar.load(options.avatar)
        for clip in clips:
            shown = avatar
            try:
                if shown is None:
                    picture = folder / f"{clip.stem}.png"
                    Image.fromarray(next(iter(decode_frames(clip, 25)))).save(picture)
                    terms = PortraitTerms(consent="a benchmark")
                    shown = make_portrait([picture], folder / clip.stem, terms)[0]
                made(shown, clip, folder)
            except TalkersError as error:
                print(f"{clip.name}: {error}")
                continue
            (folder / "real" / clip.name).symlink_to(clip.resolve())
        for way in ("file", *WAITS):
            terms = EvaluationOptions(jobs=options.jobs)
            out = folder / f"report-{way}"
            scored = evaluate_pairs(folder / way, folder / "real", out, terms).metrics
            report[way] = chosen(scored, "pairs")
            report["real"] = chosen(scored, "controls.real")
            print(json.dumps({way: report[way]}), flush=True)
    text = json.dumps(report, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", "utf-8")


def chosen(metrics: dict[str, Any], variant: str) -> dict[str, Any]:
    """The figures of a variant that are shown."""
    rows: Any = metrics
    for part in variant.split("."):
        rows = rows[part]
    return {name: round(rows[name]["mean"], 3) for name in SHOWN if name in rows}


if __name__ == "__main__":
    main()
