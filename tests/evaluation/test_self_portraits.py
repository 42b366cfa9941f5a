"""A base is scored by showing each clip's person from the clip's first frame."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

import faces
from talkers import Avatar
from talkers.errors import FaceError, MissingComponent
from talkers.evaluation.portraits import self_portrait
from talkers.evaluation.tracked import track_clip
from talkers.evaluation.variants import RealClip, variants
from talkers.face.landmarks import EYE_CORNERS
from talkers.face.portrait import portrait_of_frame
from talkers.media import AUDIO_RATE, read_audio
from talkers.systems.portrait import tiny_portrait
from talkers.systems.recipe import with_settings
from talkers.testing.avatars import random_avatar

SIZE, FRAMES = 128, 10


@pytest.fixture(scope="module")
def clip(bundled: Avatar) -> RealClip:
    """The bundled avatar, who speaks."""
    samples = read_audio(str(files("talkers") / "avatars" / "hello.flac"))
    spoken = bundled.speak(samples[AUDIO_RATE:], size=SIZE, live=True, provenance=False)
    frames = np.stack([frame for frame, _ in zip(spoken, range(FRAMES), strict=False)])
    sound = samples[AUDIO_RATE:][: FRAMES * AUDIO_RATE // 25]
    return RealClip(frames, sound, sound, torch.zeros(FRAMES, 7))


@pytest.fixture(scope="module")
def base(clip: RealClip, tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    recipe = with_settings(tiny_portrait(), [f"renderer.size={SIZE}"])
    space = faces.fitted(recipe.space)
    try:
        found = portrait_of_frame(clip.frames[0])
    except MissingComponent as error:
        pytest.skip(str(error))
    right, left = found.points[list(EYE_CORNERS)]
    mean = (found.points - (right + left) / 2) / np.linalg.norm(left - right)
    space.mean.copy_(torch.from_numpy(mean))
    space.depth.copy_(torch.from_numpy(found.depth))
    return random_avatar(tmp_path_factory.mktemp("base"), recipe, space)


def test_a_clips_person_is_shown_and_does_what_the_clip_does(
    base: Avatar, clip: RealClip, tmp_path: Path
) -> None:
    landmarks = track_clip(clip.frames).landmarks
    landmarks[3] = np.nan  # a frame in which no face was seen
    shown, known = self_portrait(base, clip, landmarks, tmp_path / "portrait")
    assert known.motion is not None
    assert known.motion.isfinite().all()
    assert torch.equal(known.head, known.motion[:, :7])
    made = {name: make(0) for name, make in variants(shown, known).items()}
    assert {"reenacted", "speech", "live", "controls.picture", "controls.mesh_warp"} <= set(made)
    assert not {"codec", "controls.per_frame_noise"} & set(made)
    assert all(frames.shape == clip.frames.shape for frames in made.values())
    moved = np.abs(made["controls.mesh_warp"].astype(float) - clip.frames).mean()
    assert moved < 12  # grey levels: it is that person, there
    assert np.array_equal(made["controls.picture"][-1], clip.frames[0])


def test_a_clip_that_begins_without_a_face_is_told(
    base: Avatar, clip: RealClip, tmp_path: Path
) -> None:
    nobody = RealClip(np.zeros_like(clip.frames), clip.samples, clip.samples, clip.head)
    with pytest.raises(FaceError, match="no face is seen"):
        self_portrait(base, nobody, np.zeros((FRAMES, 478, 2), np.float32), tmp_path / "portrait")
    assert not (tmp_path / "portrait").exists()
