"""Damaged media end in a sentence: the command that counts how, on a few hundred mutants."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from talkers.media import probe

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "mutants.py"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_mutants_end_in_frames_or_in_a_sentence() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--count", "200", "--seed", "7"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["bad"] == []
    assert report["slowest"] <= 10
    assert {"h264.mp4", "rotated.mp4"} <= set(report["seeds"])
    assert len(report["seeds"]) + len(report["not_encoded"]) == 11
    assert report["ends"]["told"] > 40
    assert report["ends"]["read"] > 40


def test_a_slow_mutant_and_a_seed_that_cannot_be_made_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mutants = script()
    clip = mutants.clip

    def poor(path: Path, codec: str, *rest: object) -> Path:
        return clip(path, "no-such-codec" if codec == "libx265" else codec, *rest)

    monkeypatch.setattr(mutants, "clip", poor)
    monkeypatch.setattr(mutants, "LIMIT", -1.0)
    monkeypatch.setattr(sys, "argv", ["mutants.py", "--count", "1"])
    with pytest.raises(SystemExit) as ended:
        mutants.main()
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert ended.value.code == 1
    assert report["bad"][0]["seconds"] >= 0
    assert report["not_encoded"] == ["hevc.mkv"]
    assert "left out: hevc.mkv cannot be encoded here" in said.err


def test_the_rotated_seed_is_turned(tmp_path: Path) -> None:
    mutants = script()
    mutants.seeds(tmp_path)
    video = probe(tmp_path / "rotated.mp4").video
    assert video is not None
    assert (video.width, video.height, video.rotation % 180) == (64, 96, 90)
