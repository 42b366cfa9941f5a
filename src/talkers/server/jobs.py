"""Videos that are made one after the other, while their clients ask how far they are."""

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
from typing import Literal

from talkers.server.limits import Limits
from talkers.server.problem import Problem, Refused, problem_of

TICK = 1.0  # seconds between two looks for results that are to be deleted
CLOSING_SECONDS = 20.0  # in which a job that runs must end when the server does
State = Literal["waiting", "running", "done", "failed"]
STATES: tuple[State, ...] = ("waiting", "running", "done", "failed")


class Cancelled(BaseException):
    """A job is to end at once. No handler of ordinary errors may hold it up."""


@dataclass
class Job:
    """One video that is asked for.

    Attributes:
        id: nobody can guess it: whoever knows it may have the video.
        kind: speak, say or dub.
        folder: of its files, its own.
        work: makes the video; takes the job.
        progress: 0..1.
        seconds: of the video.
        begun, ended: by the queue's clock.
    """

    id: str
    kind: str
    folder: Path
    work: Callable[[Job], None] | None = None
    state: State = "waiting"
    stage: str = ""
    progress: float = 0.0
    seconds: float = 0.0
    begun: float | None = None
    ended: float | None = None
    problem: Problem | None = None
    notes: list[str] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def video(self) -> Path:
        """What it makes."""
        return self.folder / "video.mp4"

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
    """Jobs that wait, run and are done. One thread does them; nothing is left when it is closed.

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
        self._queue: Queue[Job | None] = Queue()  # None: the server ends
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="talkers-jobs", daemon=True)
        self._thread.start()

    def count(self, state: State) -> int:
        """How many jobs are in a state."""
        with self._lock:
            return sum(job.state == state for job in self._jobs.values())

    @contextmanager
    def admitted(self, kind: str) -> Iterator[Job]:
        """A job whose files are put into its folder in this block; then it waits to be done.

        Args:
            kind: speak, say or dub.

        Raises:
            Refused: too many wait already, or the server ends.
        """
        job_id = secrets.token_urlsafe(18)
        with self._lock:
            waiting = sum(job.state == "waiting" for job in self._jobs.values())
            if self._closing.is_set() or waiting >= self.limits.queue:
                raise Refused(
                    503,
                    "the server takes no more jobs now",
                    why=f"{waiting} wait already",
                    todo="Try again in a minute",
                )
            job = self._jobs[job_id] = Job(job_id, kind, self.folder / job_id)
        try:
            job.folder.mkdir()
            yield job
        except BaseException:
            self._forget(job)
            raise
        self._queue.put(job)

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
        if job.state != "running" or job.begun is None or job.progress < 0.02:
            return None
        return (self.clock() - job.begun) * (1 - job.progress) / job.progress

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
        self._queue.put(None)
        self._thread.join(CLOSING_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _forget(self, job: Job) -> None:
        with self._lock:
            self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def _run(self) -> None:
        """What the thread does."""
        while not self._closing.is_set():
            self.tidy()
            try:
                job = self._queue.get(timeout=TICK)
            except Empty:
                continue
            if job is None:
                return
            with self._lock:
                wanted = job.id in self._jobs and not job.cancelled.is_set()
                if wanted:
                    job.state, job.begun = "running", self.clock()
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
        except BaseException as error:
            job.problem = problem_of(error)
        job.work = None  # it holds what it read
        for path in job.folder.iterdir():  # the request's files are no longer needed
            if path != job.video or state != "done":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        with self._lock:
            wanted = job.id in self._jobs and not job.cancelled.is_set()
            if wanted:
                job.state, job.ended = state, self.clock()
        if wanted:
            self._ended(job)
        else:
            self._forget(job)
