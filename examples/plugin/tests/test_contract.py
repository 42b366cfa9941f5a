"""The system passes the contract tests that talkers ships."""

from __future__ import annotations

from talkers_eigenfaces.recipes import tiny

from talkers.testing import SystemContract


class TestEigenfaces(SystemContract):
    recipe = staticmethod(tiny)
