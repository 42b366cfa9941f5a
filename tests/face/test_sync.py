"""The delay of the sound: told where it is known, and only there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkers.face import sync
from talkers.face.analysis import Analysis, analyse
from talkers.face.check import check_footage, lip_delay
from talkers.face.landmarks import BLENDSHAPES


def lips_and_sound(
    frames: int, late: int, seed: int = 0, noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Lip features of made-up speech, and band energies so many frames later.

    The lips are what the shipped map makes of the sound, and noise.
    """
    rng = np.random.default_rng(seed)
    bands = np.repeat(rng.normal(size=(frames // 3 + 2, sync.BANDS)), 6, 0)[: 2 * frames]
    lips = sync.sound_features(bands.astype(np.float32), frames) @ sync.weights()
    lips = lips / lips.std(0) + noise * rng.normal(size=lips.shape)
    return lips.astype(np.float32), np.roll(bands, 2 * late, 0).astype(np.float32)


def delay(frames: int, late: int, files: int = 1, noise: float = 1.0) -> sync.LipDelay | None:
    blocks = []
    for seed in range(files):
        lips, bands = lips_and_sound(frames, late, seed, noise)
        sound = sync.sound_features(bands, frames)
        blocks.append(sync.block_scores(lips, sound, sync.weights()))
    return sync.delay_from(blocks)


@pytest.mark.parametrize("late", [0, -2, 2, 5, -10, 14])
def test_a_delay_is_measured_in_enough_footage(late: int) -> None:
    found = delay(400, late)
    assert found is not None
    assert found.seconds == pytest.approx(late / 25, abs=0.041)
    assert found.earliest <= late / 25 <= found.latest
    assert found.out_of_step == (late != 0)
    assert not found.beyond


def test_little_footage_tells_nothing() -> None:
    assert delay(75, 0) is None
    assert delay(75, 10) is None
    assert delay(75, 10, files=6) is not None


def test_at_the_end_of_the_range_it_may_be_more() -> None:
    found = delay(400, 24)
    assert found is not None
    assert found.beyond
    assert found.seconds == pytest.approx(0.8)


def test_lips_that_do_not_go_with_the_sound_tell_nothing() -> None:
    for seed in range(5):
        lips, _ = lips_and_sound(400, 0, seed)
        _, bands = lips_and_sound(400, 0, seed + 100)
        sound = sync.sound_features(bands, 400)
        assert sync.delay_from([sync.block_scores(lips, sound, sync.weights())]) is None


def test_lips_that_do_not_move_are_of_no_use() -> None:
    opening, shapes = np.full(100, 0.1, np.float32), np.zeros((100, 52), np.float32)
    assert sync.lip_features(opening, shapes, 25) is None
    opening[:60] = np.nan
    assert sync.lip_features(opening, shapes, 25) is None


def test_other_rates_are_compared_at_25() -> None:
    time = np.arange(300) / 30
    shapes = np.zeros((300, 52), np.float32)
    shapes[:, BLENDSHAPES.index("jawOpen")] = np.sin(7 * time)
    lips = sync.lip_features((0.1 + 0.1 * np.sin(7 * time)).astype(np.float32), shapes, 30)
    assert lips is not None
    assert len(lips) == 250
    assert np.corrcoef(lips[:, 2], np.sin(7 * np.arange(250) / 25))[0, 1] > 0.999


@pytest.mark.parametrize("size", [160, 1000, 16_000])
def test_energies_do_not_depend_on_how_the_sound_comes(size: int) -> None:
    sound = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    whole, parts = sync.BandEnergies(), sync.BandEnergies()
    whole.add(sound)
    for first in range(0, len(sound), size):
        parts.add(sound[first : first + size])
    assert whole.all().shape == (49, sync.BANDS)
    np.testing.assert_allclose(parts.all(), whole.all(), rtol=1e-4)


@pytest.fixture(scope="module")
def clips(grid: Path) -> list[Analysis]:
    """Eight clips of s4, which were said to be 0.20 s late, and are in step."""
    return [analyse(path) for path in sorted((grid / "s4" / "video").glob("*.mkv"))[:8]]


def later(a: Analysis, frames: int) -> Analysis:
    return Analysis(**(a.__dict__ | {"bands": np.roll(a.bands, 2 * frames, 0)}))


def test_real_footage_in_step_gives_no_finding(clips: list[Analysis]) -> None:
    for chosen in (clips, *([clip] for clip in clips)):
        told = check_footage({a.source: a for a in chosen})
        assert not [f for f in told["findings"] if f["kind"] == "sync"]


def test_real_footage_out_of_step_is_found(clips: list[Analysis]) -> None:
    shifted = [later(a, 8) for a in clips]
    told = check_footage({a.source: a for a in shifted})
    (finding,) = [f for f in told["findings"] if f["kind"] == "sync"]
    assert "late" in finding["what"]
    found = lip_delay(shifted)
    assert found is not None
    assert found.seconds == pytest.approx(8 / 25, abs=0.041)
