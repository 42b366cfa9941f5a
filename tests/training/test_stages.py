"""Stages under one contract: other packages' components train without a line of training code."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from talkers.corpus import Corpus
from talkers.errors import UsageError
from talkers.motion import Conditions, Motion, MotionModel
from talkers.registry import component, names, register
from talkers.renderers.contract import Identity, RenderOptions, RenderState, from_frames
from talkers.runtime.avatar import Avatar
from talkers.speech import SpeechConfig
from talkers.systems.dae_talker import tiny
from talkers.systems.recipe import Recipe, from_dict, to_dict, with_settings
from talkers.systems.stages import MotionModelTraining, RendererTraining
from talkers.training.contract import Run, Stage
from talkers.training.motion_data import expert_mel
from talkers.training.runner import in_order, run_stage, run_stages
from talkers.training.save import Terms
from talkers.training.train import TrainOptions, fit_recipe, stages_of, train

WIDTH = 8  # of the plug-in's motion


@dataclass(frozen=True)
class PaletteConfig:
    """Settings of a plug-in's renderer."""

    type: str = "test_palette"
    size: int = 64


class Palette(nn.Module):
    """A plug-in's renderer: a linear autoencoder of small pictures, made large."""

    needs = "nothing"

    def __init__(self, config: PaletteConfig):
        super().__init__()
        self.size, self.motion_width = config.size, WIDTH
        self.down, self.up = nn.Linear(3 * 64, WIDTH), nn.Linear(WIDTH, 3 * 64)

    def encode(self, pictures: Tensor, landmarks: Tensor | None = None) -> Tensor:
        small = torch.nn.functional.adaptive_avg_pool2d(pictures, 8)
        return self.down(small.flatten(1))

    def decode(self, motion: Tensor) -> Tensor:
        small = self.up(motion).reshape(-1, 3, 8, 8)
        return torch.nn.functional.interpolate(small, (self.size, self.size), mode="bilinear")

    def training_loss(self, batch: dict[str, Tensor]) -> Tensor:
        pictures = from_frames(batch["frame"])
        return (self.decode(self.encode(pictures)) - pictures).square().mean()

    def identity(self, source: Tensor | None = None) -> Identity:
        return Identity()

    def render(
        self,
        motion: Tensor,
        options: RenderOptions,
        identity: Identity | None = None,
        background: Tensor | None = None,
        state: RenderState | None = None,
    ) -> Tensor:
        return self.decode(motion)

    def prepare_for(self, device: torch.device) -> None:
        self.eval().to(device)


@dataclass(frozen=True)
class LoudnessConfig:
    """Settings of a plug-in's motion model."""

    type: str = "test_loudness"


