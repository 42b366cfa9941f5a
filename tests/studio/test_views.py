"""What the page's library remembers of its viewers has an end."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the extra studio is not installed")

from talkers import Avatar
from talkers.server.app import make_app
from talkers.studio.mount import MAX_VIEWS, mount_studio


def test_views_of_the_page_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds a copy of the page's description: 10,000 of them would be 4 GB."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # which the studio sets, and gets back
    app = make_app({"mock": Avatar.load("mock")})
    try:
        mount_studio(app, tmp_path)
        views = app.routes[-1].app.app.state_holder
        for k in range(3 * MAX_VIEWS):
            assert views[f"view {k}"].blocks_config is not None
        assert len(views.session_data) <= MAX_VIEWS
        assert f"view {k}" in views
    finally:
        app.state.service.jobs.close()
