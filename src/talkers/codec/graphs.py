"""CUDA graphs: what a network launches, hundreds of small kernels, is recorded once and then launched as one."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from talkers.errors import out_of_memory, reason

WARM = 3  # passes before one is recorded, in which libraries choose their kernels
APART = 1 / 127.5  # grey level by which a replayed picture in -1..1 may differ from one made without a graph
log = logging.getLogger(__name__)
Recorded = tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]  # latents and noise that it reads, pictures that it writes


class GraphedDecoder:
    """A codec's `decode` on a CUDA device, as one graph for each batch size and number of steps.

    The first pictures of each shape are made both ways; where a graph cannot be recorded or shows something else, pictures are
    made without graphs from then on.
    """

    def __init__(self, decode: Callable[[Tensor, Tensor, int], Tensor]):
        self.decode = decode
        self.usable = True
        self._recorded: dict[tuple[torch.Size, torch.Size, int], Recorded] = {}

    def __call__(self, latents: Tensor, x_T: Tensor, steps: int) -> Tensor:
        """As `FaceCodec.decode`."""
        if not self.usable:
            return self.decode(latents, x_T, steps)
        key = latents.shape, x_T.shape, steps
        if key not in self._recorded:
            plain = self.decode(latents, x_T, steps)
            try:
                self._recorded[key] = self._record(latents, x_T, steps)
                apart = float((self._replayed(key, latents, x_T) - plain).abs().max())
                if not apart <= APART:
                    raise RuntimeError(f"a replayed picture differs by {apart:.3g}")
            except RuntimeError as error:
                if out_of_memory(error):
                    raise
                log.warning("frames are made without CUDA graphs: %s", reason(error))
                self.usable = False
                self._recorded.clear()
            return plain
        return self._replayed(key, latents, x_T)

    def _replayed(self, key: tuple[torch.Size, torch.Size, int], latents: Tensor, x_T: Tensor) -> Tensor:
        graph, *given, pictures = self._recorded[key]
        for place, value in zip(given, (latents, x_T), strict=True):
            place.copy_(value)
        graph.replay()
        return pictures.clone()

    def _record(self, latents: Tensor, x_T: Tensor, steps: int) -> Recorded:
        """One pass as a graph that reads copies of these tensors.

        Raises:
            RuntimeError: something in it cannot be recorded.
        """
        held = latents.clone(), x_T.clone()
        beside = torch.cuda.Stream(latents.device)  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream(latents.device))
        with torch.cuda.stream(beside):
            for _ in range(WARM):
                self.decode(*held, steps)
        torch.cuda.current_stream(latents.device).wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            pictures = self.decode(*held, steps)
        return graph, *held, pictures