class Loudness(MotionModel):
    """A plug-in's motion model: a linear map of the features of a frame."""

    def __init__(self, config: LoudnessConfig, features: int, space: Any):
        super().__init__(space)
        self.map = nn.Linear(2 * features, space.width)

    def generate(
        self,
        conditions: Conditions,
        observed: Tensor | None = None,
        first: int = 0,
        seed: int = 0,
    ) -> Motion:
        b, rows, _ = conditions.speech.shape
        values = self.map(conditions.speech.reshape(b, rows // 2, -1))
        head = self.space.head_mean.expand(b, rows // 2, -1)  # type: ignore[attr-defined]
        return Motion(self.space.denormalise(values), head)  # type: ignore[attr-defined]

    def training_loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        generated = self.generate(Conditions(batch["features"])).values
        error = (generated - batch["latents"]).square().mean(-1)
        return {"motion": (error * batch["usable"]).mean()}


@pytest.fixture
def plugin() -> Recipe:
    """A recipe of a plug-in's own components, trained by the generic stages."""
    if "test_palette" not in names("renderer"):
        register("renderer", "test_palette", PaletteConfig, Palette)
        register("motion_model", "test_loudness", LoudnessConfig, Loudness)
    loop: dict[str, Any] = {"batch": 8, "learning_rate": 1e-2, "ema": 0.9}
    return Recipe(
        name="palette",
        steps=1,
        renderer=PaletteConfig(),
        speech=SpeechConfig(encoder="log-mel", layers=()),
        motion={"mine": LoudnessConfig()},
        stages=(
            RendererTraining(frames=1600, **loop),
            MotionModelTraining(key="mine", frames=8000, window=25, **loop),
        ),
    )


def test_a_plugins_components_train_and_speak(
    corpus: Corpus, tmp_path: Path, plugin: Recipe
) -> None:
    recipe = from_dict(to_dict(plugin))
    avatar = train(corpus, tmp_path / "avatar", recipe, TrainOptions(terms=Terms("pytest")))
    assert avatar is not None
    assert set(avatar.about["components"]) == {"renderer", "motion/mine", "space"}
    assert avatar.about["training"]["motion_model-mine"]["frames_seen"] == 8000
    assert avatar.about["crop"]["face_height"] > 0
    figures = avatar.about["metrics"]
    assert figures["codec"]["psnr"] > 15
    lines = (tmp_path / "avatar" / "training" / "metrics.jsonl").read_text().splitlines()
    assert any("val/loss" in json.loads(line) for line in lines)
    sound = corpus.audio("clip1")
    frames = np.stack(list(Avatar.load(tmp_path / "avatar").speak(sound)))
    assert frames.shape == (75, 64, 64, 3)
    assert frames.astype(float).std(0).max() > 1  # it moves with the sound


class Note(nn.Module):
    """A component that holds what trained it."""

    def __init__(self, text: str):
        super().__init__()
        self.text = text


def stage(name: str, trains: str, *needs: str) -> Stage:
    """A stage that takes no frames: it gives what it is."""

    class Given(Stage):
        def data(self, run: Run) -> Any:
            raise AssertionError

        def module(self, run: Run, data: Any, progress: Any) -> Any:
            raise AssertionError

        def reuse(self, run: Run) -> nn.Module:
            assert all(slot in run.components for slot in self.needs)
            return Note(self.name)

    made = Given(RendererTraining(type=name, frames=0))
    made.trains, made.needs = trains, needs  # type: ignore[misc]
    return made


def test_stages_run_when_what_they_need_is_there(corpus: Corpus, tmp_path: Path) -> None:
    stages = [
        stage("student", "speech/student", "motion/a"),
        stage("a", "motion/a", "renderer"),
        stage("render", "renderer"),
        stage("b", "motion/b", "renderer"),
    ]
    assert [s.name for s in in_order(stages)] == ["render", "a", "student", "b"]
    trained = run_stages(stages, Run(corpus, tiny(), tmp_path))
    assert {slot: part.text for slot, part in trained.items()} == {  # type: ignore[union-attr]
        "renderer": "render",
        "motion/a": "a",
        "speech/student": "student",
        "motion/b": "b",
    }
    with pytest.raises(UsageError, match="needs 'renderer'"):
        in_order(stages[:2])
    with pytest.raises(UsageError, match="two stages train 'renderer'"):
        in_order([stages[2], stage("c", "renderer")])
    with pytest.raises(UsageError, match="no stages"):
        stages_of(dataclasses.replace(tiny(), stages=()))
    with pytest.raises(UsageError, match="no stage of this recipe trains"):
        Run(corpus, tiny(), tmp_path).component("renderer")


def test_the_stages_of_the_recipes_are_registered() -> None:
    for name in ("codec", "regressor", "flow", "streaming_encoder", "renderer", "motion_model"):
        assert issubclass(component("stage", name).load(), Stage)
    assert [s.trains for s in stages_of(tiny())] == [
        "renderer",
        "motion/regressor",
        "motion/flow",
        "speech/student",
    ]
    shares = [s.share for s in stages_of(tiny())]
    assert shares == [0.57, 0.15, 0.15, 0.13]
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("rate", ["30", "30000/1001", "25"])
def test_footage_of_any_rate_can_be_trained_on(corpus: Corpus, tmp_path: Path, rate: str) -> None:
    """The corpus decides; the recipe's rate is what `prepare` aims at."""
    ignored = shutil.ignore_patterns(".cache")
    folder = shutil.copytree(corpus.folder, tmp_path / "corpus", ignore=ignored)
    about = json.loads((folder / "corpus.json").read_text()) | {"rate": rate}
    (folder / "corpus.json").write_text(json.dumps(about))
    other = Corpus(folder)
    settings = [
        f"stages.{name}.{key}={value}"
        for name in ("regressor", "flow", "streaming_encoder")
        for key, value in {"frames": 400, "window": 30, "validate_every": 200}.items()
    ]
    recipe = fit_recipe(with_settings(tiny(), settings), other)
    assert recipe.frame_rate == Fraction(rate)
    assert from_dict(to_dict(recipe)) == recipe
    latents = {n: torch.randn(75, 64) for n in other.names}
    run = Run(other, recipe, tmp_path / "training", latents=latents)
    for stage in stages_of(recipe)[1:]:
        trained = run_stage(stage, run)
        assert trained is not None
        assert all(bool(p.isfinite().all()) for p in trained.parameters())
        run.components[stage.trains] = trained
    lines = (tmp_path / "training" / "metrics.jsonl").read_text().splitlines()
    assert lines
    for line in lines:
        figures = [v for v in json.loads(line).values() if not isinstance(v, str)]
        assert np.isfinite(figures).all()
    mel = expert_mel(other, "clip1")
    assert mel.shape == (4 * 75, 80)
    # row 4 t shows the sound of frame t: as in the same footage at the experts' own rate
    plain = expert_mel(corpus, "clip1")
    at = (np.arange(300) + 0.5) * 25 / float(Fraction(rate)) - 0.5
    wanted = plain[at.round().astype(int).clip(0, 299)]
    assert torch.corrcoef(torch.stack([mel[:240].flatten(), wanted[:240].flatten()]))[0, 1] > 0.9
