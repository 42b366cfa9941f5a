"""A server with a drawn face, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from browsing import browser, browser_page  # noqa: F401 - fixtures
from served import LIMITS
from talkers.runtime.avatar import Avatar
from talkers.server.app import make_app


@pytest.fixture(scope="session")
def drawn() -> Avatar:
    return Avatar.load("mock")


@pytest.fixture
def client(drawn: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Speaks to a server of small limits, whose files lie in tmp_path/jobs."""
    monkeypatch.setenv("TALKERS_IDENTITY", str(tmp_path / "identity"))
    (tmp_path / "jobs").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "jobs"))
    app = make_app({"ann": drawn, "bob": drawn}, LIMITS)
    with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client
    assert not list((tmp_path / "jobs").iterdir())  # nothing is left, whatever was done
