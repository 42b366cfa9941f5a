"""The bundled avatar's mouth and the demo's sentence, and real footage where it is."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from talkers import Avatar
from talkers.corpus.prepare import prepare
from talkers.corpus.views import head_values
from talkers.evaluation.contract import Utterance
from talkers.evaluation.metrics import load_metrics
from talkers.evaluation.motion import silence_motion
from talkers.evaluation.tracked import TrackedClip, track_clip
from talkers.evaluation.variants import RealClip, variants
from talkers.experts import SyncExpert, load_expert
from talkers.experts.rate import shifted
from talkers.experts.words import sentence_of_name
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


@pytest.mark.long
def test_the_bundled_avatar_keeps_real_footage_and_is_in_step(grid: Path, tmp_path: Path) -> None:
    name = load_expert("lips-pixels").about["data"]["held_out"][0]
    footage = grid / "s1" / "video" / f"{name}.mpg"
    corpus = prepare([footage], tmp_path / "corpus", jobs=1).corpus
    frames, samples = corpus.frames(name), corpus.audio(name)
    avatar = Avatar.load()
    every, reference = load_metrics(), track_clip(frames)
    asked = {name: every.metrics[name] for name in ("fidelity", "movement", "csim")}
    metrics = replace(every, metrics=asked)
    spoken = np.array(corpus.column("speech", name), bool)
    utterance = Utterance(samples, spoken, sentence_of_name(name))
    head = torch.from_numpy(head_values(corpus, name))
    made = variants(avatar, RealClip(frames, samples, samples, head))

    def scored(variant: str) -> dict[str, float]:
        generated = reference if variant == "controls.real" else track_clip(made[variant](0), 0.0)
        return dict(metrics.score(generated, reference, utterance).figures)

    codec, speech, real = map(scored, ("codec", "speech", "controls.real"))
    assert codec["psnr"] > 36  # the bundled avatar's codec on a clip that it has not seen
    assert codec["psnr_mouth"] > 33
    assert codec["mouth_r2"] > 0.6
    assert codec["eye_r2"] > 0.5
    assert codec["ssim"] > 0.95
    assert codec["flicker_ratio"] < 1
    assert codec["csim"] > 0.9
    assert speech["in_sync"] == 1
    assert real["csim"] > 0.99
    assert real["lip_wer"] < 0.5
