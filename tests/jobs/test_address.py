"""An address at which no cluster answers is told at once."""

from __future__ import annotations

import socket
import time
from pathlib import Path

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
