"""What a driving face does, as motion that an avatar shows."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib.resources import files
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from talkers.controls.request import Controls
from talkers.errors import ArtefactError, FaceError
from talkers.media import AUDIO_RATE, read_audio
from talkers.progress import Report, quiet
from talkers.runtime.bundle import base_folder, read_bundle
from talkers.runtime.components import build_component, load_component
from talkers.runtime.driving import DrivingFace
from talkers.runtime.engine import Engine
from talkers.runtime.resolved import resolve_controls
from talkers.runtime.talking_video import TalkingVideo, VideoForm
from talkers.space.contract import HEAD, FaceState
from talkers.space.face_motion import BLINK, FaceMotionSpace
from talkers.space.linear import LinearSpace

LEARN_SECONDS = 4.0  # of speech from which is learnt how an avatar's mouth moves
CLEAR_AMPLITUDE = 1.25  # of that
RIDGE = 0.03  # of that, relative to the variance of a movement
MIN_SEEN = 50  # frames of it in which the avatar's face must be found
SHUT = 1.0  # of a blink: the most that is shown
FAR = 0.5  # degrees beyond what an avatar can show that are remarked on

Parts = Mapping[str, Tensor]
"""What of a face is driven, by the names of `FaceState`, a row [n] each; the pose beside rest."""


class Retargeter(Protocol):
    """Shows on an avatar what another face does.

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


class _HeadRetargeter:
    """Shows on any avatar how another head moves.

    Args:
        engine: the avatar's.
    """

    def __init__(self, engine: Engine):
        self.engine, self.limited = engine, 0

    def _head(self, pose: Tensor, absolute: bool) -> Tensor:
        """A pose beside rest -> the first six head values, within what the avatar can show."""
        of = self.engine.bundle.head
        rest, unit = of.mean[:BLINK], of.mean[BLINK - 1]
        moved = pose[:3] - rest[:3] if absolute else pose[:3]
        wanted = torch.cat(
            [rest[:3] + of.turn * moved, rest[3:] + unit * pose[3:], of.mean[BLINK:]]
        )
        head = of.limited(wanted)
        self.limited += bool(((head - wanted)[:3].abs() > FAR).any())
        return head[:BLINK]


class PortraitRetargeter(_HeadRetargeter):
    """Shows another face's motion on an avatar whose motion is that of any face.

    Args:
        engine: the avatar's.
        space: its own.
    """

    def __init__(self, engine: Engine, space: FaceMotionSpace):
        super().__init__(engine)
        self.reads = space

    def rest(self) -> Tensor:
        """See `Retargeter.rest`."""
        return self.reads.home

    def show(self, base: Tensor, parts: Parts, absolute: bool = False) -> Tensor:
        """See `Retargeter.show`."""
        state = self.reads.read(base)._replace(**parts)
        if "pose" in parts:
            state = state._replace(pose=self._head(parts["pose"], absolute))
        blink = state.blink.clamp(max=SHUT)
        return torch.cat([state.pose, blink, state.gaze, state.expression, state.mouth])


