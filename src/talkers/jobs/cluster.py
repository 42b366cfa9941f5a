"""Jobs on a Ray cluster: workers hold loaded avatars, and Ray places, restarts and retries them.

This module gives each idle worker the next job, and tells what became of it. (Ray's own ActorPool
would do that, but does not say which job a lost worker was at.)
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from talkers.errors import (
    MediaError,
    MissingComponent,
    ResourceError,
    UsageError,
    missing,
    reason,
)
from talkers.jobs.contract import Job, Maker, Result
from talkers.jobs.perform import failure_of, perform
from talkers.jobs.record import Record
from talkers.progress import Report
from talkers.version import __version__

TRIES = 3  # of a job that loses its worker, or finds no room
REACHING_SECONDS = 5.0  # that an address is given to answer
WAITING_SECONDS = 30.0  # until it is said that no worker has begun


def has_token() -> bool:
    """Whether this machine has a cluster's token, where Ray looks for one."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    return bool(os.environ.get("RAY_AUTH_TOKEN")) or path.is_file()


def _ray() -> Any:
    """Ray, which shows its token to clusters that ask for one; those that do not, do not mind.

    Raises:
        MissingComponent: it is not installed.
    """
    if has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # read when it is imported
    try:
        import ray
    except ImportError as error:
        raise missing("a cluster", "scale", error) from error
    return ray


def _refuse_deaf(address: str) -> None:
    """Refuse an address at which nothing answers: Ray itself would try for minutes.

    Raises:
        UsageError: it is none, or nothing answers there.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit() or int(port) >= 2**16:
        raise UsageError(
            f"'{address}' is no address of a Ray cluster",
            todo="Write HOST:6379, ray://HOST:10001, or auto for the one of this machine",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACHING_SECONDS).close()
    except OSError as error:
        raise _no_cluster(address, error.strerror or reason(error)) from error


def _no_cluster(address: str, why: str | None) -> UsageError:
    return UsageError(
        "there is no Ray cluster at this address" if address != "auto" else "no Ray cluster runs",
        where=address,
        why=why,
        todo="Begin one: `ray start --head`, or leave out --ray to work on this machine",
    )


def _other_token(address: str) -> UsageError:
    return UsageError(
        "the cluster at this address asks for its token",
        where=address,
        why="this machine has another" if has_token() else "this machine has none",
        todo="Have the token of the cluster's first machine (its ~/.ray/auth_token) in "
        "RAY_AUTH_TOKEN or ~/.ray/auth_token",
    )


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Ray, connected to a cluster until the context ends.

    Args:
        address: HOST:PORT, ray://HOST:PORT, or auto for the cluster of this machine.

    Raises:
        UsageError: there is none. MissingComponent: Ray is not installed, or the cluster's is
            another version.
    """
    ray = _ray()
    if ray.is_initialized():  # somebody else's connection stays
        yield ray
        return
    if address != "auto":
        _refuse_deaf(address)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with _quiet_stderr() as printed:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError) as error:
        if address == "auto":
            raise _no_cluster(address, None) from error
        if "InvalidAuthToken" in printed[0]:
            raise _other_token(address) from error
        raise UsageError(
            "what answers at this address does not let this machine join",
            where=address,
            why=reason(error),
            todo="Check the port",
        ) from error
    except ray.exceptions.AuthenticationError as error:
        raise _other_token(address) from error
    except RuntimeError as error:
        raise MissingComponent(
            "this cluster cannot be used",
            where=address,
            why=reason(error),
            todo="Install the same versions of Python, ray and talkers on all its machines",
        ) from error
    finally:
        for number, handler in handlers.items():  # Ray puts its own in their place
            if handler is not None:
                signal.signal(number, handler)
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _quiet_stderr() -> Iterator[list[str]]:
    """Leave out what Ray's own threads print while it tries; afterwards the list holds it."""
    found = [""]
    sys.stderr.flush()
    kept = os.dup(2)
    with TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield found
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            found[0] = file.read().decode(errors="replace")


@dataclass(frozen=True)
class About:
    """What a worker says of itself when it has begun."""

    version: str
    python: str
    node: str


class Worker:
    """A process of the cluster that does jobs one by one, and keeps what it has loaded.

    Args:
        maker: who makes the videos.
        record: of the folder of results.
        folder: in which the command was given; names are meant from there.
    """

    def __init__(self, maker: Maker, record: Record, folder: str):
        enter(folder)
        self.maker, self.record = maker, record
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def about(self) -> About:
        """Say that it has begun."""
        return About(__version__, sys.version.split()[0], socket.gethostname())

    def perform(self, job: Job) -> Result:
        """Do a job."""
        return replace(perform(job, self.maker, self.record), worker=self.name)


