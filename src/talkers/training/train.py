"""Corpus -> avatar: both stages, then the bundle with its own held-out figures."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from talkers.artefacts.documents import read_json, write_json
from talkers.artefacts.files import UNFINISHED, unfinished
from talkers.artefacts.weights import write_weights
from talkers.corpus import Corpus
from talkers.corpus.splits import held_out, training_clips
from talkers.corpus.views import face_scale, head_values
from talkers.errors import ArtefactError, ResourceError, UsageError
from talkers.face.landmarks import mouth_opening
from talkers.face.regions import region_boxes, region_figures
from talkers.hardware import machine
from talkers.media import write_png
from talkers.media.montage import montage
from talkers.motion import FlowMotion, Speech2Latent
from talkers.progress import Report, quiet
from talkers.renderers.diffusion_autoencoder import DiffusionAutoencoder
from talkers.runtime.avatar import Avatar
from talkers.runtime.bundle import FORMAT_VERSION, avatar_folder, read_about
from talkers.space.linear import HEAD
from talkers.speech.streaming import StreamingSpeechEncoder
from talkers.systems import recipe as recipes
from talkers.systems.recipe import Recipe
from talkers.training.calibrate import calibrate, pose_share
from talkers.training.checkpoint import reached
from talkers.training.codec_stage import train_codec
from talkers.training.flow_stage import train_sampler
from talkers.training.frames import FrameStore
from talkers.training.motion_data import MotionData, speech_features
from talkers.training.regressor_stage import refit_appearance, train_motion
from talkers.training.runner import latest_checkpoint
from talkers.training.speech_stage import heard_sounds, train_listener
from talkers.version import __version__

BLINK = HEAD.index("blink")
log = logging.getLogger(__name__)
SHARES = {"codec": 0.57, "motion": 0.15, "sampler": 0.15, "listener": 0.13}
"""Of a time budget, once speech is heard and what measuring will take is put aside: for each stage (with the latents that motion is learnt from)."""
MEASURING = 180.0  # seconds that calibrating and measuring a finished avatar takes; of short budgets a tenth
LEAST = 30.0  # seconds of training below which a stage hardly learns


def start_folder(
    out: Path, recipe: Recipe, corpus: Corpus, budget: float | None, resume: bool
) -> tuple[Path, float | None]:
    """The folder of a training's state, new or to be resumed, and its budget in seconds.

    Raises:
        ArtefactError, UsageError: there is something else, or a training and no wish to resume it, or another recipe.
        ResourceError: the folder cannot be made.
    """
    state = out / "training"
    begun, wanted = state / "recipe.json", {**recipes.to_dict(recipe), "data": corpus.digest()}
    if begun.exists():
        if not resume:
            raise UsageError(
                "a training has begun here",
                where=out,
                todo="Add --resume to go on with it, or choose another folder",
            )
        known = read_json(begun)
        before = known.pop("budget", None)
        if known != json.loads(json.dumps(wanted)):
            raise UsageError(
                "the training that has begun here has another recipe or corpus",
                where=out,
                todo="Use the same --recipe, --set and corpus, or choose another folder",
            )
        for left in unfinished(out):
            left.unlink(missing_ok=True)
        if budget and budget != before:
            write_json(begun, {**known, "budget": budget})
        return state, budget or before
    held = (
        p for p in out.rglob("*") if p.is_file() and not p.match(UNFINISHED)
    )  # one killed at its very beginning holds nothing
    if out.is_file() or next(held, None) is not None:
        raise ArtefactError(
            "this is not an empty folder", where=out, todo="Choose a new folder for the avatar"
        )
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            "the avatar's folder cannot be made",
            where=out,
            why=error.strerror,
            todo="Choose a folder that can be written",
        ) from error
    write_json(begun, {**wanted, "budget": budget})
    return state, budget


class TimeBudget:
    """Divides a budget of time among the stages of a training: each is given its share of what is left when it begins, so
    that what was prepared before it counts too. What a stage was given is kept beside the checkpoints, and holds when the
    training goes on, unless with another budget: then stages that are not finished, or hardly learnt, are given anew, and all
    of them if all are finished."""

    def __init__(self, folder: Path, budget: float | None, stages: Sequence[str]):
        """stages: those that will be trained, in the order of SHARES."""
        self.path, self.budget = folder / "budget.json", budget
        self.shares = {stage: share for stage, share in SHARES.items() if stage in stages}
        self.spent = (
            {stage: float(told["seconds"]) for stage, told in spent_on(folder).items()}
            if budget
            else {}
        )
        given = self._given()
        if given and given["budget"] != budget:
            stages_given = {s: v for s, v in given.items() if s != "budget"}
            finished = {
                s: v
                for s, v in stages_given.items()
                if self.spent.get(s, 0.0) >= v["seconds"] >= LEAST
            }
            given = {"budget": budget, **(finished if len(finished) < len(self.shares) else {})}
        before = [v["from"] + self.spent.get(s, 0.0) for s, v in given.items() if s != "budget"]
        self.begun = time.monotonic() - max([sum(self.spent.values()), *before])
        self.kept = given or {"budget": budget}

    def _given(self) -> dict[str, Any]:
        """What is kept: the budget, and for each stage that has begun, from which second on it was given how many."""
        if not self.path.exists():
            return {}
        given = read_json(self.path)
        numbers = [
            given.get("budget"),
            *(
                v.get(k) if isinstance(v, dict) else None
                for s, v in given.items()
                if s != "budget"
                for k in ("from", "seconds")
            ),
        ]
        if not all(isinstance(n, (int, float)) and 0 <= n < math.inf for n in numbers):
            raise ArtefactError(
                "this file is damaged",
                where=self.path,
                todo="Remove it: the time that is left will be divided anew",
            )
        return given

    def __call__(self, stage: str) -> float | None:
        """Seconds of training for a stage that begins now."""
        if self.budget is None:
            return None
        while stage not in self.kept:
            if (
                os.environ.get("LOCAL_RANK", "0") != "0"
            ):  # all processes go by what the first one says
                time.sleep(0.2)
                known = self._given()
                self.kept = known if known.get("budget") == self.budget else self.kept
                continue
            stages = list(self.shares)
            rest = sum(self.shares[s] for s in stages[stages.index(stage) :])
            now = time.monotonic() - self.begun
            left = self.budget - now - min(MEASURING, self.budget / 10)
            seconds = max(1.0, left * self.shares[stage] / rest)
            if seconds < LEAST:
                log.warning(
                    "the budget leaves %.0f s for training the %s, which will hardly learn; --resume with a larger one goes on",
                    seconds,
                    stage,
                )
            before = self.spent.get(stage, 0.0)
            self.kept[stage] = {
                "from": round(max(0.0, now - before), 1),
                "seconds": round(before + seconds, 1),
            }
            write_json(self.path, self.kept)
        return float(self.kept[stage]["seconds"])


def check_fit(recipe: Recipe, corpus: Corpus) -> None:
    """Raises ArtefactError when a corpus is not of a recipe's size and rate, or too short to train on."""
    if corpus.size != recipe.codec.size or corpus.rate != recipe.rate:
        raise ArtefactError(
            f"this corpus has {corpus.size} px at {corpus.rate} fps, the recipe '{recipe.name}' needs {recipe.codec.size} px at {recipe.rate} fps",
            where=corpus.folder,
            todo=f"Prepare it again: `talkers prepare FOOTAGE -o CORPUS --size {recipe.codec.size}`",
        )
    if sum(c.frames for c in corpus.clips) < 50:
        raise ArtefactError(
            "this corpus is too short to train on",
            where=corpus.folder,
            why="it has fewer than 50 frames",
            todo="Prepare more footage",
        )


