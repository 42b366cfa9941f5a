"""Every command and Python block of the README, the guide and the extension pages runs, in order, in a folder of its own.

A block is a fence in `console` or `python`. An HTML comment before it may change that:

    <!-- test: tiny -->            training uses the tiny recipe and a few hundred frames, evaluating one clip
    <!-- test: needs NAME -->      runs only where the pretrained model NAME is on this machine
    <!-- test: skip: REASON -->    cannot run here, for the reason that stands there

A fence with title="FILE" is written to that file. `pip install` and `make` are not run; what they name must exist.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
import soundfile
from filelock import FileLock
from PIL import Image

from talkers import registry
from talkers.artefacts import pretrained
from talkers.cli import main
from talkers.media import AUDIO_RATE, read_audio
from talkers.runtime import bundle
from talkers.runtime.avatar import Avatar
from talkers.runtime.bundle import avatar_folder

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "guide").glob("*.md")),
    *sorted((ROOT / "docs" / "extend").glob("*.md")),
]
FENCE = re.compile(
    r"^(?:<!-- test: (?P<mark>.+?) -->\n)?```(?P<kind>[a-z]+)(?P<more>[^\n]*)\n(?P<text>.*?)^```$",
    re.M | re.S,
)
RUN = {"console", "bash", "sh", "python"}
MARKS = re.compile(r"tiny|needs [\w.-]+|skip: .{15,}")
TINY = "--recipe tiny --set stages.codec.frames=320 " + " ".join(
    f"stages.{stage}.frames=1600" for stage in ("regressor", "flow", "streaming_encoder")
)
FOOTAGE_SECONDS, CLIP_SECONDS = 1.6, 0.48
SMALL_AVATAR = ROOT / "tests" / "data" / "format-3"


@dataclass(frozen=True)
class Block:
    """A fence of a page, and the line where it begins."""

    line: int
    kind: str
    text: str
    mark: str
    file: str


def blocks_of(page: Path) -> list[Block]:
    content = page.read_text("utf-8")
    found = []
    for fence in FENCE.finditer(content):
        title = re.search(r'title="([^"]+)"', fence["more"])
        line = content.count("\n", 0, fence.start()) + 1
        found.append(
            Block(
                line, fence["kind"], fence["text"], fence["mark"] or "", title[1] if title else ""
            )
        )
    return found


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with speech.wav, one second of it, and photo.jpg, a face."""
    folder = tmp_path_factory.mktemp("speech")
    samples = read_audio(ROOT / "src" / "talkers" / "avatars" / "hello.flac")[:AUDIO_RATE]
    for name in ("speech.wav", "another.wav"):
        soundfile.write(folder / name, samples, AUDIO_RATE, subtype="PCM_16")
    with Image.open(ROOT / "src" / "talkers" / "avatars" / "default" / "preview.png") as face:
        face.save(folder / "photo.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def videos(shared: Path, bundled: Avatar) -> Path:
    """footage/, clips/, generated/ and real/: videos of the bundled avatar, in whom face analysis sees a face."""
    folder = shared / "videos"
    samples = read_audio(ROOT / "src" / "talkers" / "avatars" / "hello.flac")
    with FileLock(shared / "videos.lock"):
        if (shared / "videos.made").exists():
            return folder
        for name, first, seconds in (
            ("footage/a", 0.0, FOOTAGE_SECONDS),
            ("footage/b", 1.0, FOOTAGE_SECONDS),
            ("clips/c", 0.5, CLIP_SECONDS),
        ):
            said = samples[int(first * AUDIO_RATE) :][: int(seconds * AUDIO_RATE)]
            bundled.speak(said, seed=len(name), provenance=False).save(folder / f"{name}.mp4")
        for place in ("generated", "real"):
            (folder / place).mkdir()
            small = bundled.speak(said, provenance=False, size=128)
            small.save(folder / place / "c.mp4")
        (shared / "videos.made").touch()
    return folder


def _install(arguments: list[str]) -> None:
    """`pip install`: the extras that are named exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    for argument in arguments:
        if named := re.fullmatch(r"(?:talkers|\.)\[([\w,]+)\]", argument):
            assert set(named[1].split(",")) <= set(extras), (
                f"pip install {argument}: there is no such extra"
            )


def _make(arguments: list[str]) -> None:
    """`make`: the targets that are named exist, and make knows how to reach them."""
    subprocess.run(
        ["make", "--dry-run", "-C", str(ROOT), *arguments], check=True, capture_output=True
    )


LONG = {"check", "prepare", "train"}
"""Verbs whose commands run once for all pages, in whatever process: they begin from the same
inputs on every page, and what they wrote is kept."""


def _talkers(arguments: list[str], tiny: bool, kept: Path) -> None:
    """Run a verb; a long one that ran on another page gives what it wrote there."""
    arguments = _shortened(arguments, tiny)
    if arguments[0] not in LONG or "--resume" in arguments:
        return _run_verb(arguments)
    output = next((Path(b) for a, b in pairwise(arguments) if a == "-o"), None)
    done = kept / sha256(shlex.join(sorted(arguments)).encode()).hexdigest()[:16]
    with FileLock(f"{done}.lock"):
        if not done.exists():
            _run_verb(arguments)
            done.mkdir()
            if output is not None:
                shutil.copytree(output, done / "output")
        elif output is not None:
            shutil.copytree(done / "output", output)


def _shortened(arguments: list[str], tiny: bool) -> list[str]:
    """The verb with what makes it take less time: one process, and where it is marked, less to do."""
    verb = arguments[0]
    if verb in {"check", "prepare", "evaluate"}:
        arguments = [*arguments, "--jobs", "1"]
    if tiny and verb == "prepare":
        arguments = [*arguments, "--size", "64"]
    if tiny and verb == "evaluate" and "--pairs" not in arguments:
        arguments = [*arguments, "--limit", "1", "--speed", "0"]
    if tiny and verb == "train":
        if "--budget" in arguments:
            at = arguments.index("--budget")
            arguments = arguments[:at] + arguments[at + 2 :]
        arguments = [*arguments, *shlex.split(TINY)]
    return arguments


def _run_verb(arguments: list[str]) -> None:
    code = main(arguments)
    assert code == 0, f"talkers {shlex.join(arguments)}: exit code {code}"


def run_command(command: str, tiny: bool, kept: Path) -> None:
    words = shlex.split(command, comments=True)
    if not words:
        return
    plain = not re.search(r"[|<>;&$`]", re.sub(r"'[^']*'|\"[^\"]*\"", "", command))
    handlers: dict[str, Callable[[list[str]], None]] = {
        "make": _make,
        "talkers": lambda rest: _talkers(rest, tiny, kept),
    }
    if words[:2] == ["pip", "install"]:
        _install(words[2:])
    elif plain and words[0] in handlers:
        handlers[words[0]](words[1:])
    else:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            env=os.environ | {"PATH": path},
            check=False,
        )
        assert done.returncode == 0, command


def absent(block: Block) -> str:
    """Why a block cannot run on this machine; empty where it can."""
    if block.mark.startswith("skip: "):
        return block.mark.removeprefix("skip: ")
    if (
        block.mark.startswith("needs ")
        and pretrained.locate(block.mark.removeprefix("needs ")) is None
    ):
        return f"the pretrained model {block.mark.removeprefix('needs ')} is not on this machine"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_runs(
    page: Path,
    speech: Path,
    request: pytest.FixtureRequest,
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (shared / "done").mkdir(exist_ok=True)
    text = page.read_text("utf-8")
    shutil.copytree(speech, tmp_path, dirs_exist_ok=True)
    if re.search(r"\b(footage|clips|generated|real)/", text):
        shutil.copytree(request.getfixturevalue("videos"), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    registry.load_plugins()
    monkeypatch.setattr(
        registry, "_components", dict(registry._components)
    )  # a page's own go again
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TALKERS_IDENTITY", str(tmp_path / "identity"))
    if (
        page.name != "README.md"
    ):  # whose commands speak with the bundled avatar: the others' with a small one
        monkeypatch.setattr(
            bundle, "avatar_folder", lambda n: SMALL_AVATAR if n == "default" else avatar_folder(n)
        )
    if "me/" in text and "-o me/" not in text:  # the page does not train it
        Path("me").symlink_to(SMALL_AVATAR)
    for block in blocks_of(page):
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text, "utf-8")
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks_of(page):
        where = f"{page.relative_to(ROOT)}, line {block.line}"
        if block.kind in RUN and not absent(block):
            print(f"--- {where}")
            if block.kind == "python":
                exec(compile(block.text, where, "exec"), names)
            else:
                for command in block.text.replace("\\\n", " ").splitlines():
                    run_command(command, block.mark == "tiny", shared / "done")


def test_every_mark_is_known_and_says_why() -> None:
    wrong = [
        f"{page.name}, line {b.line}: {b.mark}"
        for page in PAGES
        for b in blocks_of(page)
        if b.mark and not MARKS.fullmatch(b.mark)
    ]
    assert wrong == []
    assert sum(b.kind in RUN for page in PAGES for b in blocks_of(page)) >= 30


def test_most_blocks_run_everywhere() -> None:
    """What is skipped stays the exception."""
    blocks = [b for page in PAGES for b in blocks_of(page) if b.kind in RUN]
    assert sum(b.mark.startswith("skip") for b in blocks) <= len(blocks) / 10
