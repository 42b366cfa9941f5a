"""Lists of jobs: every wrong row is told, memory does not grow with the list, jobs come by avatar."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from talkers.errors import MediaError, TalkersError, UsageError
from talkers.jobs import Job
from talkers.jobs.lists import MAX_ROW_BYTES, JobList, WrongRow


def job_of(row: dict[str, Any], number: int) -> Job:
    if "name" not in row:
        raise WrongRow(["no name"])
    return Job("speak", (), str(row["name"]), {"avatar": row.get("avatar", "")}, number)


def read(path: Path) -> JobList:
    return JobList(path, job_of, lambda job: str(job.settings["avatar"]))


def listed(folder: Path, text: str | bytes, name: str = "jobs.csv") -> JobList:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(folder / name)


def rows(jobs: JobList) -> list[tuple[int | None, str]]:
    return [(job.row, job.name) for job in jobs]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_jobs_of_one_avatar_come_together(tmp_path: Path, separator: str) -> None:
    text = '\ufeffname,avatar\r\na,x\r\nb,y\r\n\r\n"c\nd",x\r\ne,y\r\n'.replace(",", separator)
    jobs = listed(tmp_path, text)
    assert len(jobs) == 4
    assert rows(jobs) == [(2, "a"), (5, "c\nd"), (3, "b"), (6, "e")]
    assert rows(jobs) == rows(jobs)  # it can be read again


def test_every_wrong_row_is_told_with_its_number(tmp_path: Path) -> None:
    text = b"name,avatar\na,x\n,x\nb,x,z\n\xff\xfe,x\n" + b"l" * (2 * MAX_ROW_BYTES) + b"\nc,x\n"
    jobs = listed(tmp_path, text)
    assert [wrong.row for wrong in jobs.wrong] == [3, 4, 5, 6]
    told = [wrong.problems[0] for wrong in jobs.wrong]
    assert told[0] == "no name"
    assert "3 cells" in told[1]
    assert "not UTF-8" in told[2]
    assert "longer than" in told[3]
    assert rows(jobs) == [(2, "a"), (7, "c")]


def test_json_lines(tmp_path: Path) -> None:
    lines = ['{"name": "a"}', "", "[", "3", "[" * 100_000, '{"name": "b"}']
    jobs = listed(tmp_path, "\n".join(lines), "jobs.jsonl")
    assert [wrong.row for wrong in jobs.wrong] == [3, 4, 5]
    assert rows(jobs) == [(1, "a"), (6, "b")]


def test_outputs_that_are_one_on_some_disks_are_left_out(tmp_path: Path) -> None:
    jobs = listed(tmp_path, "name\na.mp4\nb.mp4\nA.mp4\nc.mp4\nc.mp4\n")
    assert rows(jobs) == [(3, "b.mp4")]
    assert [wrong.row for wrong in jobs.wrong] == [2, 4, 5, 6]
    assert "row 4" in jobs.wrong[0].problems[0]


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, text, kind, told in (
        ("jobs.txt", "", UsageError, "no list"),
        ("jobs.csv", "", MediaError, "name the columns"),
        ("jobs.csv", "name\n", MediaError, "no jobs"),
        ("jobs.jsonl", "\n", MediaError, "no jobs"),
    ):
        with pytest.raises(kind, match=told):
            listed(tmp_path, text, name)
    for gone in ("gone.csv", "folder.csv"):
        with pytest.raises(TalkersError, match="no such file"):
            read(tmp_path / gone)


def test_one_wrong_row_among_very_many(tmp_path: Path) -> None:
    """What is kept of a row are four numbers."""
    count, path = 40_000, tmp_path / "jobs.jsonl"
    with path.open("w") as file:
        for k in range(count):
            row = {"name": f"videos/of/a/long/name/{k}.mp4", "avatar": str(k % 3)}
            file.write(json.dumps(row if k != 31_415 else {}) + "\n")
    tracemalloc.start()
    jobs = read(path)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [wrong.row for wrong in jobs.wrong] == [31_416]
    assert len(jobs) == count - 1
    assert used < 200 * count, used / count
    last = list(jobs)[-1]
    assert (last.name, last.settings["avatar"]) == ("videos/of/a/long/name/39998.mp4", "2")
