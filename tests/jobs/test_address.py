"""An address at which no cluster answers is told at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from talkers.cli import main
from talkers.errors import UsageError
from talkers.jobs.cluster import connected


def test_no_cluster_is_told_within_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ray = pytest.importorskip("ray")
    if ray.is_initialized():
        ray.shutdown()
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # nothing listens
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        began = time.process_time()
        (tmp_path / "a.wav").touch()
        command = ["speak", str(tmp_path), "-o", str(tmp_path / "out"), "--avatar", "mock"]
        assert main([*command, "--ray", address]) == 2
        assert time.process_time() - began < 20
    assert "no Ray cluster at this address" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    for nonsense in ("nowhere", "host:port", "host:99999999"):
        assert main([*command, "--ray", nonsense]) == 2
        assert "is no address" in capsys.readouterr().err
    assert main([*command, "--workers", "2"]) == 2
    with pytest.raises(UsageError), connected("127.0.0.1"):
        pass


JOIN = """
import sys
from talkers.jobs.cluster import connected
from talkers.errors import TalkersError
try:
    with connected(sys.argv[1]) as ray:
        print(int(ray.cluster_resources()["CPU"]))
except TalkersError as error:
    print(error)
"""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Address of a cluster that asks for a token, and the settings of a machine that has it."""
    pytest.importorskip("ray")
    ray, token = [sys.executable, "-m", "ray.scripts.scripts"], "ab" * 32
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    clean |= {"HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0"}
    owner = clean | {"RAY_AUTH_TOKEN": token, "RAY_AUTH_MODE": "token"}
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    host = ["--node-ip-address", "127.0.0.1", "--port", str(port)]
    small = ["--num-cpus", "3", "--include-dashboard=false", "--object-store-memory=80000000"]
    with TemporaryDirectory(prefix="ray") as short:  # its sockets' names must be
        begun = subprocess.Popen(
            [*ray, "start", "--head", "--block", *host, *small, "--temp-dir", short],
            env=owner,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        yield f"127.0.0.1:{port}", clean | {"RAY_AUTH_TOKEN": token}
        os.killpg(begun.pid, signal.SIGKILL)
        begun.wait()


@pytest.mark.long
def test_a_machine_with_the_token_joins_and_others_are_told(
    guarded: tuple[str, dict[str, str]],
) -> None:
    address, settings = guarded
    stranger = {k: v for k, v in settings.items() if k != "RAY_AUTH_TOKEN"}
    for _ in range(60):
        joined = _join(address, settings)
        if joined.stdout.strip() == "3":
            break
        time.sleep(1)
    assert joined.stdout.strip() == "3", joined
    other = settings | {"RAY_AUTH_TOKEN": "cd" * 32}
    for asked, why in ((stranger, "has none"), (other, "has another")):
        told = _join(address, asked)
        assert f"asks for its token, because this machine {why}" in told.stdout.replace("\n", " ")
        assert told.stderr == ""


def _join(address: str, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", JOIN, address], env=settings, capture_output=True, text=True
    )
