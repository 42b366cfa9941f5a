"""The pieces of `talkers prepare` and `talkers evaluate` on a Ray cluster.

Both give their pieces to `talkers.parallel.parallel`. Within `on_cluster` these run as Ray's tasks,
which Ray places, and tries again where a worker is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from talkers.errors import MediaError
from talkers.jobs.cluster import TRIES, connected, enter, without_chatter
from talkers.jobs.perform import failure_of
from talkers.parallel import run_elsewhere

AHEAD = 2  # pieces that wait for each CPU, so that none is idle


def _piece(folder: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Work on a piece; what goes wrong is a result."""
    enter(folder)
    try:
        return work(*arguments)
    except Exception as error:
        return failure_of(error, str(arguments[0]) if arguments else "")


@contextmanager
def on_cluster(address: str) -> Iterator[None]:
    """Let `parallel` use a cluster; files are on a folder that its machines share.

    Args:
        address: see `talkers.jobs.cluster.connected`.

    Raises:
        UsageError, MissingComponent: see `connected`.
    """
    with connected(address) as ray:
        task = ray.remote(_piece).options(num_cpus=1, max_retries=TRIES - 1)

        def run(
            work: Callable[..., Any],
            tasks: dict[Any, tuple[Any, ...]],
            _jobs: int,
            done: Callable[[Any, Any], None],
        ) -> None:
            most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
            left, folder, awaited = iter(tasks.items()), str(Path.cwd()), dict[Any, Any]()
            try:
                while True:
                    while len(awaited) < most and (entry := next(left, None)):
                        key, arguments = entry
                        awaited[task.remote(folder, work, arguments)] = key
                    if not awaited:
                        return
                    for ready in ray.wait(list(awaited))[0]:
                        key = awaited.pop(ready)
                        try:
                            done(key, ray.get(ready))
                        except ray.exceptions.WorkerCrashedError:
                            done(key, _lost(key))
            finally:
                for ready in awaited:
                    ray.cancel(ready, force=True)

        with without_chatter(), run_elsewhere(run):
            yield


def _lost(key: Any) -> MediaError:
    return MediaError(
        f"this file ended its worker {TRIES} times",
        where=key,
        why="it crashes the decoder, or needs more memory than its machine has",
        todo="Convert it to mp4 and try again",
    )
