"""talkers batch: the jobs of a list."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.console import print_json, remark, tell
from talkers.cli.many import VERBS, ManyOptions, refuse_no_folder, run_many
from talkers.cli.rows import job_of
from talkers.errors import UsageError
from talkers.jobs import Job, Result
from talkers.jobs.lists import JobList, Wrong

MAX_WRONG = 1000  # rows that are told one by one


@app.command
def batch(
    jobs: Positional[Path],
    output: Annotated[Path, arg(aliases=["-o"])],
    check: bool = False,
    many: Annotated[ManyOptions, arg(name="")] = ManyOptions(),
) -> None:
    """Do the jobs of a list: each row names a verb, its inputs, its output and its options.

    All rows are checked before anything starts. What is wrong is told, and the rest is done.
    Run again, it does what is not done yet.
    For example: talkers batch jobs.csv -o videos/

    Args:
        jobs: A .csv file whose first row names the columns, or a .jsonl file with an object a line.
            Columns: verb (speak, say, dub, reenact, reconstruct), its inputs and options as on its
            command line, and output, the name of the video in the folder.
        output: Folder of the videos, in which what is done is not done again.
        check: Only check the list.
        many: Where the jobs are done, and how that is told.
    """
    refuse_no_folder(2, output)
    refuse_same_file([output], [jobs])
    listed = JobList(jobs, job_of, lambda job: VERBS[job.verb].avatar(job.settings))
    for wrong in listed.wrong[:MAX_WRONG]:
        remark(f"wrong: row {wrong.row}: {'; '.join(wrong.problems)}")
    if len(listed.wrong) > MAX_WRONG:
        remark(f"wrong: {len(listed.wrong) - MAX_WRONG} more rows.")
    if not len(listed):
        raise UsageError(
            f"none of the {len(listed.wrong)} rows can be used", where=jobs, todo="Correct them"
        )
    if check:
        _tell_check(listed, many.as_json)
        return
    failed = [_failed(wrong, jobs) for wrong in listed.wrong]
    run_many(listed, len(listed), output, many, failed, reported=True)


def _tell_check(listed: JobList, as_json: bool) -> None:
    """Say what the list is like.

    Raises:
        UsageError: rows are wrong.
    """
    if as_json:
        wrong = [{"row": w.row, "problems": list(w.problems)} for w in listed.wrong]
        print_json({"jobs": len(listed), "wrong": wrong})
    else:
        tell(f"{listed.path}: {len(listed)} jobs can be done, {len(listed.wrong)} rows are wrong")
    if listed.wrong:
        raise UsageError(
            f"{len(listed.wrong)} rows are wrong", where=listed.path, todo="They are listed above"
        )


def _failed(wrong: Wrong, path: Path) -> Result:
    """The result of a row that is no job."""
    what = "; ".join(wrong.problems)
    error = UsageError(what, where=path, todo="Correct the row")
    return Result(Job("", (), "", {}, wrong.row), "failed", what, error)
