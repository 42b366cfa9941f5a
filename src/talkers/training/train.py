"""Corpus -> avatar: both stages, then the bundle with its own held-out figures."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import talkers
from talkers import recipes
from talkers.avatar import Avatar
from talkers.bundle import FORMAT_VERSION, write_weights
from talkers.codec import DiffusionAutoencoder
from talkers.corpus import Corpus
from talkers.corpus.store import write_json
from talkers.errors import ArtefactError, UsageError
from talkers.media import write_png
from talkers.montage import montage
from talkers.motion import HEAD, Speech2Latent
from talkers.recipes import Recipe
from talkers.training.codec_stage import region_figures, train_codec
from talkers.training.frames import FrameStore, held_out, region_boxes
from talkers.training.motion_data import head_values, speech_features
from talkers.training.motion_stage import train_motion
from talkers.training.run import latest_checkpoint

CODEC_SHARE = 0.88  # of a time budget; the rest is for the motion model
Report = Callable[[str, int, int], None]


def start_folder(out: Path, recipe: Recipe, corpus: Corpus, resume: bool) -> Path:
    """The folder of a training's state, new or to be resumed.

    Raises:
        ArtefactError, UsageError: there is something else, or a training and no wish to resume it, or another recipe.
    """
    state = out / "training"
    if (state / "recipe.json").exists():
        if not resume:
            raise UsageError("a training has begun here", where=out, todo="Add --resume to go on with it, or choose another folder")
        begun, now = (state / "recipe.json").read_text("utf-8"), (state / "recipe.json.new")
        write_json(now, {**recipes.to_dict(recipe), "data": corpus.digest()})
        same = now.read_text("utf-8") == begun
        now.unlink()
        if not same:
            raise UsageError(
                "the training that has begun here has another recipe or corpus",
                where=out,
                todo="Use the same --recipe, --set and corpus, or choose another folder",
            )
        return state
    if out.exists() and any(out.iterdir()):
        raise ArtefactError("this folder is not empty", where=out, todo="Choose a new folder for the avatar")
    state.mkdir(parents=True, exist_ok=True)
    write_json(state / "recipe.json", {**recipes.to_dict(recipe), "data": corpus.digest()})
    return state


def check_fit(recipe: Recipe, corpus: Corpus) -> None:
    """Raises ArtefactError when a corpus is not of a recipe's size and rate, or too short to train on."""
    if corpus.size != recipe.codec.size or corpus.rate != recipe.rate:
        raise ArtefactError(
            f"this corpus has {corpus.size} px at {corpus.rate} fps, the recipe '{recipe.name}' needs {recipe.codec.size} px at {recipe.rate} fps",
            where=corpus.folder,
            todo=f"Prepare it again: `talkers prepare FOOTAGE -o CORPUS --size {recipe.codec.size}`",
        )
    if sum(c.frames for c in corpus.clips) < 50:
        raise ArtefactError("this corpus is too short to train on", where=corpus.folder, why="it has fewer than 50 frames", todo="Prepare more footage")


def train(corpus: Corpus, out: Path, recipe: Recipe, budget: float | None = None, resume: bool = False, progress: bool = True,
          report: Report = lambda stage, done, total: None, command: str = "", trainer_options: dict[str, Any] | None = None) -> Avatar:  # fmt: skip
    """Train an avatar, or go on with one that was interrupted.

    Args:
        corpus: prepared footage of one person.
        out: the avatar's folder; its `training` subfolder holds checkpoints, montages and metrics.jsonl.
        budget: seconds for both stages together, or None for the recipe's frames.
        resume: go on with the training that is in `out`.
        command: kept in avatar.json.

    Returns:
        the avatar, as it was saved.
    """
    check_fit(recipe, corpus)
    folder = start_folder(out, recipe, corpus, resume)
    share = (budget * CODEC_SHARE, budget * (1 - CODEC_SHARE)) if budget else (None, None)
    codec = train_codec(corpus, recipe, folder, share[0], progress, report, trainer_options)
    motion = train_motion(corpus, recipe, codec, folder, share[1], progress, report, trainer_options)
    return save_avatar(out, recipe, corpus, codec, motion, command, report)


