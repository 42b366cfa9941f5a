"""Drawings that follow people, and people that follow drawings.

    python benchmarks/drawings.py DRIVING_VIDEOS PORTRAITS [--videos 3] [--faces 4] [-o out.json]
                                  [--montage drawings.png]

Each portrait is drawn: few colours, dark outlines, eyes half as large again and a small mouth, as
in a cartoon. The drawing follows each video, and the portrait follows a video in which the drawing
speaks. A face tracker sees both. `opening` is the correlation of the mouths' openings, `far` how far
the second opens beside the first, in shares of how wide each mouth is at rest, and `proportions` how
large eyes and mouth at rest are beside those of the picture itself (1: they keep their own).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from talkers import Controls
from talkers.corpus.footage import footage_files
from talkers.errors import TalkersError
from talkers.evaluation.motion import opening_correlation
from talkers.evaluation.tracked import TrackedClip, evenly_picked, track_clip
from talkers.face.landmarks import EYE_CORNERS, INNER_LIPS, LEFT_EYE, RIGHT_EYE
from talkers.face.portrait import portrait_of
from talkers.hardware import machine
from talkers.media import decode_frames
from talkers.media.montage import montage
from talkers.runtime.portrait import PortraitTerms, make_portrait
from talkers.runtime.reenactment import ReenactTerms
from talkers.space.face_measures import LOWER_LIDS, MOUTH_CORNERS, UPPER_LIDS

SENTENCE = str(files("talkers") / "avatars" / "hello.flac")
COLOURS, OUTLINE = 14, 90
LARGE_EYES, SMALL_MOUTH = 1.5, 0.75
SIDE = 512


def drawn(path: Path) -> Image.Image:
    """A portrait as a cartoon."""
    face = portrait_of(path, SIDE)
    picture = np.asarray(Image.fromarray(face.picture).resize((SIDE, SIDE)))
    points = face.points
    across = np.linalg.norm(points[EYE_CORNERS[1]] - points[EYE_CORNERS[0]])
    line = (torch.arange(SIDE) + 0.5) / SIDE
    at = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    for ring, factor, reach in (
        (RIGHT_EYE, LARGE_EYES, 0.3),
        (LEFT_EYE, LARGE_EYES, 0.3),
        ((*INNER_LIPS, *MOUTH_CORNERS), SMALL_MOUTH, 0.5),
    ):
        middle = torch.from_numpy(points[list(ring)].mean(0))
        away = at - middle
        near = (1 - away.norm(dim=-1, keepdim=True) / (reach * float(across))).clamp(0, 1)
        near = near.square() * (3 - 2 * near)
        at = middle + away * (1 + near * (1 / factor - 1))
    levels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
    moved = F.grid_sample(levels, at[None] * 2 - 1, padding_mode="border", align_corners=False)
    whole = Image.fromarray(moved[0].permute(1, 2, 0).round().byte().numpy())
    flat = whole.filter(ImageFilter.MedianFilter(7)).quantize(COLOURS).convert("RGB")
    flat = flat.filter(ImageFilter.ModeFilter(5))
    edges = whole.convert("L").filter(ImageFilter.GaussianBlur(2)).filter(ImageFilter.FIND_EDGES)
    ink = np.clip(np.asarray(edges, np.float32) * 8 - OUTLINE, 0, 255) / 255
    return Image.fromarray((np.asarray(flat) * (1 - 0.85 * ink[..., None])).astype(np.uint8))


def proportions(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Height of the eyes and width of the mouth, in inter-ocular distances: [2]."""
    across = np.linalg.norm(points[EYE_CORNERS[1]] - points[EYE_CORNERS[0]])
    lids = np.linalg.norm(points[list(UPPER_LIDS)] - points[list(LOWER_LIDS)], axis=-1).max()
    mouth = np.linalg.norm(points[MOUTH_CORNERS[1]] - points[MOUTH_CORNERS[0]])
    return np.float32([lids, mouth]) / across


def followed(driver: TrackedClip, made: TrackedClip, own: NDArray[np.float32]) -> dict[str, float]:
    """How a face follows a driver; own: key points [478, 2] of its picture."""
    count = min(len(driver.frames), len(made.frames))
    first, second = (c.opening[:count] - c.opening[0] for c in (driver, made))
    wide = [proportions(c.landmarks[0])[1] for c in (driver, made)]
    rest = proportions(made.landmarks[0]) / proportions(own)
    return {
        "opening": opening_correlation(made.opening, driver.opening),
        "far": float((second.std() / wide[1]) / (first.std() / wide[0])),
        "blink": float(made.blink[:count].max() - made.blink[0]),
        "eyes at rest": float(rest[0]),
        "mouth at rest": float(rest[1]),
        "seen": float(made.found.mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("driving", type=Path)
    parser.add_argument("portraits", type=Path)
    parser.add_argument("--videos", type=int, default=3)
    parser.add_argument("--faces", type=int, default=4)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--montage", type=Path)
    arguments = parser.parse_args()
    found = footage_files([arguments.driving])
    videos = [found[k] for k in evenly_picked(len(found), arguments.videos)]
    pictures = sorted(p for p in arguments.portraits.rglob("*") if p.suffix in (".jpg", ".png"))
    rows, shown = [], []
    with tempfile.TemporaryDirectory() as name:
        folder, terms = Path(name), PortraitTerms(consent="a benchmark")
        for k in evenly_picked(len(pictures), arguments.faces):
            path = folder / f"{k}.png"
            drawn(pictures[k]).save(path)
            row: dict[str, object] = {"picture": pictures[k].name}
            try:
                drawing, face = (
                    make_portrait([p], folder / f"{k}-{n}", terms)[0]
                    for n, p in (("drawing", path), ("face", pictures[k]))
                )
            except TalkersError as error:
                rows.append(row | {"error": str(error)})
                continue
            own, itself = (portrait_of(p, SIDE).points for p in (path, pictures[k]))
            spoken = folder / f"{k}.mp4"
            drawing.speak(SENTENCE, controls=Controls(blink_times=(1.0,))).save(spoken)
            pairs = [(drawing, video, own) for video in videos] + [(face, spoken, itself)]
            for avatar, video, points in pairs:
                driver = track_clip(_frames(video))
                made = track_clip(np.stack(list(avatar.reenact(video, ReenactTerms()))))
                what = "a person follows the drawing" if avatar is face else "the drawing follows"
                rows.append(row | {"what": what, **followed(driver, made, points)})
                print(json.dumps(rows[-1]))
                moments = [0, *np.argsort(made.opening)[[-1, -8]], int(made.blink.argmax())]
                moments = [min(m, len(driver.frames) - 1) for m in moments]
                shown += [driver.frames[moments], made.frames[moments]]
    figures: dict[str, object] = {"machine": machine()}
    for what in ("the drawing follows", "a person follows the drawing"):
        some = [r for r in rows if r.get("what") == what]
        figures[what] = {
            key: float(np.median([r[key] for r in some]))
            for key in (some[0] if some else ())
            if key not in ("picture", "what")
        }
    figures["refused"] = [r["error"] for r in rows if "error" in r]
    print(json.dumps(figures, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps({"figures": figures, "rows": rows}, indent=1))
    if arguments.montage:
        small = [_sized(clip) for clip in shown]
        Image.fromarray(montage(small, 4)).save(arguments.montage)


def _frames(video: Path) -> NDArray[np.uint8]:
    return np.stack(list(decode_frames(video, 25)))


def _sized(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames as squares of 256 pixels."""
    return np.stack([np.asarray(Image.fromarray(f).resize((256, 256))) for f in clip])


if __name__ == "__main__":
    main()
