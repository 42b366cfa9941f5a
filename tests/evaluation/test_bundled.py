"""The bundled avatar's mouth and the demo's sentence: no weights are fetched, no footage is needed."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from talkers import Avatar
from talkers.evaluation.motion import silence_motion
from talkers.evaluation.tracked import TrackedClip, track_clip
from talkers.experts import SyncExpert, load_expert
from talkers.experts.rate import shifted
from talkers.media import AUDIO_RATE, read_audio
from talkers.speech import loudness, speech_activity

SECONDS = 3


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    sentence = read_audio(str(files("talkers") / "avatars" / "hello.flac"))
    return sentence[: SECONDS * AUDIO_RATE]


@pytest.fixture(scope="module")
def speech(samples: np.ndarray) -> np.ndarray:
    return speech_activity(loudness(samples, AUDIO_RATE, 25, SECONDS * 25))


@pytest.fixture(scope="module")
def spoken(samples: np.ndarray, bundled: Avatar) -> TrackedClip:
    return track_clip(np.stack(list(bundled.speak(samples, live=True))))


@pytest.mark.parametrize("sees", ["pixels", "points"])
def test_the_bundled_avatar_is_in_step_with_its_sound(
    sees: str, spoken: TrackedClip, samples: np.ndarray, speech: np.ndarray
) -> None:
    """The experts find it in step, and find by how much its sound is moved."""
    expert = load_expert(f"sync-{sees}")
    assert isinstance(expert, SyncExpert)
    for shift in (0, 5, -5):
        offset, _ = expert.sync(spoken.mouths, shifted(samples, shift), speech)
        assert abs(offset - shift) <= 1, shift


def test_the_bundled_avatars_mouth_moves_for_speech_only(
    spoken: TrackedClip, speech: np.ndarray, samples: np.ndarray, bundled: Avatar
) -> None:
    assert spoken.found.all()
    assert spoken.opening[speech].std() > 0.02
    silence = np.zeros(AUDIO_RATE, np.float32)
    still = track_clip(np.stack(list(bundled.speak(silence, live=True))))
    assert silence_motion(still.opening, np.zeros(len(still.frames), bool)) <= 0.1
    assert still.opening.std() < 0.3 * spoken.opening[speech].std()
