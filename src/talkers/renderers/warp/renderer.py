"""A picture of a face shows a motion: the picture is moved, and networks paint mouth and eyes.

The first-order-motion family (Siarohin et al. 2019; LivePortrait 2024) learns how a picture moves.
Here key points of a face mesh say it, so that nothing has to be learnt for the whole frame and
nothing drifts: each frame is made of the source picture anew. What the picture cannot show is
painted by two small networks in squares that go along with the head.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.configuration import limited
from talkers.hardware import bfloat16_pays
from talkers.renderers.contract import (
    Identity,
    Needs,
    RenderOptions,
    RenderState,
    from_frames,
)
from talkers.renderers.warp import patches
from talkers.renderers.warp.motion import (
    distance_of,
    enlarged,
    normals_of,
    pixel_places,
    sampled,
    spread,
    trust_of,
    whole_motion,
)
from talkers.renderers.warp.networks import (
    CELL,
    PatchNetwork,
    colour_statistics,
    plain_colours,
    recoloured,
)
from talkers.renderers.warp.patches import (
    SIDES,
    Region,
    feather,
    line_maps,
    places,
    sides_of,
    visibility,
    widened_lids,
    within,
)
from talkers.space.face_motion import POINTS, FaceMotionSpace, head_of
from talkers.space.geometry import Placement

MOUTH = Region(
    (0.0, 0.72, -0.2),
    0.62,
    72,
    (patches.OUTER_UPPER, patches.INNER_UPPER, patches.INNER_LOWER, patches.OUTER_LOWER),
    (1, 2),
)
RIGHT_EYE = Region(
    (-0.34, 0.0, 0.0),
    0.32,
    40,
    (patches.RIGHT_UPPER, patches.RIGHT_LOWER),
    (0, 1),
    patches.RIGHT_IRIS,
)
LEFT_EYE = Region(
    (0.34, 0.0, 0.0),
    0.32,
    40,
    (patches.LEFT_UPPER, patches.LEFT_LOWER),
    (0, 1),
    patches.LEFT_IRIS,
    mirrored=True,
)
EYES = (RIGHT_EYE, LEFT_EYE)
FINE = 2  # pixels of a patch to one of its motion
AROUND = 1.6  # of a region's half side: key points that say how it moves
SOURCE_SIZE = 2  # sides of a source picture in sides of a frame: it is looked at from near by
JITTER = (4.0, 0.03, 0.06)  # of patches in training: degrees, inter-ocular distances, shares


@dataclass(frozen=True)
class WarpConfig:
    """Shape of a warping renderer."""

    type: str = "warp"
    size: int = limited(256, 64, 1024)  # side of the frames, pixels
    motion_width: int = limited(33, 1, 1024)  # numbers of the face motion that it shows
    mouth_width: int = limited(80, 8, 512)  # channels of the mouth's network
    mouth_blocks: int = limited(2, 1, 8)
    eye_width: int = limited(48, 8, 512)
    eye_blocks: int = limited(1, 1, 8)
    depth: bool = False  # whether the networks are told how far what they paint is (DaGAN)
    memory: int = limited(0, 0, 4096)  # slots of what faces are like, 0: none (MCNet)
    recolour: float = limited(0.5, 0, 1)  # how far colours are changed in training
    lips_weight: float = limited(4.0, 0, 100)  # of the loss between and on the lips, beside 1

    def __post_init__(self) -> None:
        if self.size % 32:
            raise ValueError("size must be a multiple of 32")


class Look(NamedTuple):
    """A region of one or more pictures.

    Attributes:
        patch: [B, 3, P, P] what it shows.
        maps: [B, M, P, P] where its lines are.
    """

    patch: Tensor
    maps: Tensor


class Shown(NamedTuple):
    """What is known of pictures.

    Attributes:
        pictures: [B, 3, H, W].
        points: [B, 478, 2] key points, shares of the side.
        head: where the head is.
        far: [B, 478, 1] how far key points are, see `distance_of`.
    """

    pictures: Tensor
    points: Tensor
    head: Placement
    far: Tensor


class Moved(NamedTuple):
    """A region of frames before it is painted.

    Attributes:
        patch: [B, 3, P, P] of the source, moved.
        maps: [B, M, P, P] where the frames' lines are.
        steps: [B, 2, P / FINE, P / FINE] by how much what the frames show lies elsewhere in the
            source, shares of the side.
        depth: [B, 2, P / CELL, P / CELL] how far what frames and source show there is.
    """

    patch: Tensor
    maps: Tensor
    steps: Tensor
    depth: Tensor


class _Layers(NamedTuple):
    """A source picture apart.

    Attributes:
        person: [1, 4, H, H] what is seen of the person, on black, and how far each pixel is.
        ground: [3, S, S] what lies behind.
    """

    person: Tensor
    ground: Tensor


@dataclass
class _Source:
    """What is worked out of an identity once for a video."""

    shown: Shown
    rest: Tensor
    depth: Tensor
    mouth: Look
    reference: Look
    eyes: Look
    normals: Tensor
    trust: Tensor
    layers: _Layers | None
    plain: bool = False


class WarpRenderer(nn.Module):
    """Source picture + face motion -> frames; see `Renderer`.

    Its motion is that of a `FaceMotionSpace`, which it is given by `bind`.

    Args:
        config: its shape.
    """

    needs: Needs = "portrait"

    def __init__(self, config: WarpConfig):
        super().__init__()
        self.config, self.size = config, config.size
        self.motion_width = config.motion_width
        self.mouth, self.eye = (
            PatchNetwork(inputs, width, blocks, config.depth, config.memory)
            for inputs, width, blocks in (
                (3 * (3 + MOUTH.maps), config.mouth_width, config.mouth_blocks),
                (2 * (3 + RIGHT_EYE.maps), config.eye_width, config.eye_blocks),
            )
        )
        self._mixed = False  # whether the networks train in mixed precision
        self._space: list[FaceMotionSpace] = []  # in a list: it is no part of the renderer

    @property
    def space(self) -> FaceMotionSpace:
        """Of the motion that it shows."""
        return self._space[0]

    def bind(self, space: Any) -> None:
        """Take the space of the motion.

        Raises:
            ValueError: another kind of space, or one of another width.
        """
        if not isinstance(space, FaceMotionSpace) or space.width != self.motion_width:
            raise ValueError(f"this renderer shows face motion of {self.motion_width} numbers")
        self._space = [space]

    def prepare_for(self, device: torch.device) -> None:
        """See `Renderer.prepare_for`: its networks in bfloat16 where it pays."""
        self.eval().requires_grad_(False).to(device)
        dtype = torch.bfloat16 if bfloat16_pays(device) else torch.float32
        networks: tuple[Any, ...] = (self.mouth, self.eye)
        for network in networks:
            network.to(dtype=dtype, memory_format=torch.channels_last)
        self._space = [deepcopy(self.space).to(device)]  # motion models use theirs where they are

    def identity(self, source: Tensor | None = None, landmarks: Tensor | None = None) -> Identity:
        """Who is shown in pictures; the first is the one that is moved.

        Args:
            source: [N, 3, H, W] in -1..1.
            landmarks: [N, 478, 2] shares of the side.

        Raises:
            ValueError: pictures or landmarks are missing, or do not fit each other.
        """
        if source is None or landmarks is None or landmarks.shape != (len(source), POINTS, 2):
            raise ValueError("an identity is made of pictures and their landmarks")
        side = SOURCE_SIZE * self.size
        large = F.interpolate(source, (side, side), mode="bicubic", antialias=True).clamp(-1, 1)
        levels = ((large + 1) * 127.5).round().to(torch.uint8)
        points, depth = landmarks.float(), self.space.depth
        rest = self.space.canonical(points[:1].to(depth.device))[0]
        found = {"pictures": levels, "points": points, "rest": rest, "depth": depth}
        return Identity({name: value.cpu() for name, value in found.items()})

    def with_layers(self, identity: Identity, matte: Tensor, ground: Tensor) -> Identity:
        """See `ShowsLayers.with_layers`."""
        assert identity.values is not None
        side = (SOURCE_SIZE * self.size,) * 2
        parts = {"matte": matte[None], "ground": ground}
        large = {
            name: F.interpolate(part[None].float(), side, mode="bilinear", antialias=True)[0]
            for name, part in parts.items()
        }
        levels = {name: part.round().clamp(0, 255).byte() for name, part in large.items()}
        return Identity({**identity.values, **levels})

    def check_identity(self, identity: Identity) -> None:
        """See `ShowsIdentities.check_identity`."""
        values, side = identity.values or {}, SOURCE_SIZE * self.size
        count = len(values["pictures"]) if "pictures" in values and values["pictures"].ndim else 0
        wanted = {
            "pictures": (count, 3, side, side),
            "points": (count, POINTS, 2),
            "rest": (POINTS, 2),
            "depth": (POINTS,),
        }
        if "matte" in values or "ground" in values:
            wanted |= {"matte": (1, side, side), "ground": (3, side, side)}
        found = {name: tuple(value.shape) for name, value in values.items()}
        levels = ("pictures", "matte", "ground")
        whole = all(values[n].dtype == torch.uint8 for n in levels if n in values)
        if not count or found != wanted or not whole:
            raise ValueError(f"it holds {found}, not {wanted}")

    @staticmethod
    def without_networks(identity: Identity) -> Identity:
        """The same person, whose pictures are only moved: the control of what networks add."""
        assert identity.values is not None
        return Identity({**identity.values, "plain": torch.ones(1)})

    def render(
        self,
        motion: Tensor,
        options: RenderOptions,
        identity: Identity | None = None,
        background: Tensor | None = None,
        state: RenderState | None = None,
    ) -> Tensor:
        """See `Renderer.render`; nothing is drawn by chance, so that options change nothing. What
        lies behind is replaced where an identity is told apart from it."""
        held = state.values if state is not None else {}
        with _exactly(self.space.depth):
            if "source" not in held:
                held["source"] = self._source(identity)
            return self._frames(motion, held["source"], background)

    def _frames(self, motion: Tensor, source: _Source, background: Tensor | None) -> Tensor:
        """Frames [T, 3, S, S] of motion [T, motion_width]."""
        motion = motion.to(source.rest.device).float()
        points = self.space.points_of(motion, source.rest, source.depth)
        head = head_of(motion)
        heads, layers = (head, source.shown.head), source.layers
        trust = trust_of(source.normals, head) * source.trust
        coarse = whole_motion(
            points,
            source.shown.points,
            heads,
            trust,
            held=layers is None,
            closely=source.plain,
        )
        at = pixel_places(self.size, motion.device) + enlarged(coarse, self.size)
        if layers is None:
            # I'(q) = I(q + d(q))
            frames = sampled(source.shown.pictures, at)
        else:
            # I'(q) = P(q + d(q)) + (1 - a(q + d(q))) G(q), P = I - (1 - a) G
            ground = layers.ground if background is None else background.to(at.device).float()
            person = sampled(layers.person, at)
            frames = torch.addcmul(person[:, :3], 1 - person[:, 3:], ground[None] + 1) - 1
        if source.plain:
            return frames.clamp(-1, 1)
        target = Shown(frames, points, head, distance_of(points, source.depth, head))
        mouth = self.painted_mouth(source.shown, target, source.mouth, source.reference, trust)
        self._put(frames, MOUTH, head, mouth)
        eyes = self.painted_eyes(source.shown, target, source.eyes, trust)
        for region, patch in zip(EYES, eyes.chunk(2), strict=True):
            self._put(frames, region, head, patch)
        return frames.clamp(-1, 1)

    def _source(self, identity: Identity | None) -> _Source:
        """What is worked out of an identity once.

        Raises:
            ValueError: nobody is shown.
        """
        if identity is None or identity.values is None:
            raise ValueError("this renderer shows nobody without an identity")
        device = self.space.depth.device
        values = {key: value.to(device).float() for key, value in identity.values.items()}
        points, pictures = values["points"], values["pictures"] / 127.5 - 1
        heads = self.space.placement(points)
        far = distance_of(points, values["depth"], heads)
        every = Shown(pictures, points, heads, far)
        # of several pictures the one with the widest mouth tells what the teeth are like
        opening = (points[:, 13] - points[:, 14]).norm(dim=-1) / every.head.scale[:, 0]
        first, wide = (Shown(*map(lambda x: _row(x, k), every)) for k in (0, int(opening.argmax())))
        normals = normals_of(torch.cat([values["rest"], values["depth"][:, None]], 1))
        drawn = [row for region in (MOUTH, *EYES) for line in region.lines for row in line]
        normals[drawn] = normals.new_tensor([0.0, 0.0, -1.0])  # as flat as the squares are
        return _Source(
            first,
            values["rest"],
            values["depth"],
            look(MOUTH, first),
            look(MOUTH, wide),
            self._eyes(first),
            normals,
            trust_of(normals, first.head),
            self._layers(first.pictures, values) if "matte" in values else None,
            "plain" in values,
        )

    def _layers(self, picture: Tensor, values: dict[str, Tensor]) -> _Layers:
        """A picture [1, 3, H, H] apart; what is black here is -1 in pictures."""
        matte, ground = values["matte"][None] / 255, values["ground"][None] / 127.5 - 1
        person = picture + 1 - (1 - matte) * (ground + 1)
        small = F.interpolate(ground, (self.size, self.size), mode="bilinear", antialias=True)[0]
        return _Layers(torch.cat([person, matte], 1), small)

    def _eyes(self, shown: Shown) -> Look:
        """Both eyes, one after the other."""
        looks = [look(eye, shown) for eye in EYES]
        return Look(*(torch.cat(part) for part in zip(*looks, strict=True)))

    def painted_mouth(
        self,
        source: Shown,
        target: Shown,
        own: Look,
        reference: Look,
        trust: Tensor | None = None,
        flipped: bool = False,
    ) -> Tensor:
        """The mouth of frames, as the network paints it.

        Args:
            source: the picture that is moved, one or one a frame.
            target: the frames; only their key points matter.
            own: the source's mouth.
            reference: another mouth of the person.
            trust: [B, 478] of the key points, see `trust_of`.
            flipped: whether the network sees it in a mirror.

        Returns:
            [B, 3, P, P]
        """
        moved = self.moved(MOUTH, source, target, trust)
        return moved.patch + self.added_to_mouth(moved, own, reference, flipped)

    def added_to_mouth(
        self, found: Moved, own: Look, reference: Look, flipped: bool = False
    ) -> Tensor:
        """What the network adds to moved mouths: [B, 3, P, P]; see `painted_mouth`."""
        colours = colour_statistics(own.patch)
        seen = [plain_colours(found.patch, _like(colours, found.patch)), found.maps]
        for known in (own, reference):
            seen += [plain_colours(known.patch, colours), known.maps]
        depth = found.depth
        if flipped:
            seen, depth = [part.flip(-1) for part in seen], depth.flip(-1)
        added = self._run(self.mouth, seen, depth)
        return colours[1] * (added.flip(-1) if flipped else added)

    def painted_eyes(
        self, source: Shown, target: Shown, own: Look, trust: Tensor | None = None
    ) -> Tensor:
        """Both eyes of frames, as the network paints them: [2 B, 3, P, P], all right ones first."""
        pairs = [self.moved(eye, source, target, trust) for eye in EYES]
        found = Moved(*(torch.cat(part) for part in zip(*pairs, strict=True)))
        count = len(found.patch) // 2
        own = Look(*(_twice(part, count) for part in own))
        colours = colour_statistics(own.patch)
        seen = [plain_colours(found.patch, colours), found.maps]
        seen += [plain_colours(own.patch, colours), own.maps]
        return found.patch + colours[1] * self._run(self.eye, seen, found.depth)

    def moved(self, region: Region, source: Shown, target: Shown, trust: Tensor | None) -> Moved:
        """A region of the source, moved as in frames."""
        at, maps = places(region, target.head), line_maps(region, target.head, target.points)
        own = within(region, source.head, source.points)[0]
        near = (own.abs().amax(-1) < AROUND).nonzero()[:, 0]
        sides = sides_of(region, self.space.mean)[near]
        near = near[sides.argsort(stable=True)]  # so that each side is a range
        ends = torch.bincount(sides, minlength=SIDES).cumsum(0).tolist()
        coarse = at.unfold(1, FINE, FINE).unfold(2, FINE, FINE).mean((-1, -2))
        seen = visibility(region, F.avg_pool2d(maps, FINE)).unbind(-1)
        ranges = [slice(a, b) for a, b in pairwise([0, *ends])]
        groups = list(zip(ranges, seen, strict=True))
        weights = None if trust is None else trust[:, near]
        steps = (
            widened_lids(region, source.points, target.points, source.head.scale) - target.points
        )
        far = source.far.expand_as(target.far)
        known = torch.cat([steps, target.far, far], -1)[:, near]
        known = spread(coarse.flatten(1, 2), target.points[:, near], known, weights, groups=groups)
        known = known.mT.reshape(len(at), -1, *coarse.shape[1:3])
        fine = F.interpolate(known[:, :2], scale_factor=FINE, mode="bilinear").permute(0, 2, 3, 1)
        depth = F.avg_pool2d(known[:, 2:], CELL // FINE)
        return Moved(sampled(source.pictures, at + fine), maps, known[:, :2], depth)

    def _run(self, network: PatchNetwork, seen: list[Tensor], depth: Tensor) -> Tensor:
        """A network on channels that belong together, those of the source expanded."""
        dtype = network.in_proj.weight.dtype
        joined = torch.cat([part.expand(len(depth), -1, -1, -1) for part in seen], 1)
        joined = joined.to(dtype).contiguous(memory_format=torch.channels_last)
        with torch.autocast(joined.device.type, torch.bfloat16, enabled=self._mixed):
            out: Tensor = network(joined, depth.to(dtype))
        return out.float()

    def _put(self, frames: Tensor, region: Region, head: Placement, patch: Tensor) -> None:
        """Put patches into frames, with soft edges."""
        size, device = self.size, frames.device
        cover = feather(region.size, device).expand(len(patch), -1, -1, -1)
        covered = torch.cat([patch, cover], 1)
        around = places(region, head).flatten(1, 2)
        low = (around.amin(1) * size).floor().long().clamp(min=0)
        high = (around.amax(1) * size).ceil().long().clamp(max=size)
        grid = pixel_places(size, device)
        for k in range(len(frames)):
            (left, top), (right, bottom) = low[k].tolist(), high[k].tolist()
            if left >= right or top >= bottom:
                continue
            box = grid[top:bottom, left:right]
            own = within(region, _row(head, k), box.reshape(1, -1, 2)).reshape(1, *box.shape)
            seen = F.grid_sample(covered[k : k + 1], own, align_corners=False)[0]
            part = frames[k, :, top:bottom, left:right]
            part.lerp_(seen[:3], seen[3:])

    def training_loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """How far painted mouths and eyes are from those of the person's other frames.

        Args:
            batch: of sources, targets and references each a frame uint8 [B, S, S, 3] and key
                points [B, 478, 2] in pixels, as `source`, `source_points`, ...
        """
        self._mixed = torch.is_autocast_enabled(batch["source"].device.type)
        with _exactly(batch["source"]):
            return self._losses(batch)

    def _losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `training_loss`."""
        names = ("source", "target", "reference")
        pictures = [from_frames(batch[name]) for name in names]
        if self.training and self.config.recolour:
            pictures = recoloured(pictures, self.config.recolour)
        jitter = torch.randn(len(pictures[0]), 4, device=pictures[0].device)
        source, target, reference = (
            self._shown(picture, batch[f"{name}_points"], jitter if self.training else None)
            for name, picture in zip(names, pictures, strict=True)
        )
        pair, wanted = (look(MOUTH, source), look(MOUTH, reference)), look(MOUTH, target)
        own_eyes, eyes = self._eyes(source), self._eyes(target)
        flipped = self.training and bool(torch.rand(()) < 0.5)
        mouth = self.painted_mouth(source, target, *pair, flipped=flipped)
        inside = (wanted.maps[:, 0] > -1) & (wanted.maps[:, 3] < 1)
        weight = 1 + self.config.lips_weight * inside[:, None].float()
        weight = weight * feather(MOUTH.size, weight.device)
        std = colour_statistics(pair[0].patch)[1]
        painted_eyes = self.painted_eyes(source, target, own_eyes)
        eye_std = colour_statistics(own_eyes.patch)[1]
        eye_weight = feather(RIGHT_EYE.size, weight.device)
        return {
            "mouth": _error(mouth, wanted.patch, std, weight),
            "eyes": 0.3 * _error(painted_eyes, eyes.patch, eye_std, eye_weight),
        }

    def _shown(self, pictures: Tensor, points: Tensor, jitter: Tensor | None = None) -> Shown:
        shares = points.float() / pictures.shape[-1]
        head = self.space.placement(shares)
        if jitter is not None:  # patches are cut elsewhere, smaller or larger, and turned
            roll, place, scale = jitter[:, :1], jitter[:, 1:3], jitter[:, 3:]
            head = Placement(
                torch.cat([head.angles[:, :2], head.angles[:, 2:] + JITTER[0] * roll], 1),
                head.shift + JITTER[1] * head.scale * place,
                head.scale * (1 + JITTER[2] * scale),
            )
        return Shown(pictures, shares, head, distance_of(shares, self.space.depth, head))


