"""What tests of the server have in common."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile
from fastapi.testclient import TestClient

from talkers.server.limits import Limits
from talkers.server.service import Service

LIMITS = Limits(upload=300_000, seconds=2, queue=2, sessions=1, characters=50)


def service(client: TestClient) -> Service:
    found: Service = client.app.state.service  # type: ignore[attr-defined]
    return found


def wav(seconds: float) -> bytes:
    """A sound file."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * 16_000))
    soundfile.write(file, noise, 16_000, format="WAV")
    return file.getvalue()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, "it did not become so"
        time.sleep(0.01)


def ended(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    """A job, when it is done or has failed."""
    state = dict(job)

    def over() -> bool:
        state.update(client.get(f"/jobs/{job['id']}").json())
        return state["state"] in ("done", "failed")

    wait_for(over)
    return state
