"""The training loop: resuming is exact, and checkpoints hold everything and no code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from talkers.corpus import Corpus
from talkers.errors import ArtefactError, UsageError
from talkers.progress import Report, parse_duration
from talkers.progress import quiet as quiet_report
from talkers.renderers.diffusion_autoencoder import DiffusionAutoencoder
from talkers.systems.dae_talker import tiny
from talkers.systems.recipe import Recipe, with_settings
from talkers.training.checkpoint import SafetensorsCheckpointIO
from talkers.training.codec_stage import CodecStage
from talkers.training.contract import Run
from talkers.training.frames import PositionSampler
from talkers.training.loop import _Average
from talkers.training.progress import TrainingProgress, learning_rate
from talkers.training.runner import run_stage


def short(frames: int) -> Recipe:
    """The tiny recipe with few frames of its first stage, at a constant learning rate."""
    settings = ["save_every=160", "validate_every=10000", "decay=false", "warmup=0.0"]
    return with_settings(
        tiny(), [f"stages.codec.frames={frames}", *(f"stages.codec.{s}" for s in settings)]
    )


def train_codec(
    corpus: Corpus, recipe: Recipe, folder: Path, report: Report = quiet_report
) -> DiffusionAutoencoder:
    codec = run_stage(CodecStage(recipe.stage("codec")), Run(corpus, recipe, folder, report=report))
    assert isinstance(codec, DiffusionAutoencoder)
    return codec


def test_resuming_equals_never_stopping(corpus: Corpus, tmp_path: Path) -> None:
    straight = train_codec(corpus, short(480), tmp_path / "straight")

    class Killed(Exception):
        pass

    def kill(stage: str, done: int, total: int) -> None:
        if stage == "training codec" and done >= 352:  # two steps after the checkpoint at frame 320
            raise Killed

    with pytest.raises(Killed):
        train_codec(corpus, short(480), tmp_path / "parts", report=kill)
    assert [p.name for p in (tmp_path / "parts").glob("*.ckpt")] == ["codec-000000020.ckpt"]
    resumed = train_codec(corpus, short(480), tmp_path / "parts")
    for (name, a), b in zip(
        straight.state_dict().items(), resumed.state_dict().values(), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-6), name


def test_a_finished_stage_is_taken_from_its_checkpoint(corpus: Corpus, tmp_path: Path) -> None:
    first = train_codec(corpus, short(160), tmp_path)
    seen = (tmp_path / "metrics.jsonl").read_text()
    again = train_codec(corpus, short(160), tmp_path)
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )
    assert (tmp_path / "metrics.jsonl").read_text() == seen  # nothing was trained again


def test_checkpoints_hold_everything_and_no_code(tmp_path: Path) -> None:
    io, path = SafetensorsCheckpointIO(), tmp_path / "a.ckpt"
    state = {
        "a": torch.arange(3),
        "b": [1, 2.5, None, "x", True],
        3: {"t": (torch.ones(2, 2), -1)},
        "empty": {},
    }
    state["images"] = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    io.save_checkpoint(state, path)
    back = io.load_checkpoint(path)
    assert back.keys() == state.keys()
    assert torch.equal(back["a"], state["a"])
    assert back["b"] == state["b"]
    assert torch.equal(back["images"], state["images"])
    assert back["images"].stride() == state["images"].stride()
    assert torch.equal(back[3]["t"][0], torch.ones(2, 2))
    assert back[3]["t"][1] == -1
    with pytest.raises(TypeError, match="function"):
        io.save_checkpoint({"f": lambda: 0}, path)
    assert torch.equal(io.load_checkpoint(path)["a"], state["a"])  # the old one survived
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ArtefactError, match=r"a\.ckpt"):
        io.load_checkpoint(path)


def test_order_is_a_function_of_the_position() -> None:
    def batches(start: int, world: int = 1, rank: int = 0) -> list[list[int]]:
        sampler = iter(
            PositionSampler(np.arange(100, 200), np.ones(100), 4, 9, lambda: start, rank, world)
        )
        return [next(sampler) for _ in range(6)]

    assert batches(0)[2:] == batches(2)[:4]
    assert batches(0) != batches(1)
    assert batches(0, 2, 0) != batches(0, 2, 1)
    rare = np.ones(100)
    rare[7] = 50
    drawn = np.concatenate(
        [next(iter(PositionSampler(np.arange(100), rare, 64, 1, lambda p=p: p))) for p in range(50)]
    )
    assert 0.25 < np.mean(drawn == 7) < 0.42


def test_budgets_and_learning_rates() -> None:
    assert parse_duration("90s") == 90
    assert parse_duration("1h30m") == 5400
    assert parse_duration("1.5h") == 5400
    for wrong in ("", "m", "90", "1 hour", "-5m"):
        with pytest.raises(UsageError):
            parse_duration(wrong)
    pace = TrainingProgress(100, 10.0)
    pace.load_state_dict({"seen": 20, "spent": 5.0})
    assert pace.fraction == 0.5
    assert learning_rate(0.0, 1.0, 0.1, True) == pytest.approx(0.05)
    assert learning_rate(0.1, 1.0, 0.1, True) == pytest.approx(1.0)
    assert learning_rate(1.0, 1.0, 0.1, True) == pytest.approx(0.01)
    assert learning_rate(1.0, 1.0, 0.0, False) == 1.0


def test_short_trainings_forget_how_they_began() -> None:
    """Averaged weights remember a tenth of the training at first, and in the end what was asked."""

    def left(updates: int) -> float:
        """What averaged weights keep of their beginning, 1, after updates towards 0."""
        average = _Average(0.9999)._kwargs["avg_fn"]
        weight = torch.ones(1)
        for count in range(1, updates + 1):
            weight = average(weight, torch.zeros(1), torch.tensor(count))
        return float(weight)

    assert left(20) < 0.01  # with a fixed decay 0.99
    before, after = left(30_000), left(30_100)
    assert after / before == pytest.approx(0.9999 ** (4 * 100), rel=0.01)
