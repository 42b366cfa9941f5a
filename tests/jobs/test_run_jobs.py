"""Many jobs: what fails does not stop the others, what is done is recognised, stores get whole objects."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from talkers.artefacts.files import atomic
from talkers.errors import MediaError, ResourceError, UsageError
from talkers.jobs import Job, Made, Result, Tally, run_jobs
from talkers.jobs.record import RECORD
from talkers.jobs.run import MAX_LISTED
from talkers.jobs.storage import fetched, listed, url_of, within
from talkers.progress import Report, quiet


class Copier:
    """Copies its input; its settings may ask it to fail."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def decides(self, job: Job) -> Any:
        return job.settings

    def make(self, job: Job, inputs: list[Path], target: Path, report: Report) -> Made:
        if (error := job.settings.get("fails")) is not None:
            raise error
        with atomic(target) as temporary:
            temporary.write_bytes(inputs[0].read_bytes() + str(job.settings).encode())
        self.made.append(job.name)
        return Made("copied", ("a note",))


def run(
    folder: str, jobs: list[Job], maker: Copier | None = None, report: Report = quiet
) -> tuple[Tally, list[Result]]:
    results: list[Result] = []
    tally = Tally(len(jobs))
    run_jobs(jobs, maker or Copier(), folder, tally, report=report, on_result=results.append)
    return tally, results


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    """Makes jobs of files, or of whatever else is named."""

    def make(name: str, **settings: Any) -> Job:
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
        return Job("copy", (str(tmp_path / "in" / name),), name, settings)

    return make


def test_what_fails_does_not_stop_the_others(job: Callable[..., Job], tmp_path: Path) -> None:
    broken = [
        job("b", fails=MediaError("it is damaged")),
        job("c", fails=KeyError("oops")),
        job("d", fails=OSError(errno.ENOSPC, "No space left")),
        job("e", fails=MemoryError()),
    ]
    gone = replace(job("f"), inputs=("gone",))
    tally, results = run(str(tmp_path / "out"), [job("a"), *broken, gone, job("g")])
    assert (tally.made, tally.kept, len(tally.failures), tally.stopped) == (2, 0, 5, None)
    told = [result.said for result in results]
    assert told[1] == "it is damaged"
    assert told[2].startswith("internal fault: KeyError")
    assert told[3] == "there is no room left"
    assert told[4].startswith("the memory")
    assert told[5] == "there is no such file"
    assert results[0].notes == ("a note",)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [RECORD, "a", "g"]


def test_where_nothing_can_be_written_the_rest_is_not_begun(
    job: Callable[..., Job], tmp_path: Path
) -> None:
    full = [job(f"x{k}", fails=ResourceError("it is full")) for k in range(5)]
    tally, _ = run(str(tmp_path / "out"), [*full, job("a")])
    assert (tally.done, tally.total) == (3, 6)
    assert tally.stopped is not None


def test_what_is_done_is_recognised_by_content(job: Callable[..., Job], tmp_path: Path) -> None:
    out, jobs = str(tmp_path / "out"), [job("a"), job("b"), job("c")]
    assert run(out, jobs)[0].made == 3
    maker = Copier()
    assert run(out, jobs, maker)[0].kept == 3
    Path(jobs[0].inputs[0]).touch()  # the date says nothing
    Path(jobs[1].inputs[0]).write_text("other")
    Path(out, "c").write_text("cut short")
    tally, _ = run(out, [*jobs[:2], jobs[2], replace(jobs[0], name="d")], maker)
    assert (tally.made, tally.kept) == (3, 1)
    assert maker.made == ["b", "c", "d"]
    assert run(out, [replace(jobs[0], settings={"seed": 1})], maker)[0].made == 1


def test_an_interrupted_run_goes_on(job: Callable[..., Job], tmp_path: Path) -> None:
    out, jobs = tmp_path / "out", [job(name) for name in "abc"]

    def interrupted(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(str(out), jobs, report=interrupted)
    assert sorted(p.name for p in out.iterdir()) == [RECORD, "a", "b"]
    (out / f".{'0' * 8}.partial.mp4").touch()  # of a process that was killed
    tally, _ = run(str(out), jobs)
    assert (tally.made, tally.kept) == (1, 2)
    assert sorted(p.name for p in out.iterdir()) == [RECORD, "a", "b", "c"]


def test_two_runs_do_not_write_into_one_folder(job: Callable[..., Job], tmp_path: Path) -> None:
    (tmp_path / "out" / RECORD).mkdir(parents=True)
    with (
        FileLock(tmp_path / "out" / RECORD / "lock"),
        pytest.raises(UsageError, match="another run"),
    ):
        run(str(tmp_path / "out"), [job("a")])
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot be made"):
        run(str(tmp_path / "file"), [job("a")])


def test_a_very_long_run_keeps_only_the_failures(tmp_path: Path) -> None:
    tally = Tally(3 * MAX_LISTED)
    for k in range(3 * MAX_LISTED):
        failed = k % 3 == 0
        tally.add(Result(Job("", (), str(k), {}), "failed" if failed else "made", ""))
    assert (len(tally.failures), tally.made) == (MAX_LISTED, 2 * MAX_LISTED)
    assert len(tally.listed) < 2 * MAX_LISTED


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_objects_of_a_store_are_inputs_and_results(kind: str, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    base = f"memory://{tmp_path.name}" if kind == "memory" else f"file://{tmp_path}"
    system, path = fsspec.core.url_to_fs(base)
    for name in ("a", "b"):
        system.makedirs(f"{path}/in", exist_ok=True)
        system.pipe_file(f"{path}/in/{name}", name.encode())
    sources = listed(f"{base}/in")
    assert [Path(s).name for s in sources] == ["a", "b"]
    jobs = [Job("copy", (s,), f"de/{Path(s).name}", {}) for s in sources]
    jobs.append(Job("copy", (f"{base}/in/gone",), "gone", {}))
    out = f"{base}/out"
    tally, results = run(out, jobs)
    assert (tally.made, len(tally.failures)) == (2, 1)
    assert results[2].error is not None
    assert str(results[2].error.where).endswith("/in/gone")
    assert system.cat_file(f"{path}/out/de/b") == b"b{}"
    assert not [n for n in system.find(f"{path}/out") if "partial" in n]
    assert run(out, jobs[:2])[0].kept == 2
    with (
        pytest.raises(MediaError, match=rf"^{kind}://.*in/a"),
        fetched(within(base, "in/a")) as copy,
    ):
        raise MediaError("it is damaged", where=copy)


def test_names_that_are_urls() -> None:
    for name, url in (
        ("s3://bucket/a.wav", "s3://bucket/a.wav"),
        (Path("s3://bucket/a.wav"), "s3://bucket/a.wav"),
        (Path("file:///x/a.wav"), "file:///x/a.wav"),
        ("memory://a", "memory://a"),
        ("a.wav", None),
        ("/x/s3:/a.wav", None),
        ("c:/a.wav", None),
        ("a: b.wav", None),
    ):
        assert url_of(name) == url, name


def test_a_kind_of_url_that_is_not_known(tmp_path: Path) -> None:
    job = Job("copy", ("nothing://x/a",), "a", {})
    _, results = run(str(tmp_path / "out"), [job])
    assert results[0].said == "this URL cannot be used"
