"""Shared by all tests: the procedural speaker's corpus, an avatar trained on it for real, and where real footage is.

`make test` runs tests side by side, one process a core (pytest-xdist); each has its share of the
cores, and what takes long to make is made once for all of them.
"""

from __future__ import annotations

import os

if (
    workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
) > 1:  # before torch is imported, here or in a child
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

import signal
from pathlib import Path

import pytest
from filelock import FileLock

import speaker
from talkers.corpus import Corpus
from talkers.runtime.avatar import Avatar

signal.signal(
    signal.SIGPROF, signal.SIG_IGN
)  # see talkers.face.landmarks: the timer may be armed by an import alone
signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores it
ROOT = Path(__file__).parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what needs the trained avatar, which one process trains while no other waits for
    it, and then what takes long: at the end other processes would have nothing to do."""

    def place(item: pytest.Item) -> int:
        needs = "tiny_avatar" in getattr(item, "fixturenames", ())
        return 0 if needs else 1 if item.get_closest_marker("long") else 2

    items.sort(key=place)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def corpus(shared: Path) -> Corpus:
    """Eight clips of the procedural speaker, 64 px."""
    with FileLock(shared / "corpus.lock"):
        made = (shared / "corpus" / "corpus.json").is_file()
        return (
            Corpus(shared / "corpus") if made else speaker.make_corpus(shared / "corpus", clips=8)
        )


@pytest.fixture(scope="session")
def tiny_avatar(corpus: Corpus, shared: Path) -> Avatar:
    """An avatar of the procedural speaker, trained by the real code with the tiny recipe."""
    from talkers.systems.dae_talker import tiny
    from talkers.training.save import Terms
    from talkers.training.train import TrainOptions, train

    folder = shared / "avatars" / "tiny"
    with FileLock(shared / "tiny.lock"):
        if not (shared / "tiny.made").exists():
            assert train(corpus, folder, tiny(), TrainOptions(terms=Terms("pytest"))) is not None
            (shared / "tiny.made").touch()
    return Avatar.load(folder)


@pytest.fixture(scope="session")
def grid() -> Path:
    """Real footage (GRID), beside the repository or where $TALKERS_GRID says; skipped when there is none."""
    folder = Path(os.environ.get("TALKERS_GRID") or ROOT.parent / "shared" / "data" / "grid")
    if not folder.is_dir():
        pytest.skip("real footage (GRID) is not on this machine; set TALKERS_GRID to its folder")
    return folder


@pytest.fixture(scope="session")
def portraits() -> Path:
    """Synthetic portraits, beside the repository; skipped when there are none."""
    folder = ROOT.parent / "shared" / "data" / "faces"
    if not folder.is_dir():
        pytest.skip("synthetic portraits are not on this machine")
    return folder


@pytest.fixture(scope="session")
def bundled() -> Avatar:
    """The bundled avatar."""
    return Avatar.load()
