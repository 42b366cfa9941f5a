"""Avatars that follow a face: what a driving face does, as motion that an avatar shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from typing import Protocol

import torch
from torch import Tensor

from talkers.controls.request import Controls
from talkers.errors import ArtefactError, FaceError
from talkers.progress import Report
from talkers.runtime.bundle import base_folder, read_bundle
from talkers.runtime.driving import DrivingFace
from talkers.runtime.engine import Engine
from talkers.runtime.resolved import resolve_controls
from talkers.runtime.talking_video import TalkingVideo, VideoForm
from talkers.space.contract import HEAD, FaceState
from talkers.space.face_motion import BLINK, FaceMotionSpace
from talkers.space.linear import LinearSpace

CLEAR_AMPLITUDE = 1.25  # of the speech from which is learnt how an avatar's mouth moves
RIDGE = 0.03  # of that, relative to the variance of a movement
MIN_SEEN = 50  # frames of it in which the avatar's face must be found
SHUT = 1.0  # of a blink: the most that is shown

Parts = Mapping[str, Tensor]
"""What of a face is driven, by the names of `FaceState`, a row [n] each; the pose beside rest."""


class Driven(Protocol):
    """An avatar that follows a face.

    Attributes:
        reads: the space in which the driving face is read.
        limited: in how many frames the head was kept within what the avatar can show.
    """

    reads: FaceMotionSpace
    limited: int

    def rest(self) -> Tensor:
        """The avatar at rest: motion [width]."""
        ...

    def show(self, base: Tensor, parts: Parts, absolute: bool = False) -> Tensor:
        """Motion [width] that does what is driven, and else what `base` [width] does.

        Args:
            base: the avatar's own motion in this frame.
            parts: what is driven.
            absolute: the pose's angles are those to be shown, not differences from rest.
        """
        ...


class _WithHead:
    """How any avatar's head follows.

    Args:
        engine: the avatar's.
    """

    def __init__(self, engine: Engine):
        self.engine, self.limited = engine, 0

    def _head(self, pose: Tensor, absolute: bool) -> Tensor:
        """A pose beside rest -> the first six head values, within what the avatar can show."""
        of = self.engine.bundle.head
        rest, unit = of.mean[:BLINK], of.mean[BLINK - 1]
        angles = pose[:3] if absolute else rest[:3] + pose[:3]
        wanted = torch.cat([angles, rest[3:] + unit * pose[3:]])
        head = torch.maximum(torch.minimum(wanted, of.high[:BLINK]), of.low[:BLINK])
        self.limited += bool(((head - wanted)[:3].abs() > 0.5).any())
        return head


class DrivenPortrait(_WithHead):
    """An avatar whose motion is that of any face.

    Args:
        engine: the avatar's.
        space: its own.
    """

    def __init__(self, engine: Engine, space: FaceMotionSpace):
        super().__init__(engine)
        self.reads = space

    def rest(self) -> Tensor:
        """See `Driven.rest`."""
        return self.reads.home

    def show(self, base: Tensor, parts: Parts, absolute: bool = False) -> Tensor:
        """See `Driven.show`."""
        state = self.reads.read(base)._replace(**parts)
        if "pose" in parts:
            state = state._replace(pose=self._head(parts["pose"], absolute))
        blink = state.blink.clamp(max=SHUT)
        return torch.cat([state.pose, blink, state.gaze, state.expression, state.mouth])


class DrivenLatents(_WithHead):
    """A trained avatar of one person, whose motion is latents of that person's footage.

    How its mouth and brows follow is learnt from its own frames: they are made of latents of which
    one can read what the face does, and a face tracker sees them as it sees the driving face.

    Args:
        engine: the avatar's.
        space: its own.
        progress: called with a sentence while that is learnt, frames done and frames in all.
    """

    def __init__(
        self,
        engine: Engine,
        space: LinearSpace,
        progress: Report = lambda what, done, total: None,
    ):
        super().__init__(engine)
        self.space, self.progress = space, progress
        shared = Engine(read_bundle(base_folder()), torch.device("cpu")).space
        assert isinstance(shared, FaceMotionSpace)
        self.reads = shared

    def rest(self) -> Tensor:
        """See `Driven.rest`."""
        head = self.engine.bundle.head.mean[None]
        return self.space.edit(self.space.motion_mean[None], head=head, moving=0.0)[0]

    def show(self, base: Tensor, parts: Parts, absolute: bool = False) -> Tensor:
        """See `Driven.show`."""
        of, space, motion = self.engine.bundle.head, self.space, base[None]
        head = torch.full((1, len(HEAD)), torch.nan)
        if "pose" in parts:
            head[:, :BLINK] = self._head(parts["pose"], absolute)
        if "blink" in parts:
            closed = of.mean[BLINK] + parts["blink"]
            head[:, BLINK:] = closed.clamp(of.low[BLINK], of.high[BLINK])
        for name, part in (("mouth", "mouth"), ("expression", "brows")):
            if name in parts:
                moved = parts[name] @ self._learnt[name]
                motion = space.steered(motion, part, getattr(space, f"{part}_rest") + moved)
        if "gaze" in parts:
            looking = parts["gaze"].clamp(-1, 1) @ space.gaze_write
            motion = motion + looking * space.motion_std
        return space.edit(motion, head=head)[0]

    @cached_property
    def _learnt(self) -> dict[str, Tensor]:
        """What the avatar's mouth and brows do, from what a tracked face does: [20, 6], [4, 2].

        Raises:
            FaceError: the avatar's face is not found in its own frames.
        """
        sentence = str(files("talkers") / "avatars" / "hello.flac")
        clear = Controls(amplitude=CLEAR_AMPLITUDE, pose="still")
        engine = self.engine
        live, options = engine.streaming_encoder is not None, engine.options(0)
        resolved = resolve_controls(engine, clear, 0, live=live)
        form = VideoForm(engine.frame_rate, engine.size, live, False, str)
        talk = TalkingVideo(engine, sentence, resolved, options, form)
        motion = torch.cat([self.rest()[None], *talk.motion()])
        own = self.space.read(motion)
        wanted = {
            "mouth": own.mouth - self.space.mouth_rest,
            "expression": own.expression - self.space.brows_rest,
        }
        seen: dict[int, FaceState] = {}
        with DrivingFace(self.reads, float(engine.frame_rate)) as face:
            for k in range(len(motion)):
                frame = engine.decode(motion[k : k + 1], options)[0]
                if not face.begun and not face.begin(frame):
                    continue
                if (state := face.read(frame)) is not None:
                    seen[k] = state
                self.progress("learning how the avatar moves", k + 1, len(motion))
        if len(seen) < MIN_SEEN:
            raise FaceError(
                "the avatar's face is hardly found in its own frames",
                where=engine.folder,
                todo="Use an avatar of a human face",
            )
        rows = list(seen)
        return {
            name: _regressed(torch.stack([getattr(seen[k], name) for k in rows]), values[rows])
            for name, values in wanted.items()
        }


def _regressed(known: Tensor, wanted: Tensor) -> Tensor:
    """The linear map [k, m] that comes nearest: [N, k] @ map = [N, m]."""
    # B = (K^T K + l tr(K^T K) / k I)^-1 K^T Y
    gram = known.T @ known
    gram = gram + RIDGE * gram.diagonal().mean() * torch.eye(len(gram))
    return torch.linalg.solve(gram, known.T @ wanted)


def driven(
    engine: Engine,
    progress: Report = lambda what, done, total: None,
) -> Driven:
    """An avatar as one that follows a face.

    Args:
        engine: the avatar's.
        progress: called with a sentence while it is prepared, frames done and frames in all.

    Raises:
        ArtefactError: its motion is of a kind that no face drives.
    """
    if isinstance(engine.space, FaceMotionSpace):
        return DrivenPortrait(engine, engine.space)
    if isinstance(engine.space, LinearSpace):
        return DrivenLatents(engine, engine.space, progress)
    raise ArtefactError(
        f"the motion of this avatar, '{engine.space.name}', cannot follow a face",
        where=engine.folder,
        todo="Use a portrait, or an avatar made by `talkers train`",
    )
