"""How closely an avatar follows a face: pose, expression, each alone, and how long a frame takes.

    python benchmarks/reenact.py DRIVING_VIDEOS PICTURES [--videos 6] [--faces 3] [-o out.json]

Each picture becomes a portrait that follows each video, and so does the video's own first frame
(`own`). A face tracker sees both; errors are those of differences from the first frame, as they are
transferred: of the head in degrees, of the expression in shares of what no transfer would give (1).
Heads of such videos hardly turn, so a portrait that turns by 15 degrees to each side while it
speaks drives the others too. `expression` alone must leave the head, and `pose` alone the face. The
bundled avatar follows likewise. A frame's time is that of `Reenactor.push`, from a camera's frame
to the avatar's.

What a tracker finds depends on more than the expression. Two controls say how much:

- `view`: the video itself, cut out and scaled as the portrait of its first frame shows it. Every
  expression in it is right. `own_view` compares the portrait with that.
- `--heads FILMS`: films in which different heads do exactly the same, made by

      python benchmarks/reenact.py DRIVING_VIDEOS PICTURES --shapes shapes.csv
      python examples/heads/heads.py HEADS -o films/ --shapes shapes.csv --count 12

  The first writes what the tracker sees in the videos. How far two heads' readings are apart is how
  far a perfect transfer would be from its driver.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from talkers import Avatar, Controls
from talkers.corpus.footage import footage_files
from talkers.errors import TalkersError
from talkers.evaluation.motion import opening_correlation
from talkers.evaluation.tracked import TrackedClip, evenly_picked, track_clip
from talkers.face.landmarks import BLENDSHAPES
from talkers.hardware import machine
from talkers.media import decode_frames
from talkers.runtime.portrait import PortraitTerms, make_portrait
from talkers.runtime.reenactment import ReenactTerms

SENTENCE = str(files("talkers") / "avatars" / "hello.flac")
TURN, PERIOD = 15.0, 3.0  # degrees, seconds
RATE = 25  # frames a second, an avatar's
EYES = 33, 263  # key points of their outer corners
PAD = 300  # pixels around a video, where a portrait shows more than it


def tracked(video: Path) -> TrackedClip:
    """A video as the tracker sees it."""
    return track_clip(np.stack(list(decode_frames(video, RATE))))


def expression_error(a: TrackedClip, b: TrackedClip) -> float:
    """How far one face's expressions are from another's, in shares of its own movements."""
    count = min(len(a.frames), len(b.frames))
    first, second = ((c.blendshapes - c.blendshapes[:1])[:count] for c in (a, b))
    return float(np.abs(first - second).mean() / np.abs(first).mean())


def beside(a: TrackedClip, b: TrackedClip) -> dict[str, float]:
    """How far one face's movements are from another's, and from none."""
    count = min(len(a.frames), len(b.frames))
    heads = [(clip.angles - clip.angles[:1])[:count] for clip in (a, b)]
    shapes = [(clip.blendshapes - clip.blendshapes[:1])[:count] for clip in (a, b)]
    return {
        "pose_error": float(np.abs(heads[0] - heads[1]).mean()),
        "pose_driven": float(np.abs(heads[0]).mean()),
        "pose_change": float(np.abs(heads[1]).mean()),
        "expression_error": expression_error(a, b),
        "expression_change": float(np.abs(shapes[1]).mean() / np.abs(shapes[0]).mean()),
        "opening_correlation": opening_correlation(b.opening, a.opening),
    }


def seen_as(driver: TrackedClip, shown: TrackedClip) -> TrackedClip:
    """A video, cut out and scaled so that in the first frame its eyes lie where another's do."""
    (right, left), (there, other) = (clip.landmarks[0][list(EYES)] for clip in (driver, shown))
    # q = k (p - t) + r in complex numbers, from the wanted pixels to the video's
    k = complex(*(left - right)) / complex(*(other - there))
    offset = complex(*right) - k * complex(*there)
    pad = (PAD, PAD), (PAD, PAD), (0, 0)
    height, width = shown.frames.shape[1:3]
    smaller, found = max(1.0, abs(k)), []
    for frame in driver.frames:
        large = Image.fromarray(np.pad(frame, pad, mode="edge"))
        small = large.resize(
            [round(side / smaller) for side in large.size], Image.Resampling.LANCZOS
        )
        step, begin = k / smaller, (offset + complex(PAD, PAD)) / smaller
        to_video = (step.real, -step.imag, begin.real, step.imag, step.real, begin.imag)
        cut = small.transform(
            (width, height), Image.Transform.AFFINE, to_video, Image.Resampling.BICUBIC
        )
        found.append(np.asarray(cut))
    return track_clip(np.stack(found))


def followed_by_itself(video: Path, folder: Path) -> dict[str, float]:
    """Errors of the portrait of a video's first frame, and of the video in the portrait's view."""
    picture, terms = folder / f"{video.stem}.png", PortraitTerms(consent="a benchmark")
    Image.fromarray(next(iter(decode_frames(video)))).save(picture)
    portrait = make_portrait([picture], folder / f"own-{video.stem}", terms)[0]
    driver = tracked(video)
    shown = track_clip(np.stack(list(portrait.reenact(video, ReenactTerms()))))
    view = seen_as(driver, shown)
    return {
        "own": expression_error(driver, shown),
        "view": expression_error(driver, view),
        "own_view": expression_error(view, shown),
        "opening_correlation": opening_correlation(shown.opening, driver.opening),
    }


def write_shapes(videos: list[Path], path: Path) -> None:
    """What the tracker sees in videos, one after the other, as a table."""
    with path.open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(BLENDSHAPES)
        for video in videos:
            rows.writerows(tracked(video).blendshapes.tolist())


def apart(films: list[Path]) -> dict[str, float]:
    """How far the expressions of heads that do the same are from each other, to the tracker."""
    clips = [tracked(film) for film in films]
    errors = [expression_error(a, b) for a, b in itertools.permutations(clips, 2)]
    return {"least": min(errors), "median": float(np.median(errors)), "most": max(errors)}


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
    parser.add_argument("--heads", type=Path, help="films in which different heads do the same")
    parser.add_argument("--shapes", type=Path, help="write this table, and nothing else")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    found = footage_files([arguments.driving])
    videos = [found[k] for k in evenly_picked(len(found), arguments.videos)]
    if arguments.shapes:
        write_shapes(videos, arguments.shapes)
        return
    pictures = sorted(p for p in arguments.pictures.rglob("*") if p.suffix in (".jpg", ".png"))
    rows, figures = [], {}
    if arguments.heads:
        figures["heads that do the same"] = apart(sorted(arguments.heads.glob("*.mp4")))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        portraits = []
        for number, k in enumerate(evenly_picked(len(pictures), arguments.faces + 1)):
            terms = PortraitTerms(consent="a benchmark")
            portraits.append(make_portrait([pictures[k]], folder / f"{number}", terms)[0])
        own = []
        for video in videos:
            own.append({"video": video.name, **followed_by_itself(video, folder)})
            print(json.dumps(own[-1]))
        figures["own picture"] = {
            key: float(np.median([o[key] for o in own])) for key in own[0] if key != "video"
        }
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
        arguments.output.write_text(
            json.dumps({"figures": figures, "rows": rows, "own": own}, indent=1)
        )


if __name__ == "__main__":
    main()
