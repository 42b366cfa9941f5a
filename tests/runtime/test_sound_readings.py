"""A file's sound is decoded once while its video is made, and once for the video's own sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import speaker
from talkers import Avatar
from talkers.media import write_flac
from talkers.runtime import source


def test_the_frames_of_a_file_read_its_sound_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_flac(tmp_path / "a.flac", speaker.voice(speaker.perform(30, 1).opening, 30), 16_000)
    read, readings = source.audio_blocks, []

    def counted(path: Any, *arguments: Any, **options: Any) -> Any:
        readings.append(path)
        return read(path, *arguments, **options)

    monkeypatch.setattr(source, "audio_blocks", counted)
    for live in (False, True):
        readings.clear()
        video = Avatar.load("mock").speak(tmp_path / "a.flac", live=live)
        assert len(list(video)) == len(list(video)) == 30  # also when it is iterated again
        assert len(readings) == 1
        video.save(tmp_path / "a.mp4")
        assert len(readings) == 2  # at the video's own rate