@contextmanager
def without_chatter() -> Iterator[None]:
    """Leave out what Ray prints on stdout of each worker that is lost; --json is written there."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        yield


def enter(folder: str) -> None:
    """Go to a folder where this machine has it; names that begin with / need none."""
    with suppress(OSError):
        os.chdir(folder)


@dataclass(frozen=True)
class Cluster:
    """Does jobs on a Ray cluster; its `run` is a `Runner`.

    Attributes:
        ray: from `connected`.
        workers: processes; None: one for each GPU of the cluster, or else for each CPU.
        remark: called with a sentence on what takes long.
    """

    ray: Any
    workers: int | None = None
    remark: Callable[[str], None] = lambda text: None

    def run(
        self, jobs: Iterable[Job], maker: Maker, record: Record, report: Report
    ) -> Generator[Result, None, None]:
        """Do jobs on the cluster; results come in any order.

        Raises:
            MissingComponent: the workers cannot begin, or have another version.
        """
        has = self.ray.cluster_resources()
        gpus, cpus = int(has.get("GPU", 0)), int(has.get("CPU", 0))
        kind = self.ray.remote(Worker).options(
            num_cpus=1,
            num_gpus=1 if gpus else 0,
            max_restarts=-1,
            max_task_retries=TRIES - 1,
        )
        place = str(Path.cwd())
        crew = _Crew(self.ray, lambda: kind.remote(maker, record, place), self.remark)
        with without_chatter():
            try:
                yield from crew.results(iter(jobs), self.workers or gpus or cpus or 1)
            finally:
                crew.dismiss()


class _Crew:
    """Workers, and what each is at.

    Args:
        ray: connected.
        hire: makes a worker; it begins when Ray finds a place for it.
        remark: as in `Cluster`.
    """

    def __init__(self, ray: Any, hire: Callable[[], Any], remark: Callable[[str], None]):
        self._ray, self._hire, self._remark = ray, hire, remark
        self._at: dict[Any, tuple[Any, Job | None]] = {}  # by what is awaited; None: its beginning
        self._idle: list[Any] = []
        self._again: deque[Job] = deque()  # found no room where they were
        self._tries: Counter[str] = Counter()

    def results(self, jobs: Iterator[Job], count: int) -> Iterator[Result]:
        """Give the jobs to so many workers; results come as they are done.

        Raises:
            MissingComponent: the workers cannot begin, or have another version.
        """
        for _ in range(count):
            self._add()
        waits, left = True, True
        while True:
            while left and self._idle:
                job = self._again.popleft() if self._again else next(jobs, None)
                left = job is not None
                if job is not None:
                    worker = self._idle.pop()
                    self._at[worker.perform.remote(job)] = worker, job
            if not left and not self._awaited():
                return
            ready, _ = self._ray.wait(list(self._at), timeout=WAITING_SECONDS)
            if waits and not ready:
                self._remark("note: no worker has begun yet: the cluster's CPUs are all in use.")
            waits = False
            for awaited in ready:
                if (result := self._settled(awaited)) is not None:
                    yield result
            left = left or bool(self._again)

    def _add(self) -> None:
        worker = self._hire()
        self._at[worker.about.remote()] = worker, None

    def _awaited(self) -> bool:
        """Whether a job is under way. (Workers may still wait for a place when all is done.)"""
        return any(job is not None for _, job in self._at.values())

    def _settled(self, awaited: Any) -> Result | None:
        """What became of a job; None: it is to be tried again, or a worker has begun.

        Raises:
            MissingComponent: the worker cannot begin, or has another version.
        """
        worker, job = self._at.pop(awaited)
        self._idle.append(worker)
        try:
            answer = self._ray.get(awaited)
        except self._ray.exceptions.RayActorError as error:
            if job is None:
                raise _cannot_begin(reason(error)) from error
            return _lost(job)
        except self._ray.exceptions.RayError as error:
            if job is None:
                raise _cannot_begin(reason(error)) from error
            cause = error.cause if isinstance(error.cause, Exception) else error
            failure = failure_of(cause, job.title)
            return Result(job, "failed", failure.what, failure)
        if isinstance(answer, About):
            if answer.version != __version__:
                raise _cannot_begin(
                    f"{answer.node} has talkers {answer.version}, and this machine {__version__}"
                )
            return None
        if isinstance(answer.error, ResourceError) and job is not None:
            self._tries[job.name] += 1
            if self._tries[job.name] < TRIES:  # by another worker, perhaps on another machine
                self._idle.remove(worker)
                self._ray.kill(worker)
                self._add()
                self._again.append(job)
                return None
        return answer

    def dismiss(self) -> None:
        """End all workers."""
        for worker in [*self._idle, *(worker for worker, _ in self._at.values())]:
            self._ray.kill(worker)


def _cannot_begin(why: str) -> MissingComponent:
    return MissingComponent(
        "a worker of the cluster cannot begin",
        why=why,
        todo="Install the same versions of Python, ray and talkers on all its machines",
    )


def _lost(job: Job) -> Result:
    """A job at which worker after worker ended."""
    error = MediaError(
        f"this job ended its worker {TRIES} times",
        where=job.title,
        why="it crashes the process, or needs more memory than its machine has",
        todo="Try it alone, without --ray",
    )
    return Result(job, "failed", error.what, error)
