"""evaluation: every metric tells the truth where the truth is known, and orders what is worse as worse."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import speaker
from talkers import registry
from talkers.errors import MissingComponent, UsageError
from talkers.evaluation.closure import bilabial_closure
from talkers.evaluation.contract import FrameFeatures, Metric, Score, Utterance
from talkers.evaluation.fidelity import fidelity
from talkers.evaluation.metrics import load_metrics
from talkers.evaluation.mobilenet import load_mobilenet
from talkers.evaluation.motion import (
    articulation,
    blinks_of,
    flicker,
    movement,
    silence_motion,
    silent_frames,
)
from talkers.evaluation.perceptual import described, frechet_distance, perceptual_distance
from talkers.evaluation.statistics import interval, summary
from talkers.evaluation.tracked import TrackedClip
from talkers.face.landmarks import BLENDSHAPES, BLINKS
from talkers.speech.alignment import Segment

SIZE = 96
SILENCE = Utterance(np.zeros(75 * 640, np.float32), np.ones(75, bool))
PERFECT = {
    "mouth_r2": 1,
    "eye_r2": 1,
    "ssim": 1,
    "lmd_mouth": 0,
    "pose_error": 0,
    "articulation": 1,
    "jitter_ratio": 1,
    "csim": 1,
    "lpips_mnv2": 0,
    "lpips": 0,
}  # of a clip beside itself


def seen(acts: speaker.Performance) -> TrackedClip:
    """The procedural speaker as a perfect tracker would see it."""
    rows = list(zip(acts.opening, acts.shift, acts.blink, strict=True))
    frames = np.stack([speaker.draw(SIZE, *map(float, row)) for row in rows])
    marks = np.stack([speaker.landmarks(SIZE, *map(float, row)) for row in rows])
    shapes = np.zeros((len(rows), len(BLENDSHAPES)), np.float32)
    shapes[:, list(BLINKS)] = acts.blink[:, None]
    angles = np.stack([acts.yaw, 0 * acts.yaw, 0 * acts.yaw], -1).astype(np.float32)
    return TrackedClip(frames, marks, shapes, angles, np.ones(len(rows), bool))


@pytest.fixture(scope="module")
def acts() -> speaker.Performance:
    return speaker.perform(75, 3)


@pytest.fixture(scope="module")
def real(acts: speaker.Performance) -> TrackedClip:
    return seen(acts)


def late(acts: speaker.Performance, frames: int) -> TrackedClip:
    return seen(speaker.Performance(np.roll(acts.opening, frames), acts.shift, acts.blink))


def late_half(real: TrackedClip) -> TrackedClip:
    """The clip half a second late, its frames, landmarks and all."""
    rows = np.maximum(np.arange(len(real.frames)) - 12, 0)
    return TrackedClip(*(getattr(real, f.name)[rows] for f in dataclasses.fields(real)))


def test_a_perfect_copy_is_perfect_and_a_still_picture_explains_nothing(
    real: TrackedClip, acts: speaker.Performance
) -> None:
    figures = fidelity(real.frames, real) | movement(real, real, acts.opening > 0.05)
    assert figures["mouth_r2"] == figures["eye_r2"] == pytest.approx(1)
    assert figures["ssim"] == pytest.approx(1, abs=1e-4)
    assert figures["lmd_mouth"] == figures["pose_error"] == figures["blendshape_error"] == 0
    for ratio in ("articulation", "pose_std_ratio", "pose_speed_ratio", "jitter_ratio"):
        assert figures[ratio] == pytest.approx(1)
    still = np.repeat(real.frames.mean(0).round().astype(np.uint8)[None], 75, 0)
    assert abs(fidelity(still, real)["mouth_r2"]) < 0.01
    assert abs(fidelity(still, real)["eye_r2"]) < 0.01


def test_a_frozen_mouth_does_not_articulate(real: TrackedClip, acts: speaker.Performance) -> None:
    frozen = seen(speaker.Performance(0 * acts.opening, acts.shift, acts.blink))
    half = seen(speaker.Performance(acts.opening / 2, acts.shift, acts.blink))
    assert articulation(frozen, real) == pytest.approx(0, abs=1e-5)
    assert articulation(half, real) == pytest.approx(0.5, abs=0.02)


def test_a_mouth_that_moves_in_silence_is_counted() -> None:
    opening = np.zeros(100, np.float32)
    speech = np.arange(100) < 40
    opening[:40] = np.abs(np.sin(np.arange(40)))
    assert silence_motion(opening, speech) == 0
    opening[60:80:2] = (
        0.1  # up and down in every frame from 60 to 79, of the 56 frames well inside silence
    )
    assert silence_motion(opening, speech) == pytest.approx(20 / 56)
    assert np.isnan(silence_motion(opening, np.ones(100, bool)))
    assert silent_frames(speech).sum() == 56


def test_what_does_not_move_is_not_compared_with(
    real: TrackedClip, acts: speaker.Performance
) -> None:
    still = TrackedClip(
        *(
            np.repeat(x[:1], 75, 0)
            for x in (real.frames, real.landmarks, real.blendshapes, real.angles, real.found)
        )
    )
    figures = fidelity(still.frames, still) | movement(still, still, acts.opening > 0.05)
    for metric in (
        "mouth_r2",
        "eye_r2",
        "articulation",
        "pose_std_ratio",
        "pose_speed_ratio",
        "jitter_ratio",
        "flicker_ratio",
    ):
        assert np.isnan(figures[metric]), metric
    faceless = TrackedClip(
        real.frames, 0 * real.landmarks, real.blendshapes, real.angles, np.zeros(75, bool)
    )
    figures = movement(faceless, real, acts.opening > 0.05)
    assert figures["face_found"] == 0
    assert np.isnan(figures["silence_motion"])
    assert np.isnan(figures["lmd_mouth"])


def test_blinks_are_counted() -> None:
    closed = np.full(100, 0.1, np.float32)
    assert blinks_of(closed)[0] == 0
    for at in (20, 60):
        closed[at : at + 4] = 0.8
    assert blinks_of(closed) == (2, 4.0)
    assert (
        blinks_of(closed + 0.02 * np.random.default_rng(0).normal(size=100).astype(np.float32))[0]
        == 2
    )


def worse(real: TrackedClip, kind: str, amount: float) -> np.ndarray:
    if kind == "blur":
        return (
            np.asarray(gaussian_filter(real.frames.astype(float), (0, amount, amount, 0)))
            .round()
            .astype(np.uint8)
        )
    if kind == "noise":
        return (
            (real.frames + 10 * amount * np.random.default_rng(0).normal(size=real.frames.shape))
            .clip(0, 255)
            .round()
            .astype(np.uint8)
        )
    return np.repeat(real.frames[:: int(4 * amount)], int(4 * amount), 0)[
        : len(real.frames)
    ]  # frozen for so many frames


@pytest.mark.parametrize("kind", ["blur", "noise", "freeze"])
def test_worse_pictures_score_worse(real: TrackedClip, kind: str) -> None:
    scores = [fidelity(worse(real, kind, amount), real) for amount in (0.5, 1, 2, 4)]
    for metric in (
        "psnr",
        "psnr_face",
        "psnr_mouth",
        "mouth_r2",
        "ssim",
        "ssim_face",
        "ssim_mouth",
    ):
        row = [s[metric] for s in scores]
        assert all(a > b for a, b in itertools.pairwise(row)), (metric, row)


@pytest.mark.parametrize("kind", ["blur", "noise"])
def test_perceptual_distances_order_pictures(real: TrackedClip, kind: str) -> None:
    try:
        network = load_mobilenet()
    except MissingComponent as error:
        pytest.skip(str(error))
    known = described(network, real.frames)
    runs = [described(network, worse(real, kind, amount)) for amount in (0.5, 1, 2, 4)]
    pooled = known.pooled.numpy()
    for row in (
        [perceptual_distance(run, known) for run in runs],
        [frechet_distance(run.pooled.numpy(), pooled) for run in runs],
    ):
        assert all(a < b for a, b in itertools.pairwise(row)), row
    assert perceptual_distance(known, known) == 0
    assert frechet_distance(pooled, pooled) == pytest.approx(0, abs=1e-3)


def test_published_distances_are_computed_where_they_can_be_had(
    monkeypatch: pytest.MonkeyPatch, real: TrackedClip
) -> None:
    class Lpips(torch.nn.Module):
        def __init__(self, net_type: str):
            super().__init__()
            assert net_type == "alex"

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            assert a.shape[:2] == (15, 3)
            assert min(a.shape[2:]) >= 95  # regions are enlarged
            assert a.min() >= -1
            return (a - b).abs().mean()

    class Inception(torch.nn.Module):
        def __init__(self, name: str, features: list[str]):
            super().__init__()
            raise OSError("no route to host")

    monkeypatch.delenv("TALKERS_OFFLINE", raising=False)
    monkeypatch.setattr("torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity", Lpips)
    monkeypatch.setattr("torchmetrics.image.fid.NoTrainInceptionV3", Inception)
    load_metrics.cache_clear()
    metrics = load_metrics()
    load_metrics.cache_clear()
    assert "lpips" not in metrics.skipped
    assert "no route to host" in metrics.skipped["fid"]
    assert "pip install torch-fidelity" in metrics.skipped["fid"]
    scores = metrics.score(real, real, SILENCE)
    for region in ("", "_face", "_mouth"):
        assert scores.figures[f"lpips{region}"] == 0
    assert "fid" not in scores.features


class MeanBrightness(Metric):
    """A metric as another package might bring it."""

    figures = ("brightness_ratio", "pixels")

    def scores(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> dict[str, Score]:
        pair = [clip.frames.mean((1, 2)).astype(np.float32) for clip in (generated, reference)]
        return {
            "brightness_ratio": float(pair[0].mean() / pair[1].mean()),
            "pixels": FrameFeatures(*pair),
        }


class AnotherPsnr(MeanBrightness):
    def scores(self, *clip: object) -> dict[str, Score]:
        return {"psnr": 0.0}


class NotInstalled(MeanBrightness):
    figures = ("landing",)

    def __init__(self) -> None:
        raise MissingComponent("moonlight is not installed", todo="pip install moon")


def test_a_metric_of_another_package_is_in_every_report(
    real: TrackedClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registered, it is computed; what is missing is left out by name; no figure comes twice."""
    registry.load_plugins()
    monkeypatch.setattr(registry, "_components", dict(registry._components))
    registry.register("metric", "brightness", None, MeanBrightness)
    registry.register("metric", "moon", None, NotInstalled)
    load_metrics.cache_clear()
    metrics = load_metrics()
    assert "moonlight" in metrics.skipped["landing"]
    half = dataclasses.replace(real, frames=real.frames // 2)
    scores = metrics.score(half, real, SILENCE)
    assert scores.figures["brightness_ratio"] == pytest.approx(0.5, abs=0.02)
    assert scores.features["pixels"].generated.shape == (75, 3)
    assert {"psnr", "lip_wer", "sync_offset_points", "articulation"} <= scores.figures.keys()
    registry.register("metric", "psnr of another kind", None, AnotherPsnr)
    load_metrics.cache_clear()
    with pytest.raises(UsageError, match="two metrics give the figure 'psnr'"):
        load_metrics().score(half, real, SILENCE)
    load_metrics.cache_clear()


@pytest.mark.parametrize("name", registry.names("metric"))
def test_every_registered_metric_keeps_the_contract(name: str, real: TrackedClip) -> None:
    """The same names for every clip, those that it announces among them, and a copy is perfect."""
    try:
        metric = registry.component("metric", name).load()()
    except MissingComponent as error:
        pytest.skip(str(error))
    copy = metric.scores(real, real, SILENCE)
    other = metric.scores(late_half(real), real, SILENCE)
    assert set(copy) == set(other)
    assert set(metric.figures) <= set(copy)
    assert metric.needs <= {"sound", "text"}
    for figure, value in copy.items():
        if figure in PERFECT and not np.isnan(value):
            assert value == pytest.approx(PERFECT[figure], abs=1e-3), figure


def test_the_frechet_distance_is_that_of_gaussians() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4000, 3)), 2 * rng.normal(size=(4000, 3)) + 1
    assert frechet_distance(a.astype(np.float32), b.astype(np.float32)) == pytest.approx(
        3 * 1 + 3 * (2 - 1) ** 2, rel=0.1
    )


