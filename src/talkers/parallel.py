"""Work on many files in child processes, so that a file that kills its decoder costs only
itself."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing import get_context
from typing import Any

from talkers.errors import (
    InternalFault,
    MediaError,
    ResourceError,
    TalkersError,
    UsageError,
    out_of_memory,
    reason,
)

Tasks = dict[Any, tuple[Any, ...]]
Run = Callable[[Callable[..., Any], Tasks, int, Callable[[Any, Any], None]], None]
_elsewhere: ContextVar[Run | None] = ContextVar("_elsewhere", default=None)


@contextmanager
def run_elsewhere(run: Run) -> Iterator[None]:
    """Let `parallel` give its tasks to something else than child processes, such as a cluster.

    Args:
        run: takes what `parallel` takes, and does what it promises.
    """
    token = _elsewhere.set(run)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def _child() -> None:
    """Children leave Ctrl-C to their parent, and clean up after themselves when it ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def _run(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run a task in a child. A request to end ends the child once the task has tidied up.

    (The pool would report a failed task instead, and go on.)
    """
    try:
        return work(*arguments)
    except SystemExit:
        os._exit(1)


def _failure(key: Any, error: BaseException) -> TalkersError:
    """Say whose fault an exception of a task is: the file's only where the file killed its process.

    Raises:
        BaseException: the error itself, where it is the program's own and TALKERS_DEBUG is set.
    """
    if isinstance(error, TalkersError):
        return error
    if isinstance(error, BrokenProcessPool):
        return MediaError(
            "this file could not be processed",
            where=key,
            why="it crashes the decoder",
            todo="Convert it to mp4 and try again",
        )
    if out_of_memory(error):
        return ResourceError(
            "the memory of this machine is used up",
            where=key,
            todo="Close other programs, or use fewer --jobs",
        )
    if os.environ.get("TALKERS_DEBUG"):
        error.add_note(f"while working on {key}")
        raise error
    return InternalFault(
        f"internal fault: {type(error).__name__}: {reason(error)}",
        where=key,
        todo="Please report it with the output of TALKERS_DEBUG=1",
    )


def parallel(
    work: Callable[..., Any],
    tasks: dict[Any, tuple[Any, ...]],
    jobs: int,
    done: Callable[[Any, Any], None],
) -> None:
    """Run a function on many tasks in child processes.

    When a child dies, the tasks under way are run again, each in a process of its own, and only
    the task that kills its process again fails.

    Args:
        work: the function; it can be pickled.
        tasks: for each key, usually a file, the function's arguments.
        jobs: child processes at once.
        done: called with the key, and the result or a TalkersError, as the tasks finish. What it
            raises ends all children.

    Raises:
        UsageError: fewer than one job.
        Exception: a fault of the program's own in a child, where TALKERS_DEBUG is set; elsewhere
            `done` receives an InternalFault.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} jobs were asked for", todo="Use at least 1")
    if (run := _elsewhere.get()) is not None:
        run(work, tasks, jobs, done)
        return
    left = dict(tasks)
    if left:
        _run_group(work, dict(left), left, min(jobs, len(left)), done, isolated=False)
    for key, arguments in dict(left).items():
        _run_group(work, {key: arguments}, left, 1, done, isolated=True)


def _run_group(
    work: Callable[..., Any],
    group: dict[Any, tuple[Any, ...]],
    left: dict[Any, tuple[Any, ...]],
    jobs: int,
    done: Callable[[Any, Any], None],
    *,
    isolated: bool,
) -> None:
    """Run one pool of children, and take the finished tasks out of `left`.

    Tasks lost with a child stay in `left`, unless they are isolated: then they fail.
    """
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _child)
    try:
        futures: dict[Future[Any], Any] = {
            pool.submit(_run, work, *arguments): key for key, arguments in group.items()
        }
        for future in as_completed(futures):
            key, error = futures[future], future.exception()
            if isinstance(error, BrokenProcessPool) and not isolated:
                continue
            left.pop(key)
            done(key, future.result() if error is None else _failure(key, error))
    except BaseException:
        for child in list((pool._processes or {}).values()):
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
