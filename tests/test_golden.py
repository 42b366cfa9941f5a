"""Golden frames of the small avatar of format 3: every control, both motion models, streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import golden_frames

NAME = "format-3"
with np.load(golden_frames.GOLDEN / f"{NAME}.npz") as recorded:
    RECORDED = sorted(recorded.files)
Makers = dict[str, Callable[[], list[np.ndarray]]]


@pytest.fixture(scope="module")
def makers() -> Iterator[Makers]:
    with pytest.MonkeyPatch.context() as patch:
        yield dict(golden_frames.cases(golden_frames.load(NAME, patch), NAME))


def test_every_recorded_case_is_made(makers: Makers) -> None:
    assert sorted(makers) == RECORDED


@pytest.mark.parametrize("case", RECORDED)
def test_frames_are_as_recorded(makers: Makers, case: str) -> None:
    golden_frames.assert_as_recorded(NAME, case, makers[case]())
