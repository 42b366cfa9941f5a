"""A film and the face in it, frame by frame: where it is, and where it cannot be dubbed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.errors import FaceError, MediaError
from talkers.face.covered import LOWER, covered_frames, spot_colours
from talkers.face.crop import Crop
from talkers.face.identity import FaceDescriptor, descriptor_or_reason
from talkers.face.landmarks import FaceReading, mouth_opening
from talkers.face.person import PersonTracker
from talkers.face.speaker import speaker_of
from talkers.media import AUDIO_RATE, audio_blocks, decode_frames, probe
from talkers.media.probe import MediaInfo
from talkers.progress import Report
from talkers.runtime.donors import Mouth, donor_frames
from talkers.runtime.film_points import FilmPoints
from talkers.space.face_motion import FaceMotionSpace
from talkers.speech import LEVEL_RATE, loudness_of, speech_activity

MAX_YAW, MAX_PITCH = 35.0, 30.0  # degrees: beyond them half of the mouth is not to be seen
BACK = 4.0  # degrees by which a head must come back
MAX_RATE = 480  # frames a second that a camera takes
MAX_GAP = 3  # frames without a face that are bridged
MIN_FACE = 40.0  # pixels of its height
AROUND = 1.05  # inter-ocular distances from the middle of what is cut out to its edges
BELOW_EYES = 0.95  # of that square's middle
OPEN = 0.05  # inter-ocular distances: a mouth so far open is as bad a donor as one that moves
MIN_RESTING = 8  # frames in which nothing is said, from which is told how the person rests
RESTS = 60  # frames from which is told how the person rests
TOGETHER = 256  # frames that are looked at together
DONOR_BYTES, MIN_DONORS = 100_000_000, 4  # of the pictures of all donors; so many there may be
SEEN, UNSEEN, ASIDE, SMALL, OTHERS, COVERED = range(6)
WHY = {
    UNSEEN: "no face is seen",
    ASIDE: "the head is turned away",
    SMALL: "the face is too small",
    OTHERS: "only other people are seen",
    COVERED: "something is before the mouth",
}


@dataclass(frozen=True)
class FilmFace:
    """The face of a film of T frames.

    Attributes:
        points: [T] key points [478, 2] in pixels, NaN where there is none.
        yaw: float32 [T] of the head, degrees.
        state: int [T], `SEEN` or why a frame cannot be dubbed.
        shot: int [T] of the film.
        rest: [478, 2] canonical key points of the person at rest.
        donors: lower faces whose mouths rest.
        widest: the one with the widest mouth.
    """

    points: FilmPoints
    yaw: NDArray[np.float32]
    state: NDArray[np.int64]
    shot: NDArray[np.int64]
    rest: Tensor
    donors: list[Mouth]
    widest: Mouth

    def crop(self, number: int) -> Crop:
        """The square around the lower face of a frame, as it is in the film."""
        return crop_around(self.points[number])

    def shares(self, number: int, crop: Crop) -> Tensor:
        """Key points of a frame [478, 2] in shares of a crop's side."""
        return shares_of(self.points[number], crop)


def shares_of(points: NDArray[np.float32], crop: Crop) -> Tensor:
    """Key points [478, 2] in pixels -> in shares of a crop's side."""
    return torch.from_numpy(crop.to_crop(points) / np.float32(crop.size))


def crop_around(points: NDArray[np.float32]) -> Crop:
    """The square around a lower face: key points [478, 2] in pixels."""
    right, left = points[33], points[263]
    unit = float(np.linalg.norm(left - right))
    down = np.array([-(left - right)[1], (left - right)[0]]) * BELOW_EYES
    middle = (right + left) / 2 + down
    side = max(32, round(2 * AROUND * unit))
    return Crop(round(middle[0] - side / 2), round(middle[1] - side / 2), side, side)


def film_info(path: str | os.PathLike[str]) -> MediaInfo:
    """What a film is like.

    Raises:
        MediaError: it cannot be read, holds no moving picture, or its time stamps are damaged.
    """
    info = probe(path)
    if info.video is None or info.video.still:
        raise MediaError("this holds no moving picture", where=path, todo="Name a film")
    if info.video.frame_rate > MAX_RATE:
        raise MediaError(
            f"this film says that it has {float(info.video.frame_rate):.0f} frames a second",
            where=path,
            why="its time stamps are damaged",
            todo="Write it anew, for instance with `ffmpeg -r 25 -i film.mp4 anew.mp4`",
        )
    return info


