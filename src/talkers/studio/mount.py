"""Put the studio into the server's application."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from talkers.errors import missing
from talkers.server.service import Service
from talkers.studio.uploads import Uploads
from talkers.studio.visitors import Visitors, studio_folder

FILES = Path(str(files("talkers.studio") / "files"))
MAX_VIEWS = 32  # of the page that gradio remembers, 0.4 MB each: 10,000 without a limit


def refuse_missing() -> None:
    """Raises MissingComponent: gradio, which makes the page, is not installed."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # it is read when gradio is imported
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise missing("the studio", "studio", error) from error


def mount_studio(app: FastAPI, folder: Path | None = None) -> None:
    """Put the studio's page at / of an application from `make_app`.

    Args:
        app: the server's.
        folder: of visitors' avatars and trainings (default: see `studio_folder`).

    Raises:
        MissingComponent: gradio is not installed. ResourceError: no such folder.
    """
    refuse_missing()
    service: Service = app.state.service
    sent = service.jobs.folder / "uploads"  # it goes when the server ends
    sent.mkdir()
    os.environ["GRADIO_TEMP_DIR"] = str(sent)
    import gradio as gr

    from talkers.studio.gate import Gate
    from talkers.studio.page import HEAD, THEME, make_page
    from talkers.studio.routes import router
    from talkers.studio.studio import Studio

    visitors, uploads = Visitors(folder or studio_folder()), Uploads(sent, service.limits)
    app.state.studio = Studio(service, visitors, uploads)
    app.include_router(router)
    app.mount("/studio/files", StaticFiles(directory=FILES))
    page = make_page(app.state.studio)
    page.state_session_capacity = MAX_VIEWS
    gr.mount_gradio_app(
        app,
        page,
        "/",
        footer_links=[],
        run_history=False,
        max_file_size=service.limits.upload,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        theme=THEME,
        head=HEAD,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
    )
    mounted = app.routes[-1]
    assert isinstance(mounted, Mount)
    mounted.app = Gate(mounted.app, visitors, uploads)
