"""What every motion model has: a corpus's statistics, where in the latents the mouth is, and the look of its takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

HEAD = ("yaw", "pitch", "roll", "x", "y", "scale", "blink")
"""What a user steers: three angles in degrees, position and scale as shares of the frame's side, blink 0..1."""
YAW, BLINK = HEAD.index("yaw"), HEAD.index("blink")
WRITTEN = [
    k for k, name in enumerate(HEAD) if name != "scale"
]  # into latents; a size within a take is the tracker's, not the head's
BLINK_LASTS = 12  # frames, from open to open
RIDGE = 1e-3  # of regressing latents on what a face does, relative to the mean variance of that,
YAW_RIDGE = 0.3  # and of telling what looking aside does: within a take heads hardly do, and always with eyes that stay on the camera

PARTS = {
    "mouth": 6,
    "brows": 2,
    "gaze": 2,
}  # of the face, and how many principal shapes each is told by
MOUTH = PARTS["mouth"]
LOOK = (
    64  # principal ways in which takes differ that are neither head nor mouth: hair, clothes, light
)

Adjust = Callable[[Tensor], Tensor]


class Appearance(NamedTuple):
    """What stays as it is throughout a take. worn: [LOOK], hair, clothes, light. shift: [L], added to all latents."""

    worn: Tensor
    shift: Tensor


class FaceEdit(NamedTuple):
    """How a face acts.

    amplitude, expression: how many times as far as the motion model says mouth and brows move from where they rest.
    gaze: how far the eyes look to the person's left and up from where they would, in shares of how far they do in the
    footage (two standard deviations), -1..1 each.
    """

    amplitude: float = 1.0
    expression: float = 1.0
    gaze: tuple[float, float] = (0.0, 0.0)


NO_EDIT = FaceEdit()


