"""Ctrl-C and requests to end: answered at once or when a library is done, by all processes, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkers.artefacts.files import folder_beside
from talkers.errors import ResourceError, interrupts_held
from talkers.media import VideoWriter
from talkers.media.manifest import Signer

SOURCE = Path(__file__).parents[1] / "src"
POOL = """
import signal, sys, time
from fractions import Fraction
from pathlib import Path
import numpy as np
from talkers.parallel import parallel
from talkers.media import VideoWriter

def work(k, folder):
    (Path(folder) / f"begun {k}").touch()
    with VideoWriter(Path(folder) / f"{k}.mp4", Fraction(25)) as writer:
        for _ in range(100):
            writer.write(np.zeros((1024, 1024, 3), np.uint8))

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        parallel(work, {k: (k, sys.argv[1]) for k in range(60)}, 2, lambda key, result: None)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.fixture
def handlers() -> Iterator[None]:
    """Handlers of signals are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_held_interrupts_come_at_the_end() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    reached = []
    for number, kind in ((signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)):
        with pytest.raises(kind), interrupts_held():
            signal.raise_signal(number)
            reached.append(number)
        with pytest.raises(kind):  # and at once after it
            signal.raise_signal(number)
    assert len(reached) == 2


@pytest.mark.usefixtures("handlers")
def test_a_signal_that_is_ignored_hides_no_other() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with pytest.raises(SystemExit), interrupts_held():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.usefixtures("handlers")
def test_a_signal_while_handlers_change_leaves_none_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    change, changes = signal.signal, [0]

    for moment in range(4):  # two changes at the beginning, two at the end

        def changing(number: int, handler: object, moment: int = moment) -> object:
            before = change(number, handler)  # type: ignore[arg-type]
            changes[0] += 1
            if changes[0] == moment + 1:
                signal.raise_signal(signal.SIGTERM)
            return before

        changes[0] = 0
        monkeypatch.setattr(signal, "signal", changing)
        with pytest.raises(SystemExit), interrupts_held():
            pass
        monkeypatch.setattr(signal, "signal", change)
        for number, kind in ((signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)):
            with pytest.raises(kind):
                signal.raise_signal(number)


def test_many_processes_end_at_once(tmp_path: Path) -> None:
    (tmp_path / "pool.py").write_text(POOL)
    (tmp_path / "out").mkdir()
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "pool.py"), str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("out/.*partial*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    begun = len(list(tmp_path.glob("out/begun*")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait(120) == 130
    assert len(list(tmp_path.glob("out/begun*"))) <= min(begun + 2, 59)
    assert not list(tmp_path.glob("out/.*"))


def test_sound_that_fails_at_the_end_leaves_nothing_open(tmp_path: Path) -> None:
    def sound() -> Iterator[np.ndarray]:
        yield np.zeros(4_800, np.float32)
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        VideoWriter(tmp_path / "a.mp4", Fraction(25), sound()) as writer,
    ):
        for _ in range(2):
            writer.write(np.zeros((32, 32, 3), np.uint8))
        writer._container.start_encoding()  # the file is begun, as after many frames
    assert not list(tmp_path.iterdir())
    assert not [
        link for link in Path("/proc/self/fd").glob("*") if str(tmp_path) in os.path.realpath(link)
    ]


def test_what_the_block_raised_is_told(tmp_path: Path) -> None:
    class Full:
        def close(self) -> None:
            raise OSError("no room")

    for kind in (KeyboardInterrupt, ValueError):
        with pytest.raises(kind), VideoWriter(tmp_path / "a.mp4", Fraction(25)) as writer:
            writer._container = Full()
            raise kind
    with (
        pytest.raises(ResourceError, match="no room"),
        VideoWriter(tmp_path / "a.mp4", Fraction(25)) as writer,
    ):
        writer._container = Full()
    assert not list(tmp_path.iterdir())


def test_a_folder_beside_is_gone_whenever_the_interrupt_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = os.mkdir

    def interrupted(path: str, *given: int) -> None:
        made(path, *given)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt), folder_beside(tmp_path / "a.mp4"):
        pass
    assert not list(tmp_path.iterdir())


def test_an_identity_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKERS_IDENTITY", str(tmp_path / "identity"))
    replaced = Path.replace

    def interrupted(self: Path, target: Path) -> Path:
        path = replaced(self, target)
        signal.raise_signal(signal.SIGINT)
        return path

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Signer()
    monkeypatch.setattr(Path, "replace", replaced)
    Signer()
    assert sorted(p.name for p in (tmp_path / "identity").iterdir()) == [
        ".lock",
        "certificate.pem",
        "key.pem",
    ]
