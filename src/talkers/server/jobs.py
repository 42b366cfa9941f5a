"""Work that is done one after the other, while its clients ask how far it is."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Literal

from talkers.hardware import give_back_memory
from talkers.server.limits import Limits
from talkers.server.problem import Problem, Refused, problem_of

TICK = 1.0  # seconds between two looks for results that are to be deleted
CLOSING_SECONDS = 20.0  # in which a job that runs must end when the server does
State = Literal["waiting", "running", "paused", "done", "failed"]
STATES: tuple[State, ...] = ("waiting", "running", "paused", "done", "failed")
Line = Literal["videos", "trainings"]
LINES: tuple[Line, ...] = ("videos", "trainings")
VIDEO = "video.mp4"


class Cancelled(BaseException):
    """A job is to end at once. No handler of ordinary errors may hold it up."""


class Paused(BaseException):
    """A job has stopped where it can go on later."""


@dataclass
class Job:
    """One piece of work that is asked for: a video, for most clients.

    Attributes:
        id: nobody can guess it: whoever knows it may have the video.
        kind: speak, say or dub; in the studio also others.
        folder: of its files, its own.
        owner: whose it is, where only one client may know of it; empty: whoever knows the id.
        line: those of a line are done one after the other.
        title: what its owner calls it.
        work: does it; takes the job.
        progress: 0..1; `before` of it was there when it began last.
        seconds: of the video.
        begun, ended: by the queue's clock.
        results: names of the files that are kept when it is done.
        outcome: what else it found; JSON values.
        pausable: whether it can be paused.
    """

    id: str
    kind: str
    folder: Path
    owner: str = ""
    line: Line = "videos"
    title: str = ""
    work: Callable[[Job], None] | None = None
    state: State = "waiting"
    stage: str = ""
    progress: float = 0.0
    before: float = 0.0
    seconds: float = 0.0
    begun: float | None = None
    ended: float | None = None
    problem: Problem | None = None
    notes: list[str] = field(default_factory=list)
    results: set[str] = field(default_factory=lambda: {VIDEO})
    outcome: dict[str, Any] = field(default_factory=dict)
    pausable: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event)
    pausing: threading.Event = field(default_factory=threading.Event)

    @property
    def video(self) -> Path:
        """What it makes."""
        return self.folder / VIDEO

    def report(self, stage: str, share: float) -> None:
        """Tell how far it is.

        Args:
            stage: what is done.
            share: of all the work, 0..1.

        Raises:
            Cancelled: nobody wants it any more.
        """
        if self.cancelled.is_set():
            raise Cancelled
        self.stage, self.progress = stage, max(self.progress, min(1.0, share))


class Jobs:
    """Jobs that wait, run and are done. Nothing is left when it is closed.

    One thread does those of a line: a training that takes hours holds up no video.

    Args:
        limits: of waiting jobs, and of how long results are kept.
        ended: called with a job when it is done or has failed.
        clock: seconds that never fall.
    """

    def __init__(
        self,
        limits: Limits,
        ended: Callable[[Job], None] = lambda job: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.limits, self.clock, self._ended = limits, clock, ended
        self.folder = Path(tempfile.mkdtemp(prefix="talkers-serve-"))
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._queues: dict[Line, Queue[Job | None]] = {line: Queue() for line in LINES}
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(queue,), name=f"talkers-{line}", daemon=True)
            for line, queue in self._queues.items()  # None in a queue: the server ends
        ]
        for thread in self._threads:
            thread.start()

    def count(self, state: State) -> int:
        """How many jobs are in a state."""
        with self._lock:
            return sum(job.state == state for job in self._jobs.values())

    @contextmanager
    def admitted(
        self, kind: str, owner: str = "", line: Line = "videos", title: str = ""
    ) -> Iterator[Job]:
        """A job whose files are put into its folder in this block; then it waits to be done.

        Args:
            kind, owner, line, title: see `Job`.

        Raises:
            Refused: too many wait already, of all or of this owner; or the server ends.
        """
        job_id = secrets.token_urlsafe(18)
        with self._lock:
            waits = [job for job in self._jobs.values() if job.state == "waiting"]
            waiting, own = len(waits), sum(job.owner == owner for job in waits)
            if owner and own >= self.limits.own:
                raise Refused(
                    503,
                    f"{own} of your jobs wait already",
                    todo="Wait until one of them runs, or remove one",
                )
            if self._closing.is_set() or waiting >= self.limits.queue:
                raise Refused(
                    503,
                    "the server takes no more jobs now",
                    why=f"{waiting} wait already",
                    todo="Try again in a minute",
                )
            job = Job(job_id, kind, self.folder / job_id, owner, line, title)
            self._jobs[job_id] = job
        try:
            job.folder.mkdir()
            yield job
        except BaseException:
            self._forget(job)
            raise
        self._queues[line].put(job)

    def left_over(self, kind: str, owner: str, line: Line, title: str) -> Job:
        """A job that an earlier server has left, paused; it has its work to be given yet.

        Args:
            kind, owner, line, title: see `Job`.
        """
        job_id = secrets.token_urlsafe(18)
        job = Job(job_id, kind, self.folder / job_id, owner, line, title, state="paused")
        job.folder.mkdir()
        with self._lock:
            self._jobs[job_id] = job
        return job

    def of(self, owner: str) -> list[Job]:
        """An owner's jobs, the oldest first."""
        with self._lock:
            return [job for job in self._jobs.values() if job.owner == owner]

    def pause(self, job: Job) -> None:
        """Let a job stop where it can go on later; one that waits stops at once.

        Raises:
            Refused: it cannot be paused, or does not run.
        """
        with self._lock:
            if not job.pausable or job.state not in ("waiting", "running"):
                raise Refused(409, "this job cannot be paused", todo="Remove it to end it")
            job.pausing.set()
            if job.state == "waiting":
                job.state = "paused"

    def resume(self, job: Job) -> None:
        """Let a job go on that was paused, or that can be paused and has failed.

        Raises:
            Refused: there is nothing to go on with.
        """
        with self._lock:
            if job.state not in ("paused", "failed") or job.work is None:
                raise Refused(409, "this job cannot go on", todo="Ask for its state")
            job.pausing.clear()
            job.state, job.problem, job.ended = "waiting", None, None
        self._queues[job.line].put(job)

    def get(self, job_id: str) -> Job:
        """A job.

        Raises:
            Refused: there is none, or none any more.
        """
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            raise Refused(
                404,
                "there is no such job",
                why="its id is wrong, it was deleted, or its time is over",
                todo="Ask for it again",
            )
        return job

    def delete(self, job_id: str) -> None:
        """End a job and delete its files.

        Raises:
            Refused: there is none.
        """
        job = self.get(job_id)
        with self._lock:
            self._jobs.pop(job.id, None)
            job.cancelled.set()
            running = job.state == "running"
        if not running:  # else the thread tidies up when it has ended
            shutil.rmtree(job.folder, ignore_errors=True)

    def left(self, job: Job) -> float | None:
        """Seconds until a job that runs is done, as far as that can be told."""
        done = job.progress - job.before
        if job.state != "running" or job.begun is None or done < 0.02:
            return None
        return (self.clock() - job.begun) * (1 - job.progress) / done

    def expires(self, job: Job) -> float | None:
        """Seconds until a job that has ended is deleted."""
        if job.ended is None:
            return None
        return max(0.0, job.ended + self.limits.keep - self.clock())

    def tidy(self) -> None:
        """Delete what has been kept long enough."""
        with self._lock:
            old = [job for job in self._jobs.values() if self.expires(job) == 0]
        for job in old:
            self._forget(job)

    def close(self) -> None:
        """End all jobs and delete all files."""
        self._closing.set()
        with self._lock:
            for job in self._jobs.values():
                job.cancelled.set()
        for queue in self._queues.values():
            queue.put(None)
        for thread in self._threads:
            thread.join(CLOSING_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _forget(self, job: Job) -> None:
        with self._lock:
            self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def _run(self, queue: Queue[Job | None]) -> None:
        """What a thread does."""
        while not self._closing.is_set():
            self.tidy()
            try:
                job = queue.get(timeout=TICK)
            except Empty:
                continue
            if job is None:
                return
            with self._lock:
                wanted = job.id in self._jobs and not job.cancelled.is_set()
                wanted = wanted and job.state == "waiting"  # and not paused meanwhile
                if wanted:
                    job.state, job.begun, job.before = "running", self.clock(), job.progress
            if wanted:
                self._do(job)

    def _do(self, job: Job) -> None:
        """Do a job; whatever happens, the thread goes on."""
        assert job.work is not None
        state: State = "failed"
        try:
            job.work(job)
            state, job.progress = "done", 1.0
        except Cancelled:
            pass
        except Paused:
            state = "paused"
        except BaseException as error:
            job.problem = problem_of(error)
        if state == "done" or not job.pausable:
            job.work = None  # it holds what it read
        if state != "paused":
            for path in job.folder.iterdir():  # the request's files are no longer needed
                if path.name not in job.results or state != "done":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        give_back_memory()
        with self._lock:
            wanted = job.id in self._jobs and not job.cancelled.is_set()
            if wanted:
                job.state, job.ended = state, None if state == "paused" else self.clock()
        if wanted and state != "paused":
            self._ended(job)
        elif not wanted:
            self._forget(job)
