"""A film's person moves the lips as far, and in such a posture, as in the film."""

from __future__ import annotations

from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from talkers import Avatar, Controls
from talkers.media import read_audio
from talkers.media.encode import VideoWriter
from talkers.progress import quiet
from talkers.runtime.bundle import base_folder
from talkers.runtime.dubbing import DubTerms
from talkers.runtime.film import FilmFace, film_face
from talkers.runtime.film_style import AGREEMENT, SCALES, FilmStyle, film_style, fitted_style

SENTENCE = str(files("talkers") / "avatars" / "hello.flac")
FRAMES, RATE = 60, Fraction(25)
SAID = read_audio(SENTENCE)[16_000:][: 16_000 * FRAMES // 25]


@pytest.fixture(scope="module")
def base() -> Avatar:
    return Avatar.load(base_folder(), "cpu")


def filmed(ada: Avatar, path: Path, amplitude: float) -> Path:
    """A film of somebody who moves the mouth so far."""
    talk = ada.speak(SAID, controls=Controls(amplitude=amplitude), provenance=False)
    with VideoWriter(path, RATE, iter([SAID]), 16_000, crf=10) as writer:
        for frame in talk:
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def films(
    base: Avatar, ada: Avatar, tmp_path_factory: pytest.TempPathFactory
) -> dict[float, tuple[Path, FilmFace]]:
    """Films by how far their mouths move, and their faces."""
    folder, found = tmp_path_factory.mktemp("films"), {}
    for amplitude in (0.5, 1.5):
        path = filmed(ada, folder / f"{amplitude}.mp4", amplitude)
        found[amplitude] = path, film_face(path, base.engine.space, "largest", quiet, print)
    return found


def test_a_style_is_found_again() -> None:
    torch.manual_seed(0)
    said, weights = torch.randn(400, 5), torch.randn(5, 30)
    share = (torch.arange(400) % 100 > 30).float()[:, None]
    said = said * share
    offset = torch.tensor([0.5, -0.3, 0.0, 0.2, 0.1])
    seen = 0.7 * said + share * offset
    style, agreement = fitted_style(said, seen, share, weights)
    assert agreement == pytest.approx(1, abs=1e-4)
    assert style.scale == pytest.approx(0.7, abs=1e-3)
    assert torch.allclose(style.offset, offset, atol=1e-3)
    assert torch.allclose(style.of(said[0], float(share[0])), seen[0], atol=1e-3)
    # what is not foreseen makes the mouth move less far than it does, but not as little as the
    # nearest mouths would: 0.7 between 0.7 / sqrt(2) and 0.7 sqrt(2)
    noisy, agreement = fitted_style(said, seen + 0.7 * torch.randn_like(said), share, weights)
    assert agreement == pytest.approx(2**-0.5, abs=0.1)
    assert 0.7 < noisy.scale < 0.95
    other, agreement = fitted_style(said, torch.randn_like(said), share, weights)
    assert abs(agreement) < AGREEMENT
    assert other.scale == SCALES[0]


def test_at_rest_a_style_changes_nothing() -> None:
    style = FilmStyle(0.6, torch.ones(3))
    assert torch.equal(style.of(torch.zeros(3), 0.0), torch.zeros(3))


def test_who_moves_farther_in_a_film_does_so_in_its_dub(
    base: Avatar, films: dict[float, tuple[Path, FilmFace]]
) -> None:
    styles = {}
    for amplitude, (path, face) in films.items():
        styles[amplitude] = film_style(base.engine, path, face, RATE)
    little, far = styles[0.5], styles[1.5]
    assert little is not None
    assert far is not None
    assert far.scale > 1.5 * little.scale
    made = base.dub(films[0.5][0], SAID, DubTerms(when_longer="cut"))
    assert made.style is not None
    assert made.style.scale == pytest.approx(little.scale, rel=0.05)


def test_lips_that_do_not_go_with_the_sound_tell_no_style(
    base: Avatar, films: dict[float, tuple[Path, FilmFace]], tmp_path: Path
) -> None:
    """A voice-over; and a film in which nothing is said."""
    _, face = films[1.5]
    for sound in (SAID[::-1].copy(), np.zeros_like(SAID)):
        path = tmp_path / "sound.wav"
        soundfile.write(path, sound, 16_000)
        assert film_style(base.engine, path, face, RATE) is None
