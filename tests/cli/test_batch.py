"""talkers batch: rows are checked with the types of the verbs' own options, and done."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from talkers.cli import main
from talkers.cli.many import VERBS
from talkers.cli.rows import NAMED, job_of, options_of
from talkers.jobs.lists import WrongRow
from talkers.media import probe

ABSENT = {"ray", "workers", "json", "output", "help"}  # a row has no use for them


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_row_has_the_options_of_the_command_line(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    shown = set(re.findall(r"(?<![\w-])--([a-z][a-z-]*)", capsys.readouterr().out))
    found = set(options_of(verb)) - ({"text"} if verb == "say" else set())
    assert found == {name for name in shown if not name.startswith("no-")} - ABSENT
    assert not found.intersection(NAMED)


def problems(**row: Any) -> str:
    with pytest.raises(WrongRow) as raised:
        job_of(row, 2)
    return "; ".join(raised.value.problems)


def test_all_that_is_wrong_with_a_row_is_told() -> None:
    said = problems(verb="speak", seed="x", gaze="1", sed="3", output="../a.mp4")
    for part in (
        "speak needs speech",
        "seed is 'x', and must be a valid integer",
        "gaze has too few values",
        "no option 'sed'; did you mean seed?",
        "not a name within the folder",
    ):
        assert part in said
    assert "did you mean speak?" in problems(verb="speek")
    assert "verb is missing" in problems(speech="a.wav")
    assert "mouth amplitude of 9" in problems(verb="speak", speech="a.wav", amplitude=9)
    assert "'fast' is not a frame rate" in problems(verb="speak", speech="a.wav", fps="fast")
    assert "agreed to be shown" in problems(verb="dub", film="a.mp4", speech="a.wav")
    assert "must be 'both', 'pose' or 'expression'" in problems(
        verb="reenact", driving="a.mp4", follow="all"
    )
    assert "say needs text" in problems(verb="say", output="a.mp4")
    for wrong in ("a.txt", "/a.mp4", "C:\\a.mp4", ".hidden/a.mp4"):
        assert f"'{wrong}'" in problems(verb="speak", speech="a.wav", output=wrong)


def test_cells_and_json_say_the_same() -> None:
    typed = job_of({"verb": "speak", "speech": "x/a.wav", "seed": 3, "gaze": [0.1, 0.2]}, 2)
    cells = {"verb": "speak", "speech": "x/a.wav", "seed": "3", "gaze": "0.1 0.2"}
    assert job_of(cells, 2) == typed
    assert typed.name == "a.mp4"
    options = typed.settings["options"]
    assert (options.seed, options.controls.gaze) == (3, (0.1, 0.2))
    other = job_of({"verb": "speak", "speech": "a.wav", "--brow_amplitude": 2, "fps": 30}, 2)
    assert other.settings["options"].controls.brow_amplitude == 2
    assert other.settings["options"].fps == "30"


def test_a_list_is_done_but_for_its_wrong_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", 0.1 * np.random.default_rng(0).normal(size=8_000), 16_000)
    rows = ["verb,speech,output,size,avatar"]
    rows += ["speak,a.wav,de/a.mp4,96,mock", "speak,a.wav,b.mp4,96,mock"]
    rows += ["speak,a.wav,c.mp4,many,mock", "speak,gone.wav,d.mp4,96,mock"]
    Path("jobs.csv").write_text("\n".join(rows))
    assert main(["batch", "jobs.csv", "-o", "out", "--check"]) == 2
    told = capsys.readouterr()
    assert "row 4: size is 'many'" in told.err
    assert "3 jobs can be done, 1 rows are wrong" in told.out
    assert not Path("out").exists()
    assert main(["batch", "jobs.csv", "-o", "out", "--json"]) == 7
    told = capsys.readouterr()
    said = json.loads(told.out)
    assert [(job["row"], job["state"]) for job in said["jobs"]] == [
        (2, "made"), (3, "made"), (4, "failed"), (5, "failed")
    ]  # fmt: skip
    assert (said["made"], said["kept"], said["failed"], said["not begun"]) == (2, 0, 2, 0)
    assert "row 5, gone.wav: there is no such file" in told.err
    assert probe(Path("out/de/a.mp4")).video is not None
    Path("jobs.csv").write_text("\n".join(rows[:3]))
    assert main(["batch", "jobs.csv", "-o", "out"]) == 0
    assert "2 kept of 2" in capsys.readouterr().out
    Path("jobs.csv").write_text("\n".join([rows[0], rows[3]]))
    assert main(["batch", "jobs.csv", "-o", "out"]) == 2  # nothing can be done
