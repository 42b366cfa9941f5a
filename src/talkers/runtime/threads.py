"""How many threads make a frame: all that torch has, or one where other programs need the cores.

Threads that share a frame wait for each other hundreds of times. Beside busy processes each wait
may last until the system lets the other thread run, and two take ten times as long as one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

EVERY = 12  # frames after which the other way is tried, as long as frames take too long
BETTER = 0.75  # of the time that it must take to be kept
ALONE = 1.15  # seconds by the clock for one of work: below, nobody else wants the core
WEIGHT = 0.3  # of the newest frame in the average of what frames take


def leave_a_core() -> None:
    """Let this thread compute with all threads but one; threads that begin later have all."""
    count = torch.get_num_threads()
    torch.set_num_threads(max(1, count - 1))
    # what a thread sets holds for those that begin later, too
    keeper = threading.Thread(target=torch.set_num_threads, args=(count,))
    keeper.start()
    keeper.join()


@contextmanager
def one_core_left() -> Iterator[None]:
    """Work in this block with all threads but one: beside it, this process encodes a video."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before - 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Threads:
    """Chooses for each frame; see above.

    Args:
        enough: seconds that a frame may take; while it takes less, nothing is tried.

    Attributes:
        count: threads that make the next frame, unless another way is tried.
    """

    def __init__(self, enough: float):
        self._most, self._enough = torch.get_num_threads(), enough
        self.count = self._used = self._most
        self._took: dict[int, float] = {}
        self._since = EVERY - 4
        self._shared = True  # other programs want the core

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """Make a frame in this block."""
        self._since += 1
        other = 1 if self.count > 1 else self._most
        slow = self._took.get(self.count, 0.0) > self._enough
        tried = slow and self._since > EVERY and not (other > 1 and self._shared)
        self._used = other if tried else self.count
        before = torch.get_num_threads()
        begun, worked = time.perf_counter(), time.thread_time()
        if self._used != before:
            torch.set_num_threads(self._used)
        try:
            yield
        finally:
            if self._used != before:
                torch.set_num_threads(before)
        if self._used == 1:
            spent = time.perf_counter() - begun
            self._shared = spent > ALONE * (time.thread_time() - worked)

    def took(self, seconds: float) -> None:
        """The frame of the last block took so long."""
        used = self._used
        if used == self.count:
            average = self._took.get(used, seconds)
            self._took[used] = average + WEIGHT * (seconds - average)
            return
        self._since = 0
        self._took[used] = seconds
        if seconds < BETTER * self._took[self.count]:
            self.count = used
