"""Other voices in training: they are as drawn, and nothing is said sooner or later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from talkers import Avatar, Controls
from talkers.corpus import Corpus
from talkers.errors import MissingComponent
from talkers.evaluation.tracked import track_clip
from talkers.experts.words import written
from talkers.media import AUDIO_RATE, read_audio
from talkers.progress import quiet
from talkers.speech.voices import Said
from talkers.systems.dae_talker import tiny
from talkers.systems.recipe import with_settings
from talkers.training.augment import (
    Augmentation,
    at_positions,
    augment_voice,
    coloured,
    dtw_align,
    generator,
    music,
    non_speech,
    shift_formants,
    time_stretch,
)
from talkers.training.features import speech_features
from talkers.training.student_data import student_sounds
from talkers.training.variants import sound_variants


def vowels(seconds: float, pitch: float = 120.0, formant: float = 700.0) -> np.ndarray:
    """Syllables of a buzzing voice with one formant, half a second each, and silence between."""
    time = np.arange(int(seconds * AUDIO_RATE)) / AUDIO_RATE
    harmonics = np.arange(1, int(4000 / pitch)) * pitch
    gains = np.exp(-(((harmonics - formant) / 150) ** 2)) + 0.003
    made = sum(g * np.sin(2 * np.pi * h * time) for g, h in zip(gains, harmonics, strict=True))
    return (0.2 * made * ((time % 1 > 0.06) & (time % 1 < 0.5))).astype(np.float32)


def pitch_of(sound: np.ndarray) -> float:
    part = sound[1600 : 1600 + 4096]
    lags = np.correlate(part, part, "full")[len(part) :]
    first = AUDIO_RATE // 400
    return AUDIO_RATE / (first + 1 + int(np.argmax(lags[first : AUDIO_RATE // 70])))


def formant_of(sound: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(sound[1600:7600] * np.hanning(6000))) ** 2
    hertz = np.fft.rfftfreq(6000, 1 / AUDIO_RATE)
    return float((power * hertz).sum() / power.sum())


@pytest.mark.parametrize(
    ("pitch", "speed", "formants"),
    [(1.5, 1.0, 1.0), (0.8, 1.0, 0.9), (1.0, 1.2, 1.0), (1.0, 0.85, 1.25), (1.8, 1.1, 1.2)],
)
def test_pitch_speed_and_formants_are_changed_apart(
    pitch: float, speed: float, formants: float
) -> None:
    sound = vowels(4)
    made = augment_voice(
        sound, Augmentation(pitch=pitch, speed=speed, formants=formants), generator("a", 0)
    )
    assert abs(len(made) - len(sound) / speed) <= 2
    assert pitch_of(made) == pytest.approx(120 * pitch, rel=0.04)
    assert formant_of(made) / formant_of(sound) == pytest.approx(formants, rel=0.1)
    loud = [np.convolve(np.square(x), np.ones(400), "same") for x in (sound, made)]
    begins = [
        np.flatnonzero(np.diff((x > 0.1 * x.max()).astype(int)) == 1) / AUDIO_RATE for x in loud
    ]
    assert len(begins[1]) >= 3
    assert (
        np.abs(begins[1][:3] * speed - begins[0][:3]).max() < 0.05
    )  # every syllable at its time, to about a frame


def test_rooms_noise_and_telephones_are_heard() -> None:
    sound, random = vowels(2), generator("a", 1)
    pause = slice(int(0.6 * AUDIO_RATE), int(0.9 * AUDIO_RATE))
    assert np.abs(sound[pause]).max() == 0
    assert np.abs(augment_voice(sound, Augmentation(echo=0.5), random)[pause]).max() > 1e-3
    noisy, quiet = (
        augment_voice(sound, Augmentation(noise=level), random)[pause].std()
        for level in (5.0, 25.0)
    )
    assert noisy / quiet == pytest.approx(10, rel=0.1)
    low = augment_voice(vowels(2, formant=150), Augmentation(telephone=True), random)
    assert np.abs(low).max() < 0.6 * np.abs(vowels(2, formant=150)).max()
    hertz = np.fft.rfftfreq(32_000, 1 / AUDIO_RATE)
    power = {c: np.abs(np.fft.rfft(coloured(32_000, c, random))) ** 2 for c in (0.0, 2.0)}
    tilt = {
        c: p[(hertz > 100) & (hertz < 200)].mean() / p[(hertz > 3200) & (hertz < 6400)].mean()
        for c, p in power.items()
    }
    assert tilt[0.0] == pytest.approx(1, rel=0.5)
    assert tilt[2.0] > 200


def test_a_clip_is_always_altered_in_the_same_way() -> None:
    assert Augmentation.drawn(generator("clip", 1)) == Augmentation.drawn(generator("clip", 1))
    assert Augmentation.drawn(generator("clip", 1)) != Augmentation.drawn(generator("clip", 2))
    many = [Augmentation.drawn(generator("clip", k)) for k in range(300)]
    for how in many:
        assert how.speed / how.pitch >= 0.5  # FFmpeg's least
        assert 0.8 <= how.formants <= 1.35
    assert len(
        augment_voice(vowels(1), Augmentation(pitch=1.9, speed=0.55 * 1.9), generator("a", 0))
    ) == round(AUDIO_RATE / (0.55 * 1.9))
    assert np.array_equal(non_speech(8000, generator("b", 0)), non_speech(8000, generator("b", 0)))


def test_wordless_sounds_are_sounds() -> None:
    for k in range(6):
        sound = non_speech(AUDIO_RATE, generator("c", k))
        assert sound.shape == (AUDIO_RATE,)
        assert np.isfinite(sound).all()
        assert 1e-4 < sound.std() < 2
    assert np.abs(music(AUDIO_RATE, generator("c", 9))).max() == pytest.approx(1)
    assert np.array_equal(shift_formants(vowels(1), 1.0), shift_formants(vowels(1), 1.0))
    assert np.abs(shift_formants(vowels(1), 1.0) - vowels(1)).max() < 1e-3
    assert len(time_stretch(vowels(1), 0.6)) == round(AUDIO_RATE / 0.6)


def test_another_recording_of_the_same_words_is_brought_into_time() -> None:
    """Rows that say 0, 1, 2, ... at one pace and at another: each row finds its own."""
    torch.manual_seed(0)
    words = torch.randn(12, 32)
    one = [0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 5, 6, 6, 7, 8, 8, 9, 10, 10, 11, 11]
    two = [0, 1, 1, 1, 2, 2, 2, 3, 4, 4, 4, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11]
    heard, other = (words[torch.tensor(x)] + 0.1 * torch.randn(len(x), 32) for x in (one, two))
    positions = dtw_align(heard, other)
    assert (positions.diff() >= 0).all()
    found = [two[round(float(p))] for p in positions]
    assert np.mean([abs(a - b) <= 1 for a, b in zip(found, one, strict=True)]) == 1
    assert np.mean([a == b for a, b in zip(found, one, strict=True)]) > 0.5
    assert at_positions(other, positions).shape == heard.shape


def mouth_of(avatar: Avatar, sound: np.ndarray) -> np.ndarray:
    """What the avatar's mouth does, read from its latents: [T]."""
    motion = torch.cat(list(avatar.speak(sound, controls=Controls("still", blinks=0)).motion()))
    return avatar.engine.space.read(motion).mouth[:, 0].numpy()


