"""A budget of time is that of the whole command."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from talkers.errors import ArtefactError
from talkers.training import budget as budget_module
from talkers.training.budget import TimeBudget

SHARES = {"codec": 0.57, "motion": 0.15}


def test_a_budget_is_the_whole_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now, spent = [1000.0], dict[str, float]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(
        budget_module,
        "elapsed",
        lambda folder: {stage: {"seconds": seconds} for stage, seconds in spent.items()},
    )
    clock = TimeBudget(tmp_path, 1000.0, SHARES)
    now[0] += 100  # speech is heard
    codec = clock("codec")
    assert codec is not None
    assert codec == pytest.approx(
        (1000 - 100 - 100) * 0.57 / 0.72, abs=0.1
    )  # a tenth is put aside for measuring
    now[0] += codec + 50  # what is prepared between takes from what is left
    motion = clock("motion")
    assert motion is not None
    assert motion == pytest.approx(1000 - 100 - codec - 50 - 100, abs=0.1)
    assert not caplog.text
    spent |= {"codec": codec, "motion": 0.5 * motion}
    now[0] = 10.0  # another day
    later = TimeBudget(tmp_path, 1000.0, SHARES)
    assert (later("codec"), later("motion")) == (codec, motion)
    longer = TimeBudget(tmp_path, 3000.0, SHARES)
    assert longer("codec") == codec  # finished
    assert (longer("motion") or 0) > motion + 1500
    spent["motion"] = longer("motion") or 0
    again = TimeBudget(tmp_path, 6000.0, SHARES)  # all are finished: all go on
    assert (again("codec") or 0) > codec + 1500
    assert (again("motion") or 0) > spent["motion"] + 300
    (tmp_path / "budget.json").write_text('{"budget": 1000.0, "codec": "long"}')
    with pytest.raises(ArtefactError, match="damaged"):
        TimeBudget(tmp_path, 1000.0, SHARES)
    (tmp_path / "budget.json").unlink()  # as it says
    spent |= {"codec": 300.0, "motion": 0.0}
    anew = TimeBudget(tmp_path, 1000.0, SHARES)("codec")
    assert anew is not None
    assert 300 + 500 < anew + 100 < 1000  # what was spent is not taken for all of it
    assert TimeBudget(tmp_path, None, SHARES)("codec") is None
    (tmp_path / "budget.json").unlink()
    spent.clear()
    assert TimeBudget(tmp_path, 20.0, SHARES)("codec") == pytest.approx(18 * 0.57 / 0.72, abs=0.1)
    assert "hardly learn" in caplog.text
    spent["codec"] = 14.25
    assert (
        TimeBudget(tmp_path, 3000.0, SHARES)("codec") or 0
    ) > 1500  # it goes on, as was promised
