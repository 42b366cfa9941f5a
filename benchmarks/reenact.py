"""How closely an avatar follows a face: pose, expression, each alone, and how long a frame takes.

    python benchmarks/reenact.py DRIVING_VIDEOS PICTURES [--videos 6] [--faces 3] [-o out.json]

Each picture becomes a portrait that follows each video. A face tracker sees both; errors are those
of differences from the first frame, as they are transferred: of the head in degrees, of the
expression in shares of what no transfer would give (1). Heads of such videos hardly turn, so a
portrait that turns by 15 degrees to each side while it speaks drives the others too. `expression`
alone must leave the head, and `pose` alone the face. The bundled avatar follows likewise. A frame's
time is that of `Reenactor.push`, from a camera's frame to the avatar's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np

from talkers import Avatar, Controls
from talkers.corpus.footage import footage_files
from talkers.errors import TalkersError
from talkers.evaluation.motion import opening_correlation
from talkers.evaluation.tracked import TrackedClip, evenly_picked, track_clip
from talkers.hardware import machine
from talkers.media import decode_frames
from talkers.runtime.portrait import PortraitTerms, make_portrait
from talkers.runtime.reenactment import ReenactTerms

SENTENCE = str(files("talkers") / "avatars" / "hello.flac")
TURN, PERIOD = 15.0, 3.0  # degrees, seconds


def beside(a: TrackedClip, b: TrackedClip) -> dict[str, float]:
    """How far one face's movements are from another's, and from none."""
    count = min(len(a.frames), len(b.frames))
    heads = [(clip.angles - clip.angles[:1])[:count] for clip in (a, b)]
    shapes = [(clip.blendshapes - clip.blendshapes[:1])[:count] for clip in (a, b)]
    return {
        "pose_error": float(np.abs(heads[0] - heads[1]).mean()),
        "pose_driven": float(np.abs(heads[0]).mean()),
        "pose_change": float(np.abs(heads[1]).mean()),
        "expression_error": float(np.abs(shapes[0] - shapes[1]).mean() / np.abs(shapes[0]).mean()),
        "expression_change": float(np.abs(shapes[1]).mean() / np.abs(shapes[0]).mean()),
        "opening_correlation": opening_correlation(b.opening, a.opening),
    }


def turning(avatar: Avatar, folder: Path) -> Path:
    """A portrait that says a sentence and turns its head: a driving video whose head moves."""
    mean, poses = avatar.engine.bundle.head.mean, folder / "poses.csv"
    times = np.arange(0, 6, 0.04)
    yaw = float(mean[0]) + TURN * np.sin(2 * np.pi * times / PERIOD)
    pitch = float(mean[1]) + TURN / 2 * np.sin(2 * np.pi * times / PERIOD / 1.7)
    rows = [f"{t:.2f},{y:.2f},{p:.2f}" for t, y, p in zip(times, yaw, pitch, strict=True)]
    poses.write_text("\n".join(["time,yaw,pitch", *rows]))
    out = folder / "turning.mp4"
    avatar.speak(SENTENCE, controls=Controls(pose=str(poses))).save(out)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("driving", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--videos", type=int, default=6)
    parser.add_argument("--faces", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    found = footage_files([arguments.driving])
    videos = [found[k] for k in evenly_picked(len(found), arguments.videos)]
    pictures = sorted(p for p in arguments.pictures.rglob("*") if p.suffix in (".jpg", ".png"))
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        portraits = []
        for number, k in enumerate(evenly_picked(len(pictures), arguments.faces + 1)):
            terms = PortraitTerms(consent="a benchmark")
            portraits.append(make_portrait([pictures[k]], folder / f"{number}", terms)[0])
        turner, *shown = portraits
        videos.append(turning(turner, folder))
        shown.append(Avatar.load())
        for video, avatar in itertools.product(videos, shown):
            frames = np.stack(list(decode_frames(video, avatar.frame_rate)))
            driver, row = track_clip(frames), {"video": video.name}
            row["avatar"] = "bundled" if avatar is shown[-1] else "portrait"
            for follow in ("both", "expression", "pose"):
                try:
                    start = time.perf_counter()
                    made = list(avatar.reenact(video, ReenactTerms(follow)))
                    row[f"fps_{follow}"] = len(made) / (time.perf_counter() - start)
                    row[follow] = beside(driver, track_clip(np.stack(made)))
                except TalkersError as error:
                    row[follow] = {"error": str(error)}
            rows.append(row)
            print(json.dumps(row))
        with shown[0].reenactor() as reenactor:
            times = []
            for frame in frames:
                start = time.perf_counter()
                reenactor.push(frame)
                times.append(1000 * (time.perf_counter() - start))
        figures["push_ms"] = {"median": float(np.median(times[5:])), "most": float(max(times[5:]))}
    for kind, moving in itertools.product(("portrait", "bundled"), (False, True)):
        of = [r for r in rows if r["avatar"] == kind and (r["video"] == "turning.mp4") == moving]
        for follow in ("both", "expression", "pose"):
            some = [r[follow] for r in of if "error" not in r[follow]]
            figures[f"{kind} {'turning' if moving else 'videos'} {follow}"] = {
                key: float(np.median([s[key] for s in some])) for key in (some[0] if some else ())
            }
    figures["machine"] = machine()
    print(json.dumps(figures, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps({"figures": figures, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
