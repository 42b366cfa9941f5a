"""A film says other words: its lips change, and nothing else."""

from __future__ import annotations

import json
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from talkers import Avatar
from talkers.cli import main
from talkers.errors import ArtefactError, FaceError, UsageError
from talkers.evaluation.tracked import track_clip
from talkers.media import decode_frames, probe, read_audio
from talkers.media.encode import VideoWriter
from talkers.runtime.bundle import base_folder
from talkers.runtime.dubbing import Dubbing, DubTerms
from talkers.runtime.film import ASIDE, UNSEEN, _bridged

SENTENCE = str(files("talkers") / "avatars" / "hello.flac")
FRAMES, RATE = 30, Fraction(25)
LEFT, TOP = 150, 20  # of the face's square in the film
GAP = slice(18, 22)  # frames without a face
SILENCE = np.zeros(16_000 * 6 // 5, np.float32)


@pytest.fixture(scope="module")
def base() -> Avatar:
    return Avatar.load(base_folder(), "cpu")


@pytest.fixture(scope="module")
def shown(ada: Avatar) -> NDArray[np.uint8]:
    """Somebody speaks, not in the middle of a wide picture; for four frames nobody is there."""
    talk = ada.speak(SENTENCE, live=True, provenance=False)
    motion = torch.cat(list(talk.motion()))[35 : 35 + FRAMES]
    frames = np.full((FRAMES, 288, 480, 3), 90, np.uint8)
    frames[:, TOP : TOP + 256, LEFT : LEFT + 256] = ada.decode(motion)
    frames[GAP] = 90
    return frames


@pytest.fixture(scope="module")
def film(shown: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    said = read_audio(SENTENCE)[: 16_000 * FRAMES // 25]
    with VideoWriter(path, RATE, iter([said]), 16_000, crf=10) as writer:
        for frame in shown:
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def silenced(base: Avatar, film: Path) -> tuple[Dubbing, NDArray[np.uint8]]:
    made = base.dub(film, SILENCE)
    return made, np.stack(list(made))


@pytest.fixture(scope="module")
def original(film: Path) -> NDArray[np.uint8]:
    return np.stack(list(decode_frames(film, RATE)))


def test_only_the_lower_face_changes(
    silenced: tuple[Dubbing, NDArray[np.uint8]], original: NDArray[np.uint8]
) -> None:
    _, frames = silenced
    assert frames.shape == original.shape
    changed = (frames != original).any(-1)
    rows, columns = np.nonzero(changed.any(0))
    assert rows.min() > TOP + 90  # below the eyes
    assert columns.min() > LEFT + 40
    assert columns.max() < LEFT + 216
    assert changed.any((1, 2))[:10].all()


def test_dubbed_with_silence_the_mouth_is_closed(
    silenced: tuple[Dubbing, NDArray[np.uint8]], original: NDArray[np.uint8]
) -> None:
    """The old words must not shine through."""
    _, frames = silenced
    before, after = (track_clip(clip[:12], 0.9).opening for clip in (original, frames))
    assert before.max() > 0.08
    assert after.max() < before.max() / 3


def test_what_cannot_be_dubbed_is_left_and_listed(
    silenced: tuple[Dubbing, NDArray[np.uint8]], original: NDArray[np.uint8]
) -> None:
    made, frames = silenced
    ((start, end, why),) = made.left
    assert (start, end) == pytest.approx((GAP.start / 25, GAP.stop / 25))
    assert why == "no face is seen"
    assert (frames[GAP] == original[GAP]).all()


def test_lips_say_the_new_words(base: Avatar, film: Path, ada: Avatar) -> None:
    said = read_audio(SENTENCE)[int(2.4 * 16_000) :][: 16_000 * 18 // 25]
    frames = np.stack(list(base.dub(film, said, DubTerms(when_shorter="cut"))))
    assert len(frames) == 18
    found = track_clip(frames, 0.9).opening
    wanted = track_clip(np.stack(list(ada.speak(said, provenance=False))), 0.9).opening
    own = track_clip(np.stack(list(decode_frames(film, RATE)))[:18], 0.9).opening
    assert np.corrcoef(found, wanted)[0, 1] > max(0.6, np.corrcoef(found, own)[0, 1])


@pytest.mark.parametrize(
    ("seconds", "terms", "frames"),
    [
        (2.0, DubTerms(when_longer="loop"), 50),
        (2.0, DubTerms(when_longer="freeze"), 50),
        (2.0, DubTerms(when_longer="stretch"), 50),
        (2.0, DubTerms(when_longer="cut"), FRAMES),
        (0.4, DubTerms(when_shorter="silence"), FRAMES),
        (0.4, DubTerms(when_shorter="keep"), FRAMES),
        (0.4, DubTerms(when_shorter="cut"), 10),
    ],
)
def test_film_and_speech_of_other_lengths(
    base: Avatar, film: Path, seconds: float, terms: DubTerms, frames: int
) -> None:
    """Which frames are shown, and what is heard with them."""
    noise = 0.1 * np.random.default_rng(0).normal(size=int(seconds * 16_000)).astype(np.float32)
    made = base.dub(film, noise, terms)
    assert len(made) == frames
    numbers = [number for number, _ in made._shown()]
    assert len(numbers) == frames
    if terms.when_longer == "loop" and frames > FRAMES:
        assert numbers == [*range(FRAMES), *range(frames - FRAMES)]
    if terms.when_longer == "freeze":
        assert numbers == [*range(FRAMES), *[FRAMES - 1] * (frames - FRAMES)]
    if terms.when_longer == "stretch":
        assert (
            sorted(set(numbers)) == list(range(FRAMES)) == sorted(set(numbers), key=numbers.index)
        )
    blocks, rate, _ = made._sound()
    parts = list(blocks)
    assert all(map(len, parts))
    heard, longest = np.concatenate(parts), round(frames / 25 * rate)
    if terms.when_shorter == "keep":
        assert len(heard) == pytest.approx(longest, abs=rate // 10)
        after = heard[int(seconds * rate) + rate // 50 :]
        assert np.abs(after).max() > 0.01  # the film's own sound
        assert (made._weights[10:] == 0).all()
        assert made._weights[7] < 1
    else:
        assert len(heard) == min(longest, int(seconds * 16_000))


def test_gaps_of_a_few_frames_are_bridged_and_lips_fade_beside_longer_ones(
    silenced: tuple[Dubbing, NDArray[np.uint8]],
) -> None:
    made, _ = silenced
    weights = made._weights
    assert (weights[GAP] == 0).all()
    assert (np.diff(weights[GAP.start - 4 : GAP.start + 1]) < 0).all()
    assert weights[: GAP.start - 4].min() == 1
    points = np.zeros((9, 478, 2), np.float32)
    points[:, :, 0] = np.arange(9)[:, None]
    state = np.zeros(9, np.int64)
    state[3:5] = UNSEEN
    state[6:8] = ASIDE
    points[3:5] = np.nan
    bridged, after = _bridged(points, state)
    assert np.allclose(bridged[:, 0, 0], np.arange(9))
    assert after.tolist() == [0, 0, 0, 0, 0, 0, ASIDE, ASIDE, 0]


@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
def test_films_of_odd_size_are_written_with_sound_that_is_cut(
    base: Avatar, shown: NDArray[np.uint8], tmp_path: Path, name: str
) -> None:
    """The speech goes on for a second after the film."""
    path = tmp_path / "odd.gif"
    with VideoWriter(path, RATE) as writer:
        for frame in shown[:6]:
            writer.write(frame[:287, 101:])
    said = read_audio(SENTENCE)[: 16_000 * 5 // 4]
    speech = tmp_path / "speech.wav"
    soundfile.write(speech, said, 16_000)
    out = base.dub(path, speech, DubTerms(when_longer="cut")).save(tmp_path / name)
    info = probe(out)
    assert info.video is not None
    assert (info.video.width, info.video.height) == (380, 288)
    assert info.duration == pytest.approx(6 / 25, abs=0.08)
    with pytest.raises(UsageError, match="would be overwritten"):
        base.dub(path, speech).save(speech)


def test_a_speech_that_is_too_long_may_be_refused(base: Avatar, film: Path) -> None:
    with pytest.raises(UsageError, match=r"the speech lasts 2\.0 s, the film 1\.2 s"):
        base.dub(film, np.zeros(32_000, np.float32), DubTerms(when_longer="error"))


def test_films_that_cannot_be_dubbed(base: Avatar, tmp_path: Path, bundled: Avatar) -> None:
    wall = tmp_path / "wall.mp4"
    with VideoWriter(wall, RATE) as writer:
        for _ in range(5):
            writer.write(np.full((96, 128, 3), 90, np.uint8))
    with pytest.raises(FaceError, match="no frame of this film can be dubbed"):
        base.dub(wall, SILENCE)
    with pytest.raises(ArtefactError, match="cannot dub films"):
        bundled.dub(wall, SILENCE)


def test_the_command_line(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speech, out = tmp_path / "speech.wav", tmp_path / "out.mp4"
    soundfile.write(speech, read_audio(SENTENCE)[:12_800], 16_000)
    command = ["dub", str(film), str(speech), "-o", str(out)]
    assert main(command) == 2
    assert "nobody is said to have agreed" in capsys.readouterr().err
    assert not out.exists()
    command += ["--consent", "a test"]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["frames"] == FRAMES
    assert [span["why"] for span in told["left_alone"]] == ["no face is seen"]
    info = probe(out)
    assert info.video is not None
    assert (info.video.width, info.video.height, info.video.frame_rate) == (480, 288, RATE)
    assert info.audio is not None
    assert main(["verify", str(out)]) == 0
    assert main(["dub", str(film), str(speech), "-o", str(film), "--consent", "a test"]) == 2
    assert main(["dub", str(speech), str(speech), "-o", str(out), "--consent", "a test"]) == 3
    assert "no moving picture" in capsys.readouterr().err
