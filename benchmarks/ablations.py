"""What each part of the motion model is worth: motion models trained with one thing changed, on one avatar's frozen codec.

    python benchmarks/ablations.py CORPUS -o FOLDER [--avatar default] [--frames 600000] [--clips 20] [--only NAME ...]

CORPUS is the prepared corpus that the avatar was trained on. "As it is" is the recipe of the avatar's own motion models. Every
variant is trained from nothing on the same number of frames and speaks the same held-out clips, with the measured pose (and
the clip's look) and with the predicted one. The mouth is not enlarged (amplitude 1). Interrupted, it goes on where it was;
variants that FOLDER/ablations.json tells of are not made again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from talkers import Avatar, Controls
from talkers.artefacts.files import atomic
from talkers.corpus import Corpus
from talkers.corpus.splits import held_out
from talkers.corpus.views import head_values
from talkers.evaluation.metrics import load_metrics
from talkers.evaluation.tracked import track_clip
from talkers.evaluation.variants import AnyMotionModel, features_at_frames
from talkers.experts.words import sentence_of_name
from talkers.face.regions import region_boxes, region_figures
from talkers.hardware import machine
from talkers.progress import quiet
from talkers.systems.recipe import Recipe, with_settings
from talkers.training.contract import Run
from talkers.training.flow_stage import FlowStage
from talkers.training.frames import FrameStore
from talkers.training.motion_data import frame_latents
from talkers.training.regressor_stage import RegressorStage
from talkers.training.runner import run_stage

VARIANTS: dict[str, list[str]] = {
    "as it is": [],
    "no pose adaptor": ["motion.pose_adaptor=false"],
    "log-mel": ["speech.encoder=log-mel", "speech.layers=[]", "motion_training.synthetic=[]"],
    "6 minutes": ["minutes=6"],
    "no other voices": ["motion_training.voices_share=0"],
    "no other rhythms": ["motion_training.rhythms_share=0"],
    "no expert as loss": ["motion_training.sync_weight=0"],
    "lip reader as loss": ["motion_training.sync_weight=0", "motion_training.lips_weight=0.3"],
    "sampler": [],
}
SHOWN = (
    "mouth_r2",
    "lip_wer",
    "lip_wer_points",
    "in_sync",
    "in_sync_points",
    "articulation",
    "lmd_mouth",
    "bilabial_closure",
    "pose_std_ratio",
    "pose_speed_ratio",
)


def trained(
    kind: str,
    recipe: Recipe,
    base: Avatar,
    corpus: Corpus,
    latents: dict[str, torch.Tensor],
    folder: Path,
) -> Avatar:
    """The avatar with a motion model of this recipe."""
    run = Run(corpus, recipe, folder, latents=latents)
    about = base.about | {
        "speech": {"encoder": recipe.speech.encoder, "width": run.motion_data.feature_width},
        "articulation": 1.0,
        "sampler_articulation": 1.0,
    }
    motion, sampler = base.motion, None
    if kind == "sampler":
        sampler = run_stage(FlowStage(recipe.sampler_training), run)
    else:
        motion = run_stage(RegressorStage(recipe.motion_training), run)
    return Avatar(base.folder, about, recipe, base.codec, motion, sampler, None, base.device)


def scores(
    avatar: Avatar, corpus: Corpus, names: list[str], kind: str
) -> dict[str, dict[str, float]]:
    """Figures with the measured and the predicted pose, means over clips."""
    motion_model: AnyMotionModel = "sampler" if kind == "sampler" else "regressor"
    rows: dict[str, list[dict[str, float]]] = {"measured pose": [], "predicted pose": []}
    judges = load_metrics()
    for name in names:
        real, samples = corpus.frames(name), corpus.audio(name)
        head = torch.from_numpy(head_values(corpus, name))
        heard = features_at_frames(avatar, samples, len(real))
        look = avatar.estimate_appearance(avatar.encode(real), heard, head, motion_model)
        spoken = np.stack(list(avatar.speak(samples, controls=Controls(motion=motion_model))))
        spoken = np.concatenate(
            [spoken, np.repeat(spoken[-1:], max(0, len(real) - len(spoken)), 0)]
        )[: len(real)]
        made = {
            "measured pose": avatar.decode(
                avatar.latents(heard, head, look=look, kind=motion_model)
            ),
            "predicted pose": spoken,
        }
        seen, sentence = track_clip(real), sentence_of_name(name)
        boxes, speech = (
            region_boxes(corpus.column("landmarks", name), corpus.size),
            np.asarray(corpus.column("speech", name), bool),
        )
        for pose, frames in made.items():
            told = judges.judge(
                track_clip(frames),
                seen,
                samples,
                speech,
                sentence,
                judges.align_phones(samples, sentence),
            ).figures
            rows[pose].append(region_figures(frames, real, boxes) | told)
    return {
        pose: {k: round(float(np.nanmean([r[k] for r in told])), 3) for k in SHOWN}
        for pose, told in rows.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--avatar", default="default")
    parser.add_argument("--frames", type=int, default=600_000)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    options = parser.parse_args()
    base, corpus = Avatar.load(options.avatar), Corpus(options.corpus)
    names, path = held_out(corpus.names)[: options.clips], options.output / "ablations.json"
    asked = {"avatar": base.digest, "frames": options.frames, "clips": names}
    told = json.loads(path.read_text()) if path.exists() else {}
    table = told["ablations"] if {k: told.get(k) for k in asked} == asked else {}
    left = [k for k in options.only if k not in table]
    plain = Avatar.load(options.avatar)  # in full precision, as training encodes
    latents = (
        frame_latents(plain.codec.float(), FrameStore(corpus), corpus.names, quiet) if left else {}
    )
    for kind in left:
        recipe = with_settings(base.recipe, VARIANTS[kind])
        motion = dataclasses.replace(recipe.motion_training, frames=options.frames)
        recipe = dataclasses.replace(
            recipe,
            motion_training=motion,
            sampler_training=dataclasses.replace(recipe.sampler_training, frames=options.frames),
        )
        avatar = trained(
            kind,
            recipe,
            base,
            corpus,
            latents,
            options.output / base.digest[:8] / kind.replace(" ", "-"),
        )
        table[kind] = scores(avatar, corpus, names, kind)
        print(json.dumps({kind: table[kind]}), flush=True)
        with atomic(path) as temporary:
            temporary.write_text(
                json.dumps({"machine": machine()} | asked | {"ablations": table}, indent=1) + "\n"
            )


if __name__ == "__main__":
    main()