@pytest.fixture(scope="module")
def hello(bundled: Avatar) -> np.ndarray:
    try:
        assert bundled.engine.speech_encoder
    except MissingComponent as error:
        pytest.skip(str(error))
    return read_audio(bundled.engine.folder.parent / "hello.flac")


def test_music_and_noise_do_not_make_the_bundled_avatar_speak(
    bundled: Avatar, hello: np.ndarray
) -> None:
    def opening(sound: np.ndarray) -> np.ndarray:
        return track_clip(np.stack(list(bundled.speak(sound, controls=Controls(blinks=0))))).opening

    said, still = opening(hello[: 3 * AUDIO_RATE]).std(), opening(np.zeros(AUDIO_RATE, np.float32))
    assert still.std() < 0.05 * said
    moved = [opening(non_speech(2 * AUDIO_RATE, generator("never heard", k))) for k in range(2)]
    assert np.mean([o.std() for o in moved]) < 0.3 * said
    assert np.mean([(np.abs(np.diff(o)) > 0.02).mean() for o in moved]) < 0.04


@pytest.mark.parametrize(
    "how",
    [
        Augmentation(1.6, 1.0, 1.2),
        Augmentation(0.75, 1.0, 0.9),
        Augmentation(noise=10.0, colour=1.0),
        Augmentation(echo=0.5),
        Augmentation(telephone=True),
    ],
)
def test_other_voices_and_rooms_move_the_bundled_avatar_alike(
    bundled: Avatar, hello: np.ndarray, how: Augmentation
) -> None:
    plain, other = (
        mouth_of(bundled, hello),
        mouth_of(bundled, augment_voice(hello, how, generator("hello", 0))),
    )
    count = min(len(plain), len(other))
    assert np.corrcoef(plain[:count], other[:count])[0, 1] > 0.75
    assert 0.6 < other.std() / plain.std() < 1.5


