"""The command that compares the lengths of picture and sound fails when either is off."""

from __future__ import annotations

import importlib.util
import json
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "lengths.py"


@pytest.mark.parametrize(
    ("picture", "sound", "code"), [(0.5, 0.5, 0), (0.5, 0.6, 1), (0.6, 0.5, 1)]
)
@pytest.mark.parametrize(
    "chosen",
    [["--cases", "1", "--long", "0"], ["--cases", "0", "--long", "600", "--long-rate", "25"]],
)
def test_picture_and_sound_may_differ_by_half_a_frame(
    picture: float,
    sound: float,
    code: int,
    chosen: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = importlib.util.spec_from_file_location("lengths", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    lengths = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lengths)
    asked: list[tuple[float, Fraction]] = []

    def case(
        avatar: object, folder: Path, seconds: float, rate: Fraction, hertz: int
    ) -> dict[str, float]:
        asked.append((seconds, rate))
        return {"picture": picture, "sound": sound, "frames": 1}

    monkeypatch.setattr(lengths, "Avatar", SimpleNamespace(load=lambda name: None))
    monkeypatch.setattr(lengths, "case", case)
    monkeypatch.setattr(sys, "argv", ["lengths.py", *chosen])
    with pytest.raises(SystemExit) as ended:
        lengths.main()
    assert ended.value.code == code
    report = json.loads(capsys.readouterr().out)
    if "25" in chosen:
        assert asked == [(600.0, Fraction(25))]
        assert report["after_600_s_at_25"]["sound"] == sound
