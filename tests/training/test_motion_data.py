"""What the motion models learn from: windows, probes, experts as losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from talkers.corpus import Corpus
from talkers.corpus.views import face_shape
from talkers.experts.models import POINTS
from talkers.experts.rate import mel_of_clip
from talkers.progress import quiet as quiet_report
from talkers.systems.dae_talker import tiny
from talkers.training.cache import VariantCache, write_variants
from talkers.training.expert_losses import ExpertLosses
from talkers.training.features import speech_features
from talkers.training.motion_data import MotionData, fit_probe
from talkers.training.variants import UNSPOKEN, gated, sound_variants
from talkers.training.windows import WindowDataset


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


def test_readout_finds_what_latents_say() -> None:
    latents = torch.randn(500, 12)
    shapes = latents @ torch.randn(12, 3) + 5
    weights = fit_probe(latents, shapes, ridge=1e-6)
    x = (latents - latents.mean(0)) / latents.std(0)
    y = (shapes - shapes.mean(0)) / shapes.std(0)
    assert torch.allclose(x @ weights, y, atol=1e-2)


def test_experts_may_be_losses(corpus: Corpus) -> None:
    """Lips that move as the real ones are read like them and fit the sound; still lips do not."""
    torch.manual_seed(0)
    frames, name = corpus.clip("clip1").frames, "clip1"
    shapes = torch.from_numpy(face_shape(corpus, name))[None, :, :POINTS]
    experts = ExpertLosses(torch.eye(POINTS))
    every = torch.ones(1, frames, dtype=torch.bool)
    batch = {
        "exists": every,
        "usable": every,
        "silent": ~every,
        "mel": mel_of_clip(corpus.audio(name), frames).T[None],
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