def _exactly(like: Tensor) -> torch.autocast:
    """No mixed precision: places and distances between key points need all their digits."""
    return torch.autocast(like.device.type, enabled=False)


def _error(painted: Tensor, wanted: Tensor, std: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of errors of colours and of their steps, in the unit of the colours."""
    apart = (painted - wanted) / std
    weight = weight.expand(len(apart), 1, *apart.shape[2:])
    # L = sum w (d^2 + |d| / 2 + |grad d| / 2) / sum w: steps, so that edges and teeth are sharp
    across, down = apart.diff(dim=3), apart.diff(dim=2)
    steps = F.pad(across.abs(), (0, 1)) + F.pad(down.abs(), (0, 0, 0, 1))
    error = (apart.square() + apart.abs() / 2 + steps / 2).mean(1, keepdim=True)
    return (error * weight).sum() / weight.sum()


def _row(value: Any, k: int) -> Any:
    """One row of a tensor, or of each of a tuple's."""
    if isinstance(value, Placement):
        return Placement(*(part[k : k + 1] for part in value))
    return value[k : k + 1]


def _like(statistics: tuple[Tensor, Tensor], patch: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = (part.expand(len(patch), -1, -1, -1) for part in statistics)
    return mean, std


def _twice(part: Tensor, count: int) -> Tensor:
    """Rows of both eyes for each frame: [2, ...] or [2 B, ...] -> [2 B, ...]."""
    if len(part) == 2 * count:
        return part
    right, left = part.chunk(2)
    return torch.cat([right.expand(count, *right.shape[1:]), left.expand(count, *left.shape[1:])])


def look(region: Region, shown: Shown) -> Look:
    """What a region of pictures shows, and where its lines are."""
    patch = sampled(shown.pictures, places(region, shown.head))
    return Look(patch, line_maps(region, shown.head, shown.points))