def film_face(
    path: str | os.PathLike[str],
    space: FaceMotionSpace,
    face: str,
    report: Report,
    note: Callable[[str], None],
) -> FilmFace:
    """Find the face of a film in all of its frames.

    Args:
        path: the film.
        space: of face motion.
        face: "auto" (whose lips go with the film's sound), "largest", "left", "right" or "x,y" of
            a place in its first frame with faces.
        report: called with a sentence, frames done and frames in all.
        note: called with a sentence where the film is damaged, was brought to another form, or a
            choice was made.

    Raises:
        MediaError: it cannot be read, or is no film. FaceError: no frame of it can be dubbed.
        UsageError: no such face.
    """
    info = film_info(path)
    assert info.video is not None
    rate = info.video.frame_rate
    total = round(float(info.duration or 0) * rate)
    described = descriptor_or_reason()
    describer = None if isinstance(described, str) else described
    face, known = _who(path, info, describer, note) if face == "auto" else (face, None)
    scan = _Scan(space, max(1, total // RESTS))
    with PersonTracker(face, describer, known) as person:
        for number, frame in enumerate(decode_frames(path, rate, note)):
            scan.add(frame, person.read(frame), person.cuts, person.others)
            report("finding the face", number + 1, max(total, number + 1))
        if person.cuts and isinstance(described, str):
            note(f"the film has cuts, and people are not told apart: {described}")
    return scan.found(path, rate, unsaid(path, rate, scan.count))


def _who(
    path: str | os.PathLike[str],
    info: MediaInfo,
    describer: FaceDescriptor | None,
    note: Callable[[str], None],
) -> tuple[str, NDArray[np.float32] | None]:
    """Which face speaks in a film: its name, and how it is described."""
    assert info.video is not None
    speaker = None
    if info.audio is not None:
        speaker = speaker_of(path, info.video.frame_rate, describer)
    if speaker is None:
        return "largest", None
    x, y = speaker.place
    sure = "" if speaker.clear else ", though not for sure"
    note(
        f"{speaker.faces} faces are seen; the lips of the one at {x:.0f},{y:.0f} go with the "
        f"sound{sure}. Choose another with --face left, right or x,y"
    )
    known = None if speaker.descriptor is None else speaker.descriptor[None]
    return f"{max(0.0, x):.0f},{max(0.0, y):.0f}", known


class _Scan:
    """What is found of the face in each frame.

    Args:
        space: of face motion.
        every: frames from one to the next of those that tell how the person rests.
    """

    def __init__(self, space: FaceMotionSpace, every: int):
        self._space, self._every = space, every
        self._points = FilmPoints()
        self._colours: list[NDArray[np.float32]] = []
        self._yaw: list[float] = []
        self._states: list[int] = []
        self._shots: list[int] = []
        self._rests: list[Tensor] = []

    def add(
        self, frame: NDArray[np.uint8], reading: FaceReading | None, shot: int, others: bool
    ) -> None:
        """Take the next frame, its face, and which shot it belongs to.

        Args:
            frame: uint8 [H, W, 3].
            reading: None where the face is not seen.
            shot: of the frame.
            others: whether other faces are seen instead.
        """
        number = len(self._states)
        same = bool(self._shots) and self._shots[-1] == shot
        self._states.append(_state_of(reading, self._states[-1] if same else SEEN, others))
        self._shots.append(shot)
        self._points.append(None if reading is None else reading.landmarks)
        self._colours.append(np.full((len(LOWER), 3), np.nan, np.float32))
        before = self._yaw[-1] if self._yaw else 0.0
        self._yaw.append(before if reading is None else float(reading.angles[0]))
        if reading is None or self._states[-1] != SEEN:
            return
        crop = crop_around(reading.landmarks)
        square, points = crop.cut(frame), shares_of(reading.landmarks, crop)
        self._colours[-1] = spot_colours(square, points.numpy())
        if number % self._every == 0 or not self._rests:
            shapes = torch.from_numpy(reading.blendshapes)
            self._rests.append(self._space.rest_of_picture(points, shapes))
            if len(self._rests) > 2 * RESTS:  # the film is longer than it said
                self._rests, self._every = self._rests[::2], 2 * self._every

    @property
    def count(self) -> int:
        """Frames until now."""
        return len(self._states)

    def found(
        self, path: str | os.PathLike[str], rate: Fraction, still: NDArray[np.bool_]
    ) -> FilmFace:
        """What was found in all frames.

        Args:
            path: of the film.
            rate: frames a second.
            still: bool [T], frames in which nothing is said.

        Raises:
            FaceError: none of them can be dubbed.
        """
        if not self._rests:
            why = {WHY[state] for state in self._states if state != SEEN}
            raise FaceError(
                "no frame of this film can be dubbed",
                where=path,
                why=", ".join(sorted(why)) or None,
                todo="Use a film that shows a face from the front",
            )
        covered = covered_frames(np.stack(self._colours))
        points, shot, yaw = self._points, np.array(self._shots), np.array(self._yaw, np.float32)
        seen = np.array(self._states) == SEEN
        good = seen & ~covered if (seen & ~covered).any() else seen
        rest, wide = self._rest(still & good), np.zeros(len(points), np.float32)
        unrest, numbers = wide.copy(), np.flatnonzero(good)
        for first in range(0, len(numbers), TOGETHER):
            some = numbers[first : first + TOGETHER]
            rows = points.rows(some)
            shares = torch.stack([shares_of(row, crop_around(row)) for row in rows])
            moved = self._space.motion_of(shares, rest)[:, self._space.mouth]
            wide[some], unrest[some] = mouth_opening(rows), moved.square().mean(1).sqrt().numpy()
        state = bridged(points, np.array(self._states), shot)
        state[covered] = COVERED
        donors = donor_frames(unrest + wide / OPEN, shot, yaw, good)
        side = crop_around(points[donors[0]]).side
        donors = donors[: max(MIN_DONORS, DONOR_BYTES // (3 * side**2))]
        mouths = cut_mouths(path, rate, points, shot, yaw, [*donors, int(wide.argmax())])
        return FilmFace(points, yaw, state, shot, rest, mouths[:-1], mouths[-1])

    def _rest(self, good: NDArray[np.bool_]) -> Tensor:
        """Canonical key points [478, 2] of the person at rest: of such frames [T], if there are
        enough and the mouth is not open in them, else as the face in the others tells it."""
        usual, numbers = torch.stack(self._rests).median(0).values, np.flatnonzero(good)
        if len(numbers) < MIN_RESTING:
            return usual
        chosen = numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), RESTS)).astype(int)]
        crops = [crop_around(self._points[n]) for n in chosen]
        shares = [shares_of(self._points[n], crop) for n, crop in zip(chosen, crops, strict=True)]
        rest = self._space.canonical(torch.stack(shares)).median(0).values
        return rest if _opening(rest) < _opening(usual) + OPEN / 2 else usual


