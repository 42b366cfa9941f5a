"""An avatar that costs nothing, and files of real users' kinds, beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from talkers import Avatar

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cases() -> Path:
    """Files in which things went wrong; skipped when there are none."""
    folder = Path(os.environ.get("TALKERS_CASES") or ROOT.parent / "shared" / "cases")
    if not folder.is_dir():
        folder = ROOT.parents[1] / "shared" / "cases"  # a work tree within a folder of them
    if not folder.is_dir():
        pytest.skip("the files of users' cases are not on this machine; set TALKERS_CASES")
    return folder


@pytest.fixture(scope="session")
def mock() -> Avatar:
    """The drawn avatar without weights."""
    return Avatar.load("mock")
