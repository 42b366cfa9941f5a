"""What controls mean for one avatar: a head track, an edit of its face, and a motion model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from talkers.controls.head_track import HeadTrack, PoseChange
from talkers.controls.request import Controls
from talkers.errors import UsageError
from talkers.media import VIDEO_SUFFIXES
from talkers.motion import MotionModel, MotionRequest, Reference
from talkers.runtime.engine import Engine
from talkers.runtime.style import pose_curves, style_of
from talkers.space.contract import FaceEdit, MotionSpace


class ResolvedControls(NamedTuple):
    """What controls mean for one avatar.

    Attributes:
        head: head values over time; a plain function gives measured ones, shown as they are.
        edit: how the face's movements differ from the motion model's.
        model: the motion model.
        reference: a clip whose style it takes up, or None.
        seed: of blinks and of what is sampled.
        frame_rate: the avatar's.
    """

    head: HeadTrack | Callable[[int, int], Tensor]
    edit: FaceEdit
    model: MotionModel
    reference: Reference | None
    seed: int
    frame_rate: float

    @property
    def space(self) -> MotionSpace:
        """Of the motion."""
        return self.model.space

    @property
    def request(self) -> MotionRequest:
        """What the motion model is asked for."""
        adjust = self.head.scaled_and_clamped if isinstance(self.head, HeadTrack) else None
        return MotionRequest(
            self.model, self.frame_rate, self.head, adjust, self.reference, self.seed
        )


def resolve_controls(
    engine: Engine,
    controls: Controls | None,
    seed: int,
    frame_rate: Fraction | None = None,
    live: bool = False,
) -> ResolvedControls:
    """Resolve controls for an avatar.

    Args:
        engine: the avatar's.
        controls: what the user asks for (default: nothing special).
        seed: of blinks and of what is sampled.
        frame_rate: of the video in which frames of a pose file are counted (default: the
            avatar's).
        live: the avatar's own speech encoder hears what it says, and a style clip.

    Raises:
        TalkersError: a pose file or a style clip that cannot be used, a motion model that the
            avatar does not have, or a smile of one that cannot.
    """
    controls = controls or Controls()
    key = engine.motion_key(controls.motion)
    model, calibration = engine.motion[key], engine.calibration(key)
    video = Path(controls.pose).suffix.lower() in VIDEO_SUFFIXES
    poses = pose_curves(controls.pose) if video else controls.curves()
    if poses is not None and "frame" in poses:
        seconds = poses["frame"] / float(frame_rate or engine.frame_rate)
        poses = {"time": seconds, **{k: v for k, v in poses.items() if k != "frame"}}
    brows = controls.brow_amplitude
    if controls.smile and not model.space.smiles:
        raise UsageError(
            "this avatar cannot smile: it moves as its footage does",
            where=engine.folder,
            todo="Leave smile out, or use a portrait: `talkers portrait photo.jpg -o ada`",
        )
    amplitude = calibration.amplitude(controls.amplitude, live)
    edit = FaceEdit(amplitude, brows, controls.gaze, controls.smile)
    change, reference = PoseChange(calibration.pose), None
    if controls.style:
        style = style_of(engine, controls.style, key, live)
        edit = edit._replace(
            amplitude=edit.amplitude * style.edit.amplitude,
            brow_amplitude=edit.brow_amplitude * style.edit.brow_amplitude,
        )
        change = replace(style.pose, scale=style.pose.scale * calibration.pose)
        reference = style.reference
    rate = float(engine.frame_rate)
    head = HeadTrack(controls, poses, engine.bundle.head, rate, seed, change)
    return ResolvedControls(head, edit, model, reference, seed, rate)