class LatentSpace(nn.Module):
    """Latents and head values are normalised by statistics of the corpus, kept as buffers.

    Args:
        features: width of the speech features.
        latent: numbers in a latent.
        width: of the network.
    """

    latent_mean: Tensor
    latent_std: Tensor
    head_mean: Tensor
    head_std: Tensor
    head_read: Tensor
    head_write: Tensor
    mouth_read: Tensor
    mouth_write: Tensor
    mouth_rest: Tensor
    brows_read: Tensor
    brows_write: Tensor
    brows_rest: Tensor
    gaze_read: Tensor
    gaze_write: Tensor
    gaze_rest: Tensor
    look_axes: Tensor
    look_worn: Tensor

    def __init__(self, features: int, latent: int, width: int, dropout: float):
        super().__init__()
        self.enter = nn.Sequential(
            nn.LayerNorm(features), nn.Linear(features, width), nn.SiLU(), nn.Dropout(dropout)
        )
        self.downsample = nn.Conv1d(width, width, 3, stride=2, padding=1)  # 50 Hz -> 25 Hz
        for name, count in (("latent", latent), ("head", len(HEAD))):
            self.register_buffer(f"{name}_mean", torch.zeros(count))
            self.register_buffer(f"{name}_std", torch.ones(count))
        self.register_buffer("head_read", torch.zeros(latent, len(HEAD)))
        self.register_buffer("head_write", torch.zeros(len(HEAD), latent))
        for part, count in PARTS.items():
            self.register_buffer(f"{part}_read", torch.zeros(latent, count))
            self.register_buffer(f"{part}_write", torch.zeros(count, latent))
            self.register_buffer(f"{part}_rest", torch.zeros(count))
        self.register_buffer("look_axes", torch.zeros(latent, LOOK))
        self.register_buffer("look_worn", torch.zeros(LOOK))

    def hear(self, features: Tensor) -> Tensor:
        """Speech features [B, 2 T, F] -> [B, T, width]."""
        heard: Tensor = self.downsample(self.enter(features).transpose(1, 2)).transpose(1, 2)
        return heard

    def set_statistics(self, latents: Tensor, head: Tensor) -> None:
        """Take normalisation from a corpus: latents [N, L], head [N, 7]."""
        self.latent_mean.copy_(latents.mean(0))
        self.latent_std.copy_(latents.std(0).clamp(min=1e-4))
        self.head_mean.copy_(head.mean(0))
        self.head_std.copy_(head.std(0).clamp(min=1e-4))

    def set_face(
        self, latents: Tensor, head: Tensor, shapes: Mapping[str, Tensor], still: Tensor
    ) -> None:
        """Learn where in the latents head, mouth, brows and gaze are told.

        Args:
            latents: [N, L]. head: [N, 7]. shapes: the measured shapes of PARTS, [N, K] each.
            still: bool [N], frames in which the mouth rests (silence).
        """
        x = (latents - self.latent_mean) / self.latent_std
        gram = x.T @ x / len(x) + 1e-2 * torch.eye(x.shape[1])

        def reading(values: Tensor) -> Tensor:
            return torch.linalg.solve(gram, x.T @ values / len(x))

        self.head_read.copy_(reading((head - self.head_mean) / self.head_std))
        told = {"head": x @ self.head_read}
        for part, count in PARTS.items():
            y = (shapes[part] - shapes[part].mean(0)) / shapes[part].std(0).clamp(min=1e-3)
            if y.shape[1] > count:
                y = y @ torch.pca_lowrank(y, count, center=False)[2]
            getattr(self, f"{part}_read").copy_(reading(y))
            told[part] = x @ getattr(self, f"{part}_read")
            rested = still if part == "mouth" and still.any() else torch.ones_like(still)
            getattr(self, f"{part}_rest").copy_(told[part][rested].mean(0))
        mouth = told[
            "mouth"
        ]  # least squares; LAPACK's own differs from run to run in the last digits, and training would too
        self.mouth_write.copy_(
            torch.linalg.solve(mouth.T @ mouth + 1e-6 * torch.eye(MOUTH), mouth.T @ x)
        )

    def fit_appearance(self, clips: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Learn what head, mouth, brows and gaze do to latents within a take, how takes differ apart from that, and which
        look is the commonest; that one will be worn.

        Speech does not say how the hair was combed that day; left to itself, a regressor wanders from one take's look to
        another's while it speaks. Across takes, heads differ together with hair and clothes.

        Args:
            clips: latents [T, L] and head values [T, 7] of each.
        """
        pairs = [
            ((x - self.latent_mean) / self.latent_std, (h - self.head_mean) / self.head_std)
            for x, h in clips
            if len(x)
        ]
        pairs = [
            (x, torch.cat([h, *(x @ getattr(self, f"{part}_read") for part in PARTS)], 1))
            for x, h in pairs
        ]
        lids = torch.cat([h[:, BLINK] for _, h in pairs])
        half = (lids.median() + lids.quantile(0.99)) / 2
        closing = self._closing([(x, h[:, BLINK]) for x, h in pairs], float(half - lids.median()))
        awake = [(x[h[:, BLINK] <= half], h[h[:, BLINK] <= half]) for x, h in pairs]
        awake = [(x, torch.cat([h[:, :BLINK], h[:, BLINK + 1 :]], 1)) for x, h in awake if len(x)]
        within = [torch.cat([p[k] - p[k].mean(0) for p in awake]) for k in (0, 1)]
        gram = within[1].T @ within[1] / len(within[1])
        together, unit = (
            within[1].T @ within[0] / len(within[1]),
            torch.eye(len(gram)) * gram.diagonal().mean(),
        )
        moved, loosely = (
            torch.linalg.solve(gram + ridge * unit, together) for ridge in (RIDGE, YAW_RIDGE)
        )  # [6 + ..., L], each while the others stay
        mouth, brows = moved[BLINK : BLINK + MOUTH], BLINK + MOUTH
        turns, aside = (
            torch.cat([steps[:BLINK], closing[None]])[WRITTEN] for steps in (moved, loosely)
        )
        read = self.head_read[:, WRITTEN]
        self.head_write.zero_()
        self.head_write[WRITTEN] = (
            torch.linalg.pinv(turns @ read, rtol=1e-2) @ turns
        )  # so that what is written is read
        self.head_write[YAW] = (torch.linalg.pinv(aside @ read, rtol=1e-2) @ aside)[
            WRITTEN.index(YAW)
        ]
        self.mouth_write.copy_(torch.linalg.pinv(mouth @ self.mouth_read, rtol=1e-2) @ mouth)
        self.brows_write.copy_(moved[brows : brows + PARTS["brows"]])
        turned, looked = within[1][:, :BLINK], within[1][:, -PARTS["gaze"] :]
        alone = looked - turned @ (
            torch.linalg.pinv(turned) @ looked
        )  # eyes stay on what they look at while the head turns
        self.gaze_write.copy_(2 * alone.std(0)[:, None] * moved[-PARTS["gaze"] :])
        taken = torch.linalg.qr(torch.cat([moved[:brows], closing[None]]).T).Q  # by head and mouth
        looks = torch.stack([x.mean(0) for x, _ in pairs])
        free = looks - looks @ taken @ taken.T
        spread = free - free.mean(0)
        axes = torch.linalg.svd(spread, full_matrices=False).Vh[:LOOK].T
        count = min(axes.shape[1], max(0, len(pairs) - 1))
        axes = axes[:, :count]
        told = free @ axes
        commonest = torch.cdist(told, told).median(1).values.argmin()
        self.look_axes.zero_()
        self.look_worn.zero_()
        self.look_axes[:, :count] = axes
        self.look_worn[:count] = told[commonest]

    def _closing(self, clips: Sequence[tuple[Tensor, Tensor]], half: float) -> Tensor:
        """What closing the eyes does to normalised latents: [L] (zeros: no blink was filmed).

        It is the difference to shortly before and after, when head and mouth are nearly where they were. Regression over all
        frames finds a step ten times as long, which opens the mouth besides: closed eyes are rare.

        Args:
            clips: normalised latents [T, L] and blinks [T] of each.
            half: how much higher than usual they are in the middle of a blink.
        """
        wide = BLINK_LASTS // 2 + 1
        total = torch.zeros_like(self.latent_mean)
        for x, lids in clips:
            if len(x) > 2 * wide:
                rise = lids[wide:-wide] - (lids[: -2 * wide] + lids[2 * wide :]) / 2
                step = x[wide:-wide] - (x[: -2 * wide] + x[2 * wide :]) / 2
                total += (rise * (rise > half)) @ step
        return total / total.norm().clamp(min=1e-6)

    def estimate_appearance(self, latents: Tensor) -> Appearance:
        """What a take wears, from its latents [T, L]; not shifted."""
        return Appearance(
            (((latents - self.latent_mean) / self.latent_std) @ self.look_axes).mean(0),
            torch.zeros_like(self.latent_mean),
        )

    def head_of(self, latents: Tensor) -> Tensor:
        """Head values that latents [..., L] show: [..., 7]."""
        return (
            latents - self.latent_mean
        ) / self.latent_std @ self.head_read * self.head_std + self.head_mean

    def articulate(
        self,
        latents: Tensor,
        manner: FaceEdit = NO_EDIT,
        look: Appearance | None = None,
        head: Tensor | None = None,
        moving: Tensor | float = 1.0,
    ) -> Tensor:
        """Latents [T, L] of a face that acts in another manner and wears one look throughout.

        Args:
            look: see `look_of` (default: the commonest of the footage).
            head: [T, 7] head values that the latents shall show (NaN: as they do); what a network that was told of them has
                made of it falls short where they are rare.
            moving: [T, 1], 0..1, how far of all that the mouth may move (0: it rests).
        """
        normal = (latents - self.latent_mean) / self.latent_std
        moved = (
            (self.look_worn if look is None else look.worn) - normal @ self.look_axes
        ) @ self.look_axes.T
        moved = (
            moved
            + (manner.amplitude * moving - 1)
            * (normal @ self.mouth_read - self.mouth_rest)
            @ self.mouth_write
        )
        moved = (
            moved
            + (manner.expression - 1)
            * (normal @ self.brows_read - self.brows_rest)
            @ self.brows_write
        )
        if head is not None:
            short = (head - self.head_mean) / self.head_std - (normal + moved) @ self.head_read
            moved = moved + short.nan_to_num() @ self.head_write
        moved = (
            moved
            + torch.tensor(manner.gaze, dtype=latents.dtype, device=latents.device)
            @ self.gaze_write
        )
        out = latents + moved * self.latent_std
        return out if look is None else out + look.shift
