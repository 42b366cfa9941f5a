"""Many files in one run, here or on a cluster: what the verbs have in common."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from talkers.artefacts.files import file_digest
from talkers.cli.console import out, print_json, progress_bar, remark, remarks_kept, tell
from talkers.cli.options import Json
from talkers.cli.packages import extra_of
from talkers.errors import (
    PartialFailure,
    TalkersError,
    UsageError,
    missing,
    not_installed,
    shown,
)
from talkers.jobs import Job, Made, Result, Tally, run_jobs
from talkers.jobs.run import Runner, run_here
from talkers.jobs.storage import url_of, within
from talkers.progress import Report
from talkers.version import __version__

if TYPE_CHECKING:
    from talkers.runtime.avatar import Avatar

MAX_ROWS = 200  # of a table that is read
MAX_LOADED = 2  # avatars that a process holds: the one at work, and the next


@dataclass(frozen=True)
class ManyOptions:
    """Where many files are worked on, and how that is told."""

    ray: str | None = None
    """Work on a Ray cluster: its address (HOST:6379), or auto for the one of this machine."""
    workers: int | None = None
    """Processes on the cluster (default: one for each of its GPUs, or else of its CPUs)."""
    as_json: Json = False
    """Print one JSON object in place of the table."""

    def __post_init__(self) -> None:
        """Raises UsageError: no such number of workers, or workers without a cluster."""
        if self.workers is not None and (self.workers < 1 or self.ray is None):
            raise UsageError(
                "--workers counts from 1, and goes with --ray", todo="Correct it, or leave it out"
            )

    @contextmanager
    def runner(self) -> Iterator[Runner]:
        """What does the jobs.

        Raises:
            UsageError, MissingComponent: no cluster can be used at the address that is named.
        """
        if self.ray is None:
            yield run_here
            return
        from talkers.jobs.cluster import Cluster, connected

        with connected(self.ray) as ray:
            yield Cluster(ray, self.workers, remark).run

    def refuse_cluster(self) -> None:
        """Refuse a cluster for a single file.

        Raises:
            UsageError: one is named.
        """
        if self.ray is not None:
            raise UsageError(
                "a single video is made on this machine",
                todo="Leave out --ray, or name a folder for many videos with -o",
            )


@dataclass(frozen=True)
class Verb:
    """A verb that makes one video of its inputs, as many of them are run.

    Attributes:
        function: of the command line; its typed parameters are the options of a job.
        inputs: its parameters that name the files of a job.
        load: the avatar that settings ask for.
        avatar: what tells whether two jobs need the same one.
        files: that are read beside the inputs.
        refuse: raises UsageError where settings cannot be used.
        make: makes the video; returns what to say of it.
    """

    function: Callable[..., None]
    inputs: tuple[str, ...]
    load: Callable[[dict[str, Any]], Avatar]
    avatar: Callable[[dict[str, Any]], str]
    files: Callable[[dict[str, Any]], list[Path]]
    refuse: Callable[[dict[str, Any]], None]
    make: Callable[[Avatar, list[Path], Path, dict[str, Any], Report], str]


VERBS: dict[str, Verb] = {}  # each module of a verb registers its own


class VerbMaker:
    """Does jobs with the verbs of the command line; keeps the avatars that it has loaded."""

    def __init__(self) -> None:
        self._avatars: OrderedDict[str, Avatar] = OrderedDict()

    def avatar(self, verb: Verb, settings: dict[str, Any]) -> Avatar:
        """The avatar of a job, loaded once for jobs that follow each other.

        Raises:
            TalkersError: there is none.
        """
        key = verb.avatar(settings)
        if key not in self._avatars:
            while len(self._avatars) >= MAX_LOADED:
                self._avatars.popitem(last=False)
            self._avatars[key] = verb.load(settings)
        self._avatars.move_to_end(key)
        return self._avatars[key]

    def decides(self, job: Job) -> Any:
        """See `Maker`."""
        verb = VERBS[job.verb]
        return {
            "verb": job.verb,
            "settings": job.settings,
            "talkers": __version__,
            "avatar": self.avatar(verb, job.settings).digest,
            "files": [file_digest(p) for p in verb.files(job.settings) if p.is_file()],
        }

    def make(self, job: Job, inputs: list[Path], target: Path, report: Report) -> Made:
        """See `Maker`."""
        verb = VERBS[job.verb]
        with remarks_kept() as notes:
            try:
                avatar = self.avatar(verb, job.settings)
                said = verb.make(avatar, inputs, target, job.settings, report)
            except ImportError as error:
                if package := not_installed(error):
                    raise missing(job.verb, extra_of(package), error) from error
                raise
        return Made(said, tuple(notes))


def refuse_no_folder(count: int, folder: Path) -> None:
    """Refuse what cannot be a folder of many videos.

    Raises:
        UsageError: it has a video's name, or is a file.
    """
    from talkers.cli.videos import is_video_name

    if url_of(folder) is not None:
        return
    if is_video_name(folder) and not folder.is_dir():
        raise UsageError(
            f"{count} files were given and one video to write",
            where=folder,
            todo="Name a folder for the videos, such as -o videos/",
        )
    if folder.exists() and not folder.is_dir():
        raise UsageError("this is not a folder", where=folder, todo="Name a folder: -o videos/")


def named(verb: str, groups: Sequence[Sequence[Path]], settings: dict[str, Any]) -> list[Job]:
    """A job for each group of inputs. Its video has the name of the last input, with the old
    suffix where two share a stem.

    Args:
        verb: that makes them.
        groups: the inputs of each video.
        settings: the options of all.

    Raises:
        UsageError: a pipe is among the inputs.
    """
    from talkers.cli.videos import is_piped

    if piped := [p for group in groups for p in group if is_piped(p)]:
        raise UsageError(
            "a pipe cannot be one of many files", where=piped[0], todo="Give it alone, or save it"
        )
    lasts = [group[-1] for group in groups]
    stems: dict[str, int] = {}
    for path in lasts:  # names that differ by case only are one name on some disks
        stems[path.stem.casefold()] = stems.get(path.stem.casefold(), 0) + 1
    names = [f"{p.stem if stems[p.stem.casefold()] == 1 else p.name}.mp4" for p in lasts]
    return [
        Job(verb, tuple(url_of(p) or str(p) for p in group), name, settings)
        for group, name in zip(groups, names, strict=True)
    ]


def apart(jobs: list[Job], folder: Path) -> tuple[list[Job], list[Result]]:
    """The jobs whose videos have names of their own, and failures for the others.

    Raises:
        UsageError: no job is left.
    """
    by_name: dict[str, list[Job]] = {}
    for job in jobs:
        by_name.setdefault(job.name.casefold(), []).append(job)
    good, failed = [], []
    for same in by_name.values():
        if len(same) == 1:
            good += same
            continue
        names = " and ".join(sorted({job.name for job in same}))
        error = UsageError(
            f"{len(same)} of these files would be written as {names}",
            where=folder,
            todo="Give them one folder after the other, or rename them",
        )
        if not good and len(by_name) == 1:
            raise error
        failed += [Result(job, "failed", error.what, error) for job in same]
    if not good:
        assert failed[0].error is not None
        raise failed[0].error
    return good, failed


def run_many(
    jobs: Iterable[Job],
    total: int,
    folder: Path,
    many: ManyOptions,
    failed: Sequence[Result] = (),
    reported: bool = False,
) -> None:
    """Make many videos, print a table of them, and raise what stands for the failures.

    Args:
        jobs: the videos to make.
        total: how many there are.
        folder: of the videos; a folder or a URL.
        many: where, and how it is told.
        failed: of jobs that cannot be begun.
        reported: whether it was said already why these failed.

    Raises:
        PartialFailure: some jobs failed. TalkersError: all of them did, or nothing can be written.
    """
    tally, began = Tally(total + len(failed)), time.monotonic()
    place = url_of(folder) or str(folder)
    for result in failed:
        tally.add(result)

    def notes_of(result: Result) -> None:
        for note in result.notes:
            remark(note)

    with many.runner() as runner:
        try:
            with progress_bar() as report:
                run_jobs(jobs, VerbMaker(), place, tally, runner, report, notes_of)
        finally:
            _show(tally, place, time.monotonic() - began, many.as_json)
    fresh = tally.failures[len(failed) if reported else 0 :]
    _raise_failures(tally, fresh)


def _show(tally: Tally, folder: str, seconds: float, as_json: bool) -> None:
    """Print what became of the jobs: a table of them, or of the failures where they are many."""
    counts = {"made": tally.made, "kept": tally.kept, "failed": len(tally.failures)}
    counts["not begun"] = tally.total - tally.done
    if as_json:
        jobs = [_entry(result, folder) for result in tally.listed]
        print_json({"folder": folder, "jobs": jobs, **counts, "seconds": round(seconds, 1)})
        return
    rows = any(result.job.row is not None for result in tally.listed)
    many = tally.done > MAX_ROWS
    table = Table(*(["row"] if rows else []), "file", "video", "")
    for result in tally.failures if many else tally.listed:
        inputs = " + ".join(result.job.inputs) or f"({result.job.verb})"
        cells = [inputs, result.job.name, result.state_shown]
        if rows:
            cells.insert(0, "" if result.job.row is None else str(result.job.row))
        table.add_row(*(escape(shown(cell)) for cell in cells))
    if table.row_count:
        out.print(table)
    words = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    tell(f"{folder}: {words or 'nothing'} of {tally.total}, in {seconds:.0f} s")


def _entry(result: Result, folder: str) -> dict[str, Any]:
    """A job in --json."""
    entry: dict[str, Any] = {
        "verb": result.job.verb,
        "inputs": list(result.job.inputs),
        "video": within(folder, result.job.name),
        "state": result.state,
        "seconds": result.seconds,
    }
    if result.job.row is not None:
        entry = {"row": result.job.row, **entry}
    if result.worker:
        entry["worker"] = result.worker
    if result.error is None:
        return entry | {"said": result.said}
    return entry | {"error": str(result.error), "exit_code": result.error.exit_code}


def _raise_failures(tally: Tally, fresh: list[Result]) -> None:
    """Tell what failed.

    Args:
        tally: what became of the jobs.
        fresh: the failures that were not told yet.

    Raises:
        PartialFailure: something did, and something did not. TalkersError: everything did.
    """
    errors = [_with_row(result) for result in fresh]
    last = tally.stopped
    if last is None and errors and not (tally.made or tally.kept):
        last = errors.pop()
    for error in errors:
        remark(f"failed: {error}")
    if tally.stopped is not None:
        remark(f"note: {tally.total - tally.done} files were not begun.")
    if last is not None:
        raise last
    if tally.failures:
        raise PartialFailure(
            f"{len(tally.failures)} files failed",
            todo="They are listed above; everything else is done",
        )


def _with_row(result: Result) -> TalkersError:
    """The error of a job, with its row in the list."""
    error = result.error
    assert error is not None
    if result.job.row is None:
        return error
    where = f"row {result.job.row}" + (f", {error.where}" if error.where else "")
    return type(error)(error.what, where=where, why=error.why, todo=error.todo)
