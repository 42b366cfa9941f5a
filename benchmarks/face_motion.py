"""How much of a stranger's face the space of face motion keeps, and what it takes for his own.

Every speaker of GRID is left out once: mean face and movements are learnt from the others. Prints
for each, and on average, in per cent of an inter-ocular distance, how far key points of the lips,
eyes and brows lie from where they are seen (root mean square), beside two controls: the person at
rest, and the frame before. "Spoilt" is the same motion with mouths that no face makes.

    python benchmarks/face_motion.py ../shared/data/grid --cache /tmp/face_motion
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.face import FaceTracker
from talkers.face.landmarks import BLINKS, EYES, LIPS
from talkers.media import AUDIO_RATE, decode_frames, read_audio
from talkers.space.face_measures import FaceClip
from talkers.space.face_motion import FaceMotionConfig, FaceMotionSpace
from talkers.space.geometry import rotation
from talkers.speech.activity import loudness, speech_activity

MAX_CLIPS = 12  # of a speaker
CORNERS = [33, 263]  # outer, of the eyes
BROWS = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276)


def see(path: Path, kept: Path) -> dict[str, NDArray[np.float32]] | None:
    """Track a video; what was seen is kept in a file. None: in some frame no face is seen."""
    if kept.exists():
        return dict(np.load(kept))
    with FaceTracker(1) as tracker:
        frames = list(decode_frames(path))
        readings = [tracker.track(frame) for frame in frames]
    if any(r is None for r in readings):
        return None
    side = frames[0].shape[0]
    found = [r for r in readings if r is not None]
    levels = loudness(read_audio(path), AUDIO_RATE, 25.0, len(found))
    seen = {
        "points": np.stack([r.landmarks for r in found]) / side,
        "depth": np.stack([r.depth for r in found]) / side,
        "angles": np.stack([r.angles for r in found]),
        "blendshapes": np.stack([r.blendshapes for r in found]),
        "speech": speech_activity(levels).astype(np.float32),
    }
    np.savez(kept, **{k: v.astype(np.float32) for k, v in seen.items()})
    return seen


def clips_of(folder: Path, cache: Path) -> dict[str, list[dict[str, NDArray[np.float32]]]]:
    """What is seen of each speaker's clips, tracked once and kept in a cache."""
    cache.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, NDArray[np.float32]]]] = defaultdict(list)
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".mpg", ".mkv", ".mp4")):
        parts = path.relative_to(folder).parts
        speaker = parts[1] if parts[0] == "many" else parts[0]
        if speaker == "mixed" or len(found[speaker]) >= MAX_CLIPS:  # of people who are not known
            continue
        if (seen := see(path, cache / ("_".join(parts) + ".npz"))) is not None:
            found[speaker].append(seen)
    return {speaker: clips for speaker, clips in found.items() if clips}


def as_clip(seen: dict[str, NDArray[np.float32]]) -> FaceClip:
    shapes = torch.from_numpy(seen["blendshapes"])
    return FaceClip(
        torch.from_numpy(seen["points"]),
        shapes[:, list(BLINKS)].mean(1),
        torch.from_numpy(seen["speech"] < 0.5),
        shapes,
    )


def mean_depth(people: dict[str, list[dict[str, NDArray[np.float32]]]]) -> Tensor:
    """Depth of a mean face [478]: the tracker's own, turned back to look straight ahead."""
    every = []
    for clips in people.values():
        own = []
        for seen in clips:
            points, depth = torch.from_numpy(seen["points"]), torch.from_numpy(seen["depth"])
            whole = torch.cat([points, depth[..., None]], -1)
            whole = whole - whole[:, CORNERS].mean(1, keepdim=True)
            # x = s R x_c, so the canonical depth is the third of R^T x, over s
            straight = whole @ rotation(torch.from_numpy(seen["angles"]))
            unit = (straight[:, CORNERS[1]] - straight[:, CORNERS[0]]).norm(dim=-1)
            own.append((straight[..., 2] / unit[:, None]).median(0).values)
        every.append(torch.stack(own).mean(0))
    return torch.stack(every).mean(0)


def spoilt(space: FaceMotionSpace, motion: Tensor) -> Tensor:
    """Motion with mouths that no face makes: noise of three standard deviations."""
    noise = torch.randn(motion[:, space.mouth].shape, generator=torch.Generator().manual_seed(0))
    result = motion.clone()
    result[:, space.mouth] += 3 * space.motion_std[space.mouth] * noise
    return result


def errors(space: FaceMotionSpace, clips: list[FaceClip]) -> dict[str, dict[str, float]]:
    """Distances of key points from where they are seen, by region and by what is shown."""
    regions = {"lips": LIPS, "eyes": EYES, "brows": BROWS}
    total: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        rest = space.rest(clip.points, clip.still)
        motion = space.motion_of(clip.points, rest)
        unit = float(space.placement(clip.points).scale.median())
        still = motion.clone()
        still[:, 6:] = 0
        shown = {
            "face motion": space.points_of(motion, rest),
            "pulled back": space.points_of(space.pulled_back(motion), rest),
            "spoilt": space.points_of(spoilt(space, motion), rest),
            "spoilt, pulled back": space.points_of(space.pulled_back(spoilt(space, motion)), rest),
            "at rest": space.points_of(still, rest),
            "frame before": torch.cat([clip.points[:1], clip.points[:-1]]),
        }
        for what, points in shown.items():
            for region, chosen in regions.items():
                apart = (points - clip.points)[:, list(chosen)].square().sum(-1).mean().sqrt()
                total[what][region].append(100 * float(apart) / unit)
    return {
        what: {region: float(np.mean(rows)) for region, rows in parts.items()}
        for what, parts in total.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--mouth", type=int, nargs="+", default=[4, 8, 12, 20, 32])
    arguments = parser.parse_args()
    people = clips_of(arguments.grid, arguments.cache)
    depth = mean_depth(people)
    clips = {speaker: [as_clip(seen) for seen in rows] for speaker, rows in people.items()}
    print(f"{len(clips)} speakers, {sum(map(len, clips.values()))} clips")
    print("movements of the mouth | shown | lips | eyes | brows (% of the inter-ocular distance)")
    for count in arguments.mouth:
        every: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for speaker, own in clips.items():
            space = FaceMotionSpace(FaceMotionConfig(mouth=count))
            space.fit([c for s, rows in clips.items() if s != speaker for c in rows], depth)
            for what, parts in errors(space, own).items():
                for region, value in parts.items():
                    every[what][region].append(value)
        for what, parts in every.items():
            figures = " | ".join(f"{np.mean(values):.2f}" for values in parts.values())
            print(f"{count} | {what} | {figures}", flush=True)


if __name__ == "__main__":
    main()