def save_avatar(out: Path, recipe: Recipe, corpus: Corpus, codec: DiffusionAutoencoder, motion: Speech2Latent, command: str, report: Report) -> Avatar:
    """Write the bundle, measure it on the held-out clips, and write the figures into it."""
    test = held_out(corpus.names)
    names = [n for n in corpus.names if n not in test]
    heads = np.concatenate([head_values(corpus, n)[np.asarray(corpus.column("face", n), bool)] for n in names])
    low, high = np.percentile(heads, [1, 99], axis=0)
    features = next(iter(speech_features(corpus, recipe.speech, report).values())).shape[1]
    write_weights(out / "codec.safetensors", codec.state_dict(), recipe.weights)
    write_weights(out / "motion.safetensors", motion.state_dict(), recipe.weights)
    seconds = float(sum(corpus.clip(n).frames for n in names) / corpus.rate)
    about: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "talkers": talkers.__version__,
        "recipe": recipes.to_dict(recipe),
        "speech": {"encoder": recipe.speech.encoder, "width": features},
        "head": {"names": HEAD, "mean": heads.mean(0).tolist(), "std": heads.std(0).tolist(), "low": low.tolist(), "high": high.tolist()},
        "data": {"digest": corpus.digest(names), "clips": len(names), "seconds": round(seconds, 1), "held_out": test, "licence": corpus.about.get("licence")},
        "consent": corpus.about.get("consent"),
        "command": command,
        "seed": recipe.seed,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores, torch {torch.__version__}"
        + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""),
    }
    write_json(out / "avatar.json", about)
    avatar = Avatar.load(out)
    if test:
        about["metrics"] = {"of": "held-out clips, as the saved avatar makes them, pose given", **measure(avatar, corpus, test[:8], out, report)}
        write_json(out / "avatar.json", about)
        avatar.about = about
    if latest_checkpoint(out / "training", "motion"):
        for montage_file in sorted((out / "training").glob("codec-*.png"))[:-3]:
            montage_file.unlink()
    return avatar


def measure(avatar: Avatar, corpus: Corpus, names: list[str], out: Path, report: Report) -> dict[str, Any]:
    """Figures of the codec alone and of speech with measured pose, beside the clip's mean frame; also the preview."""
    features = speech_features(corpus, avatar.recipe.speech, report)
    store = FrameStore(corpus, report)
    totals: dict[str, list[dict[str, float]]] = {"codec": [], "speech_given_pose": [], "mean_frame": []}
    for done, name in enumerate(names):
        start = store.start[name]
        real = np.array(store.frames[start : start + corpus.clip(name).frames])
        boxes = region_boxes(corpus.column("landmarks", name), corpus.size)
        head = torch.from_numpy(head_values(corpus, name))
        with torch.inference_mode():
            latents = avatar.motion(features[name][None].float(), head[None]).latents[0]
        made = {
            "codec": np.stack(list(avatar.reconstruct(iter(real)))),
            "speech_given_pose": np.concatenate([avatar.decode(part) for part in latents.split(8)]),
            "mean_frame": np.repeat(real.mean(0, keepdims=True).round().astype(np.uint8), len(real), 0),
        }
        for kind, frames in made.items():
            totals[kind].append(region_figures(frames, real, boxes))
        if done == 0:
            write_png(out / "training" / "held-out.png", montage([real, made["codec"], made["speech_given_pose"]]))
            write_png(out / "preview.png", made["codec"][len(real) // 2])
        report("measuring", done + 1, len(names))
    return {kind: {key: round(float(np.mean([f[key] for f in figures])), 4) for key in figures[0]} for kind, figures in totals.items()}
