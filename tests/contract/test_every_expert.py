"""Every registered expert is held to the contract."""

from __future__ import annotations

import pytest

from talkers import registry
from talkers.testing import ExpertContract


class TestExperts(ExpertContract):
    @pytest.fixture(params=registry.names("expert"))
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)
