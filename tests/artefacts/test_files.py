"""Files appear whole, with ordinary permissions, and never in the place of what is needed."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from talkers.artefacts import files
from talkers.artefacts.files import atomic, refuse_same_file
from talkers.errors import UsageError


def write(path: Path, text: str = "new") -> None:
    with atomic(path) as temporary:
        assert not temporary.exists()
        temporary.write_text(text)


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_files_have_the_permissions_of_this_process(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write(tmp_path / "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


def test_writing_does_not_touch_the_permissions_of_other_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(mask: int) -> int:
        raise AssertionError("the umask is of the whole process")

    monkeypatch.setattr(os, "umask", forbidden)
    threads = [threading.Thread(target=write, args=(tmp_path / f"{k}",)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1", "2", "3"]


def test_a_disk_without_permissions_keeps_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, *given: object, **named: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "chmod", refused)
    write(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "new"


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "a.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write(link)
    assert link.is_symlink()
    assert target.read_text() == "new"
    (tmp_path / "dangling").symlink_to(tmp_path / "far" / "b.txt")
    write(tmp_path / "dangling")
    assert (tmp_path / "far" / "b.txt").read_text() == "new"
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(UsageError, match="circle"):
        write(tmp_path / "round")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_pipes_and_folders_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(UsageError):
            write(path)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_what_is_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "mine.mp4"
    source.write_bytes(b"x")
    (tmp_path / "soft.mp4").symlink_to(source)
    os.link(source, tmp_path / "hard.mp4")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in (
        source,
        "mine.mp4",
        "sub/../mine.mp4",
        "soft.mp4",
        "hard.mp4",
        os.fspath(source),
    ):
        with pytest.raises(UsageError, match="overwritten"):
            refuse_same_file([name], [source])
        with pytest.raises(UsageError, match="overwritten"):
            refuse_same_file(["other.mp4", name], [None, "away.mp4", source])
    refuse_same_file(["out.mp4", None], [source, "-"])
    refuse_same_file(["-", "-"], ["-"])
    assert source.read_bytes() == b"x"


def test_two_outputs_are_two_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a.mp4")
    for one, other in (("a.mp4", "a.mp4"), ("a.mp4", "sub/../a.mp4"), ("a.mp4", "link")):
        with pytest.raises(UsageError, match="two outputs are one file"):
            refuse_same_file([tmp_path / one, tmp_path / other])
    refuse_same_file([tmp_path / "a.mp4", tmp_path / "a.srt"])


def test_names_of_another_case_are_one_file_where_the_disk_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "Mine.mp4"
    source.write_bytes(b"x")
    stats = Path.stat

    def blind(self: Path, **named: bool) -> os.stat_result:
        found = [p for p in self.parent.iterdir() if p.name.lower() == self.name.lower()]
        return stats(found[0] if found else self, **named)

    monkeypatch.setattr(files.Path, "stat", blind)
    with pytest.raises(UsageError, match="overwritten"):
        refuse_same_file([tmp_path / "mine.mp4"], [source])