def test_others_say_what_is_said_in_a_clip(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every clip is said by four of eight voices; the streaming encoder hears the first of them."""
    shutil.copytree(corpus.folder, tmp_path / "corpus", ignore=shutil.ignore_patterns(".cache"))
    about = json.loads((tmp_path / "corpus" / "corpus.json").read_text())
    about["clips"] = [clip | {"transcript": f"number {k}"} for k, clip in enumerate(about["clips"])]
    (tmp_path / "corpus" / "corpus.json").write_text(json.dumps(about))
    told, said = Corpus(tmp_path / "corpus"), list[tuple[str, str]]()

    class Teller:
        rate = 24_000

        def __init__(self, name: str):
            self.name = name

        def say(self, text: str, speed: float = 1.0) -> Said:
            said.append((text, self.name))
            return Said(np.random.default_rng(0).standard_normal(24_000).astype(np.float32))

    voices = [f"voice {k}" for k in range(8)]
    recipe = with_settings(tiny(), [f"stages.regressor.tts_voices={json.dumps(voices)}"])
    monkeypatch.setattr("talkers.training.variants.load_voice", Teller)
    features = speech_features(told, recipe, quiet)
    tellers = {
        clip.transcript: [name for text, name in said if text == clip.transcript]
        for clip in told.clips
    }
    assert len(said) == 4 * len(told.clips)
    assert all(len(set(names)) == 4 for names in tellers.values())
    assert len({frozenset(names) for names in tellers.values()}) > 1
    assert {name for _, name in said} == set(voices)
    assert all(
        tuple(features.variants(clip.name)) == sound_variants(recipe)
        and len(sound_variants(recipe)) == 3 + 3 + 3 + 4
        for clip in told.clips
    )
    assert (
        len(sound_variants(with_settings(recipe, ['stages.regressor.tts_voices=["one"]'])))
        == 3 + 3 + 3 + 1
    )
    said.clear()
    student_sounds(told, recipe, quiet)
    assert said == [(clip.transcript, tellers[clip.transcript][0]) for clip in told.clips]


def test_letters_are_said_as_letters() -> None:
    """An engine takes "a" for the article, and Americans call the last letter zee."""
    assert written(("lay", "red", "at", "a", "two", "now")) == "lay red at eigh two now"
    assert written(("lay", "red", "at", "z", "two", "now")) == "lay red at zed two now"
    try:
        from piper.phonemize_espeak import EspeakPhonemizer
    except ImportError:
        pytest.skip("saying text needs piper-tts")
    said = [
        "".join(map("".join, EspeakPhonemizer().phonemize("en-us", written(("at", letter, "two")))))
        for letter in "az"
    ]
    assert "ˈeɪ" in said[0]
    assert "zˈɛd" in said[1]
