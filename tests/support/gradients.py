"""Whose losses teach whom."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def assert_learn_apart(learner: nn.Module, own: Tensor, painted: Tensor, others: Tensor) -> None:
    """A learner's own loss reaches it alone, and the other reaches what is painted alone."""
    parameters = list(learner.parameters())
    of_learner = torch.autograd.grad(
        own, [painted, *parameters], retain_graph=True, allow_unused=True
    )
    of_painter = torch.autograd.grad(others, [painted, *parameters], allow_unused=True)
    assert of_learner[0] is None
    assert all(gradient is not None for gradient in of_learner[1:])
    assert of_painter[0] is not None
    assert all(gradient is None for gradient in of_painter[1:])
