"""Foreign clips are cut as the avatar's own footage was."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkers import Avatar
from talkers.corpus.prepare import prepare
from talkers.corpus.views import face_scale
from talkers.errors import ArtefactError, FaceError, MissingComponent
from talkers.face.source import FaceScale, cropped_clip
from talkers.media import AUDIO_RATE, VideoWriter, decode_frames

RATE = Fraction(25)


def write(path: Path, picture: np.ndarray, count: int = 30) -> Path:
    """A film of one picture, with a camera's noise and sound."""
    rng = np.random.default_rng(0)
    sound = 0.1 * rng.normal(size=count * AUDIO_RATE // 25)
    with VideoWriter(path, RATE, [sound.astype(np.float32)], AUDIO_RATE, crf=10) as writer:
        for _ in range(count):
            noise = rng.normal(0, 2, picture.shape)
            writer.write(np.clip(picture + noise, 0, 255).astype(np.uint8))
    return path


def placed(face: np.ndarray, share: float, width: int = 640, height: int = 480) -> np.ndarray:
    """A portrait, enlarged, in the middle of a grey picture."""
    side = round(len(face) * share)
    frame = np.full((height, width, 3), 128, np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    frame[top : top + side, left : left + side] = np.asarray(
        Image.fromarray(face).resize((side, side), Image.Resampling.LANCZOS)
    )
    return frame


@pytest.fixture(scope="module")
def portrait(bundled: Avatar) -> np.ndarray:
    return next(decode_frames(bundled.engine.folder / "preview.png"))


def test_a_clip_of_the_corpus_is_cut_to_the_pixel_as_the_corpus_was(
    portrait: np.ndarray, tmp_path: Path
) -> None:
    """The camera's scale is that of all takes together; a take's own face is 15 % larger."""
    clips = [
        write(tmp_path / f"{k}.mp4", placed(portrait, share))
        for k, share in enumerate((0.8, 0.82, 0.92))
    ]
    try:
        corpus = prepare(clips, tmp_path / "c", size=128, jobs=1).corpus
    except MissingComponent as error:
        pytest.skip(str(error))
    scale = face_scale(corpus)
    assert scale == FaceScale.from_json(scale.as_dict())
    for clip, name in zip(clips, corpus.names, strict=True):
        count, frames = cropped_clip(clip, RATE, 128, scale=scale)
        assert count == 30
        difference = np.abs(next(frames).astype(float) - corpus.frames(name)[0]).mean()
        assert difference < 4, name  # of two encodings of one picture


def test_another_camera_is_cut_to_the_same_share() -> None:
    scale = FaceScale(0.52, {"640x480": 100.0})
    assert scale.height_for(110, 640, 480) == 100.0
    # side = 2 * height_for; the face is 0.52 of it
    assert 200 / (2 * scale.height_for(200, 640, 480)) == pytest.approx(0.52)
    assert 110 / (2 * scale.height_for(110, 1920, 1080)) == pytest.approx(0.52)


def test_a_clip_of_the_right_size_must_show_a_face(portrait: np.ndarray, tmp_path: Path) -> None:
    size = len(portrait)
    try:
        count, frames = cropped_clip(write(tmp_path / "a.mp4", portrait), RATE, size)
    except MissingComponent as error:
        pytest.skip(str(error))
    assert (count, next(frames).shape) == (30, portrait.shape)
    wall = np.full_like(portrait, 90)
    with pytest.raises(FaceError, match="no face"):
        cropped_clip(write(tmp_path / "wall.mp4", wall), RATE, size)


@pytest.mark.parametrize(
    "damage",
    [
        1,
        [],
        {},
        {"face_height": "x"},
        {"face_height": float("nan")},
        {"face_height": 0.5, "face_heights": 3},
    ],
)
def test_a_damaged_scale_is_told(damage: object) -> None:
    with pytest.raises(ArtefactError, match="damaged"):
        FaceScale.from_json(damage)
