"""What training makes of the sound once: at the level of speaking, on disk, nothing stale."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import speaker
from talkers.corpus import Corpus
from talkers.errors import ArtefactError, ResourceError, UsageError
from talkers.evaluation.variants import features_at_frames
from talkers.media import AUDIO_RATE, write_flac
from talkers.motion.windows import at_frames
from talkers.progress import quiet
from talkers.runtime.avatar import Avatar
from talkers.speech import FEATURE_RATE, load_speech_encoder, loudness, recording_gain, speech_gain
from talkers.speech.windows import ROWS, features_of
from talkers.systems.dae_talker import tiny
from talkers.systems.recipe import with_settings
from talkers.training import features as features_module
from talkers.training.cache import VariantCache, cache_path, purge_stale, write_variants
from talkers.training.contract import Run
from talkers.training.features import speech_features
from talkers.training.motion_data import MotionData
from talkers.training.speech_stage import StreamingEncoderStage, feature_statistics
from talkers.training.student_data import SoundDataset, student_sounds
from talkers.training.variants import sound_variants
from talkers.training.windows import WindowDataset

FORMAT_3 = Path(__file__).parents[1] / "data" / "format-3"


@pytest.fixture
def copied(tmp_path: Path) -> Corpus:
    """A small corpus of its own, without caches."""
    return speaker.make_corpus(tmp_path / "corpus", clips=3, frames=40)


def test_models_learn_at_the_level_at_which_they_speak(copied: Corpus) -> None:
    """The gain of training, of evaluation and of speaking is one, and not that of other windows."""
    avatar, recipe = Avatar.load(FORMAT_3, "cpu"), tiny()
    learnt = speech_features(copied, recipe, quiet)
    student = student_sounds(copied, recipe, quiet)
    encoder, apart = load_speech_encoder(recipe.speech), []
    for clip in copied.clips:
        samples = copied.audio(clip.name)
        gain = avatar.speak(samples).gain
        assert gain == recording_gain(samples)
        spoken = at_frames(features_of(encoder, samples, gain), FEATURE_RATE, 25, 0, clip.frames)
        assert torch.allclose(learnt.rows(clip.name, "clean"), spoken, atol=1e-3)
        assert torch.allclose(features_at_frames(avatar, samples, clip.frames), spoken, atol=1e-6)
        level = np.abs(student.rows(clip.name, "clean", column="samples").numpy()).max()
        assert level == pytest.approx(np.abs(samples).max() * gain, rel=1e-3)
        levels = loudness(samples, AUDIO_RATE, 40, len(samples) * 40 // AUDIO_RATE)
        apart.append(abs(20 * np.log10(speech_gain(levels) / gain)))
    assert max(apart) > 0.05  # dB: other windows would have been noticed


class WideEncoder:
    """Many numbers of no meaning, so that what is held of them weighs."""

    width, rate, lookahead = 16_384, FEATURE_RATE, 0.0

    def encode(self, windows: torch.Tensor) -> torch.Tensor:
        return windows.mean(1)[:, None, None].expand(-1, ROWS, self.width)


def anonymous_megabytes() -> float:
    """Memory of this process that is no file's."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("the system does not say how much memory a process has")
    rows = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(rows["RssAnon"].split()[0]) / 1024


def test_memory_does_not_grow_with_the_footage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every clip's features are 18 MB: neither making nor reading them holds more than a few."""
    clips, frames = 7, 25
    corpus = speaker.make_corpus(tmp_path / "corpus", clips=clips, frames=frames)
    monkeypatch.setattr(features_module, "load_speech_encoder", lambda config: WideEncoder())
    recipe, grown = tiny(), list[float]()
    features = speech_features(corpus, recipe, lambda *_: grown.append(anonymous_megabytes()))
    assert len(grown) == clips
    size = len(sound_variants(recipe)) * 2 * frames * WideEncoder.width * 2 / 2**20
    assert sum(p.stat().st_size for p in corpus.folder.glob(".cache/*")) / 2**20 > clips * size
    assert max(grown[3:]) - grown[2] < 3 * size, "making them"
    rows = {n: torch.zeros(frames, 4) for n in corpus.names}
    flags = {n: torch.ones(frames, dtype=torch.bool) for n in corpus.names}
    data = MotionData(sound_variants(recipe), features, rows, rows, rows, flags, flags)
    windows = WindowDataset(data, corpus.names, frames, data.variants)
    before = anonymous_megabytes()
    assert len(windows) == clips * len(data.variants)
    for k in range(len(windows)):
        assert windows[k]["features"].shape == (2 * frames, WideEncoder.width)
    assert anonymous_megabytes() - before < 3 * size, "reading them"


