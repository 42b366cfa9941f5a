"""How far painted mouths and eyes are from those of the person's other frames, and how frozen
experts read them (TalkLip, section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.experts.load import load_registered, people_folder
from talkers.experts.mouths import PATCH, PATCH_SPAN
from talkers.face.landmarks import EYE_CORNERS, LIPS
from talkers.renderers.contract import from_frames
from talkers.renderers.warp import WarpRenderer
from talkers.renderers.warp.motion import distance_of, exactly
from talkers.renderers.warp.networks import colour_statistics, plain_colours, recoloured
from talkers.renderers.warp.patches import feather, within
from talkers.renderers.warp.regions import EYES, MOUTH, RIGHT_EYE, Look, Shown, look
from talkers.space.geometry import Placement
from talkers.training.critic import PatchCritic
from talkers.training.point_reader import PointReader

JITTER = (4.0, 0.03, 0.06)  # of patches in training: degrees, inter-ocular distances, shares
EYES_WEIGHT = 0.3  # of the eyes' loss beside the mouth's


class MouthJudges(nn.Module):
    """Frozen experts that see pixels judge painted mouths.

    Args:
        reading: weight of the lip reader's loss.
        sync: weight of the sync expert's loss.
    """

    def __init__(self, reading: float, sync: float):
        super().__init__()
        weights = {"lips-pixels": reading, "sync-pixels": sync}
        self.weights = {name: weight for name, weight in weights.items() if weight}
        self.experts = nn.ModuleDict(
            {name: load_registered(name, people_folder()) for name in self.weights}
        )

    def forward(
        self, painted: Tensor, wanted: Tensor, target: Shown, batch: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Losses of clips of W frames.

        Args:
            painted: [B W, 3, P, P] the mouth's region, as it is painted.
            wanted: as it is.
            target: the frames.
            batch: usable and silent bool [B, W], mel [B, 4 W, 80].
        """
        # to experts a pixel's middle is its number, in shares it lies half a pixel further on
        points = target.points + 0.5 / target.pictures.shape[-1]
        places = self._places(points, len(batch["usable"]))
        own = within(MOUTH, target.head, places).reshape(-1, PATCH, PATCH, 2)
        seen = []
        for patch in (painted, wanted):
            square = F.grid_sample(patch, own, padding_mode="border", align_corners=False)
            grey = (square.mean(1) + 1) * 127.5
            seen.append(grey.reshape(*batch["usable"].shape, PATCH, PATCH))
        parts: dict[str, Tensor] = {}
        for name, weight in self.weights.items():
            found = self.experts[name].loss(*seen, batch)  # type: ignore[operator]
            parts |= {key: weight * value for key, value in found.items()}
        return parts

    @staticmethod
    def _places(points: Tensor, clips: int) -> Tensor:
        """Where experts look in frames with key points [B W, 478, 2]: [B W, 48 48, 2], shares.

        The place is that of the clip's middle, so that it follows the head and not the lips, see
        `talkers.experts.mouths.mouths_of`.
        """
        right, left = (points[:, corner] for corner in EYE_CORNERS)
        lips = points[:, list(LIPS)].mean(1)
        place = torch.cat([lips, left - right], -1).reshape(clips, -1, 4)
        place = place.mean(1, keepdim=True).expand_as(place).reshape(-1, 4)
        centre, across = place[:, None, :2], place[:, None, 2:] * (PATCH_SPAN / 2)
        down = torch.stack([-across[..., 1], across[..., 0]], -1)
        line = (torch.arange(PATCH, device=points.device) + 0.5) / PATCH * 2 - 1
        square = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).reshape(1, -1, 2)
        return centre + square[..., :1] * across + square[..., 1:] * down