def train(
    corpus: Corpus,
    out: Path,
    recipe: Recipe,
    budget: float | None = None,
    resume: bool = False,
    report: Report = quiet,
    command: str = "",
    trainer_options: dict[str, Any] | None = None,
    start: Path | None = None,
    consent: str | None = None,
    licence: str | None = None,
) -> Avatar | None:
    """Train an avatar, or go on with one that was interrupted.

    Args:
        corpus: prepared footage of one person.
        out: the avatar's folder; its `training` subfolder holds checkpoints, montages and metrics.jsonl.
        budget: seconds for everything, or None for the recipe's frames.
        resume: go on with the training that is in `out`.
        command: kept in avatar.json.
        start: an avatar or training of the same recipe whose codec is begun with, and whose other models where they fit.
        consent, licence: kept in avatar.json (default: those of the corpus).

    Returns:
        the avatar, as it was saved (None in the helping processes of a training on several devices).
    """
    check_fit(recipe, corpus)
    sampler, listener = kept(start, recipe)
    first = (
        os.environ.get("LOCAL_RANK", "0") == "0"
    )  # the other processes of a training on several devices join it
    folder, budget = start_folder(out, recipe, corpus, budget, resume or not first)
    asked = {
        "codec": 1,
        "motion": 1,
        "sampler": recipe.sampler_training.frames,
        "listener": recipe.listener_training.frames,
    }
    clock = TimeBudget(folder, budget, [stage for stage, frames in asked.items() if frames])
    speech_features(
        corpus, recipe, report
    )  # before all else: what it costs is known when the codec is given its time
    if asked["listener"]:
        heard_sounds(corpus, recipe, report)
    codec = train_codec(corpus, recipe, folder, clock("codec"), report, trainer_options, start)
    clips = [*training_clips(corpus, recipe.minutes), *held_out(corpus.names)]
    data = MotionData.collect(corpus, clips, FrameStore(corpus, report), codec, recipe, report)
    motion = train_motion(
        corpus, recipe, data, folder, clock("motion"), report, trainer_options, start
    )
    if asked["sampler"]:
        sampler = train_sampler(
            corpus, recipe, data, folder, clock("sampler"), report, trainer_options, start
        )
    elif (
        sampler is not None
    ):  # its network is kept; what is only measured on the footage is measured on this one
        refit_appearance(sampler, corpus, recipe, data)
    if asked["listener"]:
        listener = train_listener(
            corpus,
            recipe,
            heard_sounds(corpus, recipe, report),
            motion,
            folder,
            clock("listener"),
            report,
            trainer_options,
            start,
        )
    terms = {
        "consent": consent or corpus.about.get("consent"),
        "licence": licence or corpus.about.get("licence"),
    }
    return (
        save_avatar(
            out,
            recipe,
            corpus,
            codec,
            MotionModels(motion, sampler, listener),
            command,
            start,
            terms,
            report,
        )
        if first
        else None
    )