def test_what_other_recipes_left_is_removed(copied: Corpus) -> None:
    """Caches of a recipe that is trained no more go when those of another are made."""
    folder = copied.folder / ".cache"
    folder.mkdir()
    for name in ("speech-0123.safetensors", "heard-0123.safetensors", "student-0123.arrow"):
        (folder / name).write_bytes(b"of an earlier version")
    (folder / "frames-0123.npy").write_bytes(b"kept: nothing of its kind is made")
    first, second = tiny(), with_settings(tiny(), ["speech.layers=[1]"])
    for recipe in (first, second):
        for make in (speech_features, student_sounds):
            make(copied, recipe, quiet)
    kinds = sorted(p.name.split("-")[0] for p in folder.iterdir())
    assert kinds == ["frames", "speech", "student"]
    before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    speech_features(copied, second, quiet)  # made once
    student_sounds(copied, second, quiet)
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == before


def test_rows_come_back_as_they_were_written(corpus: Corpus, tmp_path: Path) -> None:
    path, random = tmp_path / "cache.arrow", np.random.default_rng(0)
    clips = {
        clip: {
            variant: {
                "samples": random.standard_normal((40 * n, 1)).astype(np.float32),
                "features": random.standard_normal((n, 3)).astype(np.float32),
            }
            for variant, n in variants.items()
        }
        for clip, variants in {"a": {"clean": 5, "voice 1": 0}, "ä b": {"clean": 9}}.items()
    }
    write_variants(path, {"samples": 1, "features": 3}, clips.items())
    cache = VariantCache(path)
    assert cache.clips == ["a", "ä b"]
    assert cache.widths == {"samples": 1, "features": 3}
    for clip, variants in clips.items():
        assert cache.variants(clip) == list(variants)
        for variant, columns in variants.items():
            count = len(columns["features"])
            assert cache.count(clip, variant) == count
            assert cache.count(clip, variant, "samples") == 40 * count
            rows = cache.rows(clip, variant)
            assert np.allclose(rows, columns["features"], atol=2e-3)
            part = cache.rows(clip, variant, 2, 80, "samples")
            assert np.allclose(part, columns["samples"][2:80], atol=2e-3)
    mean, std = feature_statistics(cache, ["a", "ä b"])
    every = np.concatenate([c["features"][::7] for v in clips.values() for c in v.values()])
    assert np.allclose(mean, every.mean(0), atol=2e-3)
    assert np.allclose(std, every.std(0, ddof=1), atol=2e-3)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtefactError, match=r"cache\.arrow"):
        VariantCache(path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError):
        write_variants(tmp_path / "file" / "cache.arrow", {"features": 3}, [])
    purge_stale(path)
    assert path.exists()
    assert cache_path(corpus, "speech", "a") != cache_path(corpus, "speech", "b")


def test_recordings_beside_the_footage_are_heard_too(copied: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "sounds" / "more"
    folder.mkdir(parents=True)
    for k in range(30):
        tone = 0.1 * np.sin(np.arange(16_000) * (0.05 + 0.001 * k)).astype(np.float32)
        write_flac(folder / f"{k:02d}.flac", tone, AUDIO_RATE)
    recipe = with_settings(tiny(), [f"stages.streaming_encoder.sounds={folder.parent}"])
    sounds = student_sounds(copied, recipe, quiet)
    beside = [name for name in sounds.clips if name.startswith("sounds/")]
    assert len(beside) == 30
    assert sounds.variants("sounds/more/03.flac") == ["clean", "voice 1"]
    assert sounds.count("sounds/more/03.flac", "clean") == 50
    run = Run(copied, recipe, tmp_path, None)
    data = StreamingEncoderStage(recipe.stage("streaming_encoder")).data(run)
    assert isinstance(data.dataset, SoundDataset)
    heard = {name for name, _ in data.dataset.names}
    assert set(beside) - heard == {"sounds/more/10.flac"}  # validated with
    nothing = with_settings(tiny(), [f"stages.streaming_encoder.sounds={tmp_path / 'none'}"])
    with pytest.raises(UsageError, match="no recordings"):
        student_sounds(copied, nothing, quiet)


def test_windows_of_sound_go_on_with_other_clips(copied: Corpus) -> None:
    """A window has its rows and the sound of them, also where its clip ends."""
    about = json.loads((copied.folder / "corpus.json").read_text())
    sounds = student_sounds(copied, tiny(), quiet)
    names = [clip["name"] for clip in about["clips"]][:2]
    windows = SoundDataset(sounds, names, 60, 4, ["clean"])
    assert windows.names == [(name, "clean") for name in names]
    last = len(windows) - 1
    for k in (0, last):
        item = windows[k]
        assert item["features"].shape == (60, sounds.widths["features"])
        assert len(item["samples"]) == 200 + (60 + 4 + 2) * 320
    whole = sounds.rows(names[0], "clean", 0, 60)
    assert torch.equal(windows[0]["features"], whole)
