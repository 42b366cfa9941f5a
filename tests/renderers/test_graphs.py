"""Graphs in several threads: what one stream gives in is never shown in another's frames."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import torch

from talkers.renderers.diffusion_autoencoder import GraphedDecoder


class StandIn:
    """A graph that shows what lies in its static input, some time after it is begun."""

    def __init__(self, latents: torch.Tensor, pictures: torch.Tensor):
        self.latents, self.pictures = latents, pictures

    def replay(self) -> None:
        time.sleep(0.002)
        self.pictures.copy_(self.latents.reshape(1, -1, 1, 1))
        time.sleep(0.002)


def test_two_threads_see_their_own_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    def record(self: GraphedDecoder, latents: torch.Tensor, noise: torch.Tensor, steps: int) -> Any:
        pictures = torch.zeros(1, 3, 2, 2)
        return StandIn(latents, pictures), latents, noise, pictures

    def decode(latents: torch.Tensor, noise: torch.Tensor, steps: int) -> torch.Tensor:
        return latents.reshape(1, -1, 1, 1).expand(1, 3, 2, 2)

    monkeypatch.setattr(GraphedDecoder, "_record", record)
    graphed, noise = GraphedDecoder(decode), torch.zeros(1, 3, 2, 2)
    for _ in range(2):
        graphed(torch.zeros(1, 3), noise, 1)
    assert graphed._recorded
    wrong: list[int] = []

    def work(value: int) -> None:
        for _ in range(25):
            shown = graphed(torch.full((1, 3), float(value)), noise, 1)
            if not bool((shown == value).all()):
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(value,)) for value in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
