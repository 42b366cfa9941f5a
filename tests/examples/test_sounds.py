"""The example that makes recordings of a text, with the local voices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from talkers.errors import MissingComponent
from talkers.media import AUDIO_RATE, read_audio
from talkers.speech.voices import load_voice

EXAMPLE = Path(__file__).parents[2] / "examples" / "sounds" / "sounds.py"


def test_sentences_are_said_once(tmp_path: Path) -> None:
    try:
        load_voice("joe")
    except MissingComponent as error:
        pytest.skip(str(error))
    text = tmp_path / "sentences.txt"
    text.write_text("Good morning.\nIt rains again today.\n\nGood morning.\n" + "long " * 40)
    command = [sys.executable, str(EXAMPLE), str(text), "-o", str(tmp_path / "sounds")]
    subprocess.run([*command, "--voices", "joe"], check=True)
    found = sorted((tmp_path / "sounds").iterdir())
    assert [p.name for p in found] == ["00000-joe.flac", "00001-joe.flac"]
    assert all(0.4 * AUDIO_RATE < len(read_audio(p)) < 4 * AUDIO_RATE for p in found)
    before = [p.stat().st_mtime_ns for p in found]
    subprocess.run([*command, "--voices", "joe"], check=True)
    assert [p.stat().st_mtime_ns for p in found] == before  # what is there is kept
