"""The renderer's stage: regions, their figures, the frames of a corpus."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talkers.corpus import Corpus
from talkers.face.regions import region_boxes, region_figures
from talkers.training.codec_stage import region_weights
from talkers.training.frames import FrameStore


def test_regions_lie_on_mouth_and_eyes(corpus: Corpus) -> None:
    boxes = region_boxes(corpus.column("landmarks", "clip0"), corpus.size)
    (left, top, right, bottom), eye = boxes[0, 0], boxes[0, 1]
    assert left < right
    assert top < 0.68 * 64 < bottom
    assert eye[1] < 0.4 * 64 < eye[3]
    weights = region_weights(torch.from_numpy(boxes[:2]), 64, 10, 5)
    assert weights.mean().item() == pytest.approx(1, abs=1e-5)
    assert weights[0, 0, int(0.68 * 64), (left + right) // 2] / weights[
        0, 0, 1, 1
    ] == pytest.approx(10)


def test_figures_know_a_frozen_mouth_from_a_moving_one(corpus: Corpus) -> None:
    real = corpus.frames("clip0")
    boxes = region_boxes(corpus.column("landmarks", "clip0"), corpus.size)
    frozen = np.repeat(real.mean(0, keepdims=True).round().astype(np.uint8), len(real), 0)
    assert region_figures(real, real, boxes)["mouth_r2"] == 1
    assert abs(region_figures(frozen, real, boxes)["mouth_r2"]) < 0.02
    late = np.roll(real, 3, 0)
    assert region_figures(late, real, boxes)["mouth_r2"] < 0.9
    # of all still pictures the mean one has the least squared error
    still = np.repeat(real[:1], len(real), 0)
    assert region_figures(still, real, boxes)["psnr"] < region_figures(frozen, real, boxes)["psnr"]
    # every pixel 10 grey levels off: 20 log10(255 / 10) dB
    dark = np.minimum(real, 245)
    assert region_figures(dark + 10, dark, boxes)["psnr"] == pytest.approx(28.13, abs=0.01)
    assert region_figures(dark + 10, dark, boxes)["psnr_mouth"] == pytest.approx(28.13, abs=0.01)


def test_the_frame_store_holds_the_clips(corpus: Corpus) -> None:
    store = FrameStore(corpus)
    index = store.start["clip3"] + 10
    assert np.array_equal(store.frames[index], corpus.frames("clip3")[10])
    assert len(store.indices(["clip3"])) == 75
