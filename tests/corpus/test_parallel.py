"""Work in child processes: one file's failure is its own, and a fault of the program is told as one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from talkers.errors import InternalFault, MediaError, ResourceError, TalkersError
from talkers.parallel import parallel


def task(what: str, folder: str) -> str:
    """What each kind of file does to its process."""
    if what == "fault":
        return {"a": "b"}[what]
    if what == "damaged":
        raise MediaError("the file is empty", where=what, todo="Copy it again")
    if what == "memory":
        raise MemoryError
    if what == "crash":
        os._exit(11)
    (Path(folder) / what).touch()
    return what


def outcome(folder: Path, *names: str) -> dict[str, Any]:
    results: dict[str, Any] = {}
    parallel(task, {n: (n, str(folder)) for n in names}, 2, results.__setitem__)
    return results


def test_only_what_kills_its_process_is_blamed_on_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TALKERS_DEBUG", raising=False)
    results = outcome(tmp_path, "good", "fault", "damaged", "memory", "crash", "fine")
    assert (results["good"], results["fine"]) == ("good", "fine")
    assert results["damaged"].todo == "Copy it again"
    assert isinstance(results["crash"], MediaError)
    assert "crashes the decoder" in str(results["crash"])
    assert isinstance(results["memory"], ResourceError)
    assert isinstance(results["fault"], InternalFault)
    assert str(results["fault"]).startswith("fault: internal fault: KeyError: 'fault'.")
    assert "Convert" not in str(results["fault"])
    assert all(isinstance(r, TalkersError) for k, r in results.items() if k not in ("good", "fine"))


def test_a_fault_has_its_traceback_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALKERS_DEBUG", "1")
    with pytest.raises(KeyError) as caught:
        outcome(tmp_path, "fault")
    assert "while working on fault" in caught.value.__notes__
    assert "in task" in str(caught.value.__cause__)  # the child's own lines