def kept(
    start: Path | None, recipe: Recipe
) -> tuple[FlowMotion | None, StreamingSpeechEncoder | None]:
    """What is not trained, where it shall see 0 frames, but taken from a finished avatar that a training begins with: its
    sampler, if the codec is kept too, and its listener, if the speech encoder is the same.

    Raises:
        ArtefactError: that avatar is damaged.
    """
    taught = recipe.sampler_training.frames and recipe.listener_training.frames
    if (
        start is None
        or taught
        or ((start / "training").is_dir() and not (start / "avatar.json").exists())
    ):
        return None, None
    other = Avatar.load(start, "cpu")
    speech, codec, sampler, listener = (
        getattr(other.recipe, part) == getattr(recipe, part)
        for part in ("speech", "codec", "sampler", "listener")
    )
    kept_codec = codec and not recipe.codec_training.frames
    return (
        other.sampler if speech and sampler and kept_codec else None,
        other.listener if speech and listener else None,
    )


def spent_on(folder: Path) -> dict[str, Any]:
    """Frames seen and seconds of the stages of a training."""
    spent: dict[str, Any] = {}
    for stage in ("codec", "motion", "sampler", "listener"):
        if (newest := latest_checkpoint(folder, stage)) is not None:
            pace = reached(newest)
            spent[stage] = {"frames_seen": pace.seen, "seconds": round(pace.spent, 1)}
    return spent


def begun_with(start: Path) -> dict[str, Any]:
    """What a training began with: the command, settings and extent of the other one, and what that one began with."""
    said: dict[str, Any] = {}
    with suppress(ArtefactError):  # a training that is not finished
        known = read_about(avatar_folder(start))
        said = {
            k: known[k]
            for k in ("command", "seed", "training", "begun_with")
            if known.get(k) is not None
        }
        said |= {k: v for k, v in known.get("recipe", {}).items() if k.endswith("_training")}
    settings = start / "training" / "recipe.json"
    if settings.is_file():
        said["codec_training"] = read_json(settings).get("codec_training")
    said |= spent_on(start / "training").get("codec", {})
    return said


def follows(heads: NDArray[np.float32]) -> NDArray[np.float32]:
    """By how much position and scale change with each angle: head values [N, 7] -> [3, 3]."""
    moved = heads - heads.mean(0)
    ridge = 1e-3 * np.eye(3) * max(float(np.square(moved[:, :3]).mean()), 1e-6)
    return np.asarray(
        np.linalg.solve(
            moved[:, :3].T @ moved[:, :3] / len(moved) + ridge,
            moved[:, :3].T @ moved[:, 3:6] / len(moved),
        ),
        np.float32,
    )


class MotionModels(NamedTuple):
    """What moves an avatar's face."""

    motion: Speech2Latent
    sampler: FlowMotion | None
    listener: StreamingSpeechEncoder | None


