"""Curves under a video: its sound, and what mouth and head do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts.documents import write_json
from talkers.media import AUDIO_RATE, audio_blocks
from talkers.space.contract import MotionSpace

CURVES = "curves.json"
MAX_POINTS = 1_500  # of a curve: more than a screen shows
LEVEL_SAMPLES = AUDIO_RATE // 100


class MotionCurves:
    """Gathers what mouth and head do while a video is made.

    Args:
        space: says what motion means.
    """

    def __init__(self, space: MotionSpace):
        self.space = space
        self._mouth: list[NDArray[np.float32]] = []
        self._pose: list[NDArray[np.float32]] = []

    def __call__(self, motion: Tensor) -> None:
        """Take the motion [n, width] of n frames."""
        state = self.space.read(motion)
        mouth = state.mouth[:, 0] if state.mouth.shape[1] == 1 else state.mouth.norm(dim=1)
        self._mouth.append(mouth.float().cpu().numpy())
        self._pose.append(state.pose[:, :3].float().cpu().numpy())

    def curves(self) -> dict[str, list[float]]:
        """The mouth in units of its own, and yaw, pitch and roll in degrees."""
        if not self._mouth:
            return {}
        pose = np.concatenate(self._pose)
        rows = {"mouth": np.concatenate(self._mouth)}
        rows |= {name: pose[:, k] for k, name in enumerate(("yaw", "pitch", "roll"))}
        return {name: thinned(row) for name, row in rows.items() if np.isfinite(row).any()}


def thinned(row: NDArray[np.float32]) -> list[float]:
    """A curve of no more points than are seen; each stands for as many."""
    if len(row) > MAX_POINTS:
        ends = np.linspace(0, len(row), MAX_POINTS + 1).astype(int)
        row = (np.add.reduceat(row, ends[:-1]) / np.diff(ends)).astype(np.float32)
    return [round(float(value), 3) for value in np.nan_to_num(row)]


def loudness_curve(path: Path) -> list[float]:
    """How loud the sound of a file is: the largest of each hundredth of a second, 0..1.

    Raises:
        MediaError: it cannot be read.
    """
    peaks: list[NDArray[np.float32]] = []
    for block in audio_blocks(path):
        whole = len(block) // LEVEL_SAMPLES * LEVEL_SAMPLES
        if whole:
            peaks.append(np.abs(block[:whole]).reshape(-1, LEVEL_SAMPLES).max(1))
    row = np.concatenate(peaks) if peaks else np.zeros(1, np.float32)
    if len(row) > MAX_POINTS:
        ends = np.linspace(0, len(row), MAX_POINTS + 1).astype(int)
        row = np.maximum.reduceat(row, ends[:-1])
    return [round(float(value), 3) for value in row / max(float(row.max()), 1e-6)]


def write_curves(
    folder: Path, sound: Path, seconds: float, motion: MotionCurves | None = None, **more: Any
) -> None:
    """Write the curves of a job's video.

    Args:
        folder: of the job.
        sound: the file that is heard.
        seconds: of the video.
        motion: what was gathered; None: nothing.
        more: JSON values that belong to them.
    """
    curves = {"loudness": loudness_curve(sound)} | (motion.curves() if motion else {})
    write_json(folder / CURVES, {"seconds": seconds, "curves": curves, **more})
