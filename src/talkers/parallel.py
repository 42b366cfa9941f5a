"""Work on many files in child processes, so that a file that kills its decoder costs only itself."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from talkers.errors import MediaError, TalkersError, UsageError


def _child() -> None:
    """Children leave Ctrl-C to their parent, and clean up after themselves when it ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def _run(work: Callable[..., Any], *arguments: Any) -> Any:
    """In a child: a request to end ends it when the task has tidied up; the pool would tell of a failed task and go on."""
    try:
        return work(*arguments)
    except SystemExit:
        os._exit(1)


def parallel(
    work: Callable[..., Any],
    tasks: dict[Any, tuple[Any, ...]],
    jobs: int,
    done: Callable[[Any, Any], None],
) -> None:
    """Run work(*arguments) for each task; `done(key, result or TalkersError)` as they finish.

    When a child dies, what was under way is run again, one process a task, and only the task that kills it again fails.

    Raises:
        UsageError: fewer than one job. Whatever `done` raises ends all children.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} jobs were asked for", todo="Use at least 1")
    left = dict(tasks)
    for isolated in (False, True):
        for group in (
            [{key: arguments} for key, arguments in left.items()]
            if isolated
            else [dict(left)]
            if left
            else []
        ):
            pool = ProcessPoolExecutor(
                1 if isolated else min(jobs, len(group)), get_context("spawn"), _child
            )
            try:
                futures: dict[Future[Any], Any] = {
                    pool.submit(_run, work, *arguments): key for key, arguments in group.items()
                }
                for future in as_completed(futures):
                    key, error = futures[future], future.exception()
                    if isinstance(error, BrokenProcessPool) and not isolated:
                        continue
                    left.pop(key)
                    if error is not None and not isinstance(error, TalkersError):
                        why = (
                            "it crashes the decoder"
                            if isinstance(error, BrokenProcessPool)
                            else f"{type(error).__name__}: {error}"
                        )
                        error = MediaError(
                            "this file could not be processed",
                            where=key,
                            why=why,
                            todo="Convert it to mp4 and try again",
                        )
                    done(key, error or future.result())
            except BaseException:
                for child in list((pool._processes or {}).values()):
                    child.terminate()
                raise
            finally:
                pool.shutdown(cancel_futures=True)