class LatentRetargeter(_HeadRetargeter):
    """Shows another face's motion on a trained avatar, whose motion is latents of one person.

    How its mouth and brows follow is learnt from its own frames: they are made of latents of which
    one can read what the face does, and a face tracker sees them as it sees the driving face.

    Args:
        engine: the avatar's.
        space: its own.
        report: called with a sentence while that is learnt, frames done and frames in all.

    Raises:
        FaceError: the avatar's face is hardly found in its own frames.
    """

    def __init__(self, engine: Engine, space: LinearSpace, report: Report = quiet):
        super().__init__(engine)
        self.space, self.reads = space, _shared_space()
        with _learning:
            if engine not in _learnt:
                _learnt[engine] = self._learn(report)
            self._maps = _learnt[engine]

    def rest(self) -> Tensor:
        """See `Retargeter.rest`."""
        head = self.engine.bundle.head.mean[None]
        return self.space.edit(self.space.motion_mean[None], head=head, moving=0.0)[0]

    def show(self, base: Tensor, parts: Parts, absolute: bool = False) -> Tensor:
        """See `Retargeter.show`."""
        of, space, motion = self.engine.bundle.head, self.space, base[None]
        head = torch.full((1, len(HEAD)), torch.nan)
        if "pose" in parts:
            head[:, :BLINK] = self._head(parts["pose"], absolute)
        if "blink" in parts:
            closed = of.mean[BLINK] + parts["blink"]
            head[:, BLINK:] = closed.clamp(of.low[BLINK], of.high[BLINK])
        for name, part in (("mouth", "mouth"), ("expression", "brows")):
            if name in parts:
                moved = parts[name] @ self._maps[name]
                motion = space.steered(motion, part, getattr(space, f"{part}_rest") + moved)
        if "gaze" in parts:
            looking = parts["gaze"].clamp(-1, 1) @ space.gaze_write
            motion = motion + looking * space.motion_std
        return space.edit(motion, head=head)[0]

    def _learn(self, report: Report) -> dict[str, Tensor]:
        """What mouth and brows do, from what a tracked face does: [20, 6], [4, 2]."""
        engine = self.engine
        sentence = read_audio(str(files("talkers") / "avatars" / "hello.flac"))
        sentence = sentence[: round(LEARN_SECONDS * AUDIO_RATE)]
        clear = Controls(amplitude=CLEAR_AMPLITUDE, pose="still")
        live, options = engine.streaming_encoder is not None, engine.options(0)
        resolved = resolve_controls(engine, clear, 0, live=live)
        form = VideoForm(engine.frame_rate, engine.size, live, False, _unsigned)
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
                report("learning how the avatar moves", k + 1, len(motion))
                if not face.begun and not face.begin(frame):
                    continue
                if (state := face.read(frame)) is not None:
                    seen[k] = state
        if len(seen) < MIN_SEEN:
            raise FaceError(
                "the avatar's face is hardly found in its own frames",
                where=engine.folder,
                todo="Use an avatar of a human face",
            )
        rows = list(seen)
        return {
            name: _linear_map(torch.stack([getattr(seen[k], name) for k in rows]), values[rows])
            for name, values in wanted.items()
        }


_learnt: WeakKeyDictionary[Engine, dict[str, Tensor]] = WeakKeyDictionary()
_learning = threading.Lock()


def _unsigned() -> str:
    """The digest of what is never written."""
    return ""


def _shared_space() -> FaceMotionSpace:
    """The face motion of the shipped base, in which any face is read."""
    bundle = read_bundle(base_folder())
    width = bundle.recipe.renderer.motion_width
    space = build_component("space", bundle.recipe.space, width)
    assert isinstance(space, FaceMotionSpace)
    load_component(bundle, "space", space)
    return space.eval().requires_grad_(False)


def _linear_map(known: Tensor, wanted: Tensor) -> Tensor:
    """The linear map [k, m] that comes nearest: [N, k] @ map = [N, m]."""
    # B = (K^T K + l tr(K^T K) / k I)^-1 K^T Y
    gram = known.T @ known
    gram = gram + RIDGE * gram.diagonal().mean() * torch.eye(len(gram))
    return torch.linalg.solve(gram, known.T @ wanted)


def retargeter(engine: Engine, report: Report = quiet) -> Retargeter:
    """What shows another face's motion on an avatar.

    Args:
        engine: the avatar's.
        report: called with a sentence while it is prepared, frames done and frames in all.

    Raises:
        ArtefactError: its motion is of a kind that no face drives.
        FaceError: see `LatentRetargeter`.
    """
    if isinstance(engine.space, FaceMotionSpace):
        return PortraitRetargeter(engine, engine.space)
    if isinstance(engine.space, LinearSpace):
        return LatentRetargeter(engine, engine.space, report)
    raise ArtefactError(
        f"the motion of this avatar, '{engine.space.name}', cannot follow a face",
        where=engine.folder,
        todo="Use a portrait, or an avatar made by `talkers train`",
    )
