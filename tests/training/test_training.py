"""training: a tiny recipe really learns, and an interrupted training ends where an uninterrupted one does."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from talkers.corpus import Corpus
from talkers.corpus.splits import held_out, training_clips
from talkers.corpus.views import face_shape
from talkers.errors import ArtefactError, UsageError
from talkers.experts.load import sounds_of
from talkers.experts.models import POINTS
from talkers.face.regions import region_boxes, region_figures
from talkers.progress import Report, parse_duration
from talkers.progress import quiet as quiet_report
from talkers.renderers.diffusion_autoencoder import DiffusionAutoencoder
from talkers.runtime.avatar import Avatar
from talkers.runtime.engine import build_component
from talkers.systems.dae_talker import tiny
from talkers.systems.recipe import Recipe, with_settings
from talkers.training import budget as budget_module
from talkers.training.budget import TimeBudget
from talkers.training.cache import VariantCache, write_variants
from talkers.training.calibrate import agree
from talkers.training.checkpoint import SafetensorsCheckpointIO
from talkers.training.codec_stage import CodecStage, region_weights
from talkers.training.contract import Run
from talkers.training.expert_losses import ExpertLosses
from talkers.training.features import speech_features
from talkers.training.folder import start_folder
from talkers.training.frames import FrameStore, PositionSampler
from talkers.training.initial import initialise_from
from talkers.training.motion_data import MotionData, fit_probe
from talkers.training.progress import TrainingProgress, learning_rate
from talkers.training.runner import run_stage
from talkers.training.train import TrainOptions, reuse_components, stages_of, train
from talkers.training.variants import UNSPOKEN, gated, sound_variants
from talkers.training.windows import WindowDataset

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
    assert all(line["frames"] >= 0 and line["seconds"] >= 0 for line in lines)
    assert list(state.glob("codec-*.png"))
    assert (state / "held-out.png").exists()
    assert not list(tiny_avatar.engine.folder.rglob("*.partial*"))


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


def test_held_out_clips_never_change() -> None:
    names = [f"clip{k}" for k in range(200)]
    chosen = held_out(names)
    assert 4 <= len(chosen) <= 25
    assert set(held_out(names[:100])) == set(chosen) & set(names[:100])
    assert len(held_out(["a", "b"])) == 1
    assert held_out(["only"]) == []


def test_fewer_minutes_are_part_of_more(corpus: Corpus) -> None:
    every = training_clips(corpus)
    assert set(every).isdisjoint(held_out(corpus.names))
    few, more = (training_clips(corpus, m) for m in (0.05, 0.12))
    assert 0 < len(few) < len(more) < len(every)
    assert set(few) < set(more) < set(every)
    assert sum(corpus.clip(n).frames for n in more) >= 0.12 * 60 * corpus.rate


def test_regions_lie_on_mouth_and_eyes(corpus: Corpus) -> None:
    boxes = region_boxes(corpus.column("landmarks", "clip0"), corpus.size)
    (left, top, right, bottom), eye = boxes[0, 0], boxes[0, 1]
    assert left < right
    assert top < 0.68 * 64 < bottom
    assert eye[1] < 0.4 * 64 < eye[3]
    weights = region_weights(torch.from_numpy(boxes[:2]), 64, 10, 5)
    assert weights.mean().item() == pytest.approx(1, abs=1e-5)
    assert weights[0, 0, int(0.68 * 64), (left + right) // 2] / weights[
        0, 0, 1, 1
    ] == pytest.approx(10)


def test_figures_know_a_frozen_mouth_from_a_moving_one(corpus: Corpus) -> None:
    real = corpus.frames("clip0")
    boxes = region_boxes(corpus.column("landmarks", "clip0"), corpus.size)
    frozen = np.repeat(real.mean(0, keepdims=True).round().astype(np.uint8), len(real), 0)
    assert region_figures(real, real, boxes)["mouth_r2"] == 1
    assert abs(region_figures(frozen, real, boxes)["mouth_r2"]) < 0.02
    late = np.roll(real, 3, 0)
    assert region_figures(late, real, boxes)["mouth_r2"] < 0.9
    assert (
        region_figures(frozen, real, boxes)["psnr"] < region_figures(late, real, boxes)["psnr"] + 30
    )


def test_the_frame_store_holds_the_clips(corpus: Corpus) -> None:
    store = FrameStore(corpus)
    index = store.start["clip3"] + 10
    assert np.array_equal(store.frames[index], corpus.frames("clip3")[10])
    assert len(store.indices(["clip3"])) == 75


def test_readout_finds_what_latents_say() -> None:
    latents = torch.randn(500, 12)
    shapes = latents @ torch.randn(12, 3) + 5
    weights = fit_probe(latents, shapes, ridge=1e-6)
    x = (latents - latents.mean(0)) / latents.std(0)
    y = (shapes - shapes.mean(0)) / shapes.std(0)
    assert torch.allclose(x @ weights, y, atol=1e-2)


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


SHARES = {"codec": 0.57, "motion": 0.15}


def test_a_budget_is_the_whole_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now, spent = [1000.0], dict[str, float]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(
        budget_module,
        "elapsed",
        lambda folder: {stage: {"seconds": seconds} for stage, seconds in spent.items()},
    )
    clock = TimeBudget(tmp_path, 1000.0, SHARES)
    now[0] += 100  # speech is heard
    codec = clock("codec")
    assert codec is not None
    assert codec == pytest.approx(
        (1000 - 100 - 100) * 0.57 / 0.72, abs=0.1
    )  # a tenth is put aside for measuring
    now[0] += codec + 50  # what is prepared between takes from what is left
    motion = clock("motion")
    assert motion is not None
    assert motion == pytest.approx(1000 - 100 - codec - 50 - 100, abs=0.1)
    assert not caplog.text
    spent |= {"codec": codec, "motion": 0.5 * motion}
    now[0] = 10.0  # another day
    later = TimeBudget(tmp_path, 1000.0, SHARES)
    assert (later("codec"), later("motion")) == (codec, motion)
    longer = TimeBudget(tmp_path, 3000.0, SHARES)
    assert longer("codec") == codec  # finished
    assert (longer("motion") or 0) > motion + 1500
    spent["motion"] = longer("motion") or 0
    again = TimeBudget(tmp_path, 6000.0, SHARES)  # all are finished: all go on
    assert (again("codec") or 0) > codec + 1500
    assert (again("motion") or 0) > spent["motion"] + 300
    (tmp_path / "budget.json").write_text('{"budget": 1000.0, "codec": "long"}')
    with pytest.raises(ArtefactError, match="damaged"):
        TimeBudget(tmp_path, 1000.0, SHARES)
    (tmp_path / "budget.json").unlink()  # as it says
    spent |= {"codec": 300.0, "motion": 0.0}
    anew = TimeBudget(tmp_path, 1000.0, SHARES)("codec")
    assert anew is not None
    assert 300 + 500 < anew + 100 < 1000  # what was spent is not taken for all of it
    assert TimeBudget(tmp_path, None, SHARES)("codec") is None
    (tmp_path / "budget.json").unlink()
    spent.clear()
    assert TimeBudget(tmp_path, 20.0, SHARES)("codec") == pytest.approx(18 * 0.57 / 0.72, abs=0.1)
    assert "hardly learn" in caplog.text
    spent["codec"] = 14.25
    assert (
        TimeBudget(tmp_path, 3000.0, SHARES)("codec") or 0
    ) > 1500  # it goes on, as was promised


def test_a_tracker_that_sees_something_else_is_not_trusted() -> None:
    known = np.abs(np.sin(np.arange(100, dtype=np.float32)))
    assert agree(known + 0.01, known)
    assert not agree(0.7 * known, known)  # sees smaller movements
    assert not agree(np.roll(known, 2), known)  # sees other movements
    assert not agree(
        np.where(np.arange(100) % 5 == 0, np.nan, known).astype(np.float32), known
    )  # often sees nothing
    assert not agree(known, 0 * known)


def clips_of(path: Path, features: dict[str, torch.Tensor], **rows: torch.Tensor) -> MotionData:
    """One clip "a" with these features [n, F] of each variant, and these rows of each kind."""
    variants = {name: {"features": part.numpy()} for name, part in features.items()}
    width = next(iter(features.values())).shape[1]
    write_variants(path, {"features": width}, [("a", variants)])
    return MotionData(
        tuple(features), VariantCache(path), **{name: {"a": part} for name, part in rows.items()}
    )


def test_silence_is_heard_in_training(corpus: Corpus, tmp_path: Path) -> None:
    """Gated sound is digital silence between words; where nothing is said the mouth rests."""
    samples, speech = np.ones(16_000, np.float32), np.arange(25) % 10 < 5
    quiet = gated(samples, speech, 25.0)
    assert quiet[2 * 640 + 320] == 1
    assert np.all(quiet[6 * 640 : 9 * 640] == 0)
    variants, cache = sound_variants(tiny()), speech_features(corpus, tiny(), quiet_report)
    spoken = ("clean", "gated", "silence", "non_speech 1", "non_speech 2", "non_speech 3")
    assert variants[:6] == spoken
    frames = corpus.clip("clip1").frames
    features = {name: cache.rows("clip1", name) for name in variants}
    assert all(rows.shape == (2 * frames, 160) for rows in features.values())
    assert features["silence"].std(0).max() < 0.05
    assert all(rows.std(0).max() > 0.2 for name, rows in features.items() if name not in UNSPOKEN)
    sounds = [features[name] for name in ("silence", *spoken[3:])]
    for k, one in enumerate(sounds):  # sounds of their own
        assert all((one - other).abs().max() > 0.2 for other in sounds[:k])
    rows = torch.zeros(frames, 4)
    data = clips_of(
        tmp_path / "cache.arrow",
        features,
        latents=rows,
        heads=rows,
        descriptors=rows,
        usable=torch.ones(frames, dtype=torch.bool),
        silent=~torch.from_numpy(np.array(corpus.column("speech", "clip1"), bool)),
    )
    windows = WindowDataset(data, ["a"], frames, variants, {"a": rows + 1})
    rests = [float(windows[k]["latents"].mean()) for k in range(len(variants))]
    assert rests == [float(name in UNSPOKEN) for name in variants]
    for k, name in enumerate(variants):  # no loss asks for what is not heard
        assert bool(windows[k]["silent"].all()) == (name in UNSPOKEN)
        assert torch.allclose(windows[k]["features"], features[name], atol=1e-3)


def test_sound_and_face_pass_in_one_rhythm(tmp_path: Path) -> None:
    """In another rhythm, everything of a window shows the same moment of the clip.

    Nothing comes of what is past its end.
    """
    count, window = 75, 40
    time = torch.arange(count).float()
    fine = [((torch.arange(n * count) + 0.5) / n - 0.5)[:, None] for n in (2, 4)]  # n a frame
    usable, silent = time != 30, time >= 50
    data = clips_of(
        tmp_path / "cache.arrow",
        {"clean": fine[0]},
        latents=time[:, None],
        heads=time[:, None],
        descriptors=time[:, None],
        usable=usable,
        silent=silent,
        mel=fine[1],
    )
    plain = WindowDataset(data, ["a"], window)
    windows = WindowDataset(data, ["a"], window, warped_share=1.0)
    speeds = []
    for k in range(len(windows)):
        row = windows[k]
        assert all(torch.equal(row[key], again) for key, again in windows[k].items())
        at = row["latents"][:, 0]
        at = at[row["exists"]]
        assert len(at) > window // 2
        assert bool((row["latents"][~row["exists"]] == 0).all())
        passed = at.diff()
        assert 0.29 < float(passed.min()) < float(passed.max()) < 1.61
        speeds.append(float(passed.mean()))
        for key, each in (("head", 1), ("features", 2), ("mel", 4)):
            shown = row[key].reshape(window, each, -1).mean(1)[row["exists"], 0]
            # but for the clip's first and last rows; features are kept in half precision
            apart = (shown - at)[1:-1].abs().max()
            assert apart < (0.05 if key == "features" else 1e-3), key
        assert torch.equal(row["silent"][row["exists"]], at >= 49.5 + 1e-4) or bool(
            (at - 49.5).abs().min() < 1e-3
        )
        assert not row["usable"][row["exists"]][(at - 30).abs() < 0.9].any()
        assert torch.equal(plain[k]["latents"][:, 0], time[k : k + window])
    assert min(speeds) < 0.7
    assert max(speeds) > 1.1
    some = WindowDataset(data, ["a"], window, warped_share=0.5)
    same = [torch.equal(some[k]["latents"], plain[k]["latents"]) for k in range(len(some))]
    assert 0.2 < np.mean(same) < 0.8


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
    run = Run(corpus, of_frames(0, 0, 0, 0), tmp_path, FORMAT_3)
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


def test_experts_may_be_losses(corpus: Corpus) -> None:
    """Lips that move as the real ones are read like them and belong to the sound; still lips are not."""
    torch.manual_seed(0)
    frames, name = corpus.clip("clip1").frames, "clip1"
    shapes = torch.from_numpy(face_shape(corpus, name))[None, :, :POINTS]
    experts = ExpertLosses(torch.eye(POINTS))
    every = torch.ones(1, frames, dtype=torch.bool)
    batch = {
        "exists": every,
        "usable": every,
        "silent": ~every,
        "mel": sounds_of(corpus.audio(name), frames).T[None],
    }
    same, still = (
        experts.losses(made, shapes, batch)
        for made in (shapes, shapes.mean(1, keepdim=True).expand_as(shapes))
    )
    assert same["lips"] == pytest.approx(0, abs=1e-4)
    assert still["lips"] > 0.05
    assert 0 < same["sync"] < 2
    made = shapes.clone().requires_grad_()
    sum(experts.losses(made, shapes + 0.01 * torch.randn_like(shapes), batch).values()).backward()  # type: ignore[union-attr]
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert not [p for p in experts.parameters() if p.requires_grad]


def test_what_a_killed_writing_of_an_avatar_left_is_removed(corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "avatar"
    start_folder(out, tiny(), corpus, None, False)
    (out / ".0123abcd.partial.safetensors").write_bytes(b"half")
    with pytest.raises(UsageError, match="has begun"):
        start_folder(out, tiny(), corpus, None, False)
    assert len(list(out.iterdir())) == 2  # whoever is refused changes nothing
    start_folder(out, tiny(), corpus, None, True)
    assert [p.name for p in out.iterdir()] == ["training"]
