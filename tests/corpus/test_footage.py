"""Which files of a folder are footage."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkers.corpus import Corpus
from talkers.corpus.footage import footage_files
from talkers.errors import MediaError
from talkers.media import VideoWriter


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    with VideoWriter(path, Fraction(25)) as writer:
        for k in range(5):
            writer.write(np.full((64, 64, 3), 40 * k, np.uint8))
    return path


def names(root: Path, **options: object) -> list[str]:
    return [str(p.relative_to(root)) for p in footage_files([root], **options)]  # type: ignore[arg-type]


def test_footage_is_found_in_folders(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MOV", "notes.txt", "sub/c.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.name for p in footage_files([tmp_path, tmp_path / "b.mp4"])] == [
        "a.MOV",
        "b.mp4",
        "c.mkv",
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="no video"):
        footage_files([tmp_path / "empty"])


def test_odd_names_are_decided_by_content(tmp_path: Path, video: Path) -> None:
    for name in ("card.m2ts", "clip.ts", "noname", "take.dat"):
        shutil.copy(video, tmp_path / name)
    (tmp_path / "page.ts").write_text("export const x: number = 1;\n" * 50)
    (tmp_path / "a.align").write_text("0 23750 sil\n")
    (tmp_path / "thumbs.db").write_bytes(bytes(range(256)) * 20)
    Image.new("RGB", (32, 32)).save(tmp_path / "me.jpg")
    Image.new("RGB", (32, 32)).save(tmp_path / "me", "png")
    told: list[str] = []
    assert names(tmp_path, remark=told.append) == ["card.m2ts", "clip.ts", "noname", "take.dat"]
    assert len(told) == 1
    assert "1 files (.db)" in told[0]


def test_hidden_files_and_what_talkers_made_are_left_out(
    tmp_path: Path, video: Path, corpus: Corpus
) -> None:
    for name in ("a.mp4", "._a.mp4", ".trash/b.mp4", "unfinished/clips/c.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, tmp_path / name)
    shutil.copytree(
        corpus.folder, tmp_path / "corpus", ignore=shutil.ignore_patterns(".cache", "*.parquet")
    )
    told: list[str] = []
    assert names(tmp_path, out=tmp_path / "unfinished", remark=told.append) == ["a.mp4"]
    assert len(told) == 1
    assert "corpus" in told[0]
    with pytest.raises(MediaError, match="made by talkers"):
        footage_files([tmp_path / "corpus"])


def test_linked_folders_are_followed_once(tmp_path: Path, video: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(video, tmp_path / "elsewhere" / "a.mp4")
    root = tmp_path / "footage"
    root.mkdir()
    (root / "card").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(root)  # and back
    assert names(root) == ["card/a.mp4"]
