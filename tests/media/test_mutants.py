"""Damaged media end in frames or in a sentence: two hundred mutants of clips of eleven kinds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from damaged_media import ends, mutant, seeds
from talkers.media import probe


def test_mutants_end_in_frames_or_in_a_sentence(tmp_path: Path) -> None:
    made, missing = seeds(tmp_path)
    assert {"h264.mp4", "rotated.mp4"} <= {path.name for path in made}
    assert len(made) + len(missing) == 11
    random, found = np.random.default_rng(7), Counter[str]()
    contents = [path.read_bytes() for path in made]
    for number in range(200):
        (tmp_path / "mutant").write_bytes(mutant(contents, random))
        ended = list(ends(tmp_path / "mutant"))
        assert all(end.startswith(("read", "told")) for end in ended), (number, ended)
        found.update(ended)
    assert found["told"] > 40  # the mutants are neither all good nor all bad
    assert found["read"] > 40


def test_the_rotated_seed_is_turned(tmp_path: Path) -> None:
    seeds(tmp_path)
    video = probe(tmp_path / "rotated.mp4").video
    assert video is not None
    assert (video.width, video.height, video.rotation % 180) == (64, 96, 90)
