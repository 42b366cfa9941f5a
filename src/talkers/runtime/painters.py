"""Threads that make the frames of a live session, while those before wait to be shown."""

from __future__ import annotations

import atexit
import threading
import weakref

import torch

from talkers.runtime.frame_maker import FrameMaker
from talkers.runtime.threads import Threads

MOST = 2  # threads of a session: two frames are made at the same time, each by half of the cores
LONGEST_WAIT = 1.0  # seconds, after which a thread looks again
CLOSING = 0.1  # seconds for which closing a session waits for each thread: longer than a picture
ENDING = 2.0  # seconds for which the end of the program does

_running: weakref.WeakSet[Painter] = weakref.WeakSet()


class Painter(threading.Thread):
    """Makes frames until the session is closed. It knows the session's maker, not the session: one
    that is forgotten ends.

    Args:
        maker: of the session.
        cores: threads that it may use for a frame.
    """

    def __init__(self, maker: FrameMaker, cores: int):
        super().__init__(name="talkers painter", daemon=True)
        self.maker, self._cores = maker, cores
        self.ready = threading.Event()

    def run(self) -> None:
        """See above."""
        torch.set_num_threads(self._cores)  # of this thread
        threads = Threads(float("inf"))
        self.ready.set()
        maker = self.maker
        while not maker.closed.is_set():
            with maker.changed:
                seconds = maker.until_work()
                if seconds > 0:
                    maker.changed.wait(min(seconds, LONGEST_WAIT))
                    continue
            maker.make(threads, ahead=True)


def painters_of(cores: int) -> int:
    """How many threads make the frames of a session."""
    return min(MOST, cores)


def begin_painting(maker: FrameMaker, cores: int) -> list[Painter]:
    """Start a session's threads, which share the cores that this thread may use."""
    count = painters_of(cores)
    painters = [Painter(maker, max(1, cores // count)) for _ in range(count)]
    for painter in painters:
        painter.start()
        painter.ready.wait()
        _running.add(painter)
    torch.set_num_threads(cores)  # what a thread sets holds for those that begin later, too
    return painters


def end_painting(painters: list[Painter], seconds: float = CLOSING) -> None:
    """Wait until a session's threads have ended, after it was closed, so long for each. One that
    is busy ends with its picture."""
    for painter in painters:
        if painter is not threading.current_thread():
            painter.join(seconds)


@atexit.register
def _end_all() -> None:
    """A thread that computes must not outlive the interpreter."""
    for painter in list(_running):
        painter.maker.close()
    end_painting(list(_running), ENDING)
