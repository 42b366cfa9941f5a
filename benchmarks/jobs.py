"""What does running many jobs cost beside a plain loop, and is each done once whatever dies?

    python benchmarks/jobs.py [--jobs 200] [--seconds 1] [--workers 1 2] [--address HOST:6379] [-o jobs.json]
    python benchmarks/jobs.py --jobs 10000 --workers 2 --kills 100     # each job once, with workers killed at random
    python benchmarks/jobs.py --nodes 100 --workers 400                # pretended machines: what the head node bears
    python benchmarks/jobs.py --jobs 1000 --seconds 0 --wait           # what the command itself bears
    python benchmarks/jobs.py --rows 1000000                           # checking a long list: seconds and memory

The jobs are `talkers speak` with the mock avatar, at 64 px and unsigned, so that they are as short as jobs can be. Efficiency is the
share of the processor seconds of command and workers that went into making videos, once the avatar is loaded: other programs on the
machine hardly change it. Ray's daemons run beside them, also when there is nothing to do: `daemons_processor_share` says how much of one
core they take. `plain` is a loop over `Avatar.speak(...).save(...)`, for comparison. Figures
in `wall` mean something on an idle machine only. With --nodes the jobs do nothing but wait, on machines that Ray pretends to have.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import tempfile
import threading
import time
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from talkers import Avatar
from talkers.cli.many import VERBS, VerbMaker, named
from talkers.cli.options import VideoOptions
from talkers.cli.rows import job_of
from talkers.hardware import machine
from talkers.jobs import Job, Made, Tally, run_jobs
from talkers.jobs.lists import JobList
from talkers.jobs.record import RECORD
from talkers.jobs.run import Runner, run_here

OPTIONS = VideoOptions(avatar="mock", size=64, provenance=False)
DAEMONS = ("raylet/raylet", "gcs_server", "ray/dashboard", "ray/_private", "ray/autoscaler")
TICKS = os.sysconf("SC_CLK_TCK")


class Measured(VerbMaker):
    """Says of each video the processor seconds that making it took in this process."""

    def make(self, job: Job, inputs: list[Path], target: Path, report: Any) -> Made:
        begun = time.process_time()
        made = super().make(job, inputs, target, report)
        return Made(f"{time.process_time() - begun:.6f}", made.notes)


class Waiter:
    """Does nothing for some time, and writes nothing: what is left is the engine."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def decides(self, job: Job) -> Any:
        return {}

    def make(self, job: Job, inputs: list[Path], target: Path, report: Any) -> Made:
        time.sleep(self.seconds)
        target.touch()
        return Made("waited")


