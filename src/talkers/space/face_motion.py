"""Face motion that belongs to nobody: how a head lies, where the eyes look, how far they are
closed, and how brows and mouth differ from the person's own rest.

A motion says how key points move, in units of the face (its inter-ocular distance). So a motion of
one person can be shown by any other: differences are transferred, not shapes (AVCT, section 3.4;
LivePortrait, equation 3). The principal movements of mouth and brows are learnt from many people.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from talkers.configuration import limited
from talkers.space import face_measures as measure
from talkers.space.contract import HEAD, NO_EDIT, Appearance, FaceEdit, FaceState
from talkers.space.face_measures import LOWER_LIDS, POINTS, UPPER_LIDS, FaceClip
from talkers.space.geometry import Placement, fit_placement, project, unproject
from talkers.space.normalised import NormalisedSpace

SHAPES = 52  # blendshapes
BLINK = HEAD.index("blink")
GAZE = slice(len(HEAD), len(HEAD) + 2)
MOUTH_TOP, BROWS_BOTTOM, EYES_HALF = 0.3, -0.12, 0.28  # heights below the eyes, of a mean face
EDGE = 0.05  # over which one region goes over into another
ROUNDS = 4  # of finding out which points expressions leave alone
NEIGHBOURS = 10  # seen mouths of which an unseen one is made (GeneFace++: K = 10)
LLE_RIDGE = 1e-3  # of their weights, relative to the trace of their Gram matrix
LID_RANGE = (0.3, 3.0)  # of a person's open eyes, beside those of the mean face
MOUTH_RANGE = (0.75, 1.33)  # likewise of mouths at rest: those of people move alike
SMILES = 44, 45  # of the blendshapes: mouthSmileLeft and mouthSmileRight
SMILE = 0.8, 0.4  # of a whole smile, where the corners rise by 1, and where they fall
OPEN_SHARE = 0.7  # of the frames, those with the widest eyes: in them one sees where eyes look
RIDGE = 1e-3  # of reading a movement from key points, relative to the mean size of one


@dataclass(frozen=True)
class FaceMotionConfig:
    """How many principal movements brows and mouth have."""

    type: str = "face_motion"
    brows: int = limited(4, 1, 32)
    mouth: int = limited(20, 1, 128)
    seen: int = limited(2000, NEIGHBOURS, 100_000)  # mouths that are kept, see `pulled_back`

    @property
    def width(self) -> int:
        """Numbers in a motion vector."""
        return len(HEAD) + 2 + self.brows + self.mouth


class FaceMotionSpace(NormalisedSpace):
    """Motion as movements of a face, of whomever; see `MotionSpace`.

    A motion vector holds the head values in the order of `HEAD`, gaze (to the person's left and up,
    in units of `LOOK`), then the principal movements of the brows and of the mouth. All but the
    first six are 0 at rest.

    Args:
        config: its settings.
        width: numbers in a motion vector; that of the settings.

    Raises:
        ValueError: another width.
    """

    name = "face_motion"
    smiles = True
    depth: Tensor
    weights: Tensor
    mean: Tensor
    basis: Tensor
    seen: Tensor
    of_blendshapes: Tensor
    home_head: Tensor

    def __init__(self, config: FaceMotionConfig, width: int | None = None):
        super().__init__()
        if width not in (None, config.width):
            raise ValueError(f"this face motion has {config.width} numbers, not {width}")
        self.config, self.width = config, config.width
        self.mouth = slice(config.width - config.mouth, config.width)
        self.brows = slice(GAZE.stop, self.mouth.start)
        self.register_buffer("depth", torch.zeros(POINTS))
        self.register_buffer("weights", torch.ones(POINTS))
        self.register_buffer("mean", torch.zeros(POINTS, 2))
        self.register_buffer("basis", torch.zeros(config.width - BLINK, POINTS, 2))
        self.register_buffer("seen", torch.zeros(config.seen, config.mouth))
        self.register_buffer("of_blendshapes", torch.zeros(SHAPES + 1, config.width - BLINK))
        self.register_buffer("home_head", torch.tensor([0.0, 0.0, 0.0, 0.5, 0.45, 0.22]))
        self.register_buffer("motion_mean", torch.zeros(config.width))
        self.register_buffer("motion_std", torch.ones(config.width))

    def placement(self, points: Tensor) -> Placement:
        """Where the head is, from key points [..., 478, 2] of anybody."""
        return fit_placement(points, self._mean_face(), self.weights)

    def _mean_face(self) -> Tensor:
        return torch.cat([self.mean, self.depth[:, None]], 1)

    def canonical(self, points: Tensor, depth: Tensor | None = None) -> Tensor:
        """Key points [..., 478, 2] of a face that would look straight ahead, in its own units.

        Args:
            points: [..., 478, 2], shares of the side.
            depth: [478] of the person (default: that of the mean face).
        """
        deep = self.depth if depth is None else depth
        return unproject(points, deep, self.placement(points))[..., :2]

    def rest(self, points: Tensor, still: Tensor) -> Tensor:
        """The canonical key points of a person at rest: [478, 2].

        Args:
            points: [T, 478, 2] of a clip.
            still: bool [T], frames in which nothing is said; all of them count if there is none.
        """
        chosen = points[still] if still.any() else points
        return self.canonical(chosen).median(0).values

    def rest_of_picture(
        self, points: Tensor, blendshapes: Tensor, depth: Tensor | None = None
    ) -> Tensor:
        """The canonical key points that a person of one picture would have at rest: [478, 2].

        What the picture's face does is read off its blendshapes, which say little of whose face
        it is, and taken back.

        Args:
            points: [478, 2], shares of the picture's side.
            blendshapes: [52], 0..1.
            depth: [478] of the person (default: that of the mean face).
        """
        does = torch.cat([blendshapes, blendshapes.new_ones(1)]) @ self.of_blendshapes
        shown = self.canonical(points, depth)
        # lids of eyes that are k times as wide as the mean face's move k times as far, so what is
        # seen open is k (o + blink b), with o the mean face's eyes and b a blink's step
        open_mean, step = measure.open_eyes(self.mean), measure.open_eyes(self.basis[0])
        left = (open_mean + does[0] * step).clamp(min=LID_RANGE[0] * open_mean.abs())
        does[0] *= measure.within(measure.open_eyes(shown) / left, LID_RANGE)
        return shown - (does @ self.basis.flatten(1)).reshape(POINTS, 2)

    def proportions(self, rest: Tensor) -> Tensor:
        """By what factors a face's movements are larger than those of the mean face.

        Wide eyes have farther to close, and the mouth of a drawing may be a fifth as wide as one of
        people, whose mouths move alike.

        Args:
            rest: [478, 2] canonical key points at rest.

        Returns:
            [width - 6], for all of a motion but the head.
        """
        found = self.mean.new_ones(self.width - BLINK)
        found[0] = measure.within(measure.open_eyes(rest) / measure.open_eyes(self.mean), LID_RANGE)
        wide = measure.mouth_width(rest) / measure.mouth_width(self.mean)
        found[self.mouth.start - BLINK :] = (wide / measure.within(wide, MOUTH_RANGE)).nan_to_num(
            1.0
        )
        return found

    def rest_of(self, motion: Tensor) -> Tensor:
        """Where a face rests whose motion [T, width] is given: its usual head, and no movement."""
        resting = torch.zeros_like(motion[0])
        resting[:BLINK] = motion[:, :BLINK].median(0).values
        return resting

    @property
    def home(self) -> Tensor:
        """Where the face of the space rests, [width]: every motion is retargeted to it."""
        resting = torch.zeros_like(self.motion_mean)
        resting[:BLINK] = self.home_head
        return resting

    def at_home_in(self, head: Tensor) -> FaceMotionSpace:
        """The space of a face that rests elsewhere: what models say of one holds for the other.

        Args:
            head: its head values at rest, at least the first six of `HEAD`.
        """
        moved = deepcopy(self)
        there = torch.zeros_like(self.motion_mean)
        there[:BLINK] = head[:BLINK]
        ratio = float(there[5] / self.home[5])
        moved.motion_mean.copy_(self.retarget(self.motion_mean[None], self.home, there)[0])
        moved.motion_std[3:6] *= ratio
        moved.home_head.copy_(there[:BLINK])
        return moved

    def estimate_appearance(self, motion: Tensor) -> Appearance:
        """Nothing: who is shown is the renderer's here."""
        return Appearance(motion.new_zeros(0), torch.zeros_like(self.motion_mean))

    def motion_of(self, points: Tensor, rest: Tensor, depth: Tensor | None = None) -> Tensor:
        """Key points -> motion.

        Args:
            points: [..., 478, 2], shares of the frame's side.
            rest: [478, 2], see `rest`.
            depth: [478] of the person (default: that of the mean face).

        Returns:
            [..., width]
        """
        head = self.placement(points)
        deep = self.depth if depth is None else depth
        moved = unproject(points, deep, head)[..., :2] - rest
        # e = (B W B^T + l I)^-1 B W d
        root = measure.weights_of_reading(moved).sqrt()
        rows, moved = (self.basis * root).flatten(1), moved * root
        gram = rows @ rows.T
        gram = gram + RIDGE * gram.diagonal().mean() * torch.eye(len(rows), device=rows.device)
        expression = torch.linalg.solve(gram, rows @ moved.flatten(-2)[..., None])[..., 0]
        expression = expression / self.proportions(rest)
        return torch.cat([head.angles, head.shift, head.scale, expression], -1)

    def points_of(self, motion: Tensor, rest: Tensor, depth: Tensor | None = None) -> Tensor:
        """Motion -> key points, the inverse of `motion_of`. Lids meet, and do not cross.

        Args:
            motion: [..., width].
            rest: [478, 2] canonical key points of the person at rest.
            depth: [478] of the person (default: that of the mean face).

        Returns:
            [..., 478, 2], shares of the frame's side.
        """
        moved = (motion[..., BLINK:] * self.proportions(rest)) @ self.basis.flatten(1)
        flat = rest + moved.reshape(*moved.shape[:-1], POINTS, 2)
        upper, lower = list(UPPER_LIDS), list(LOWER_LIDS)
        flat[..., upper, 1] = torch.minimum(flat[..., upper, 1], flat[..., lower, 1])
        deep = (self.depth if depth is None else depth).expand(flat.shape[:-1])
        return project(torch.cat([flat, deep[..., None]], -1), head_of(motion))

    @property
    def head_mean(self) -> Tensor:  # type: ignore[override]
        """Of the head values, [7]."""
        return self.motion_mean[: len(HEAD)]

    @property
    def head_std(self) -> Tensor:  # type: ignore[override]
        """Of the head values, [7]."""
        return self.motion_std[: len(HEAD)]

    @property
    def mouth_read(self) -> Tensor:  # type: ignore[override]
        """[width, M], normalised motion -> what the mouth does: its own numbers, as large as the
        movements that they make."""
        lengths = self.basis[self.mouth.start - BLINK :].flatten(1).norm(dim=1)
        scale = self.motion_std[self.mouth] * lengths / lengths.mean().clamp(min=1e-9)
        return torch.eye(self.width, device=scale.device)[:, self.mouth] * scale

    def read(self, motion: Tensor) -> FaceState:
        """See `MotionSpace.read`."""
        pose, blink = motion[..., :BLINK], motion[..., BLINK : BLINK + 1]
        return FaceState(
            pose, motion[..., self.mouth], blink, motion[..., GAZE], motion[..., self.brows]
        )

    def edit(
        self,
        motion: Tensor,
        edit: FaceEdit = NO_EDIT,
        head: Tensor | None = None,
        moving: Tensor | float = 1.0,
        appearance: Appearance | None = None,
    ) -> Tensor:
        """See `MotionSpace.edit`; appearance is the renderer's here, and changes nothing."""
        edited = motion.clone()
        if head is not None:
            edited[..., : len(HEAD)] = torch.where(head.isnan(), motion[..., : len(HEAD)], head)
        edited[..., self.mouth] *= edit.amplitude * moving
        edited[..., self.brows] *= edit.brow_amplitude
        edited[..., GAZE] += motion.new_tensor(edit.gaze)
        if edit.smile:
            edited[..., self.mouth] += edit.smile * SMILE[edit.smile < 0] * self._smile
        return edited

    @property
    def _smile(self) -> Tensor:
        """What a smile of both corners adds to the mouth's numbers."""
        return self.of_blendshapes[list(SMILES)].sum(0)[self.mouth.start - BLINK :]

    def retarget(self, motion: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """See `MotionSpace.retarget`: by differences; distances grow with the target's face.

        Where a head moves is counted in inter-ocular distances: a face twice as large in the
        picture moves twice as far.
        """
        ratio = target[..., 5:6] / source[..., 5:6]
        moved = motion - source
        shift, scale = moved[..., 3:5] * ratio, moved[..., 5:6] * ratio
        moved = torch.cat([moved[..., :3], shift, scale, moved[..., BLINK:]], -1)
        return target + moved

    def pulled_back(self, motion: Tensor, strength: float = 1.0) -> Tensor:
        """Motion whose mouths are like those that were seen (GeneFace++, section 3.3).

        Each mouth is made anew of the `NEIGHBOURS` seen ones that are nearest to it, with the
        weights that come closest to it and sum to 1 (locally linear embedding). A mouth among seen
        ones stays nearly as it is; one that no face makes goes to the nearest that faces make.

        Args:
            motion: [T, width].
            strength: 0 leaves the motion as it is, 1 leaves only what seen mouths give.

        Returns:
            [T, width]
        """
        mouths = motion[:, self.mouth]
        nearest = torch.cdist(mouths, self.seen).topk(NEIGHBOURS, largest=False).indices
        around = self.seen[nearest]  # [T, K, M]
        apart = around - mouths[:, None]
        # w = G^-1 1 / (1^T G^-1 1), with G the Gram matrix of the differences to the neighbours
        gram = apart @ apart.mT
        trace = gram.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None].clamp(min=1e-9)
        gram = gram + LLE_RIDGE * trace * torch.eye(NEIGHBOURS, device=gram.device)
        weights = torch.linalg.solve(gram, torch.ones_like(gram[..., :1]))
        weights = weights / weights.sum(1, keepdim=True)
        # no weight below 0: what lies beyond all neighbours is not extrapolated
        weights = weights.clamp(min=0)
        weights = weights / weights.sum(1, keepdim=True)
        made = (weights * around).sum(1)
        result = motion.clone()
        result[:, self.mouth] = mouths + strength * (made - mouths)
        return result

    def fit(self, clips: Sequence[FaceClip], depth: Tensor) -> None:
        """Learn a mean face and the movements of faces from clips of many people.

        Args:
            clips: of as many people as there are.
            depth: [478] of a mean face, in inter-ocular distances.
        """
        self.depth.copy_(depth)
        self._fit_placement(clips)
        rests = [self.rest(clip.points, clip.still) for clip in clips]
        pairs = zip(clips, rests, strict=True)
        moved = torch.cat([self.canonical(clip.points) - rest for clip, rest in pairs])
        self._fit_basis(moved, torch.cat([c.blink for c in clips]))
        motions = [self.motion_of(c.points, r) for c, r in zip(clips, rests, strict=True)]
        homes = torch.stack([self.rest_of(motion) for motion in motions])
        self.home_head.copy_(homes[:, :BLINK].median(0).values)
        motion = torch.cat([self.retarget(m, self.rest_of(m), self.home) for m in motions])
        self._fit_blendshapes(motion, torch.cat([c.blendshapes for c in clips]))
        self.motion_mean.copy_(motion.mean(0))
        self.motion_std.copy_(motion.std(0).clamp(min=1e-4))
        kept = torch.linspace(0, len(motion) - 1, len(self.seen)).round().long()
        self.seen.copy_(motion[kept][:, self.mouth])

    def _fit_blendshapes(self, motion: Tensor, blendshapes: Tensor) -> None:
        """Learn what a face does from its blendshapes [N, 52] alone."""
        known = torch.cat([blendshapes, torch.ones_like(blendshapes[:, :1])], 1)
        # W = (K^T K + r I)^-1 K^T E
        gram = known.T @ known + RIDGE * len(known) * torch.eye(known.shape[1])
        self.of_blendshapes.copy_(torch.linalg.solve(gram, known.T @ motion[:, BLINK:]))

    def _fit_placement(self, clips: Sequence[FaceClip]) -> None:
        """Learn the mean face, and which key points expressions leave alone."""
        every = torch.cat([clip.points for clip in clips])
        right, left = every[:, 33], every[:, 263]
        unit = (left - right).norm(dim=-1)[:, None, None]
        self.mean.copy_(((every - ((right + left) / 2)[:, None]) / unit).mean(0))
        self.weights.fill_(1.0)
        for _ in range(ROUNDS):
            rests = [self.rest(clip.points, clip.still) for clip in clips]
            pairs = zip(clips, rests, strict=True)
            moved = torch.cat([self.canonical(clip.points) - rest for clip, rest in pairs])
            spread = moved.square().sum(-1).mean(0)
            # w = 1 / (variance + its median): what moves with every word counts for little
            self.weights.copy_(1 / (spread + spread.median()))
            self.weights.div_(self.weights.mean())
            mean = torch.stack(rests).mean(0)
            # the unit and the origin are those of the outer corners of the eyes
            centre, apart = (mean[33] + mean[263]) / 2, (mean[263] - mean[33]).norm()
            self.mean.copy_((mean - centre) / apart)

    def _fit_basis(self, moved: Tensor, blink: Tensor) -> None:
        """Learn how lids, eyes, brows and mouth move.

        Args:
            moved: [N, 478, 2] canonical key points less the person's rest.
            blink: [N].
        """
        height = self.mean[:, 1]
        lower = torch.sigmoid((height - MOUTH_TOP) / EDGE)[:, None]
        brows = torch.sigmoid((BROWS_BOTTOM - height) / EDGE)[:, None]
        eyes = torch.sigmoid((EYES_HALF - height.abs()) / EDGE)[:, None]
        # lids first, with the irises that the tracker moves along; then what open eyes look at
        shut = blink[:, None] - blink.mean()
        lids = measure.regressed(shut, moved * eyes)
        rest = moved - measure.times(shut, lids)
        gaze = measure.looks(rest)
        gaze = gaze - gaze.mean(0)
        opened = blink <= blink.quantile(OPEN_SHARE)
        looks = measure.regressed(gaze[opened], (rest * eyes)[opened])
        rest = rest - measure.times(gaze, looks)
        self.basis.zero_()
        self.basis[:3] = torch.cat([lids, looks])
        first = self.brows.start - BLINK
        self.basis[first : first + self.config.brows] = measure.principal(
            rest * brows, self.config.brows
        )
        self.basis[-self.config.mouth :] = measure.principal(rest * lower, self.config.mouth)


def head_of(motion: Tensor) -> Placement:
    """Where the head is in motion [..., width]."""
    return Placement(motion[..., :3], motion[..., 3:5], motion[..., 5:6])
