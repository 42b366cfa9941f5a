"""Motion and frames in time: other frame rates, growing batches, work that runs ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


def resample(
    blocks: Iterable[Tensor], rate_in: float, rate_out: float, count: int
) -> Iterator[Tensor]:
    """Motion at another frame rate, interpolated between frame centres.

    Args:
        blocks: motion [n, width] each, at rate_in frames a second.
        rate_in: frames a second of the blocks.
        rate_out: frames a second that are wanted.
        count: rows that are wanted in all.

    Yields:
        motion [m, width].
    """
    source, held, first, done = iter(blocks), None, 0, 0
    while done < count:
        block = next(source, None)
        if block is not None:
            held = block if held is None else torch.cat([held, block])
        if held is None:
            return
        last = first + len(held) - 1
        positions = ((torch.arange(done, count) + 0.5) / rate_out * rate_in - 0.5).clamp(min=0)
        ready = positions[positions <= last] if block is not None else positions.clamp(max=last)
        if len(ready):
            low = ready.floor().long() - first
            high = (low + 1).clamp(max=len(held) - 1)
            yield torch.lerp(held[low], held[high], (ready - ready.floor())[:, None])
            done += len(ready)
        keep = max(
            0, min(len(held) - 1, int(positions[min(len(ready), len(positions) - 1)]) - first - 1)
        )
        held, first = held[keep:], first + keep


def rebatch(blocks: Iterable[Tensor], largest: int) -> Iterator[Tensor]:
    """Regroup rows into batches of 1, 2, 4, ... up to `largest`."""
    held: Tensor | None = None
    size = 1
    for block in blocks:
        held = block if held is None else torch.cat([held, block])
        while len(held) >= size:
            yield held[:size]
            held, size = held[size:], min(largest, 2 * size)
    if held is not None and len(held):
        yield held


def lookahead(items: Iterable[Item], most: int) -> Generator[Item, None, None]:
    """The same items, made in a second thread that runs at most `most` ahead.

    Close it, with `contextlib.closing`: else the thread goes on when who takes the items fails.
    """
    waiting: queue.Queue[tuple[bool, object]] = queue.Queue(most)
    stop = threading.Event()

    def put(entry: tuple[bool, object]) -> None:
        while not stop.is_set():
            try:
                return waiting.put(entry, timeout=0.2)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((True, item))
                if stop.is_set():
                    return
            put((False, None))
        except BaseException as error:
            put((False, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            more, item = waiting.get()
            if not more:
                if isinstance(item, BaseException):
                    raise item
                return
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join(timeout=30)
