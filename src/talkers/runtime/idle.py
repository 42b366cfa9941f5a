"""What an avatar does while nobody speaks: it breathes, sways and blinks, its mouth at rest."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from talkers.controls.head_track import TRANSLATION, HeadTrack
from talkers.controls.pose_files import ANGLES
from talkers.media import AUDIO_RATE
from talkers.renderers.contract import RenderOptions
from talkers.runtime.engine import Engine
from talkers.runtime.listening import AT_REST, Bearing
from talkers.runtime.resolved import ResolvedControls
from talkers.runtime.session import Session
from talkers.space.contract import HEAD, FaceEdit

BLINK = HEAD.index("blink")
QUIET_SECONDS = 0.4  # of silence after which a face is taken to rest
SWAY = (  # head value, degrees or shares of the side, seconds from side to side and back
    ("yaw", 1.0, 11.3),
    ("yaw", 0.5, 6.1),
    ("pitch", 0.8, 8.9),
    ("pitch", 0.3, 3.9),
    ("roll", 0.5, 13.7),
    ("y", 0.002, 3.9),  # with the second of pitch: a breath
)


class IdleLife:
    """Motion of an avatar that is silent: a function of the frame's number, so it never jumps.

    The periods of its parts have no common multiple that anybody would live to see: no loop shows.

    Args:
        engine: the avatar's.
        resolved: what controls mean for it.
        options: of the renderer.
    """

    def __init__(self, engine: Engine, resolved: ResolvedControls, options: RenderOptions):
        self.resolved, self._statistics = resolved, engine.bundle.head
        self._rate = float(engine.frame_rate)
        silent = Session(engine, resolved, options)
        seconds = silent.delay + QUIET_SECONDS
        with torch.inference_mode():
            silence = np.zeros(int(AUDIO_RATE * seconds), np.float32)
            self._rest = silent.motion(silence, round(self._rate * seconds))[-1:]  # [1, width]
        self._phases = np.random.default_rng(resolved.seed).random(len(SWAY)) * 2 * math.pi
        self._phases[-1] = self._phases[3]  # of one breath

    def row(self, frame: int, bearing: Bearing = AT_REST) -> Tensor:
        """Motion of a frame of the session: [width].

        Args:
            frame: its number.
            bearing: what a listener adds.
        """
        statistics, track = self._statistics, self.resolved.head
        head = statistics.mean.clone()
        for (name, reach, period), phase in zip(SWAY, self._phases, strict=True):
            moved = reach * math.sin(2 * math.pi * frame / self._rate / period + phase)
            head[HEAD.index(name)] += moved
        head[: len(ANGLES)] += head.new_tensor([bearing.yaw, bearing.pitch, bearing.roll])
        turned = (head - statistics.mean)[: len(ANGLES)] * statistics.turn
        head[: len(ANGLES)] = statistics.mean[: len(ANGLES)] + turned
        head[TRANSLATION] += turned @ statistics.translation_from_rotation
        if isinstance(track, HeadTrack):
            head = track.scaled_and_clamped(head)
        wanted = track(frame, 1)[0]  # what controls ask for
        head = torch.where(wanted.isnan(), head, wanted)
        if bearing.blink:
            head[BLINK] = head[BLINK].nan_to_num(0.0).clamp(min=bearing.blink)
        smile = self.resolved.edit.smile + bearing.smile
        edit = FaceEdit(gaze=bearing.gaze, smile=min(max(smile, -1.0), 1.0))
        return self.resolved.space.edit(self._rest, edit, head[None], moving=0.0)[0]
