"""Windows of clips for the motion models: features, latents and head values of the same moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from talkers.training.augment import at_positions, time_warp
from talkers.training.motion_data import MotionData
from talkers.training.variants import UNSPOKEN


class WindowDataset(Dataset[dict[str, Tensor]]):
    """Windows of clips, padded to one length: every clip at every start, in every variant.

    Where nothing is said the mouth rests: `resting` latents take the place of the measured ones,
    and all of the window counts as silent, so that no expert looks for lips in step with sound
    that the model does not hear. Some windows pass in another rhythm, sound and face together; a
    window does so each time or never.

    Args:
        data: the clips.
        names: of the clips to use.
        window: frames of a window.
        variants: names of the sound variants to use.
        resting: latents [T, L] of each clip with the mouth at rest (None: as measured).
        warped_share: of windows that pass in another rhythm, 0..1.
    """

    def __init__(
        self,
        data: MotionData,
        names: Sequence[str],
        window: int,
        variants: Sequence[str] = ("clean",),
        resting: dict[str, Tensor] | None = None,
        warped_share: float = 0.0,
    ):
        self.data, self.window, self.warped_share = data, window, warped_share
        self.resting = resting or data.latents
        self.rows = [
            (name, start, variant)
            for variant in variants
            for name in names
            for start in range(max(1, len(data.latents[name]) - window + 1))
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def _moments(self, index: int, start: int, last: int) -> np.ndarray:
        """Frame of the clip that each frame of a window shows, fractional: float64 [window]."""
        random = np.random.default_rng(index)
        if random.random() >= self.warped_share:
            return start + np.arange(self.window, dtype=np.float64)
        passed = np.cumsum(time_warp(self.window, random))
        passed -= passed[0]
        return passed + max(0.0, float(random.uniform(0, max(1e-6, last - passed[-1]))))

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One window.

        Returns:
            features [2 W, F], latents [W, L], head [W, 7], exists, usable and silent bool [W], and
            with experts mel [4 W, 80]; zeros in frames that do not exist.
        """
        name, start, variant = self.rows[index]
        data, last = self.data, len(self.data.latents[name]) - 1
        unspoken = variant in UNSPOKEN
        latents = self.resting if unspoken else data.latents
        moments = self._moments(index, start, last)
        exists = torch.from_numpy(moments <= last)

        def cut(count: int, read: Callable[[int, int], Tensor], each: int = 1) -> Tensor:
            """Rows of the window, of which there are `each` a frame and `count` in the clip."""
            # row j of frame t lies at position each (t + (j + 1/2) / each) - 1/2
            within = (np.arange(each) + 0.5) / each
            positions = ((moments[:, None] + within) * each - 0.5).reshape(-1).clip(0, count - 1)
            first, end = int(positions[0]), min(int(positions[-1]) + 2, count)
            at = torch.from_numpy((positions - first).astype(np.float32))
            part = at_positions(read(first, end).float(), at)
            return part * exists.repeat_interleave(each).reshape(-1, *[1] * (part.ndim - 1))

        def of(rows: Tensor, each: int = 1) -> Tensor:
            return cut(len(rows), lambda first, end: rows[first:end], each)

        def features(first: int, end: int) -> Tensor:
            return data.features.rows(name, variant, first, end)

        window = {
            "features": cut(data.features.count(name, variant), features, 2),
            "latents": of(latents[name]),
            "head": of(data.heads[name]),
            "exists": exists,
            "usable": of(data.usable[name]) > 0.99,
            "silent": (of(data.silent[name]) > 0.5) | unspoken,
        }
        return window | ({"mel": of(data.mel[name], 4)} if data.mel else {})
