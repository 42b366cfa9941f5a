"""One picture, or some of one person -> an avatar."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from talkers.artefacts.documents import write_json
from talkers.artefacts.files import file_digest, new_folder
from talkers.artefacts.weights import write_tensors, write_weights
from talkers.errors import ArtefactError, UsageError
from talkers.face.landmarks import FaceTracker
from talkers.face.matte import layers_of
from talkers.face.portrait import Portrait, portrait_of
from talkers.media import write_png
from talkers.renderers.contract import Identity, ShowsLayers, from_frames
from talkers.runtime.avatar import Avatar
from talkers.runtime.bundle import IDENTITY, base_folder, component_file
from talkers.space.contract import HEAD
from talkers.space.face_motion import FaceMotionSpace
from talkers.version import __version__

ANGLE_RANGE = (25.0, 20.0, 20.0)  # degrees of yaw, pitch and roll from how the picture shows them
ASIDE = 0.6  # of the degrees by which a picture shows a head turned, it can be turned less
MIN_RANGE = 4.0  # degrees by which every head can be turned
PLACE_RANGE = 0.5  # inter-ocular distances that a head may move
SCALE_RANGE = 0.15  # by which it may grow or shrink
MAX_PICTURES = 10
PROBED = (15.0, 8.0)  # degrees of yaw and pitch by which a portrait is turned to measure it
TURN_RANGE = (0.8, 1.6)  # of what is taken from that
DEEPER = 1.86
"""The tracker says too little of a face's depth: with it as it is, heads are found to have turned
two thirds as far as was asked (benchmarks/portraits.py)."""


@dataclass(frozen=True)
class PortraitTerms:
    """What avatar.json says of a portrait's origin.

    Attributes:
        command: that made it.
        consent: who agreed to what.
        licence: of the picture.
        pictures: SHA-256 of their files.
    """

    command: str = ""
    consent: str | None = None
    licence: str | None = None
    pictures: tuple[str, ...] = ()


def make_portrait(
    pictures: Sequence[str | os.PathLike[str]],
    out: Path,
    terms: PortraitTerms,
    base: str | os.PathLike[str] | None = None,
    face: str = "largest",
) -> tuple[Avatar, list[str]]:
    """Make an avatar of one picture, or of some of one person.

    Args:
        pictures: files; the first is the one that is moved, the others show what it hides.
        out: the avatar's folder; a new one.
        terms: of its origin.
        base: an avatar that shows nobody yet (default: the one that talkers brings).
        face: which face of the first picture, see `portrait_of`.

    Returns:
        the avatar, and what a user should know.

    Raises:
        MediaError, FaceError: a picture cannot be used. UsageError: too many, or none.
        ArtefactError: `out` holds something, or the base shows one person only.
        ResourceError: `out` cannot be written; nothing of it is left.
    """
    if not 1 <= len(pictures) <= MAX_PICTURES:
        raise UsageError(
            f"{len(pictures)} pictures are given", todo=f"Give 1 to {MAX_PICTURES} of one person"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArtefactError(
            "this folder is not empty" if out.is_dir() else "this is a file",
            where=out,
            todo="Choose a new folder",
        )
    whole = Avatar.load(base or base_folder(), "cpu")
    faces = [
        portrait_of(path, whole.size, face if k == 0 else "largest")
        for k, path in enumerate(pictures)
    ]
    digests = [file_digest(path) for path in pictures]
    with new_folder(out) as folder:
        shown = avatar_showing(whole, faces, folder, replace(terms, pictures=tuple(digests)))
        about = {**shown.about, "head": {**shown.about["head"], "turn": turn_of(shown)}}
        write_json(folder / "avatar.json", about)
    notes = [
        f"{Path(path).name}: {note}"
        for path, found in zip(pictures, faces, strict=True)
        for note in found.notes
    ]
    return Avatar.load(out, "cpu"), notes


def avatar_showing(
    whole: Avatar, faces: Sequence[Portrait], out: Path, terms: PortraitTerms
) -> Avatar:
    """Write an avatar that shows somebody.

    Args:
        whole: a base, or another portrait.
        faces: of one person, cut out; the first is moved.
        out: the avatar's folder.
        terms: of its origin.

    Raises:
        ArtefactError: the base shows one person only.
    """
    engine: Any = whole.engine
    space = engine.space
    if engine.renderer.needs == "nothing" or not isinstance(space, FaceMotionSpace):
        raise ArtefactError(
            "this avatar shows one person only",
            where=whole.folder,
            todo="Leave out --base, or name one trained with the recipe 'portrait'",
        )
    identity = identity_of(engine.renderer, space, faces)
    assert identity.values is not None
    head = space.placement(identity.values["points"][:1])
    there = torch.cat([head.angles, head.shift, head.scale], -1)[0]
    moved = space.at_home_in(there)
    out.mkdir(parents=True, exist_ok=True)
    components = {**engine.bundle.components, IDENTITY: Path(component_file(IDENTITY))}
    for slot, path in components.items():
        if slot not in (IDENTITY, "space"):
            shutil.copyfile(path, out / component_file(slot))
    write_weights(out / component_file("space"), moved.state_dict(), engine.recipe.weights)
    write_tensors(out / component_file(IDENTITY), identity.values)
    about = dict(whole.about)
    about |= {
        "talkers": __version__,
        "components": {slot: component_file(slot) for slot in components},
        "head": portrait_head(about["head"], space, there),
        "consent": terms.consent,
        "command": terms.command,
        "portrait": {
            "pictures": list(terms.pictures),
            "licence": terms.licence,
            "base": whole.digest,
        },
    }
    write_json(out / "avatar.json", about)
    avatar = Avatar.load(out, "cpu")
    still = torch.zeros(1, space.width)
    still[0, : len(there)] = there
    write_png(out / "preview.png", avatar.decode(still)[0])
    return avatar


def turn_of(avatar: Avatar) -> list[float]:
    """By how many degrees a portrait's motion must turn for a face tracker to see one.

    Returns:
        of yaw, pitch and roll; 1 where the turned face is not found, as in some drawings.
    """
    space = avatar.engine.space
    assert isinstance(space, FaceMotionSpace)
    found = [1.0, 1.0, 1.0]
    with FaceTracker(1) as tracker:
        for axis, wanted in enumerate(PROBED):
            motion = space.home.repeat(2, 1)
            motion[:, axis] += torch.tensor([-wanted, wanted])
            seen = [tracker.faces(frame, every=False) for frame in avatar.decode(motion)]
            if all(seen):
                before, after = (float(faces[0].angles[axis]) for faces in seen)
                found[axis] = 2 * wanted / max(after - before, 1e-6)
    return [float(np.clip(factor, *TURN_RANGE)) for factor in found]


def identity_of(renderer: Any, space: FaceMotionSpace, faces: Sequence[Portrait]) -> Identity:
    """Who is shown in faces that were cut out; the first at rest as far as that can be told."""
    pictures = from_frames(torch.from_numpy(np.stack([f.picture for f in faces])))
    points = torch.from_numpy(np.stack([f.points for f in faces]))
    identity: Identity = renderer.identity(pictures, points)
    assert identity.values is not None
    depth = DEEPER * torch.from_numpy(faces[0].depth)
    rest = space.rest_of_picture(points[0], torch.from_numpy(faces[0].blendshapes), depth)
    identity = Identity({**identity.values, "rest": rest, "depth": depth})
    if not isinstance(renderer, ShowsLayers):
        return identity
    layers = layers_of(faces[0].picture, faces[0].points)
    if layers is None:
        return identity
    matte, ground = map(torch.from_numpy, layers)
    return renderer.with_layers(identity, matte, ground.permute(2, 0, 1))


def portrait_head(base: dict[str, Any], space: FaceMotionSpace, there: Tensor) -> dict[str, Any]:
    """The statistics of a portrait's head, from those of the base.

    Args:
        base: of the people that the base was trained on.
        space: of the base.
        there: the head values [6] of the picture.
    """
    ratio = float(there[5] / space.home[5])
    mean = [*there.tolist(), 0.0]
    std = list(base["std"])
    std[3:6] = [value * ratio for value in std[3:6]]
    scale = float(there[5])
    yaw, pitch, roll = ANGLE_RANGE
    aside, up = (ASIDE * abs(float(angle)) for angle in there[:2])
    angles = (max(MIN_RANGE, yaw - aside), max(MIN_RANGE, pitch - up), roll)
    reach = [*angles, PLACE_RANGE * scale, PLACE_RANGE * scale, SCALE_RANGE * scale]
    blink = len(HEAD) - 1
    low = [*(m - r for m, r in zip(mean, reach, strict=False)), 0.0]
    high = [*(m + r for m, r in zip(mean, reach, strict=False)), base["high"][blink]]
    turned = [[value * ratio for value in row] for row in base["translation_from_rotation"]]
    return {
        "names": HEAD,
        "mean": mean,
        "std": std,
        "low": low,
        "high": high,
        "translation_from_rotation": turned,
    }