class Critics(nn.Module):
    """Critics of painted mouths and eyes, which learn beside the renderer; see `PatchCritic`.

    Args:
        weight: of what they find, beside the errors.
    """

    def __init__(self, weight: float):
        super().__init__()
        self.weight = weight
        self.mouth, self.eye = (PatchCritic(6 + region.maps) for region in (MOUTH, RIGHT_EYE))

    def losses(
        self, name: str, painted: Tensor, own: Look, wanted: Look, weight: Tensor
    ) -> dict[str, Tensor]:
        """Losses of the painter and of one of the critics.

        Args:
            name: `mouth` or `eye`.
            painted: [B, 3, P, P] the region, as it is painted.
            own: as the source shows it.
            wanted: as it is.
            weight: [B, 1, P, P] how much each place counts.
        """
        colours = colour_statistics(own.patch)
        plain = [plain_colours(p, colours) for p in (painted, wanted.patch, own.patch)]
        known = torch.cat([plain[2], wanted.maps], 1)
        found = getattr(self, name).losses(*plain[:2], known, weight)
        return {
            f"{name}_critic": found["critic"],
            f"{name}_real": self.weight * found["real"],
        }


class Readers(nn.Module):
    """Read key points off painted mouths and eyes, and learn beside the renderer to; see
    `PointReader`.

    Args:
        weight: of how far they are from where they should be, beside the errors.
    """

    def __init__(self, weight: float):
        super().__init__()
        self.weight = weight
        self.mouth, self.eye = (PointReader(len(region.points)) for region in (MOUTH, RIGHT_EYE))

    def losses(
        self, name: str, painted: Tensor, own: Look, wanted: Look, points: Tensor
    ) -> dict[str, Tensor]:
        """Losses of the painter and of one of the readers; see `Critics.losses`.

        Args:
            points: [B, K, 2] the region's key points in its square.
        """
        colours = colour_statistics(own.patch)
        plain = [plain_colours(patch, colours) for patch in (painted, wanted.patch)]
        found = getattr(self, name).losses(*plain, points)
        return {
            f"{name}_reader": found["reader"],
            f"{name}_points": self.weight * found["points"],
        }


class Beside(NamedTuple):
    """What judges painted patches, and learns beside the renderer or is frozen.

    Attributes:
        judges: of clips, frozen.
        critics: learn to tell what is painted.
        readers: learn to read key points.
    """

    judges: MouthJudges | None = None
    critics: Critics | None = None
    readers: Readers | None = None


NOTHING_BESIDE = Beside()


def warp_losses(
    renderer: WarpRenderer, batch: dict[str, Tensor], beside: Beside = NOTHING_BESIDE
) -> dict[str, Tensor]:
    """How far painted mouths and eyes are from those of the person's other frames.

    Args:
        renderer: that paints; in training its pictures are recoloured, moved and mirrored.
        batch: a source and a reference uint8 [B, S, S, 3], targets uint8 [B, W, S, S, 3] that
            follow each other, and their key points [B, 478, 2] and [B, W, 478, 2] in pixels, as
            `source_points`, ...; and what the judges want.
        beside: what judges painted patches.

    Returns:
        losses by name: mouth, eyes, and those of what is beside.
    """
    renderer.mixed = torch.is_autocast_enabled(batch["source"].device.type)
    with exactly(batch["source"]):
        return _losses(renderer, batch, beside)


def _losses(renderer: WarpRenderer, batch: dict[str, Tensor], beside: Beside) -> dict[str, Tensor]:
    """See `warp_losses`."""
    training, window = renderer.training, batch["target"].shape[1]
    source, target, reference = _pictures(renderer, batch, window)
    pair, wanted = (look(MOUTH, source), look(MOUTH, reference)), look(MOUTH, target)
    own_eyes, eyes = (
        Look(*(torch.cat(part) for part in zip(*(look(eye, shown) for eye in EYES), strict=True)))
        for shown in (source, target)
    )
    flipped = training and bool(torch.rand(()) < 0.5)
    mouth = renderer.painted_mouth(source, target, *pair, flipped=flipped)
    inside = (wanted.maps[:, 0] > -1) & (wanted.maps[:, 3] < 1)
    weight = 1 + renderer.config.lips_weight * inside[:, None].float()
    weight = weight * feather(MOUTH.size, weight.device)
    std = colour_statistics(pair[0].patch)[1]
    painted_eyes = renderer.painted_eyes(source, target, own_eyes)
    eye_std = colour_statistics(own_eyes.patch)[1]
    eye_weight = feather(RIGHT_EYE.size, weight.device)
    parts = {
        "mouth": _error(mouth, wanted.patch, std, weight),
        "eyes": EYES_WEIGHT * _error(painted_eyes, eyes.patch, eye_std, eye_weight),
    }
    if beside.judges is not None:
        parts |= beside.judges(mouth, wanted.patch, target, batch)
    if beside.critics is not None:
        everywhere = eye_weight.expand(len(painted_eyes), 1, -1, -1)
        parts |= beside.critics.losses("mouth", mouth, pair[0], wanted, weight)
        parts |= beside.critics.losses("eye", painted_eyes, own_eyes, eyes, everywhere)
    if beside.readers is not None:
        lips, *lids = (
            within(region, target.head, target.points[:, region.points])
            for region in (MOUTH, *EYES)
        )
        parts |= beside.readers.losses("mouth", mouth, pair[0], wanted, lips)
        parts |= beside.readers.losses("eye", painted_eyes, own_eyes, eyes, torch.cat(lids))
    return parts


