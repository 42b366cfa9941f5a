"""No verb overwrites what it reads, nor one of its outputs with another."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

import talkers
from talkers.cli import main

SOURCE = Path(talkers.__file__).parent


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound named as a video, in a folder that is worked in."""
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "a.wav", np.zeros(8_000), 16_000)
    (tmp_path / "a.wav").rename(tmp_path / "mine.mp4")
    os.link(tmp_path / "mine.mp4", tmp_path / "same.mp4")
    (tmp_path / "link.mp4").symlink_to("mine.mp4")
    (tmp_path / "text.vtt").write_text("Hello.")
    return tmp_path / "mine.mp4"


@pytest.mark.parametrize(
    "command",
    [
        "speak mine.mp4 -o mine.mp4",
        "speak mine.mp4 -o ./mine.mp4",
        "speak mine.mp4 -o same.mp4",
        "speak mine.mp4 -o link.mp4",
        "speak link.mp4 -o mine.mp4",
        "speak mine.mp4 text.vtt -o .",
        "speak text.vtt -o mine.mp4 --pose mine.mp4",
        "speak text.vtt -o mine.mp4 --style same.mp4",
        "reconstruct mine.mp4 -o same.mp4",
        "reconstruct mine.mp4 same.mp4 -o .",
        "say Hello -o y.mp4 --words y.vtt --subtitles y.vtt",
        "say Hello -o y.mp4 --words y.vtt --subtitles ./y.vtt",
        "say text.vtt -o y.mp4 --words text.vtt",
        "say Hello -o mine.mp4 --pose link.mp4",
        "prepare mine.mp4 -o mine.mp4",
        "train . -o .",
        "train-expert . -o .",
        "evaluate . mine.mp4 -o .",
    ],
)
def test_what_is_read_is_not_overwritten(
    command: str, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.read_bytes() for p in mine.parent.iterdir()}
    assert main(shlex.split(command)) == 2, command
    told = capsys.readouterr().err
    assert "overwritten" in told or "two outputs are one file" in told
    assert {p: p.read_bytes() for p in mine.parent.iterdir()} == before


def commands_in_advice() -> list[str]:
    """Commands with options or paths that the package's sentences tell users to run."""
    text = "\n".join(p.read_text("utf-8") for p in SOURCE.rglob("*.py"))
    text = re.sub(r'"\s*\n\s*f?"', "", text)  # strings that go on in the next line
    found = re.findall(r"(?:`|Write: |Hear it: )(talkers [a-z-]+ [^`\"\n]+)", text)
    return [re.sub(r"\{[^{}]*\}+", "x", command) for command in found]


@pytest.mark.parametrize("command", commands_in_advice())
def test_advice_is_what_the_parser_takes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Words in capitals stand for paths; what the program fills in is an x here."""
    _, verb, *words = shlex.split(command)
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for word in words:
        assert not word.startswith("-") or re.search(rf"(?<![\w-]){word}\b", shown), word


def test_there_is_advice_to_try() -> None:
    assert len(commands_in_advice()) >= 4


def test_the_setting_in_the_advice_on_memory_exists() -> None:
    from talkers.cli import NO_MEMORY
    from talkers.systems.recipe import recipe_named, with_settings

    (setting,) = re.findall(r"--set (\S+=\d+)", NO_MEMORY)
    assert with_settings(recipe_named("compact"), [setting]) != recipe_named("compact")
