"""A tiny recipe really learns, and says how well; what does not fit it is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from talkers.corpus import Corpus
from talkers.errors import ArtefactError, UsageError
from talkers.runtime.avatar import Avatar
from talkers.systems.dae_talker import tiny
from talkers.training.folder import start_folder
from talkers.training.train import TrainOptions, train

FORMAT_3 = Path(__file__).parents[1] / "data" / "format-3"


def test_the_tiny_recipe_learns_the_speaker(tiny_avatar: Avatar) -> None:
    figures = tiny_avatar.about["metrics"]
    assert figures["codec"]["psnr"] > figures["mean_frame"]["psnr"] + 4
    assert figures["codec"]["mouth_r2"] > 0.8  # the mouth moves as it should
    assert figures["codec"]["eye_r2"] > 0.5
    assert figures["speech_given_pose"]["mouth_r2"] > 0.3  # and moves with the speech
    assert abs(figures["mean_frame"]["mouth_r2"]) < 0.01


def test_training_leaves_what_people_look_at(tiny_avatar: Avatar) -> None:
    state = tiny_avatar.engine.folder / "training"
    lines = [json.loads(line) for line in (state / "metrics.jsonl").read_text().splitlines()]
    assert {"train", "validation"} == {line["kind"] for line in lines}
    # frames are counted anew by every stage, and never backwards within one
    for settings in tiny().stages:
        frames = [line["frames"] for line in lines if line["stage"] == settings.type]
        assert frames == sorted(frames)
        assert 0 < frames[0] < settings.frames
        assert frames[-1] >= settings.frames
    assert list(state.glob("codec-*.png"))
    assert (state / "held-out.png").exists()
    assert not list(tiny_avatar.engine.folder.rglob("*.partial*"))


def test_a_training_is_not_overwritten_and_resumes_only_with_its_own_recipe(
    tiny_avatar: Avatar, corpus: Corpus
) -> None:
    with pytest.raises(UsageError, match="--resume"):
        train(corpus, tiny_avatar.engine.folder, tiny())
    with pytest.raises(UsageError, match="another recipe"):
        train(
            corpus,
            tiny_avatar.engine.folder,
            dataclasses.replace(tiny(), seed=5),
            TrainOptions(resume=True),
        )


def test_a_corpus_of_the_wrong_size_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    from talkers.systems.dae_talker import compact

    with pytest.raises(ArtefactError, match="--size 256"):
        train(corpus, tmp_path / "a", compact())
    assert not (tmp_path / "a").exists()


def test_what_a_killed_writing_of_an_avatar_left_is_removed(corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "avatar"
    start_folder(out, tiny(), corpus, None, False)
    (out / ".0123abcd.partial.safetensors").write_bytes(b"half")
    with pytest.raises(UsageError, match="has begun"):
        start_folder(out, tiny(), corpus, None, False)
    assert len(list(out.iterdir())) == 2  # whoever is refused changes nothing
    start_folder(out, tiny(), corpus, None, True)
    assert [p.name for p in out.iterdir()] == ["training"]
