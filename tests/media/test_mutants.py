"""Damaged media end in a sentence: the command that counts how, on a few hundred mutants."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "mutants.py"


def test_mutants_end_in_frames_or_in_a_sentence() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--count", "200", "--seed", "7"], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["bad"] == []
    assert report["ends"]["told"] > 40
    assert report["ends"]["read"] > 40
