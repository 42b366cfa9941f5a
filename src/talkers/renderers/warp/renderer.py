"""A picture of a face shows a motion: the picture is moved, and networks paint mouth and eyes.

The first-order-motion family (Siarohin et al. 2019; LivePortrait 2024) learns how a picture moves.
Here key points of a face mesh say it, so that nothing has to be learnt for the whole frame and
nothing drifts: each frame is made of the source picture anew. What the picture cannot show is
painted by two small networks in squares that go along with the head.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.hardware import bfloat16_pays
from talkers.renderers.contract import (
    Identity,
    Needs,
    RenderOptions,
    RenderState,
)
from talkers.renderers.warp.config import WarpConfig as WarpConfig
from talkers.renderers.warp.motion import (
    NEAR,
    distance_of,
    enlarged,
    exactly,
    normals_of,
    pixel_places,
    sampled,
    trust_of,
    whole_motion,
)
from talkers.renderers.warp.networks import (
    PatchNetwork,
    colour_statistics,
    plain_colours,
)
from talkers.renderers.warp.patches import (
    Region,
    feather,
    places,
    within,
)
from talkers.renderers.warp.regions import (
    EYES,
    MOUTH,
    RIGHT_EYE,
    Look,
    Moved,
    Shown,
    look,
    moved,
    row,
)
from talkers.space.face_measures import POINTS
from talkers.space.face_motion import FaceMotionSpace, head_of
from talkers.space.geometry import Placement

SOURCE_SIZE = 2  # sides of a source picture in sides of a frame: it is looked at from near by


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
            PatchNetwork(inputs, width, blocks, config.depth, config.memory, config.tone)
            for inputs, width, blocks in (
                (3 * (3 + MOUTH.maps), config.mouth_width, config.mouth_blocks),
                (2 * (3 + RIGHT_EYE.maps), config.eye_width, config.eye_blocks),
            )
        )
        self.mixed = False  # whether its networks run in mixed precision: when they are trained
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
        with exactly(self.space.depth):
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
            closely=NEAR if source.plain else None,
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
        first, wide = (Shown(*map(lambda x: row(x, k), every)) for k in (0, int(opening.argmax())))
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
        found = moved(MOUTH, self.space.mean, source, target, trust)
        return found.patch + self.added_to_mouth(found, own, reference, flipped)

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
        added = self._run(self.mouth, seen, depth, colours)
        return colours[1] * (added.flip(-1) if flipped else added)

    def painted_eyes(
        self, source: Shown, target: Shown, own: Look, trust: Tensor | None = None
    ) -> Tensor:
        """Both eyes of frames, as the network paints them: [2 B, 3, P, P], all right ones first."""
        pairs = [moved(eye, self.space.mean, source, target, trust) for eye in EYES]
        found = Moved(*(torch.cat(part) for part in zip(*pairs, strict=True)))
        count = len(found.patch) // 2
        own = Look(*(_twice(part, count) for part in own))
        colours = colour_statistics(own.patch)
        seen = [plain_colours(found.patch, colours), found.maps]
        seen += [plain_colours(own.patch, colours), own.maps]
        return found.patch + colours[1] * self._run(self.eye, seen, found.depth, colours)

    def _run(
        self,
        network: PatchNetwork,
        seen: list[Tensor],
        depth: Tensor,
        colours: tuple[Tensor, Tensor],
    ) -> Tensor:
        """A network on channels that belong together, those of the source expanded."""
        tone = torch.cat(colours, 1).flatten(1).expand(len(depth), -1)
        dtype = network.in_proj.weight.dtype
        joined = torch.cat([part.expand(len(depth), -1, -1, -1) for part in seen], 1)
        joined = joined.to(dtype).contiguous(memory_format=torch.channels_last)
        with torch.autocast(joined.device.type, torch.bfloat16, enabled=self.mixed):
            out: Tensor = network(joined, depth.to(dtype), tone.to(dtype))
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
            own = within(region, row(head, k), box.reshape(1, -1, 2)).reshape(1, *box.shape)
            seen = F.grid_sample(covered[k : k + 1], own, align_corners=False)[0]
            part = frames[k, :, top:bottom, left:right]
            part.lerp_(seen[:3], seen[3:])


def _like(statistics: tuple[Tensor, Tensor], patch: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = (part.expand(len(patch), -1, -1, -1) for part in statistics)
    return mean, std


def _twice(part: Tensor, count: int) -> Tensor:
    """Rows of both eyes for each frame: [2, ...] or [2 B, ...] -> [2 B, ...]."""
    if len(part) == 2 * count:
        return part
    right, left = part.chunk(2)
    return torch.cat([right.expand(count, *right.shape[1:]), left.expand(count, *left.shape[1:])])
