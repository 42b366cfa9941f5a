"""Shared by all tests: the procedural speaker's corpus, an avatar trained on it for real, and where real footage is."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import speaker
from talkers.avatar import Avatar
from talkers.corpus import Corpus

signal.signal(signal.SIGPROF, signal.SIG_IGN)  # see talkers.face.landmarks: the timer may be armed by an import alone
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Eight clips of the procedural speaker, 64 px."""
    return speaker.make_corpus(tmp_path_factory.mktemp("corpus"), clips=8)


@pytest.fixture(scope="session")
def tiny_avatar(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    """An avatar of the procedural speaker, trained by the real code with the tiny recipe."""
    from talkers.recipes import tiny
    from talkers.training.train import train

    made = train(corpus, tmp_path_factory.mktemp("avatars") / "tiny", tiny(), command="pytest")
    assert made is not None
    return made


@pytest.fixture(scope="session")
def grid() -> Path:
    """Real footage (GRID), beside the repository or where $TALKERS_GRID says; skipped when there is none."""
    folder = Path(os.environ.get("TALKERS_GRID") or ROOT.parent / "shared" / "data" / "grid")
    if not folder.is_dir():
        pytest.skip("real footage (GRID) is not on this machine; set TALKERS_GRID to its folder")
    return folder


@pytest.fixture(scope="session")
def bundled() -> Avatar:
    """The bundled avatar."""
    return Avatar.load()
