"""Golden frames of the bundled avatar: the cases that tell something about its larger networks.

Every control is covered by the small avatar in `test_golden.py`; a second on the bundled one costs
a CPU several seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import golden_frames

NAME = "default"
TELLING = (
    "regressor/plain",
    "regressor/pose",
    "regressor/amplitude",
    "regressor/brows",
    "regressor/gaze",
    "regressor/blinks",
    "regressor/live",
    "regressor/rate",
    "regressor/stream",
    "sampler/plain",
    "sampler/pose",
    "sampler/stream",
    "reconstruct",
)
Makers = dict[str, Callable[[], list[np.ndarray]]]


@pytest.fixture(scope="module")
def makers() -> Iterator[Makers]:
    with pytest.MonkeyPatch.context() as patch:
        yield dict(golden_frames.cases(golden_frames.load(NAME, patch), NAME))


@pytest.mark.parametrize("case", TELLING)
def test_frames_are_as_recorded(makers: Makers, case: str) -> None:
    golden_frames.assert_as_recorded(NAME, case, makers[case]())
