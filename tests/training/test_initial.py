"""Training begins with another avatar, or keeps parts of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from talkers.corpus import Corpus
from talkers.errors import ArtefactError, UsageError
from talkers.runtime.avatar import Avatar
from talkers.runtime.components import build_component
from talkers.speech import StreamingEncoderConfig, StreamingSpeechEncoder
from talkers.systems.dae_talker import tiny
from talkers.systems.recipe import Recipe, with_settings
from talkers.training.checkpoint import SafetensorsCheckpointIO
from talkers.training.codec_stage import CodecStage
from talkers.training.contract import Run
from talkers.training.critic import PatchCritic
from talkers.training.initial import initialise_beside, initialise_from
from talkers.training.train import TrainOptions, reuse_components, stages_of, train

FORMAT_3 = Path(__file__).parents[1] / "data" / "format-3"


STAGES = ("codec", "regressor", "flow", "streaming_encoder")


def of_frames(*frames: int, rate: float | None = None) -> Recipe:
    """The tiny recipe whose stages see so many frames."""
    settings = [f"stages.{s}.frames={n}" for s, n in zip(STAGES, frames, strict=True)]
    if rate is not None:
        settings += [f"stages.{stage}.learning_rate={rate}" for stage in STAGES]
    return with_settings(tiny(), settings)


def test_training_may_begin_with_another_avatar(
    tiny_avatar: Avatar, corpus: Corpus, tmp_path: Path
) -> None:
    """One step at no learning rate from a finished avatar gives its components again."""
    finished = tiny_avatar.engine.folder
    shutil.copytree(finished, tmp_path / "start", ignore=shutil.ignore_patterns("training"))
    parts = ("renderer", "motion-regressor", "motion-flow", "speech-student")
    for init_from, frames, trained in (  # a training, and an avatar without one
        (finished, (16, 400, 0, 0), parts[:2]),
        (tmp_path / "start", (16, 400, 400, 400), parts),
    ):
        made = train(
            corpus,
            tmp_path / f"from-{init_from.name}",
            of_frames(*frames, rate=1e-12),
            TrainOptions(init_from=init_from, trainer_options={"precision": "32-true"}),
        )
        assert made is not None
        for part in trained:
            ours, theirs = (
                load_file(folder / f"{part}.safetensors")
                for folder in (made.engine.folder, finished)
            )
            assert ours.keys() == theirs.keys()
            apart = [
                k
                for k in ours
                if not torch.allclose(ours[k].float(), theirs[k].float(), atol=0.02, rtol=0.02)
            ]
            assert not apart, part
        about = made.about["initialized_from"]
        assert about["command"] == "pytest"
        assert about["training"]["codec"]["frames_seen"] == tiny().stage("codec").frames


def test_what_sees_no_frames_is_kept(tiny_avatar: Avatar, corpus: Corpus, tmp_path: Path) -> None:
    finished = tiny_avatar.engine.folder
    options, kept = TrainOptions(init_from=finished), of_frames(0, 800, 0, 0)
    made = train(corpus, tmp_path / "kept", kept, options)
    assert made is not None
    names = {
        n: (f / n).read_bytes() for f in (made.engine.folder,) for n in made.inspect()["files"]
    }
    same = {n for n, content in names.items() if (finished / n).read_bytes() == content}
    assert {"renderer.safetensors", "speech-student.safetensors"} <= same
    assert "motion-regressor.safetensors" not in same
    ours, theirs = (a.engine.motion["flow"] for a in (made, tiny_avatar))
    assert all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)
    )
    # learnt anew, of the same footage
    assert torch.allclose(ours.space.head_write, theirs.space.head_write, atol=0.05)  # type: ignore[attr-defined]
    assert made.about["calibration"]["motion/flow"]["pose"] > 0
    # a motion model knows the latents of one renderer
    changed = train(corpus, tmp_path / "changed", of_frames(16, 800, 0, 0), options)
    assert changed is not None
    assert list(changed.engine.motion) == ["regressor"]
    assert changed.engine.student is not None


def test_what_cannot_be_begun_with_is_refused(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = of_frames(0, 800, 0, 0)
    with pytest.raises(UsageError, match="0 frames"):
        train(corpus, tmp_path / "none", kept)
    damaged = tmp_path / "damaged"
    shutil.copytree(FORMAT_3, damaged)
    (damaged / "motion.safetensors").write_bytes(b"not weights")
    with pytest.raises(ArtefactError, match="damaged"):  # not taken for a model that does not fit
        train(corpus, tmp_path / "begun", kept, TrainOptions(init_from=damaged))
    (tmp_path / "early" / "training").mkdir(parents=True)
    with pytest.raises(ArtefactError, match="no codec yet"):
        train(corpus, tmp_path / "early-2", kept, TrainOptions(init_from=tmp_path / "early"))


def test_training_may_begin_with_an_avatar_of_format_3(corpus: Corpus, tmp_path: Path) -> None:
    """Its components are read under today's names."""
    then = ["renderer.unet.channels=32", "renderer.encoder.channels=32"]  # as tiny was
    with pytest.raises(UsageError, match="other settings"):  # its encoder does not guess
        newer = with_settings(of_frames(0, 0, 0, 0), then)
        reuse_components(FORMAT_3, newer, stages_of(newer))
    then += ["streaming_encoder.guesses=0"]
    run = Run(corpus, with_settings(of_frames(0, 0, 0, 0), then), tmp_path, FORMAT_3)
    codec = CodecStage(run.recipe.stage("codec")).reuse(run)
    other = Avatar.load(FORMAT_3, "cpu").engine
    assert codec is not None
    assert codec.state_dict().keys() == other.renderer.state_dict().keys()  # type: ignore[attr-defined]
    found = reuse_components(FORMAT_3, run.recipe, stages_of(run.recipe))
    assert set(found) == {"motion/regressor", "motion/flow", "speech/student", "space"}
    model = build_component("motion_model", run.recipe.motion["flow"], 160, other.space)
    before = [p.clone() for p in model.parameters()]
    initialise_from(FORMAT_3, "flow", "motion/flow", model)
    assert not all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    # what an older avatar lacks begins anew
    config = StreamingEncoderConfig(width=64, blocks=2, guesses=6)
    student = StreamingSpeechEncoder(config, other.bundle.speech_width)
    before = [student.in_proj.weight.clone(), student.unheard.clone()]  # type: ignore[union-attr]
    initialise_from(FORMAT_3, "streaming_encoder", "speech/student", student)
    assert not torch.equal(before[0], student.in_proj.weight)
    assert torch.equal(before[1], student.unheard)  # type: ignore[arg-type]


def test_what_was_learnt_beside_a_component_goes_on(tmp_path: Path) -> None:
    """A critic of another training, if it sees the same."""
    old, new = PatchCritic(4), PatchCritic(4)
    state = {
        "state_dict": {f"critics.{name}": weight for name, weight in old.state_dict().items()},
        "callbacks": {"TrainingProgress": {"seen": 8, "spent": 1.0}},
    }
    path = tmp_path / "training" / "warp-000000001.ckpt"
    path.parent.mkdir()
    SafetensorsCheckpointIO().save_checkpoint(state, path)
    initialise_beside(tmp_path, "warp", "critics.", new)
    assert torch.equal(new.opinion.weight, old.opinion.weight)
    other = PatchCritic(5)
    before = other.opinion.weight.clone()
    initialise_beside(tmp_path, "warp", "critics.", other)
    initialise_beside(tmp_path / "none", "warp", "critics.", other)
    assert torch.equal(other.opinion.weight, before)
