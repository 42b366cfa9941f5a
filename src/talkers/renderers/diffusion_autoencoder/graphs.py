"""CUDA graphs: the hundreds of small kernels that a network launches are recorded once and then
launched as one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from talkers.errors import out_of_memory, reason

WARM_UPS = 3  # passes before one is recorded, in which libraries choose their kernels
MAX_DIFFERENCE = 1 / 127.5  # a grey level: how far a replayed picture in -1..1 may be off
log = logging.getLogger(__name__)
Shape = tuple[torch.Size, torch.Size, int]  # of latents and noise; steps
# A graph, the latents and the noise that it reads, the pictures that it writes.
Recorded = tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]


class GraphedDecoder:
    """A codec's `decode` on a CUDA device, as one graph for each shape that comes more than once.

    A graph is recorded with zeros. It is then replayed with the latents at hand, whose pictures
    were decoded without it too: a graph that gives other pictures is found out. Where one cannot
    be recorded, also for want of memory, pictures are decoded without graphs from then on. Safe
    to use from several threads: what a graph reads and writes is shared, so replays take turns.

    Args:
        decode: latents, noise, steps -> pictures.
    """

    def __init__(self, decode: Callable[[Tensor, Tensor, int], Tensor]):
        self.decode = decode
        self.usable = True
        self._recorded: dict[Shape, Recorded] = {}
        self._met: set[Shape] = set()
        self._lock = threading.RLock()  # what a graph reads and writes is shared by all callers
        self._pool: Any = None  # memory that all graphs share: they never run side by side

    def __call__(self, latents: Tensor, x_T: Tensor, steps: int) -> Tensor:
        """As `DiffusionAutoencoder.decode`."""
        shape = latents.shape, x_T.shape, steps
        if shape in self._recorded:
            return self._replayed(shape, latents, x_T)
        plain = self.decode(latents, x_T, steps)
        with self._lock:
            if self.usable and shape in self._met and shape not in self._recorded:
                self._learn(shape, latents, x_T, plain)
            self._met.add(shape)
        return plain

    def _learn(self, shape: Shape, latents: Tensor, x_T: Tensor, plain: Tensor) -> None:
        try:
            self._recorded[shape] = self._record(
                torch.zeros_like(latents), torch.zeros_like(x_T), shape[2]
            )
            apart = float((self._replayed(shape, latents, x_T) - plain).abs().max())
            if not apart <= MAX_DIFFERENCE:
                raise RuntimeError(f"a replayed picture differs by {apart:.3g}")
        except RuntimeError as error:
            log.warning("frames are made without CUDA graphs: %s", reason(error))
            self.usable = False
            self._recorded.clear()
            if out_of_memory(error):
                torch.cuda.empty_cache()

    def _replayed(self, shape: Shape, latents: Tensor, x_T: Tensor) -> Tensor:
        graph, *given, pictures = self._recorded[shape]
        with self._lock, torch.cuda.device_of(latents):  # type: ignore[no-untyped-call]
            for place, value in zip(given, (latents, x_T), strict=True):
                place.copy_(value)
            graph.replay()
            return pictures.clone()

    def _record(self, latents: Tensor, x_T: Tensor, steps: int) -> Recorded:
        """One pass as a graph that reads these tensors.

        Raises:
            RuntimeError: something in it cannot be recorded.
        """
        with torch.cuda.device_of(latents):  # type: ignore[no-untyped-call]
            beside = torch.cuda.Stream(latents.device)  # type: ignore[no-untyped-call]
            beside.wait_stream(torch.cuda.current_stream(latents.device))
            with torch.cuda.stream(beside):
                for _ in range(WARM_UPS):
                    self.decode(latents, x_T, steps)
            torch.cuda.current_stream(latents.device).wait_stream(beside)
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(
                graph, pool=self._pool, stream=beside, capture_error_mode="thread_local"
            ):
                pictures = self.decode(latents, x_T, steps)
        return graph, latents, x_T, pictures
