"""Pairs of single pictures: each is the target, and itself at rest, moved there, is the source.

Footage shows few people many times; a folder of portraits shows many people once. What such a pair
teaches is what a face hides at rest: teeth, lids, irises of many people, in many kinds of light.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from talkers.artefacts.files import atomic
from talkers.errors import ArtefactError, MediaError
from talkers.face.landmarks import FaceTracker
from talkers.face.portrait import MAX_FACES, portrait_of
from talkers.progress import Report
from talkers.renderers.contract import from_frames, to_frames
from talkers.renderers.warp.motion import NEAR, enlarged, pixel_places, sampled, whole_motion
from talkers.space.contract import HEAD
from talkers.space.face_motion import GAZE, FaceMotionSpace, head_of

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
FINE_GRID = 4  # pixels of a picture to one of its motion
TURN = (4.0, 3.0, 2.0)  # degrees of yaw, pitch and roll by which a source is turned
LOOK = 0.4  # by which its eyes look elsewhere, see `FaceMotionSpace`
VERSION = 1  # of what the cache holds


class Pictures(NamedTuple):
    """Faces of a folder, cut out.

    Attributes:
        frames: uint8 [P, S, S, 3].
        points: [P, 478, 2] shares of the side.
        depth: [P, 478].
        blendshapes: [P, 52].
    """

    frames: NDArray[np.uint8]
    points: NDArray[np.float32]
    depth: NDArray[np.float32]
    blendshapes: NDArray[np.float32]


def read_pictures(folder: Path, size: int, cache: Path, report: Report) -> Pictures:
    """The faces of all pictures in a folder; pictures that cannot be used are left out.

    Args:
        folder: of pictures, searched.
        size: side of the result, pixels.
        cache: folder in which they are kept.
        report: called with what is done, how much of it is done and how much there is.

    Raises:
        ArtefactError: there is none.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    names = f"{VERSION} {size} {[(str(p), p.stat().st_mtime_ns) for p in files]}"
    path = cache / f"pictures-{sha256(names.encode()).hexdigest()[:16]}.npz"
    if not path.exists():
        found: list[tuple[NDArray[np.generic], ...]] = []
        with FaceTracker(MAX_FACES) as tracker:
            for done, file in enumerate(files):
                try:
                    face = portrait_of(file, size, tracker=tracker)
                except MediaError:  # no face, or no picture; whatever else fails is told
                    continue
                finally:
                    report("looking at pictures", done + 1, len(files))
                frame = np.asarray(Image.fromarray(face.picture).resize((size, size)))
                found.append((frame, face.points, face.depth, face.blendshapes))
        if not found:
            raise ArtefactError(
                "no face can be used in this folder", where=folder, todo="Name one of portraits"
            )
        with atomic(path) as temporary, temporary.open("wb") as out:
            np.savez(out, *(np.stack(part) for part in zip(*found, strict=True)))
    with np.load(path) as kept:
        return Pictures(*(kept[f"arr_{k}"] for k in range(len(Pictures._fields))))


class PicturePairs:
    """Pairs of pictures.

    Args:
        pictures: of many people.
        space: of their motion.
        seed: by which sources are drawn.
    """

    def __init__(self, pictures: Pictures, space: FaceMotionSpace, seed: int):
        self.pictures, self.space, self.seed = pictures, space, seed

    def __len__(self) -> int:
        return len(self.pictures.frames)

    @torch.no_grad()
    def pair(self, number: int, partner: int) -> dict[str, Tensor]:
        """Picture `number` as target, and its `partner`-th source; see `PairDataset`."""
        space, of = self.space, self.pictures
        random = np.random.default_rng((self.seed, 1, number, partner))
        frame = torch.from_numpy(np.array(of.frames[number]))
        points, depth, shapes = (
            torch.from_numpy(np.array(part[number]))
            for part in (of.points, of.depth, of.blendshapes)
        )
        rest = space.rest_of_picture(points, shapes, depth)
        own = space.motion_of(points[None], rest, depth)
        motion = own.clone()
        # nearer to rest than the target: what the target shows, the source hides
        motion[:, GAZE.stop :] *= float(random.uniform(0, 1))
        motion[:, len(HEAD) - 1] *= float(random.uniform(0, 1))
        motion[:, GAZE] += torch.from_numpy(random.normal(0, LOOK, (1, 2))).float()
        motion[:, :3] += torch.from_numpy(random.normal(0, 1, (1, 3)) * TURN).float()
        moved = space.points_of(motion, rest, depth)
        heads = head_of(motion), head_of(own)
        size = len(frame)
        steps = whole_motion(moved, points[None], heads, side=size // FINE_GRID + 1, closely=NEAR)
        at = pixel_places(size, frame.device) + enlarged(steps, size)
        source = to_frames(sampled(from_frames(frame[None]), at))[0]
        found = {"source": source, "target": frame, "reference": source}
        places = {"source": moved[0], "target": points, "reference": moved[0]}
        return found | {f"{name}_points": size * place for name, place in places.items()}
