"""A training that is killed goes on where it was: the command that counts, with few kills."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from talkers.corpus import Corpus
from talkers.systems.dae_talker import tiny
from talkers.training.train import start_folder

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kills.py"


def test_a_killed_training_ends_as_one_that_was_left_alone(corpus: Corpus, tmp_path: Path) -> None:
    pytest.importorskip("resource")
    command = [
        sys.executable,
        str(SCRIPT),
        str(corpus.folder),
        "--kills",
        "2",
        "-o",
        str(tmp_path / "kills.json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "kills.json").read_text())
    assert told["trainings_compared"] >= 1
    assert told["largest_difference"] == 0
    assert told["ends"]["while saving"] >= 1
    assert told["full_disk"]["exit_code"] == 6


def test_a_training_that_was_killed_before_it_began_may_begin(
    corpus: Corpus, tmp_path: Path
) -> None:
    (tmp_path / "a" / "training").mkdir(parents=True)
    (tmp_path / "a" / "training" / ".0123abcd.partial.json").write_text("{")
    folder, _ = start_folder(tmp_path / "a", tiny(), corpus, None, resume=False)
    assert (folder / "recipe.json").exists()
