"""Motion in time: other frame rates, growing batches, work that runs ahead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from talkers.runtime.timing import lookahead, rebatch, resample


def test_motion_at_other_frame_rates() -> None:
    ramp = (torch.arange(250, dtype=torch.float32) + 0.5)[:, None] / 25
    for rate, count in ((30.0, 300), (24.0, 240), (60.0, 600), (29.97, 299)):
        out = torch.cat(list(resample(ramp.split(37), 25, rate, count)))[:, 0]
        assert len(out) == count
        wanted = (torch.arange(count) + 0.5) / rate
        assert torch.allclose(out[3:-5], wanted[3:-5], atol=1e-4)


def test_rebatch_keeps_order_and_grows() -> None:
    rows = torch.arange(50, dtype=torch.float32)[:, None]
    batches = list(rebatch(rows.split(13), 8))
    assert torch.equal(torch.cat(batches), rows)
    assert [len(b) for b in batches[:4]] == [1, 2, 4, 8]


def test_lookahead_keeps_order_tells_errors_and_stops() -> None:
    assert list(lookahead(iter(range(100)), 4)) == list(range(100))
    made: list[int] = []

    def items() -> Iterator[int]:
        for k in range(1000):
            made.append(k)
            yield k
        raise ValueError("at the end")

    ahead = lookahead(items(), 4)
    assert next(ahead) == 0
    ahead.close()
    assert len(made) <= 8  # it did not run on
    with pytest.raises(ValueError, match="at the end"):
        list(lookahead(items(), 4))
