"""Listening: nods follow the speaker's sound, and only where somebody listens."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from talkers import Avatar, LiveTerms
from talkers.dialogue.film import FilmClock
from talkers.errors import UsageError
from talkers.runtime.listening import Bearing, Listening, pitch_of

RATE = 16_000


def speech(seconds: float, pitch: float = 140.0) -> np.ndarray:
    """Something voiced that falls in pitch."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 - 0.3 * t / seconds)) / RATE
    return (0.2 * np.sin(phase) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))).astype(np.float32)


def bearings(sound: np.ndarray, attitude: str = "neutral") -> np.ndarray:
    """Yaw and pitch of each frame [T, 2] while a sound is heard."""
    listener, rows = Listening(25.0, attitude), []
    for k in range(len(sound) // 640):
        listener.hear(sound[k * 640 : (k + 1) * 640], RATE)
        bearing = listener.bearing(k)
        rows.append((bearing.yaw, bearing.pitch))
    return np.array(rows)


def test_a_pause_is_answered_with_a_nod() -> None:
    quiet = np.zeros(RATE, np.float32)
    sound = np.concatenate([quiet, speech(2.0), quiet, quiet])
    pitch = bearings(sound, "positive")[:, 1]
    ends = 3 * 25
    assert np.abs(pitch[:24]).max() < 0.1  # nobody spoke yet
    assert pitch[ends + 5 : ends + 20].min() < -1.5  # down, soon after the end
    assert np.abs(pitch[ends + 35 :]).max() < 0.5  # and up again


def test_attitudes_differ() -> None:
    sound = np.concatenate([speech(1.5), np.zeros(RATE, np.float32)] * 4)
    moved = {a: np.abs(bearings(sound, a)).max(0) for a in ("positive", "neutral", "negative")}
    assert moved["positive"][1] > moved["neutral"][1] > moved["negative"][1]
    assert moved["negative"][0] > 1.0 > moved["positive"][0]
    with pytest.raises(UsageError, match="attitude 'rude'"):
        Listening(25.0, "rude")


def test_smiles_come_where_the_speaker_pauses() -> None:
    sound = np.concatenate(
        [np.zeros(RATE, np.float32), speech(2.0), np.zeros(2 * RATE, np.float32)]
    )
    found = {}
    for attitude in ("positive", "neutral", "negative"):
        listener, rows = Listening(25.0, attitude), []
        for k in range(len(sound) // 640):
            listener.hear(sound[k * 640 : (k + 1) * 640], RATE)
            rows.append(listener.bearing(k).smile)
        found[attitude] = np.array(rows)
    ends = 3 * 25
    assert np.abs(found["positive"][:24]).max() < 0.02  # nobody spoke yet
    assert found["positive"][ends + 8 : ends + 35].max() > 0.3
    assert found["positive"][-1] < 0.1  # it fades
    assert found["positive"].max() > found["neutral"].max() > 0.05
    assert found["negative"].min() < -0.1
    assert found["negative"].max() < 0.01
    assert max(np.abs(np.diff(row)).max() for row in found.values()) < 0.08  # without a jump


def test_however_the_sound_is_cut_the_nods_are_the_same() -> None:
    sound = np.concatenate([speech(2.0), np.zeros(RATE, np.float32)])
    whole, parts = Listening(25.0), Listening(25.0)
    whole.hear(sound, RATE)
    for k in range(0, len(sound), 1_111):
        parts.hear(sound[k : k + 1_111], RATE)
    assert [whole.bearing(k) for k in range(20)] == [parts.bearing(k) for k in range(20)]


@pytest.mark.parametrize("pitch", [90.0, 150.0, 240.0])
def test_pitch(pitch: float) -> None:
    t = np.arange(1_280) / RATE
    voiced = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 6)).astype(np.float32)
    assert pitch_of(0.1 * voiced) == pytest.approx(pitch, rel=0.03)
    noise = np.random.default_rng(0).normal(0, 0.1, 1_280).astype(np.float32)
    assert pitch_of(noise) == 0.0
    assert pitch_of(np.zeros(1_280, np.float32)) == 0.0


class Bears:
    """A listener that looks aside, and keeps what it heard."""

    def __init__(self) -> None:
        self.heard = 0

    def hear(self, samples: np.ndarray, rate: float) -> None:
        self.heard += len(samples)

    def bearing(self, frame: int) -> Bearing:
        return Bearing(pitch=-6.0, blink=1.0, gaze=(0.4, 0.0))


def test_a_session_shows_what_its_listener_does() -> None:
    session = Avatar.load("mock").session(terms=LiveTerms(sound_rate=RATE), clock=FilmClock())
    idle = session._playlist.behaviour.idle
    space = idle.resolved.space
    session.hear(np.zeros(10, np.float32), RATE)  # nobody listens
    before = space.read(idle.row(3))
    session.listener = Bears()  # type: ignore[assignment]
    session.hear(np.zeros(10, np.float32), RATE)
    assert session.listener.heard == 10  # type: ignore[union-attr]
    shown = []
    blend = session._maker._blend.row
    session._maker._blend.row = lambda *given: shown.append(given[0]) or blend(*given)  # type: ignore
    for _ in islice(session, 4):
        pass
    after = space.read(shown[3])
    assert after.pose[1] < before.pose[1] - 3
    assert after.blink[0] == 1.0
    assert after.gaze[0] == pytest.approx(before.gaze[0] + 0.4)