def sounds(folder: Path, count: int, seconds: float) -> list[Path]:
    """So many files, each with another sound of that length."""
    samples, rate = soundfile.read(str(files("talkers") / "avatars" / "hello.flac"))
    length = round(seconds * rate)
    samples = np.tile(samples, 1 + 2 * length // len(samples))
    folder.mkdir()
    for k in range(count):
        begin = (k * 997) % length
        soundfile.write(folder / f"{k:06d}.wav", samples[begin : begin + length], rate)
    return sorted(folder.iterdir())


def processor_seconds(names: tuple[str, ...]) -> dict[int, float]:
    """Of the processes whose commands hold one of these names, with their children that ended; by their ids."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (
                (place / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            )
            if any(name in command for name in names):
                fields = (place / "stat").read_text().rpartition(") ")[2].split()
                found[int(place.name)] = sum(map(int, fields[11:15])) / TICKS
        except (OSError, ValueError):
            continue
    return found


def working(workers: Iterable[str] = ()) -> dict[int, float]:
    """Processor seconds of this process and of workers, which are named HOST:ID."""
    own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    theirs = processor_seconds(("ray::Worker",))
    pids = {int(name.rpartition(":")[2]) for name in workers}
    return {pid: seconds for pid, seconds in theirs.items() if pid in pids} | {
        os.getpid(): sum(u.ru_utime + u.ru_stime for u in own)
    }


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """Processor seconds between two looks."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def plain(paths: list[Path], out: Path) -> float:
    """Processor seconds a job of a loop without any engine."""
    avatar = Avatar.load("mock")
    out.mkdir()
    for path in paths[:2]:  # loads what is loaded once
        avatar.speak(path, size=64, provenance=False).save(out / f"{path.stem}.mp4")
    before = working()
    for path in paths:
        avatar.speak(path, size=64, provenance=False).save(out / f"{path.stem}.mp4")
    return spent(before, working()) / len(paths)


def memory_of(pid: int) -> float:
    """Megabytes that a process holds alone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return (
        sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private")) / 1e3
    )


def engine(
    paths: list[Path], out: Path, runner: Runner, maker: Any, count: int = 0, kills: int = 0
) -> dict[str, float]:
    """Run the jobs on so many workers, of which some are killed at random; figures of it."""
    jobs = named("speak", [[p] for p in paths], {"track": None, "pcm": None, "options": OPTIONS})
    tally, workers, times = Tally(len(jobs)), dict[str, int](), list[float]()
    useful: list[float] = []
    marks: list[tuple[float, dict[int, float], dict[int, float]]] = []
    first_counted: list[int] = []
    warm = max(2, len(jobs) // 10)  # the first results hold what is loaded once
    done = threading.Event()
    killed = 0

    def told(result: Any) -> None:
        if result.worker:
            workers[result.worker] = workers.get(result.worker, 0) + 1
        times.append(result.seconds)
        useful.append(float(result.said) if result.said[:1].isdigit() else 0.0)
        if not marks and len(times) >= warm and len(workers) >= count:
            first_counted.append(len(times))
            marks.append((time.perf_counter(), working(workers), processor_seconds(DAEMONS)))
        if len(times) == len(jobs):
            marks.append((time.perf_counter(), working(workers), processor_seconds(DAEMONS)))

    def kill() -> None:
        nonlocal killed
        while killed < kills and not done.wait(random.uniform(0.2, 1.8) * pause):
            if workers:
                pid = int(random.choice(list(workers)).rpartition(":")[2])
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    workers.pop(next(w for w in workers if w.endswith(f":{pid}")))

    pause = max(0.5, 0.3 * len(jobs) / max(1, kills))
    killer = threading.Thread(target=kill, daemon=True)
    begun = time.perf_counter()
    if kills:
        killer.start()
    run_jobs(jobs, maker, str(out), tally, runner, on_result=told)
    done.set()
    if kills:
        killer.join()
    (first, before, idle), (last, after, busy) = marks
    counted = len(jobs) - first_counted[0]
    videos = sum(1 for p in out.iterdir() if p.suffix == ".mp4")
    records = sum(1 for p in (out / RECORD).iterdir() if p.suffix == ".json")
    return {
        "jobs": len(jobs),
        "made": tally.made,
        "failed": len(tally.failures),
        "videos": videos,
        "records": records,
        "killed": killed,
        "wall_to_first_results": first - begun,
        "wall_jobs_a_second": counted / (last - first),
        "processor_seconds_a_job": spent(before, after) / counted,
        "efficiency": sum(useful[first_counted[0] :]) / spent(before, after),
        "command_milliseconds_a_job": (after[os.getpid()] - before[os.getpid()]) / counted * 1e3,
        "daemons_processor_share": spent(idle, busy) / (last - first),
        "wall_seconds_in_job": float(np.median(times)),
        "worker_mb": max((memory_of(int(w.rpartition(":")[2])) for w in workers), default=0.0),
    }


def long_list(folder: Path, rows: int) -> dict[str, float]:
    """Seconds and memory to check a list of so many rows."""
    path = folder / "jobs.jsonl"
    with path.open("w") as file:
        for k in range(rows):
            row = {
                "verb": "speak",
                "speech": f"in/{k}.wav",
                "output": f"{k % 999}/{k}.mp4",
                "seed": k,
            }
            file.write(json.dumps(row) + "\n")
        file.write('{"verb": "speek"}\n')
    before = resource.getrusage(resource.RUSAGE_SELF)
    listed = JobList(path, job_of, lambda job: VERBS[job.verb].avatar(job.settings))
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rows": rows,
        "wrong": len(listed.wrong),
        "processor_seconds": after.ru_utime - before.ru_utime,
        "microseconds_a_row": (after.ru_utime - before.ru_utime) / rows * 1e6,
        "megabytes": (after.ru_maxrss - before.ru_maxrss) / 1e3,
    }


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    if options.rows:
        return {"list": long_list(folder, options.rows)}
    figures: dict[str, Any] = {}
    waits = options.wait or bool(options.nodes)
    paths = sounds(folder / "in", options.jobs, 0.1 if waits else options.seconds)
    if not waits:
        figures["plain"] = {
            "processor_seconds_a_job": plain(paths[: options.plain], folder / "plain")
        }
        figures["one machine"] = engine(
            paths[: options.plain], folder / "here", run_here, Measured()
        )
    import ray

    from talkers.jobs.cluster import Cluster, connected

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if options.nodes:
        from ray.cluster_utils import Cluster as Pretended

        pretended = Pretended(initialize_head=True, head_node_args={"num_cpus": 0})
        for _ in range(options.nodes):
            pretended.add_node(num_cpus=-(-max(options.workers) // options.nodes), wait=False)
        pretended.wait_for_nodes(timeout=600)
        ray.init(address=pretended.address, **quiet)
    elif not options.address:
        ray.init(num_cpus=max(options.workers), include_dashboard=False, **quiet)
    with connected(options.address or "auto") as connected_ray:
        for count in options.workers:
            runner = Cluster(connected_ray, count).run
            maker = Waiter(options.seconds) if waits else Measured()
            out = folder / f"out-{count}"
            figures[f"{count} workers"] = engine(paths, out, runner, maker, count, options.kills)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--plain", type=int, default=50, help="jobs of the loops on one machine")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--nodes", type=int, default=0)
    parser.add_argument("--wait", action="store_true", help="jobs that only wait, as with --nodes")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--address", help="of a cluster on this machine; begun here by default")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options, Path(folder))
    for name, row in figures.items():
        print(name)
        for key, value in row.items():
            print(f"  {key:>26}: {value:.4g}")
    if options.output:
        about = {"machine": machine(), **vars(options), "output": None}
        options.output.write_text(json.dumps({"about": about, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
