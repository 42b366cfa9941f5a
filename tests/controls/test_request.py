"""Controls as they are written down: names of files, and the former name of a control."""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from pathlib import Path

import pytest

from talkers import Controls
from talkers.errors import UsageError


def test_the_former_name_of_the_brows_still_works() -> None:
    with pytest.warns(DeprecationWarning, match="brow_amplitude"):
        assert Controls(expression=2.5) == Controls(brow_amplitude=2.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert replace(Controls(brow_amplitude=2.0), blinks=0.0).brow_amplitude == 2.0
    assert "expression" not in {f.name for f in fields(Controls)}
    with (
        pytest.warns(DeprecationWarning, match="brow_amplitude"),
        pytest.raises(UsageError, match="a brow amplitude of"),
    ):
        Controls(expression=5.0)


@pytest.mark.parametrize("name", ["a=b.csv", "yaw=1.csv", "still", "predicted", "yaw=3"])
def test_a_pose_file_may_have_any_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("time,yaw\n0,7\n")
    for pose in (f"./{name}", Path(name), str(tmp_path / name)):
        curves = Controls(pose=pose).curves()  # type: ignore[arg-type]
        assert curves is not None
        assert curves["yaw"].tolist() == [7.0]
    if name not in ("still", "predicted"):
        curves = Controls(pose=name).curves()
        assert curves is not None
        assert curves["yaw"].tolist() == [7.0]


def test_angles_and_words_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Controls(pose="still").curves() is None
    curves = Controls(pose="yaw=5,pitch=-2.5").curves()
    assert curves is not None
    assert (curves["yaw"][0], curves["pitch"][0]) == (5.0, -2.5)
    with pytest.raises(UsageError, match="no such pose file"):
        Controls(pose="a=b.csv").curves()
