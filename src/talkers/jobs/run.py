"""Do many jobs, on this machine or on a cluster, and count what became of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from talkers.errors import ResourceError, TalkersError, UsageError, interrupts_held
from talkers.jobs.contract import Job, Maker, Result
from talkers.jobs.perform import perform
from talkers.jobs.record import RECORD, Record
from talkers.jobs.storage import remove_unfinished, url_of
from talkers.progress import Report, quiet

MAX_LISTED = 1000  # results that are kept for the table; failures are kept beyond
MAX_REFUSALS = 3  # jobs in a row for which there was no room or no memory


@dataclass
class Tally:
    """What became of many jobs.

    Attributes:
        total: jobs that were asked for.
        made, kept: how many videos were made now, and before.
        listed: the results in the order of their rows, at most MAX_LISTED of those that went well.
        failures: all that did not.
        stopped: why the rest was not begun.
    """

    total: int
    made: int = 0
    kept: int = 0
    listed: list[Result] = field(default_factory=list)
    failures: list[Result] = field(default_factory=list)
    stopped: TalkersError | None = None

    def add(self, result: Result) -> None:
        """Count a result."""
        if result.state == "failed":
            self.failures.append(result)
        elif result.state == "made":
            self.made += 1
        else:
            self.kept += 1
        if result.state == "failed" or len(self.listed) < MAX_LISTED:
            self.listed.append(result)

    @property
    def done(self) -> int:
        """Jobs whose results are known."""
        return self.made + self.kept + len(self.failures)


Runner = Callable[[Iterable[Job], Maker, Record, Report], Generator[Result, None, None]]


def run_here(
    jobs: Iterable[Job], maker: Maker, record: Record, report: Report
) -> Generator[Result, None, None]:
    """Do jobs one after the other in this process."""
    for job in jobs:
        yield perform(job, maker, record, report)


def run_jobs(
    jobs: Iterable[Job],
    maker: Maker,
    folder: str,
    tally: Tally,
    runner: Runner = run_here,
    report: Report = quiet,
    on_result: Callable[[Result], None] = lambda result: None,
) -> Tally:
    """Do many jobs; what fails does not stop the others.

    Where nothing more can be written, the rest is not begun: see `Tally.stopped`.

    Args:
        jobs: they are taken one by one, so that a long list needs no memory.
        maker: who makes the videos.
        folder: of the results; a folder or a URL.
        tally: that is counted in; it is complete also when an exception ends the run.
        runner: does the jobs: `run_here`, or `talkers.jobs.cluster.Cluster.run`.
        report: called with "files", jobs done and in all, and with what a maker reports.
        on_result: called with each result as it comes.

    Raises:
        UsageError: another run writes into this folder. KeyboardInterrupt: it was interrupted.
    """
    record = Record(folder, secrets.token_hex(8))
    refusals = 0
    with _own(folder):
        report("files", tally.done, tally.total)
        try:
            with closing(runner(jobs, maker, record, report)) as results:
                for result in results:
                    tally.add(result)
                    on_result(result)
                    report("files", tally.done, tally.total)
                    refused = isinstance(result.error, ResourceError)
                    refusals = refusals + 1 if refused else 0
                    if refusals == MAX_REFUSALS:
                        tally.stopped = result.error
                        break
        finally:
            with interrupts_held():  # of workers that were lost, and of runs that were killed
                remove_unfinished(folder)
    tally.listed.sort(key=lambda r: (r.job.row or 0, r.job.title))
    return tally


@contextmanager
def _own(folder: str) -> Iterator[None]:
    """Let no other run write into a folder of a disk meanwhile.

    Raises:
        UsageError: another run does. ResourceError: the folder cannot be made.
    """
    if url_of(folder) is not None:
        yield
        return
    place = Path(folder) / RECORD
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            "the folder cannot be made",
            where=folder,
            why=error.strerror,
            todo="Choose a folder that can be written",
        ) from error
    lock = FileLock(place / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            "another run writes into this folder", where=folder, todo="Wait for it, or end it"
        ) from error
    except (NotImplementedError, OSError):  # some shared disks know no locks
        pass
    try:
        yield
    finally:
        lock.release()
