"""What each part of the motion model is worth: motion models trained with one thing changed, on one
avatar's frozen codec.

    python benchmarks/ablations.py CORPUS -o FOLDER [--avatar default] [--frames 600000] [--clips
    20] [--only NAME ...]

CORPUS is the prepared corpus that the avatar was trained on. "As it is" is the recipe of the
avatar's own motion models. Every variant is trained from nothing on the same number of frames and
speaks the same held-out clips, with the measured pose (and the clip's look) and with the predicted
one. The mouth is not enlarged (amplitude 1). Interrupted, it goes on where it was; variants that
FOLDER/ablations.json tells of are not made again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from talkers import Avatar
from talkers.artefacts.files import atomic
from talkers.corpus import Corpus
from talkers.corpus.splits import held_out
from talkers.corpus.views import head_values
from talkers.evaluation.contract import Utterance
from talkers.evaluation.metrics import load_metrics
from talkers.evaluation.tracked import track_clip
from talkers.evaluation.variants import MotionKind, features_at_frames, speak_freely
from talkers.experts.rate import frames_at_rate
from talkers.experts.words import sentence_of_name
from talkers.face.regions import region_boxes, region_figures
from talkers.hardware import machine
from talkers.motion import MotionModel
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
    "no pose adaptor": ["motion.regressor.pose_adaptor=false"],
    "log-mel": ["speech.encoder=log-mel", "speech.layers=[]", "stages.regressor.tts_voices=[]"],
    "6 minutes": ["minutes=6"],
    "no other voices": ["stages.regressor.augmented_weight=0"],
    "no other rhythms": ["stages.regressor.time_warp_fraction=0"],
    "no expert as loss": ["stages.regressor.sync_weight=0"],
    "lip reader as loss": ["stages.regressor.sync_weight=0", "stages.regressor.lips_weight=0.3"],
    "sampler": [],
}
FIGURES = (
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
    name: str,
    corpus: Corpus,
    latents: dict[str, torch.Tensor],
    folder: Path,
) -> Avatar:
    """The avatar of that name with a motion model of this recipe, trained, and no other."""
    run, avatar = Run(corpus, recipe, folder, latents=latents), Avatar.load(name)
    key = "flow" if kind == "sampler" else "regressor"
    model = run_stage((FlowStage if key == "flow" else RegressorStage)(recipe.stage(key)), run)
    assert isinstance(model, MotionModel)
    engine, width = avatar.engine, run.motion_data.feature_width
    engine.bundle = dataclasses.replace(
        engine.bundle, recipe=recipe, speech_width=width, calibration={}
    )
    engine.recipe, engine.motion = recipe, {key: model.eval().requires_grad_(False).cpu()}
    return avatar


def scores(
    avatar: Avatar, corpus: Corpus, names: list[str], kind: str
) -> dict[str, dict[str, float]]:
    """Figures with the measured and the predicted pose, means over clips."""
    motion_kind: MotionKind = "sampler" if kind == "sampler" else "regressor"
    rows: dict[str, list[dict[str, float]]] = {"measured pose": [], "predicted pose": []}
    metrics, engine = load_metrics(), avatar.engine
    for name in names:
        real, samples = corpus.frames(name), corpus.audio(name)
        head = torch.from_numpy(head_values(corpus, name))
        features = features_at_frames(avatar, samples, len(real))
        appearance = engine.estimate_appearance(avatar.encode(real), features, head, motion_kind)
        motion = engine.generate(features, head, kind=motion_kind, appearance=appearance)
        generated = {
            "measured pose": avatar.decode(motion),
            "predicted pose": speak_freely(avatar, samples, len(real), 0, motion_kind),
        }
        at = frames_at_rate(len(real), corpus.rate)
        speech = np.asarray(corpus.column("speech", name), bool)[at]
        reference = track_clip(real[at])
        utterance = Utterance(samples, speech, sentence_of_name(name))
        boxes = region_boxes(corpus.column("landmarks", name), corpus.size)
        for pose, frames in generated.items():
            found = metrics.score(track_clip(frames[at]), reference, utterance).figures
            rows[pose].append(region_figures(frames, real, boxes) | found)
    return {
        pose: {k: round(float(np.nanmean([r[k] for r in found])), 3) for k in FIGURES}
        for pose, found in rows.items()
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
    codec = base.engine.renderer
    assert isinstance(codec, torch.nn.Module)
    codec.float()  # in full precision, as training encodes
    latents = frame_latents(codec, FrameStore(corpus), corpus.names, quiet) if left else {}
    for kind in left:
        frames = [f"stages.{stage}.frames={options.frames}" for stage in ("regressor", "flow")]
        recipe = with_settings(base.engine.recipe, [*VARIANTS[kind], *frames])
        folder = options.output / base.digest[:8] / kind.replace(" ", "-")
        avatar = trained(kind, recipe, options.avatar, corpus, latents, folder)
        table[kind] = scores(avatar, corpus, names, kind)
        print(json.dumps({kind: table[kind]}), flush=True)
        with atomic(path) as temporary:
            temporary.write_text(
                json.dumps({"machine": machine()} | asked | {"ablations": table}, indent=1) + "\n"
            )


if __name__ == "__main__":
    main()