def _opening(points: Tensor) -> float:
    """Of the mouth, in inter-ocular distances: key points [478, 2]."""
    return float(mouth_opening(points.numpy()))


def cut_mouths(
    path: str | os.PathLike[str],
    rate: Fraction,
    points: FilmPoints,
    shot: NDArray[np.int64],
    yaw: NDArray[np.float32],
    numbers: list[int],
) -> list[Mouth]:
    """Lower faces of some frames of a film.

    Args:
        path: the film.
        rate: frames a second.
        points: [T] key points in pixels.
        shot: [T].
        yaw: [T] degrees.
        numbers: of the frames.
    """
    found, wanted = dict[int, Mouth](), sorted(set(numbers))
    for number, frame in zip(wanted, decode_frames(path, rate, only=wanted), strict=True):
        crop = crop_around(points[number])
        at = shares_of(points[number], crop)
        place = int(shot[number]), float(yaw[number])
        found[number] = Mouth(crop.cut(frame), at, number, *place)
    return [found[number] for number in numbers]


def unsaid(path: str | os.PathLike[str], rate: Fraction, count: int) -> NDArray[np.bool_]:
    """In which frames of a film nothing is said: bool [count]; none where it has no sound."""
    if probe(path).audio is None:
        return np.zeros(count, bool)
    levels, _ = loudness_of(audio_blocks(path), AUDIO_RATE, LEVEL_RATE)
    said = speech_activity(levels)
    if not said.any():
        return np.zeros(count, bool)
    at = ((np.arange(count) + 0.5) / float(rate) * LEVEL_RATE).astype(int)
    return ~said[np.minimum(at, len(said) - 1)].astype(bool)


def bridged(
    points: FilmPoints, state: NDArray[np.int64], shot: NDArray[np.int64]
) -> NDArray[np.int64]:
    """States [T] without gaps of a few frames between which the face is seen, whose key points are
    written. A gap in which another shot begins stays.
    """
    seen = np.flatnonzero(state == SEEN)
    for before, after in pairwise(seen):
        between = slice(before + 1, after)
        short = 1 < after - before <= MAX_GAP + 1 and shot[before] == shot[after]
        if short and (state[between] == UNSEEN).all():
            first, last = points[int(before)], points[int(after)]
            for number in range(before + 1, after):
                points[number] = first + (number - before) / (after - before) * (last - first)
            state[between] = SEEN
    return state


def _state_of(reading: FaceReading | None, before: int, others: bool) -> int:
    """Whether a frame with this face can be dubbed, and the one before it could."""
    if reading is None:
        return OTHERS if others else UNSEEN
    yaw, pitch, _ = map(abs, map(float, reading.angles))
    back = BACK if before == ASIDE else 0.0  # a head at the limit does not flicker
    if yaw > MAX_YAW - back or pitch > MAX_PITCH - back:
        return ASIDE
    return SMALL if float(np.ptp(reading.landmarks[:, 1])) < MIN_FACE else SEEN