def save_avatar(
    out: Path,
    recipe: Recipe,
    corpus: Corpus,
    codec: DiffusionAutoencoder,
    movers: MotionModels,
    command: str,
    start: Path | None,
    terms: dict[str, str | None],
    report: Report,
) -> Avatar:
    """Write the bundle, measure it on the held-out clips, and write the figures into it."""
    test = held_out(corpus.names)
    names = [n for n in training_clips(corpus, recipe.minutes) if corpus.column("face", n).any()]
    heads = np.concatenate(
        [head_values(corpus, n)[np.asarray(corpus.column("face", n), bool)] for n in names]
    )
    low, high = np.percentile(heads, [1, 99], axis=0)
    features = next(iter(speech_features(corpus, recipe, report).values())).shape[-1]
    write_weights(out / "codec.safetensors", codec.state_dict(), recipe.weights)
    for part, model in movers._asdict().items():
        if model is not None:
            write_weights(out / f"{part}.safetensors", model.state_dict(), recipe.weights)
    seconds = float(sum(corpus.clip(n).frames for n in names) / corpus.rate)
    about: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "talkers": __version__,
        "recipe": recipes.to_dict(recipe),
        "speech": {"encoder": recipe.speech.encoder, "width": features},
        "head": {
            "names": HEAD,
            "follows": follows(heads).tolist(),
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
            "held_out": test,
            "sources": sorted({corpus.clip(n).sha256[:16] for n in names}),
            "licence": terms["licence"],
        },
        "consent": terms["consent"],
        "command": command,
        "training": spent_on(out / "training"),
        "begun_with": begun_with(start) if start else None,
        "seed": recipe.seed,
        "machine": machine(),
    }
    write_json(out / "avatar.json", about)
    avatar = Avatar.load(out)
    shown = FrameStore(corpus, report)
    middle = shown.indices((test or names)[:1])
    write_png(
        out / "preview.png",
        next(avatar.reconstruct(iter([np.array(shown.frames[middle[len(middle) // 2]])]))),
    )
    few = names[:: max(1, len(names) // 4)][:4]
    about["articulation"] = calibrate(avatar, corpus, few, report)
    if movers.sampler is not None:
        about["sampler_articulation"] = calibrate(avatar, corpus, few, report, "sampler")
        about["sampler_pose"] = pose_share(
            avatar, corpus, names[:: max(1, len(names) // 40)][:40], report
        )
    avatar.about = about
    if test:
        about["metrics"] = {
            "of": "held-out clips, as the saved avatar makes them, pose and look given",
            **measure(avatar, corpus, test[:8], out, report),
        }
    write_json(out / "avatar.json", about)
    return avatar


def measure(
    avatar: Avatar, corpus: Corpus, names: list[str], out: Path, report: Report
) -> dict[str, Any]:
    """Figures of the codec alone and of speech with measured pose, beside the clip's mean frame; also the preview."""
    features = speech_features(corpus, avatar.recipe, report)
    store = FrameStore(corpus, report)
    totals: dict[str, list[dict[str, float]]] = {
        "codec": [],
        "speech_given_pose": [],
        "mean_frame": [],
    }
    for done, name in enumerate(names):
        start = store.start[name]
        real = np.array(store.frames[start : start + corpus.clip(name).frames])
        boxes = region_boxes(corpus.column("landmarks", name), corpus.size)
        head = torch.from_numpy(head_values(corpus, name))
        heard = features[name][0].float()
        latents = avatar.latents(
            heard, head, look=avatar.estimate_appearance(avatar.encode(real), heard, head)
        )
        made = {
            "codec": np.stack(list(avatar.reconstruct(iter(real)))),
            "speech_given_pose": avatar.decode(latents),
            "mean_frame": np.repeat(
                real.mean(0, keepdims=True).round().astype(np.uint8), len(real), 0
            ),
        }
        for kind, frames in made.items():
            totals[kind].append(region_figures(frames, real, boxes))
        if done == 0:
            telling = {
                int(mouth_opening(corpus.column("landmarks", name)).argmax()),
                int(head[:, BLINK].argmax()),
            }  # widest mouth, eyes closed
            shown = sorted(
                telling.union(
                    np.linspace(0, len(real) - 1, 8 - len(telling)).round().astype(int).tolist()
                )
            )
            rows = [clip[shown] for clip in (real, made["codec"], made["speech_given_pose"])]
            write_png(out / "training" / "held-out.png", montage(rows, len(shown)))
        report("measuring", done + 1, len(names))
    return {
        kind: {key: round(float(np.mean([f[key] for f in figures])), 4) for key in figures[0]}
        for kind, figures in totals.items()
    }
