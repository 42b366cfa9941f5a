"""Save what was trained as an avatar, calibrate it, and measure it on the held-out clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from talkers.artefacts.documents import write_json
from talkers.artefacts.weights import write_weights
from talkers.corpus import Corpus
from talkers.corpus.views import face_scale, head_values
from talkers.face.landmarks import mouth_opening
from talkers.face.regions import region_boxes, region_figures
from talkers.hardware import machine
from talkers.media import write_png
from talkers.media.montage import montage
from talkers.renderers.contract import from_frames
from talkers.runtime.avatar import Avatar
from talkers.runtime.bundle import FORMAT_VERSION, component_file
from talkers.space.contract import HEAD
from talkers.systems import recipe as recipes
from talkers.training.budget import elapsed
from talkers.training.calibrate import calibrate, live_share, pose_share, space_amplitudes
from talkers.training.contract import Run
from talkers.training.folder import initialized_from
from talkers.version import __version__

BLINK = HEAD.index("blink")
CALIBRATION_CLIPS, POSE_CLIPS, MEASURED_CLIPS, LIVE_CLIPS = 4, 40, 8, 8
MONTAGE_FRAMES = 8
MAX_MONTAGE_ROWS = 18


@dataclass(frozen=True)
class Terms:
    """What avatar.json says of an avatar's origin.

    Attributes:
        command: that made it.
        consent: who agreed to what.
        licence: of the avatar.
    """

    command: str = ""
    consent: str | None = None
    licence: str | None = None


def translation_from_rotation(heads: NDArray[np.float32]) -> NDArray[np.float32]:
    """By how much position and scale change with each angle.

    Args:
        heads: head values [N, 7].

    Returns:
        [3, 3]
    """
    moved = heads - heads.mean(0)
    ridge = 1e-3 * np.eye(3) * max(float(np.square(moved[:, :3]).mean()), 1e-6)
    # W = (R'R / N + ridge I)^-1 R'T / N, R rotations and T translations about their means
    gram = moved[:, :3].T @ moved[:, :3] / len(moved) + ridge
    together = moved[:, :3].T @ moved[:, 3:6] / len(moved)
    return np.asarray(np.linalg.solve(gram, together), np.float32)


def spoken_clips(corpus: Corpus, names: list[str]) -> list[str]:
    """Clips that tell how heads move in speech: not those in which nobody speaks, such as rendered
    ones, unless there are no others."""
    return [n for n in names if np.any(corpus.column("speech", n))] or names


def about_avatar(run: Run, terms: Terms) -> dict[str, Any]:
    """What avatar.json says before the avatar is measured."""
    corpus, recipe = run.corpus, run.recipe
    names = run.trainable_clips
    faces = {n: np.asarray(corpus.column("face", n), bool) for n in names}
    spoken = spoken_clips(corpus, names)
    heads = np.concatenate([run.heads(n).numpy()[faces[n]] for n in spoken])
    low, high = np.percentile(heads, [1, 99], axis=0)
    seconds = float(sum(corpus.clip(n).frames for n in names) / corpus.rate)
    return {
        "format_version": FORMAT_VERSION,
        "talkers": __version__,
        "recipe": recipes.to_dict(recipe),
        "speech": {
            "encoder": recipe.speech.encoder,
            "width": run.features.widths["features"],
        },
        "head": {
            "names": HEAD,
            "translation_from_rotation": translation_from_rotation(heads).tolist(),
            "mean": heads.mean(0).tolist(),
            "std": heads.std(0).tolist(),
            "low": low.tolist(),
            "high": high.tolist(),
        },
        "crop": face_scale(corpus).as_dict(),
        "data": {
            "digest": corpus.digest(names),
            "clips": len(names),
            "seconds": round(seconds, 1),
            "held_out": run.held_out,
            "sources": sorted({corpus.clip(n).sha256[:16] for n in names}),
            "licence": terms.licence or corpus.about.get("licence"),
        },
        "consent": terms.consent or corpus.about.get("consent"),
        "command": terms.command,
        "training": elapsed(run.folder),
        "initialized_from": initialized_from(run.init_from) if run.init_from else None,
        "seed": recipe.seed,
        "machine": machine(),
    }


def save_avatar(run: Run, out: Path, terms: Terms) -> Avatar:
    """Write an avatar, measure it on the held-out clips, and write the figures into it.

    Args:
        run: the finished training.
        out: the avatar's folder.
        terms: of its origin.

    Returns:
        the avatar, as it was saved.
    """
    components = dict(run.components)
    if isinstance(run.space, nn.Module):
        components["space"] = run.space
    for slot, component in components.items():
        write_weights(out / component_file(slot), component.state_dict(), run.recipe.weights)
    about = about_avatar(run, terms)
    about["components"] = {slot: component_file(slot) for slot in components}
    write_json(out / "avatar.json", about)
    avatar = Avatar.load(out)
    names = run.trainable_clips
    spoken = spoken_clips(run.corpus, names)
    posed = spoken[:: max(1, len(spoken) // POSE_CLIPS)][:POSE_CLIPS]
    sounds = [run.corpus.audio(name) for name in (run.held_out or posed)[:LIVE_CLIPS]]
    moving = {
        key: {
            "pose": pose_share(run, avatar, posed, key),
            "live": live_share(avatar, sounds, key),
        }
        for key in avatar.engine.motion
    }
    if avatar.engine.renderer.needs != "nothing":
        about["calibration"] = {
            f"motion/{key}": {
                "articulation": space_amplitudes(run, avatar, posed, key),
                **moving[key],
            }
            for key in avatar.engine.motion
        }
        if run.held_out:
            of = "held-out people, each shown from the first frame of a clip, its motion given"
            about["metrics"] = {"of": of, **measure_identities(run, avatar, run.held_out)}
        write_json(out / "avatar.json", about)
        return Avatar.load(out)
    middle = run.frames.indices((run.held_out or names)[:1])
    picture = np.array(run.frames.frames[middle[len(middle) // 2]])
    write_png(out / "preview.png", next(avatar.reconstruct(iter([picture]))))
    few = spoken[:: max(1, len(spoken) // CALIBRATION_CLIPS)][:CALIBRATION_CLIPS]
    about["calibration"] = {
        f"motion/{key}": {
            "articulation": amplitudes,
            **moving[key],
        }
        for key, amplitudes in calibrate(run, avatar, few).items()
    }
    write_json(out / "avatar.json", about)
    if not run.held_out:
        return Avatar.load(out)
    figures = measure(run, Avatar.load(out), run.held_out[:MEASURED_CLIPS])
    of = "held-out clips, as the saved avatar makes them, pose and appearance given"
    write_json(out / "avatar.json", about | {"metrics": {"of": of, **figures}})
    return Avatar.load(out)


def measure(run: Run, avatar: Avatar, names: list[str]) -> dict[str, Any]:
    """Measure an avatar on clips; also writes a montage of the first.

    Args:
        run: the training.
        avatar: what it made.
        names: of the clips.

    Returns:
        figures of the codec alone and of speech with the measured pose, beside those of the
        clip's mean frame.
    """
    corpus = run.corpus
    figures: dict[str, list[dict[str, float]]] = {}
    for done, name in enumerate(names):
        reference = run.frames.clip(name)
        boxes = region_boxes(corpus.column("landmarks", name), corpus.size)
        head = torch.from_numpy(head_values(corpus, name))
        features = run.features.rows(name, "clean")
        engine = avatar.engine
        appearance = engine.estimate_appearance(avatar.encode(reference), features, head)
        mean = reference.mean(0, keepdims=True).round().astype(np.uint8)
        generated = {
            "codec": np.stack(list(avatar.reconstruct(iter(reference)))),
            "speech_given_pose": avatar.decode(
                engine.generate(features, head, appearance=appearance)
            ),
            "mean_frame": np.repeat(mean, len(reference), 0),
        }
        for kind, frames in generated.items():
            figures.setdefault(kind, []).append(region_figures(frames, reference, boxes))
        if done == 0:
            opening = mouth_opening(corpus.column("landmarks", name))
            shown = telling_frames(opening, head[:, BLINK].numpy())
            rows = (reference, generated["codec"], generated["speech_given_pose"])
            picture = montage([clip[shown] for clip in rows], len(shown))
            write_png(run.folder / "held-out.png", picture)
        run.report("measuring", done + 1, len(names))
    return {
        kind: {key: round(float(np.mean([f[key] for f in clips])), 4) for key in clips[0]}
        for kind, clips in figures.items()
    }


def measure_identities(run: Run, avatar: Avatar, names: list[str]) -> dict[str, Any]:
    """Measure a renderer that shows whom it is given; also writes a montage.

    Args:
        run: the training.
        avatar: what it made, which shows nobody.
        names: of clips of people never seen; each is shown from its first frame.

    Returns:
        figures of the frames as they are made, of the picture moved without networks, of the
        picture itself and of the clip's mean frame.
    """
    engine, corpus = avatar.engine, run.corpus
    figures: dict[str, list[dict[str, float]]] = {}
    rows: list[NDArray[np.uint8]] = []
    for done, name in enumerate(names):
        seen = np.flatnonzero(corpus.column("face", name))
        if not len(seen):
            continue
        reference = run.frames.clip(name)[seen]
        landmarks = corpus.column("landmarks", name)[seen].astype(np.float32)
        boxes = region_boxes(landmarks, corpus.size)
        points = torch.from_numpy(landmarks) / corpus.size
        renderer: Any = engine.renderer
        identity = renderer.identity(from_frames(torch.from_numpy(reference[:1])), points[:1])
        space: Any = engine.space
        motion = space.motion_of(points, identity.values["rest"])
        mean = reference.mean(0, keepdims=True).round().astype(np.uint8)
        generated = {
            "portrait": engine.decode(motion, engine.options(0), identity=identity),
            "mesh_warp": engine.decode(
                motion, engine.options(0), identity=renderer.without_networks(identity)
            ),
            "picture": np.repeat(reference[:1], len(reference), 0),
            "mean_frame": np.repeat(mean, len(reference), 0),
        }
        for kind, frames in generated.items():
            figures.setdefault(kind, []).append(region_figures(frames, reference, boxes))
        opening = mouth_opening(landmarks)
        shown = telling_frames(opening, np.asarray(corpus.column("blink", name))[seen])[:4]
        rows += [clip[shown] for clip in (reference, generated["portrait"], generated["mesh_warp"])]
        run.report("measuring", done + 1, len(names))
    write_png(run.folder / "held-out.png", montage(rows[:MAX_MONTAGE_ROWS], 4))
    return {
        kind: {key: round(float(np.nanmean([f[key] for f in clips])), 4) for key in clips[0]}
        for kind, clips in figures.items()
    }


def telling_frames(opening: NDArray[np.float32], blink: NDArray[np.float32]) -> list[int]:
    """Frames of a clip to look at: the widest mouth, closed eyes, and others evenly between.

    Args:
        opening: of the mouth, [T].
        blink: [T], 0..1.
    """
    telling = {int(opening.argmax()), int(blink.argmax())}
    evenly = np.linspace(0, len(opening) - 1, MONTAGE_FRAMES - len(telling)).round().astype(int)
    return sorted(telling.union(evenly.tolist()))
