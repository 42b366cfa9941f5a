"""A style clip: how far mouth, brows and head move is taken from it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import speaker
from speaker import opening_of
from talkers import Avatar, Controls
from talkers.errors import FaceError, MediaError, MissingComponent, UsageError


def test_a_style_clip_is_taken_after(avatar: Avatar, tmp_path: Path) -> None:
    """A clip of the same person that opens its mouth half as far, with its head to one side."""
    from talkers.media import AUDIO_RATE, VideoWriter

    acts = speaker.perform(75, 5)
    sound = speaker.voice(acts.opening, 75)

    def clip(name: str, share: float, shift: float, blue: int = 0) -> Path:
        with VideoWriter(tmp_path / name, Fraction(25), [sound], AUDIO_RATE, crf=8) as writer:
            for opening in acts.opening:
                writer.write(
                    np.roll(speaker.draw(64, share * float(opening), shift, 0.0), blue, -1)
                )
        return tmp_path / name

    words = speaker.voice(speaker.perform(100, 6).opening, 100)

    def made(**asked: object) -> np.ndarray:
        return np.stack(list(avatar.speak(words, controls=Controls(blinks=0, **asked))))  # type: ignore[arg-type]

    small, large = (made(style=str(clip(f"{s}.mp4", s, 0.04))) for s in (0.4, 1.0))
    assert opening_of(small).std() < 0.8 * opening_of(large).std()
    centre = [
        ((f[:, 20:45, :, 0].astype(float) - f[:, 20:45, :, 2] > 30) * np.arange(64)).sum()
        / (f[:, 20:45, :, 0].astype(float) - f[:, 20:45, :, 2] > 30).sum()
        for f in (made(style=str(clip("left.mp4", 1.0, -0.04))), large)
    ]
    assert centre[1] - centre[0] > 2
    assert made(style=str(tmp_path / "1.0.mp4"), motion="sampler").shape == (100, 64, 64, 3)
    with pytest.raises(FaceError, match="avatar's person"):
        made(style=str(clip("blue.mp4", 1.0, 0.0, 1)))
    speaker.make_clip(tmp_path / "short.mp4", 12, 1)
    with pytest.raises(UsageError, match="hold speech"):
        made(style=str(tmp_path / "short.mp4"))
    with pytest.raises(MediaError):
        made(style=str(tmp_path / "none.mp4"))


def test_a_live_style_needs_no_pretrained_encoder_and_is_measured_once(
    avatar: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from talkers.runtime import engine, style

    def missing(config: object) -> None:
        raise MissingComponent("the pretrained speech encoder is not here")

    monkeypatch.setattr(engine, "load_speech_encoder", missing)
    monkeypatch.setattr(avatar.engine, "_speech", None)
    measured: list[object] = []
    real = style._measured
    monkeypatch.setattr(style, "_measured", lambda *given: measured.append(given) or real(*given))
    speaker.make_clip(tmp_path / "clip.mp4", 75, 5)
    controls = Controls(style=str(tmp_path / "clip.mp4"))
    sound = speaker.voice(speaker.perform(50, 6).opening, 50)
    for _ in range(2):
        assert len(list(avatar.speak(sound, controls=controls, live=True))) == 50
    assert len(measured) == 1
