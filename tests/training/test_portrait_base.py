"""A base for portraits is trained on many people, and measured on people it has not seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import speaker
from talkers.artefacts.documents import write_json
from talkers.corpus import Corpus
from talkers.corpus.splits import (
    clips_apart_of_judges,
    held_out,
    held_out_clips,
    held_out_people,
    training_clips,
)
from talkers.errors import UsageError
from talkers.experts import ExpertConfig
from talkers.runtime.avatar import Avatar
from talkers.runtime.bundle import base_folder
from talkers.space.face_motion import FaceMotionSpace
from talkers.systems.portrait import tiny_portrait
from talkers.systems.recipe import with_settings
from talkers.training.expert_stage import ExpertTraining, train_expert
from talkers.training.save import Terms, spoken_clips
from talkers.training.space_fit import face_motions
from talkers.training.train import TrainOptions, train

PEOPLE = ["ada", "bob", "carl", "dan", "eve", "s22"]
SHORT = (
    "stages.warp.frames=960",
    "stages.warp.validate_every=960",
    "stages.warp.ema=0.9",
    "stages.warp.critic_weight=0.05",
    "stages.warp.points_weight=0.5",
    "renderer.tone=true",
    "stages.regressor.frames=2000",
    "stages.flow.frames=2000",
    "stages.streaming_encoder.frames=2000",
)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """One clip of each of six people, who all look like the procedural speaker."""
    folder = tmp_path_factory.mktemp("people")
    speaker.make_corpus(folder, clips=len(PEOPLE), frames=50)
    about = json.loads((folder / "corpus.json").read_text())
    for clip, name in zip(about["clips"], PEOPLE, strict=True):
        clip["speaker"] = name
    write_json(folder / "corpus.json", about)
    return Corpus(folder)


def test_whole_people_are_held_out(people: Corpus) -> None:
    assert held_out_people([f"s{k}" for k in range(1, 35)])[:3] == ["s10", "s11", "s18"]
    assert held_out_people(PEOPLE) == ["s22"]
    assert held_out_clips(people) == ["clip5"]
    assert training_clips(people) == [f"clip{k}" for k in range(5)]


def test_judges_know_neither_strangers_nor_the_clips_that_avatars_are_judged_by(
    people: Corpus,
) -> None:
    assert clips_apart_of_judges(people) == {
        "people_never_seen": ["clip5"],
        "clips_never_seen": [n for n in held_out(people.names) if n != "clip5"],
    }
    assert held_out(people.names) != ["clip5"]
    alone = Corpus(people.folder)
    alone.clips = [replace(clip, speaker="ada") for clip in people.clips]
    assert clips_apart_of_judges(alone) == {"clips_never_seen": held_out(people.names)}


def test_judges_of_many_people_say_what_they_are_worth_for_strangers(
    people: Corpus, tmp_path: Path
) -> None:
    config = ExpertConfig("sync", "points", width=16)
    settings = ExpertTraining(frames=400, batch=2, window=40, validate_every=400, save_every=400)
    expert = train_expert(people, tmp_path, config, settings)
    apart = clips_apart_of_judges(people)
    assert expert.about["metrics"]["people_never_seen"]["clips"] == 1
    assert expert.about["metrics"].keys() == {what for what, clips in apart.items() if clips}
    assert expert.about["data"]["held_out"] == sorted(
        clip for clips in apart.values() for clip in clips
    )


def test_somebody_is_left_to_train_on(people: Corpus) -> None:
    apart = ["s10", "s11", "s18", "s22"]  # whose names would hold all of them out
    clips = [replace(c, speaker=s) for c, s in zip(people.clips, apart, strict=False)]
    both = Corpus(people.folder)
    both.clips = clips
    assert held_out_people(apart) == apart
    assert held_out_clips(both) == ["clip0", "clip1"]


def test_a_renderer_and_a_space_of_other_widths_are_told_at_once(
    people: Corpus, tmp_path: Path
) -> None:
    recipe = with_settings(tiny_portrait(), ["space.mouth=10"])
    with pytest.raises(UsageError, match="33 numbers"):
        train(people, tmp_path / "base", recipe)


def test_films_without_speech_do_not_tell_how_heads_move(
    people: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spoken_clips(people, ["clip0", "clip1"]) == ["clip0", "clip1"]
    column = Corpus.column

    def silent(corpus: Corpus, kind: str, name: str) -> np.ndarray:
        values = np.array(column(corpus, kind, name))
        return values & (name != "clip0") if kind == "speech" else values

    monkeypatch.setattr(Corpus, "column", silent)
    assert spoken_clips(people, ["clip0", "clip1"]) == ["clip1"]
    assert spoken_clips(people, ["clip0"]) == ["clip0"]


@pytest.mark.long
def test_a_base_is_trained_on_many_people(people: Corpus, tmp_path: Path) -> None:
    recipe = with_settings(tiny_portrait(), SHORT)
    avatar = train(people, tmp_path / "base", recipe, TrainOptions(terms=Terms("pytest")))
    assert avatar is not None
    assert avatar.engine.identity is None
    assert avatar.about["data"]["held_out"] == ["clip5"]
    metrics = avatar.about["metrics"]
    # the mouth of somebody never seen: painted better than the picture stands still
    assert metrics["portrait"]["mouth_r2"] > metrics["picture"]["mouth_r2"] + 0.3
    assert metrics["portrait"]["mouth_r2"] > metrics["mesh_warp"]["mouth_r2"]
    assert metrics["portrait"]["psnr_mouth"] > metrics["mesh_warp"]["psnr_mouth"]
    assert (tmp_path / "base" / "training" / "held-out.png").exists()
    with safe_open(tmp_path / "base" / "renderer.safetensors", "np") as weights:
        names = list(weights.keys())
    assert "mouth.tone.weight" in names
    assert not any("critic" in name for name in names)


def test_frames_without_a_face_spoil_no_clip(
    people: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their key points are zeros in a corpus."""
    space = Avatar.load(base_folder()).engine.space
    assert isinstance(space, FaceMotionSpace)
    whole = face_motions(space, people, ["clip0"])["clip0"]
    column = Corpus.column

    def lost(corpus: Corpus, kind: str, name: str) -> np.ndarray:
        values = np.array(column(corpus, kind, name))
        if kind in ("face", "landmarks"):
            values[:6] = 0
        return values

    monkeypatch.setattr(Corpus, "column", lost)
    motion = face_motions(space, people, ["clip0"])["clip0"]
    assert motion.isfinite().all()
    assert torch.allclose(motion[6:, :6], whole[6:, :6], atol=0.5)
