"""The latents of a diffusion autoencoder as a motion space: linear probes read what a face does,
and linear steps write it.

Everything is measured on the footage and kept as buffers: the statistics by which latents and
head values are normalised, what probes read (head, mouth, brows, gaze), the steps that write it,
and in which directions takes differ although the face does the same (the appearance basis).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from talkers.configuration import limited
from talkers.space.contract import HEAD, NO_EDIT, Appearance, FaceEdit, FaceState
from talkers.space.normalised import NormalisedSpace

YAW, BLINK = HEAD.index("yaw"), HEAD.index("blink")
WRITTEN = [k for k, name in enumerate(HEAD) if name != "scale"]
"""Head values that are written into latents. Scale is not: within a take it changes by the
tracker's error more than by the head."""
BLINK_FRAMES = 12  # from open to open
RIDGE = 1e-3  # of regressing latents on what a face does, relative to the mean variance of that
YAW_RIDGE = 0.3  # the same for yaw: within a take heads hardly turn while eyes leave the camera
PARTS = {"mouth": 6, "brows": 2, "gaze": 2}  # of the face: principal shapes that a probe reads
MOUTH = PARTS["mouth"]
APPEARANCE_WIDTH = 64  # numbers of an appearance code


@dataclass(frozen=True)
class LinearSpaceConfig:
    """Settings of a linear space."""

    type: str = "linear"
    appearance_width: int = limited(APPEARANCE_WIDTH, 1, 1024)  # numbers of an appearance code


