"""A Ray cluster does what one machine does: workers may be lost, jobs may end them, each counts once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from talkers.artefacts.files import atomic
from talkers.errors import MediaError, ResourceError
from talkers.jobs import Job, Made, Tally, run_jobs
from talkers.jobs.cluster import TRIES, Cluster
from talkers.jobs.record import RECORD
from talkers.jobs.spread import on_cluster
from talkers.parallel import parallel
from talkers.progress import Report

STARTS = 3  # Ray gives its own processes 15 s to begin, which a busy machine may miss


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster of two workers on this machine, or the one that RAY_ADDRESS names."""
    ray = pytest.importorskip("ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if not os.environ.get("RAY_ADDRESS"):
        settings |= {"address": "local", "num_cpus": 2, "include_dashboard": False}
        settings |= {"object_store_memory": 80_000_000}
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    for _ in range(STARTS):
        try:
            ray.init(**settings)
            break
        except Exception as error:
            ray.shutdown()
            why = str(error)
    else:
        pytest.skip(f"Ray does not begin on this machine: {why[:200]}")
    for number, handler in handlers.items():
        signal.signal(number, handler)
    yield ray
    ray.shutdown()


class Rough:
    """Copies its input; some jobs end their process, and some find no room."""

    def decides(self, job: Job) -> Any:
        return job.settings

    def make(self, job: Job, inputs: list[Path], target: Path, report: Report) -> Made:
        tries = Path(job.settings["folder"]) / f"{job.name}.tries"
        with tries.open("a") as file:
            file.write(f"{os.getpid()}\n")
        count = len(tries.read_text().splitlines())
        if count <= job.settings.get("dies", 0):
            (target.parent / f".{'0' * 8}.partial.mp4").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if count <= job.settings.get("full", 0):
            raise ResourceError("it is full", where=job.name)
        with atomic(target) as temporary:
            temporary.write_bytes(inputs[0].read_bytes() * 2)
        if count <= job.settings.get("dies_late", 0):
            os.kill(os.getpid(), signal.SIGKILL)
        return Made("copied")


def test_every_job_counts_once_whatever_becomes_of_its_worker(
    ray: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tries").mkdir()
    kinds = {"a": {}, "dies": {"dies": 1}, "late": {"dies_late": 1}, "full": {"full": 1}}
    kinds |= {"kills": {"dies": 99}, "b": {}, "c": {}}
    jobs = []
    for name, kind in kinds.items():
        (tmp_path / name).write_text(name)
        settings = {"folder": str(tmp_path / "tries"), **kind}
        jobs.append(Job("copy", (str(tmp_path / name),), f"{name}.mp4", settings))
    out, tally = tmp_path / "out", Tally(len(jobs))
    run_jobs(jobs, Rough(), str(out), tally, Cluster(ray, 2).run)
    assert (tally.made, tally.kept, len(tally.failures)) == (6, 0, 1)
    (failed,) = tally.failures
    assert failed.job.name == "kills.mp4"
    assert "ended its worker 3 times" in str(failed.error)
    tries = (tmp_path / "tries" / "kills.mp4.tries").read_text().splitlines()
    assert len(set(tries)) == TRIES
    names = sorted(f"{name}.mp4" for name in kinds if name != "kills")
    assert sorted(p.name for p in out.iterdir() if p.name != RECORD) == names
    assert all((out / n).read_text() == 2 * n.removesuffix(".mp4") for n in names)
    assert all(result.worker for result in tally.listed if result.state == "made")
    assert capsys.readouterr().out == ""  # Ray prints there of each worker that is lost
    again = Tally(len(jobs))
    run_jobs([j for j in jobs if j != failed.job], Rough(), str(out), again, Cluster(ray, 1).run)
    assert (again.made, again.kept) == (0, 6)


def shout(name: str, folder: str) -> str:
    if name == "bad":
        raise MediaError("it is damaged", where=name)
    if name == "kills":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
    return f"{name} in {Path(folder).name}"


def test_pieces_of_a_corpus_run_on_a_cluster(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    tasks = {name: (name, str(tmp_path)) for name in ("a", "bad", "kills", "b")}
    with on_cluster("auto"):
        parallel(shout, tasks, 1, found.__setitem__)
    assert found["a"] == f"a in {tmp_path.name}"
    assert str(found["bad"]) == "bad: it is damaged."
    assert isinstance(found["kills"], MediaError)
    assert "ended its worker" in str(found["kills"])
    assert set(found) == set(tasks)