def test_later_lips_are_further_away(real: TrackedClip, acts: speaker.Performance) -> None:
    rows = [movement(late(acts, k), real, acts.opening > 0.05)["lmd_mouth"] for k in (0, 1, 2, 4)]
    assert all(a < b for a, b in itertools.pairwise(rows)), rows


def test_trembling_and_flicker_are_seen(real: TrackedClip, acts: speaker.Performance) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for amount in (0.5, 1, 2):
        marks = (real.landmarks + amount * rng.normal(size=(75, 1, 2))).astype(np.float32)
        rows.append(
            movement(
                TrackedClip(real.frames, marks, real.blendshapes, real.angles, real.found),
                real,
                acts.opening > 0.05,
            )["jitter_ratio"]
        )
    assert 1 < rows[0] < rows[1] < rows[2]
    corner = np.zeros((SIZE, SIZE), bool)
    corner[:10, :10] = True
    assert flicker(real.frames, corner) == 0
    noisy = real.frames.copy()
    noisy[::2, :10, :10] += 8
    assert flicker(noisy, corner) == 64


def test_lips_that_close_for_b_are_counted() -> None:
    opening = np.full(50, 0.2, np.float32)
    opening[10:13] = 0.01
    phones = [Segment("B", 0.4, 0.5), Segment("IY", 0.5, 0.7), Segment("M", 1.2, 1.3)]
    assert bilabial_closure(opening, phones) == 0.5
    assert bilabial_closure(0 * opening, phones) == 0  # a mouth that never opens does not close
    assert np.isnan(bilabial_closure(opening, [Segment("IY", 0.5, 0.7)]))


def test_intervals_are_over_clips() -> None:
    figure = interval([[1.0, 3.0], [2.0, 2.0], [float("nan")] * 2, [4.0, 4.0]])
    assert figure["mean"] == pytest.approx(8 / 3, abs=1e-3)
    assert figure["clips"] == 3
    assert figure["low"] is not None
    assert figure["high"] is not None
    assert 2 <= figure["low"] < figure["mean"] < figure["high"] <= 4  # type: ignore[operator]
    assert interval([[float("nan")]])["mean"] is None
    values = {
        v: {"psnr": [[1.0]], "lmd_mouth": [[k]], "lmd_mouth_iod": [[0.1]]}
        for k, v in enumerate(("speech", "speech_given_pose", "controls.real"))
    }
    sections = summary(values, {})
    assert sections["speech"]["psnr_given_pose"]["mean"] == 1
    assert sections["speech"]["lmd_mouth"]["mean"] == 1
    assert sections["controls"]["real"]["lmd_mouth"]["mean"] == 2
