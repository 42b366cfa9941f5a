"""Do one job: recognise what is done, make what is not, and tell what went wrong."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import replace

from talkers.errors import (
    NO_ROOM,
    InternalFault,
    ResourceError,
    TalkersError,
    out_of_memory,
    reason,
    unreachable,
)
from talkers.jobs.contract import Job, Maker, Result
from talkers.jobs.record import Record, key_of
from talkers.jobs.storage import delivered, fetched, within
from talkers.progress import Report, quiet


def perform(job: Job, maker: Maker, record: Record, report: Report = quiet) -> Result:
    """Do a job, unless it is done.

    Args:
        job: what is asked for.
        maker: who makes it.
        record: of the folder of results.
        report: as of `Maker.make`.

    Returns:
        what became of it; an error is part of it.

    Raises:
        KeyboardInterrupt: it was interrupted; nothing is half-written.
        Exception: a fault of the program's own, where TALKERS_DEBUG is set.
    """
    began = time.monotonic()
    try:
        result = _performed(job, maker, record, report)
    except Exception as error:
        failure = failure_of(error, job.title)
        result = Result(job, "failed", failure.what, failure)
    return replace(result, seconds=round(time.monotonic() - began, 3))


def _performed(job: Job, maker: Maker, record: Record, report: Report) -> Result:
    with ExitStack() as stack:
        inputs = [stack.enter_context(fetched(name)) for name in job.inputs]
        key = key_of(inputs, maker.decides(job))
        if held := record.held(job.name, key):
            # a worker that was lost may have finished it before
            now = held.get("run") == record.run
            return Result(job, "made" if now else "kept", str(held.get("said", "")))
        with delivered(within(record.folder, job.name)) as target:
            made = maker.make(job, inputs, target, report)
        record.note(job.name, key, made.said)
    return Result(job, "made", made.said, notes=made.notes)


def failure_of(error: Exception, where: str) -> TalkersError:
    """What to tell of an exception.

    Args:
        error: what was raised.
        where: the job.

    Raises:
        Exception: the error itself, where it is the program's own and TALKERS_DEBUG is set.
    """
    if isinstance(error, TalkersError):
        return error
    if out_of_memory(error):
        return ResourceError(
            "the memory of this machine is used up",
            where=where,
            todo="Close other programs, or use fewer workers",
        )
    if isinstance(error, OSError):
        if failure := unreachable(error):
            return failure
        if error.errno in NO_ROOM:
            return ResourceError(
                "there is no room left", where=where, why=error.strerror, todo="Free some space"
            )
    if os.environ.get("TALKERS_DEBUG"):
        raise error
    return InternalFault(
        f"internal fault: {type(error).__name__}: {reason(error)}",
        where=where,
        todo="Please report it with the output of TALKERS_DEBUG=1",
    )