class LinearSpace(NormalisedSpace):
    """A motion space whose meaning is linear; see `MotionSpace`.

    Args:
        config: its settings.
        width: numbers in a motion vector.
    """

    name = "linear"
    smiles = False  # few people smile while their footage is taken
    head_read: Tensor
    head_write: Tensor
    mouth_write: Tensor
    mouth_rest: Tensor
    brows_read: Tensor
    brows_write: Tensor
    brows_rest: Tensor
    gaze_read: Tensor
    gaze_write: Tensor
    gaze_rest: Tensor
    appearance_basis: Tensor
    appearance_code: Tensor

    def __init__(self, config: LinearSpaceConfig, width: int):
        super().__init__()
        self.config, self.width = config, width
        for name, count in (("motion", width), ("head", len(HEAD))):
            self.register_buffer(f"{name}_mean", torch.zeros(count))
            self.register_buffer(f"{name}_std", torch.ones(count))
        self.register_buffer("head_read", torch.zeros(width, len(HEAD)))
        self.register_buffer("head_write", torch.zeros(len(HEAD), width))
        for part, count in PARTS.items():
            self.register_buffer(f"{part}_read", torch.zeros(width, count))
            self.register_buffer(f"{part}_write", torch.zeros(count, width))
            self.register_buffer(f"{part}_rest", torch.zeros(count))
        self.register_buffer("appearance_basis", torch.zeros(width, config.appearance_width))
        self.register_buffer("appearance_code", torch.zeros(config.appearance_width))

    def read_head(self, motion: Tensor) -> Tensor:
        """Head values that motion [..., width] shows: [..., 7]."""
        return self.denormalise_head(self.normalise(motion) @ self.head_read)

    def read(self, motion: Tensor) -> FaceState:
        """See `MotionSpace.read`; mouth, gaze and expression (brows) in standard deviations."""
        head, normal = self.read_head(motion), self.normalise(motion)
        parts = [normal @ getattr(self, f"{part}_read") for part in ("mouth", "gaze", "brows")]
        return FaceState(head[..., :BLINK], parts[0], head[..., BLINK:], parts[1], parts[2])

    def estimate_appearance(self, motion: Tensor) -> Appearance:
        """The appearance code of a take, from its motion [T, width]; its shift is zero."""
        code = (self.normalise(motion) @ self.appearance_basis).mean(0)
        return Appearance(code, torch.zeros_like(self.motion_mean))

    def edit(
        self,
        motion: Tensor,
        edit: FaceEdit = NO_EDIT,
        head: Tensor | None = None,
        moving: Tensor | float = 1.0,
        appearance: Appearance | None = None,
    ) -> Tensor:
        """See `MotionSpace.edit`."""
        normal = self.normalise(motion)
        # One appearance throughout: replace the coordinates c = B^T x by the wanted code.
        code = self.appearance_code if appearance is None else appearance.code
        step = (code - normal @ self.appearance_basis) @ self.appearance_basis.T
        # A movement m = R^T x - rest becomes a m: add (a - 1) m along the part's own step W.
        mouth = normal @ self.mouth_read - self.mouth_rest
        step = step + (edit.amplitude * moving - 1) * mouth @ self.mouth_write
        brows = normal @ self.brows_read - self.brows_rest
        step = step + (edit.brow_amplitude - 1) * brows @ self.brows_write
        if head is not None:
            # What the probe reads falls short of the wanted head by e: add W^T e.
            error = self.normalise_head(head) - (normal + step) @ self.head_read
            step = step + error.nan_to_num() @ self.head_write
        gaze = torch.tensor(edit.gaze, dtype=motion.dtype, device=motion.device)
        step = step + gaze @ self.gaze_write
        edited = motion + step * self.motion_std
        return edited if appearance is None else edited + appearance.shift

    def steered(self, motion: Tensor, part: str, values: Tensor) -> Tensor:
        """Motion [..., width] in which a part of the face does something else.

        Args:
            motion: what it does.
            part: mouth or brows.
            values: [..., K] what is to be read of the part, in the units of `read`.
        """
        # What the probe reads falls short of the wanted values by e: add e W.
        error = values - self.normalise(motion) @ getattr(self, f"{part}_read")
        step: Tensor = error @ getattr(self, f"{part}_write")
        return motion + step * self.motion_std

    def retarget(self, motion: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """See `MotionSpace.retarget` (relative transfer: x - source + target)."""
        return motion - source + target

    def set_statistics(self, motion: Tensor, head: Tensor) -> None:
        """Take normalisation from a corpus: motion [N, width], head [N, 7]."""
        self.motion_mean.copy_(motion.mean(0))
        self.motion_std.copy_(motion.std(0).clamp(min=1e-4))
        self.head_mean.copy_(head.mean(0))
        self.head_std.copy_(head.std(0).clamp(min=1e-4))

    def fit_probes(
        self, motion: Tensor, head: Tensor, descriptors: Mapping[str, Tensor], still: Tensor
    ) -> None:
        """Learn what of head, mouth, brows and gaze can be read linearly.

        Args:
            motion: [N, width].
            head: [N, 7].
            descriptors: measured shapes of each of `PARTS`, [N, K].
            still: bool [N], frames in which the mouth rests (silence).
        """
        x = self.normalise(motion)
        # Ridge regression: R = (X^T X / N + l I)^-1 X^T Y / N.
        gram = x.T @ x / len(x) + 1e-2 * torch.eye(x.shape[1])

        def probe(values: Tensor) -> Tensor:
            return torch.linalg.solve(gram, x.T @ values / len(x))

        self.head_read.copy_(probe(self.normalise_head(head)))
        readings = {}
        for part, count in PARTS.items():
            shape = descriptors[part]
            y = (shape - shape.mean(0)) / shape.std(0).clamp(min=1e-3)
            if y.shape[1] > count:
                # its random start is always the same one, also in a training that was resumed
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(0)
                    y = y @ torch.pca_lowrank(y, count, center=False)[2]
            getattr(self, f"{part}_read").copy_(probe(y))
            readings[part] = x @ getattr(self, f"{part}_read")
            rests = still if part == "mouth" and still.any() else torch.ones_like(still)
            getattr(self, f"{part}_rest").copy_(readings[part][rests].mean(0))
        # W = (M^T M)^-1 M^T X by its normal equations: LAPACK's own least squares differ from
        # run to run in the last digits, and so would a training.
        mouth = readings["mouth"]
        gram = mouth.T @ mouth + 1e-6 * torch.eye(MOUTH)
        self.mouth_write.copy_(torch.linalg.solve(gram, mouth.T @ x))

    def fit_appearance(self, clips: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Learn which steps write a movement, and how takes differ apart from movements.

        Speech does not say how the hair was combed that day: left alone, a regressor wanders
        from one take's appearance to another's while it speaks. Steps are therefore learned
        within takes, the appearance basis across them, and the commonest code is kept.

        Args:
            clips: motion [T, width] and head values [T, 7] of each.
        """
        pairs = [(self.normalise(x), self.normalise_head(h)) for x, h in clips if len(x)]
        pairs = [
            (x, torch.cat([h, *(x @ getattr(self, f"{part}_read") for part in PARTS)], 1))
            for x, h in pairs
        ]
        lids = torch.cat([h[:, BLINK] for _, h in pairs])
        half = (lids.median() + lids.quantile(0.99)) / 2
        closing = self._closing([(x, h[:, BLINK]) for x, h in pairs], float(half - lids.median()))
        movements = self._fit_steps(pairs, half, closing)
        # Takes differ where movements do not reach: project the takes' means off the movements,
        # and take the principal directions of what is left.
        moved = torch.linalg.qr(torch.cat([movements, closing[None]]).T).Q
        means = torch.stack([x.mean(0) for x, _ in pairs])
        free = means - means @ moved @ moved.T
        axes = torch.linalg.svd(free - free.mean(0), full_matrices=False).Vh
        count = min(len(axes), self.appearance_basis.shape[1], max(0, len(pairs) - 1))
        codes = free @ axes[:count].T
        commonest = torch.cdist(codes, codes).median(1).values.argmin()
        self.appearance_basis.zero_()
        self.appearance_code.zero_()
        self.appearance_basis[:, :count] = axes[:count].T
        self.appearance_code[:count] = codes[commonest]

    def _fit_steps(
        self, pairs: Sequence[tuple[Tensor, Tensor]], half: Tensor, closing: Tensor
    ) -> Tensor:
        """Learn the steps that write head, mouth, brows and gaze.

        Args:
            pairs: normalised motion [T, width] and readings [T, 7 + ...] of each take.
            half: how closed the eyes are in the middle of a blink.
            closing: see `_closing`.

        Returns:
            the steps of head (without the blink) and mouth: [6 + MOUTH, width].
        """
        awake = [(x[h[:, BLINK] <= half], h[h[:, BLINK] <= half]) for x, h in pairs]
        awake = [(x, torch.cat([h[:, :BLINK], h[:, BLINK + 1 :]], 1)) for x, h in awake if len(x)]
        motion, readings = (torch.cat([p[k] - p[k].mean(0) for p in awake]) for k in (0, 1))
        # Ridge regression of motion on readings within takes: each step while the others stay.
        gram = readings.T @ readings / len(readings)
        cross, unit = readings.T @ motion / len(readings), torch.eye(len(gram))
        unit = unit * gram.diagonal().mean()
        steps, loose = (torch.linalg.solve(gram + r * unit, cross) for r in (RIDGE, YAW_RIDGE))
        turns, aside = (torch.cat([s[:BLINK], closing[None]])[WRITTEN] for s in (steps, loose))
        # W = (T R)^+ T: what is written is read.
        read = self.head_read[:, WRITTEN]
        self.head_write.zero_()
        self.head_write[WRITTEN] = torch.linalg.pinv(turns @ read, rtol=1e-2) @ turns
        yaw = torch.linalg.pinv(aside @ read, rtol=1e-2) @ aside
        self.head_write[YAW] = yaw[WRITTEN.index(YAW)]
        mouth, brows = steps[BLINK : BLINK + MOUTH], BLINK + MOUTH
        self.mouth_write.copy_(torch.linalg.pinv(mouth @ self.mouth_read, rtol=1e-2) @ mouth)
        self.brows_write.copy_(steps[brows : brows + PARTS["brows"]])
        # Eyes stay on what they look at while the head turns: gaze is what is left of that.
        turned, looked = readings[:, :BLINK], readings[:, -PARTS["gaze"] :]
        alone = looked - turned @ (torch.linalg.pinv(turned) @ looked)
        self.gaze_write.copy_(2 * alone.std(0)[:, None] * steps[-PARTS["gaze"] :])
        return steps[:brows]

    def _closing(self, clips: Sequence[tuple[Tensor, Tensor]], half: float) -> Tensor:
        """The step that closes the eyes: [width], of unit length (zeros: no blink was filmed).

        It is the difference to shortly before and after, when head and mouth are nearly where
        they were. Regression over all frames finds a step ten times as long, which opens the
        mouth besides: closed eyes are rare.

        Args:
            clips: normalised motion [T, width] and blinks [T] of each.
            half: how much higher than usual a blink is in its middle.
        """
        wide = BLINK_FRAMES // 2 + 1
        total = torch.zeros_like(self.motion_mean)
        for x, lids in clips:
            if len(x) > 2 * wide:
                rise = lids[wide:-wide] - (lids[: -2 * wide] + lids[2 * wide :]) / 2
                step = x[wide:-wide] - (x[: -2 * wide] + x[2 * wide :]) / 2
                total += (rise * (rise > half)) @ step
        return total / total.norm().clamp(min=1e-6)
