"""Picture and sound of a spoken video last as long as the sound that was given, to half a frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from talkers import Avatar
from talkers.media import audio_duration, decode_frames


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)])
def test_picture_and_sound_last_as_long_as_the_speech(
    rate: Fraction, tiny_avatar: Avatar, tmp_path: Path
) -> None:
    sound, video = tmp_path / "speech.wav", tmp_path / "speech.mp4"
    samples = 44_100 + 441  # 1.01 s: no whole number of frames at either rate
    noise = 0.05 * np.random.default_rng(0).standard_normal(samples)
    soundfile.write(sound, noise, 44_100)
    tiny_avatar.speak(sound, frame_rate=rate, provenance=False).save(video)
    exact = Fraction(samples, 44_100)
    assert abs(sum(1 for _ in decode_frames(video)) - exact * rate) <= 0.5
    assert abs((Fraction(audio_duration(video)) - exact) * rate) <= 0.5
