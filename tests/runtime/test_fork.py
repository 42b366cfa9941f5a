"""An avatar that was loaded before a fork speaks in the child, as under gunicorn or in a Pool."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from talkers import Avatar

PATIENCE = 120  # seconds, after which a child that hangs is ended


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_an_avatar_loaded_before_a_fork_speaks_in_the_child(avatar: Avatar) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 6_400).astype(np.float32)
    assert len(list(avatar.speak(samples))) == 10  # OpenMP's threads are begun
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if len(list(avatar.speak(samples))) == 10 else 2
        finally:
            os._exit(code)
    deadline = time.monotonic() + PATIENCE
    done, status = 0, 0
    while not done and time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.05)
    if not done:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert done, "the child hangs"
    assert os.waitstatus_to_exitcode(status) == 0
