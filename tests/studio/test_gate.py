"""Uploads that cannot be kept, and clients that leave."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from talkers.server.limits import Limits
from talkers.studio.gate import Gate
from talkers.studio.uploads import KEPT_SECONDS, Uploads
from talkers.studio.visitors import COOKIE, Visitors, new_secret


async def failing(scope, receive, send):  # type: ignore[no-untyped-def]
    """As gradio's application does: it answers 500, and raises."""
    await send({"type": "http.response.start", "status": 500, "headers": []})
    await send({"type": "http.response.body", "body": b"Internal Server Error"})
    raise OSError(28, "No space left on device")


async def left(scope, receive, send):  # type: ignore[no-untyped-def]
    raise ClientDisconnect


def uploads_in(folder: Path, **limits: int) -> Uploads:
    return Uploads(folder, Limits(**limits))


def client_of(app, uploads: Uploads) -> TestClient:  # type: ignore[no-untyped-def]
    gate = Gate(app, Visitors(uploads.folder), uploads)
    return TestClient(gate, "http://127.0.0.1", cookies={COOKIE: new_secret()})


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path) -> None:
    answer = client_of(failing, uploads_in(tmp_path)).post("/gradio_api/upload", content=b"x")
    assert answer.status_code == 507
    assert answer.text.startswith("The server has no room for this file.")


def test_a_client_that_leaves_is_no_fault(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):  # the test's client misses an answer, and nothing else
        client_of(left, uploads_in(tmp_path)).post("/gradio_api/upload", content=b"x")


def test_a_visitor_has_so_much_room(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path, upload=10)
    client = client_of(failing, uploads)
    path = tmp_path / "film"
    path.write_bytes(bytes(50))
    uploads.add(Visitors(tmp_path).of(client.cookies[COOKIE]).name, [str(path)])
    answer = client.post("/gradio_api/upload", content=b"x")
    assert answer.status_code == 413
    assert "your uploads take" in answer.text


def test_uploads_go_when_their_time_is_over(tmp_path: Path) -> None:
    now = [0.0]
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "film"
    path.write_bytes(b"a film")
    begun = path.stat().st_mtime
    now[0] = begun
    uploads = Uploads(tmp_path, Limits(), lambda: now[0])
    uploads.add("ann", [str(path)])
    now[0] = begun + KEPT_SECONDS - 1
    uploads.tidy()
    assert uploads.owns("ann", path)
    now[0] = begun + KEPT_SECONDS + 100
    uploads.tidy()
    assert not path.exists()
    assert not uploads.owns("ann", path)
