"""A training that is killed goes on where it was, and one that has no room left can go on later."""

from __future__ import annotations

from pathlib import Path

import pytest

import speaker
from talkers.corpus import Corpus
from talkers.systems.dae_talker import tiny
from talkers.training.folder import start_folder

killed_training = pytest.importorskip("killed_training", reason="needs POSIX limits")


@pytest.mark.long
def test_what_ends_a_training_is_told_and_changes_nothing(tmp_path: Path) -> None:
    """One that has no room says so, and begins anew; one that is killed while it saves goes on, and
    ends in the same numbers."""
    corpus = speaker.make_corpus(tmp_path / "corpus", clips=3, frames=60)
    straight, killed, log = tmp_path / "straight", tmp_path / "killed", tmp_path / "log"
    found = killed_training.full_disk(corpus.folder, straight)
    assert found["exit_code"] == 6
    assert found["partial_files"] == 0
    assert found["checkpoints"] == 0
    assert found["goes_on"]
    train = killed_training.killed
    assert train(corpus.folder, killed, log, 1e9, 3) == "while saving"
    steps = killed_training.reached(killed)
    assert sum(steps.values()) >= killed_training.SAVED
    assert train(corpus.folder, killed, log, 1e9, 0) == "ended", log.read_text()
    apart, where = killed_training.difference(straight, killed)
    assert apart == 0, where


def test_a_training_that_was_killed_before_it_began_may_begin(
    corpus: Corpus, tmp_path: Path
) -> None:
    (tmp_path / "a" / "training").mkdir(parents=True)
    (tmp_path / "a" / "training" / ".0123abcd.partial.json").write_text("{")
    folder, _ = start_folder(tmp_path / "a", tiny(), corpus, None, resume=False)
    assert (folder / "recipe.json").exists()