def _pictures(
    renderer: WarpRenderer, batch: dict[str, Tensor], window: int
) -> tuple[Shown, Shown, Shown]:
    """Source, target and reference of each target frame."""
    side = batch["target"].shape[-2]
    source, reference = (from_frames(batch[name]) for name in ("source", "reference"))
    # frames of a clip below each other: all of them are recoloured alike
    target = from_frames(batch["target"].flatten(1, 2))
    if renderer.training and renderer.config.recolour:
        pictures = recoloured([source, target, reference], renderer.config.recolour)
        source, target, reference = pictures
    count = len(source)
    targets = target.reshape(count, 3, window, side, side).transpose(1, 2).flatten(0, 1)
    jitter = torch.randn(count, 4, device=source.device) if renderer.training else None
    shown = []
    for name, picture in (("source", source), ("target", targets), ("reference", reference)):
        points, rows = batch[f"{name}_points"].float() / side, jitter
        if name == "target":
            points = points.flatten(0, 1)
            rows = None if jitter is None else jitter.repeat_interleave(window, 0)
        found = _shown(renderer, picture, points, rows)
        if name != "target" and window > 1:
            found = _repeated(found, window)
        shown.append(found)
    return shown[0], shown[1], shown[2]


def _shown(
    renderer: WarpRenderer, pictures: Tensor, points: Tensor, jitter: Tensor | None
) -> Shown:
    """Pictures with key points in shares; patches are cut elsewhere, smaller or larger, turned."""
    head = renderer.space.placement(points)
    if jitter is not None:
        roll, place, scale = jitter[:, :1], jitter[:, 1:3], jitter[:, 3:]
        head = Placement(
            torch.cat([head.angles[:, :2], head.angles[:, 2:] + JITTER[0] * roll], 1),
            head.shift + JITTER[1] * head.scale * place,
            head.scale * (1 + JITTER[2] * scale),
        )
    return Shown(pictures, points, head, distance_of(points, renderer.space.depth, head))


def _repeated(shown: Shown, count: int) -> Shown:
    """Each picture so many times."""
    head = Placement(*(part.repeat_interleave(count, 0) for part in shown.head))
    pictures, points, far = (
        part.repeat_interleave(count, 0) for part in (shown.pictures, shown.points, shown.far)
    )
    return Shown(pictures, points, head, far)


def _error(painted: Tensor, wanted: Tensor, std: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of errors of colours and of their steps, in the unit of the colours."""
    apart = (painted - wanted) / std
    weight = weight.expand(len(apart), 1, *apart.shape[2:])
    # L = sum w (d^2 + |d| / 2 + |grad d| / 2) / sum w: steps, so that edges and teeth are sharp
    across, down = apart.diff(dim=3), apart.diff(dim=2)
    steps = F.pad(across.abs(), (0, 1)) + F.pad(down.abs(), (0, 0, 0, 1))
    error = (apart.square() + apart.abs() / 2 + steps / 2).mean(1, keepdim=True)
    return (error * weight).sum() / weight.sum()
