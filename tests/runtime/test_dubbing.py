"""A film says other words: its lips change, and nothing else."""

from __future__ import annotations

import json
import threading
import tracemalloc
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from importlib.resources import files
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch.utils.data import default_collate

from talkers import Avatar
from talkers.cli import main
from talkers.errors import ArtefactError, FaceError, MediaError, UsageError
from talkers.evaluation.tracked import track_clip
from talkers.media import decode_frames, probe, read_audio
from talkers.media.decode import decode_pictures
from talkers.media.encode import VideoWriter
from talkers.media.planes import rgb_of
from talkers.progress import quiet
from talkers.renderers.warp import lips
from talkers.renderers.warp.motion import NEAR, whole_motion
from talkers.runtime import film_order
from talkers.runtime.bundle import base_folder
from talkers.runtime.dub_painting import Dub, FilmPainter
from talkers.runtime.dubbing import Dubbing, DubTerms
from talkers.runtime.film import ASIDE, COVERED, OTHERS, SEEN, UNSEEN, bridged, film_face
from talkers.runtime.film_order import frames_in_order, shown_frames
from talkers.runtime.film_points import FilmPoints
from talkers.training import film_stage
from talkers.training.warp_losses import warp_losses

SENTENCE = str(files("talkers") / "avatars" / "hello.flac")
FIRST, FRAMES, RATE = 35, 30, Fraction(25)
LEFT, TOP = 150, 20  # of the face's square in the film
CHIN = (379, 378, 400, 377, 152, 148, 176, 149, 150)  # key points along the chin's outline
GAP = slice(18, 22)  # frames without a face
SILENCE = np.zeros(16_000 * 6 // 5, np.float32)


@pytest.fixture(scope="module")
def base() -> Avatar:
    return Avatar.load(base_folder(), "cpu")


@pytest.fixture(scope="module")
def shown(ada: Avatar) -> NDArray[np.uint8]:
    """Somebody speaks, not in the middle of a wide picture; for four frames nobody is there."""
    talk = ada.speak(SENTENCE, live=True, provenance=False)
    motion = torch.cat(list(talk.motion()))[FIRST : FIRST + FRAMES]
    frames = np.full((FRAMES, 288, 480, 3), 90, np.uint8)
    frames[:, TOP : TOP + 256, LEFT : LEFT + 256] = ada.decode(motion)
    hidden = slice(TOP + 20, TOP + 236), slice(LEFT + 40, LEFT + 216)
    for frame in frames[GAP]:
        frame[hidden] = frame[hidden].mean((0, 1))
    return frames


@pytest.fixture(scope="module")
def film(shown: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    said = read_audio(SENTENCE)[16_000 * FIRST // 25 :][: 16_000 * FRAMES // 25]
    return written(path, shown, said)


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
        (2.0, DubTerms(when_longer="bounce"), 50),
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
    numbers = made.order.tolist()
    if terms.when_longer == "loop" and frames > FRAMES:
        assert numbers == [*range(FRAMES), *range(frames - FRAMES)]
    if terms.when_longer == "bounce":
        assert numbers == [*range(FRAMES), *range(FRAMES - 2, 2 * FRAMES - 2 - frames, -1)]
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
        assert len(heard) == longest
        assert np.abs(heard[int(seconds * 16_000) :]).max(initial=0) == 0  # silence to the end


def test_gaps_of_a_few_frames_are_bridged_and_lips_fade_beside_longer_ones(
    silenced: tuple[Dubbing, NDArray[np.uint8]],
) -> None:
    made, _ = silenced
    weights = made._weights
    assert (weights[GAP] == 0).all()
    assert (np.diff(weights[GAP.start - 4 : GAP.start + 1]) < 0).all()
    assert weights[: GAP.start - 4].min() == 1
    points = FilmPoints()
    state = np.zeros(9, np.int64)
    state[3:5] = UNSEEN
    state[6:8] = ASIDE
    for number in range(9):
        seen = state[number] != UNSEEN
        points.append(np.full((478, 2), number, np.float32) if seen else None)
    after = bridged(points, state.copy(), np.arange(9) // 4)
    assert (after == state).all()  # a cut lies in the gap
    assert np.isnan(points[3]).all()
    after = bridged(points, state.copy(), np.zeros(9, np.int64))
    assert np.allclose(points.rows(range(9))[:, 0, 0], np.arange(9))
    assert after.tolist() == [0, 0, 0, 0, 0, 0, ASIDE, ASIDE, 0]


def test_a_film_is_shown_there_and_back(
    film: Path, original: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way back is read in pieces."""
    monkeypatch.setattr(film_order, "HELD_BYTES", 2 * original[0].nbytes)
    order = shown_frames(FRAMES, 2 * FRAMES + 5, RATE, "bounce", "cut")
    assert order[FRAMES - 2 : FRAMES + 2].tolist() == [28, 29, 28, 27]
    assert order[2 * FRAMES - 4 :].tolist() == [2, 1, 0, 1, 2, 3, 4, 5, 6]
    shown = list(frames_in_order(film, RATE, order))
    assert [number for number, _ in shown] == order.tolist()
    for number, picture in shown:
        assert (rgb_of(picture) == original[number]).all()


def written(path: Path, frames: NDArray[np.uint8], sound: NDArray[np.float32]) -> Path:
    with VideoWriter(path, RATE, iter([sound]), 16_000, crf=10) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def test_frames_painted_together_are_as_those_painted_alone(
    silenced: tuple[Dubbing, NDArray[np.uint8]], film: Path
) -> None:
    """And films that cannot pass through as they are stored get the same mouths."""
    made, _ = silenced
    pictures = list(islice(decode_pictures(film, RATE), 3))
    closed = torch.zeros(made.space.width)[made.space.mouth]

    def painted(*groups: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        painter = FilmPainter(made.painter, made.space, made.face, made.engine.device)
        numbers = iter(range(len(pictures)))
        dubs = [[Dub(picture, next(numbers), closed, 1.0) for picture in some] for some in groups]
        return [picture for some in dubs for picture in painter.painted(some)]

    together = painted(pictures)
    alone = painted(*([picture] for picture in pictures))
    shown = painted([rgb_of(picture) for picture in pictures])
    for one, other, third in zip(together, alone, shown, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
        apart = np.abs(rgb_of(one).astype(int) - third)
        assert (apart[apart.any(-1)]).mean() < 3  # FFmpeg's fast conversion is a level too dark
        assert (rgb_of(one) != rgb_of(pictures[0])).any()


def test_key_points_of_a_long_film_take_no_memory() -> None:
    points, seen = FilmPoints(), np.zeros((478, 2), np.float32)
    tracemalloc.start()
    for number in range(2000):
        points.append(seen + number)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
    assert (points.rows([3, 1999])[:, 0, 0] == [3, 1999]).all()
    with pytest.raises(IndexError):
        points[2000]


def test_a_bed_goes_on_under_the_speech(base: Avatar, film: Path, tmp_path: Path) -> None:
    hum = 0.2 * np.sin(2 * np.pi * 400 * np.arange(32_000) / 16_000).astype(np.float32)
    bed = tmp_path / "bed.wav"
    soundfile.write(bed, np.stack([hum, 0 * hum], 1), 16_000)
    speech = np.full(8_000, 0.1, np.float32)
    made = base.dub(film, speech, DubTerms(bed=bed, bed_gain=-6))
    blocks, rate, channels = made._sound()
    heard = np.concatenate(list(blocks))
    assert (rate, channels, heard.shape) == (16_000, 2, (16_000 * FRAMES // 25, 2))
    assert heard[:8_000, 1] == pytest.approx(0.1, abs=1e-6)
    assert heard[8_000:, 1] == pytest.approx(0, abs=1e-6)
    assert np.abs(heard[9_000:, 0]).max() == pytest.approx(0.1, abs=0.005)
    with pytest.raises(MediaError, match="no sound"):
        base.dub(film, speech, DubTerms(bed=silent(tmp_path)))
    with pytest.raises(UsageError, match="no gain"):
        DubTerms(bed_gain=60)


def silent(folder: Path) -> Path:
    """A film without sound."""
    with VideoWriter(folder / "silent.mp4", RATE) as writer:
        for _ in range(3):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    return folder / "silent.mp4"


@pytest.mark.parametrize("what", ["a microphone", "a hand"])
def test_a_mouth_behind_something_is_left_alone(
    base: Avatar, shown: NDArray[np.uint8], tmp_path: Path, what: str
) -> None:
    frames = shown[: GAP.start].copy()
    skin = np.median(frames[0, TOP + 120 : TOP + 150, LEFT + 80 : LEFT + 110], (0, 1))
    for frame in frames[6:12]:
        if what == "a microphone":
            frame[TOP + 150 : TOP + 230, LEFT + 105 : LEFT + 150] = (40, 38, 42)
            continue
        picture = Image.fromarray(frame)
        for k in range(4):  # fingers, of the face's own colour
            left, tone = LEFT + 80 + 26 * k, tuple(int(c) for c in skin - 4 * k)
            place = (left, TOP + 150 + 4 * k, left + 25, TOP + 235)
            ImageDraw.Draw(picture).rounded_rectangle(place, 10, tone, (110, 75, 60))
        frame[:] = np.asarray(picture)
    face = film_face(
        written(tmp_path / "covered.mp4", frames, SILENCE), base.engine.space, "auto", quiet, print
    )
    assert set(face.state[6:12]) == {COVERED}
    assert set(face.state[:1]) == set(face.state[-1:]) == {SEEN}
    assert not any(6 <= mouth.number < 12 for mouth in (*face.donors, face.widest))


@pytest.fixture(scope="module")
def other() -> NDArray[np.uint8]:
    """Somebody else, uint8 [256, 256, 3]."""
    picture = Image.open(Path(__file__).parents[2] / "docs" / "pictures" / "portraits.jpg")
    return np.asarray(picture.convert("RGB").crop((0, 20, 207, 227)).resize((256, 256)))


def test_the_same_person_is_dubbed_after_a_cut(
    base: Avatar, shown: NDArray[np.uint8], other: NDArray[np.uint8], tmp_path: Path
) -> None:
    frames = np.concatenate([shown[:8], shown[:8], shown[8:16]])
    frames[8:16, TOP : TOP + 256, LEFT : LEFT + 256] = other
    path = written(tmp_path / "cut.mp4", frames, SILENCE)
    face = film_face(path, base.engine.space, "auto", quiet, print)
    assert face.state.tolist() == 8 * [SEEN] + 8 * [OTHERS] + 8 * [SEEN]
    assert face.shot.tolist() == 8 * [0] + 8 * [1] + 8 * [2]
    weights = base.dub(path, SILENCE, DubTerms(when_longer="cut"))._weights
    assert weights.tolist() == 8 * [1] + 8 * [0] + 8 * [1]  # nothing fades over a cut


def test_who_speaks_is_dubbed(
    base: Avatar, ada: Avatar, other: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Of two people the one whose lips go with the sound, though the other face is larger."""
    said = read_audio(SENTENCE)[: 16_000 * 9 // 4]
    talk = np.stack(list(ada.speak(said, provenance=False)))
    rng = np.random.default_rng(0)
    frames = np.full((len(talk), 300, 640, 3), 90, np.uint8)
    frames[:, 22:278, 340:596] = talk
    for frame in frames:  # who says nothing chews, a little
        picture = Image.fromarray(other).resize((300, 300 + 2 * int(rng.integers(0, 2))))
        frame[:, 20:320] = np.asarray(picture)[:300]
    notes: list[str] = []
    path = written(tmp_path / "two.mp4", frames, said)
    face = film_face(path, base.engine.space, "auto", quiet, notes.append)
    assert (face.state == SEEN).all()
    assert face.points.rows(range(len(frames)))[:, 1, 0].min() > 400
    assert len(notes) == 1
    assert "2 faces are seen" in notes[0]


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


def test_a_dubbing_learns_from_its_film(
    base: Avatar, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its painter comes nearer to the film's own mouths; the avatar stays as it is."""
    made = base.dub(film, SILENCE)
    pairs = film_stage.film_pairs(made)
    batch = default_collate([pairs[k] for k in range(1, len(pairs), 20)])
    before = made.painter.renderer
    errors = [float(warp_losses(deepcopy(before).float(), batch)["mouth"])]
    monkeypatch.setattr(
        film_stage, "LEARNING", replace(film_stage.LEARNING, frames=96, learning_rate=3e-4)
    )
    film_stage.learn_film(made, 600)
    learnt = deepcopy(made.painter.renderer).float()
    errors.append(float(warp_losses(learnt, batch)["mouth"]))
    assert errors[1] < 0.97 * errors[0]
    assert base.engine.renderer is before
    assert all(not p.requires_grad for p in made.painter.renderer.parameters())
    with pytest.raises(UsageError, match="too few to learn from"):
        film_stage.film_pairs(made, np.arange(FRAMES) < 10)


def test_an_interrupted_dub_leaves_no_file_and_no_thread(
    base: Avatar, film: Path, tmp_path: Path
) -> None:
    """A thread that still paints when the program ends takes it down."""
    made = base.dub(film, SILENCE)
    before = set(threading.enumerate())

    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        made.save(tmp_path / "out.mp4", interrupted)
    assert set(threading.enumerate()) <= before
    assert caught.tb is not None  # which keeps what was under way
    assert not list(tmp_path.iterdir())


def test_a_chin_stays_smooth_where_a_jaw_falls(base: Avatar) -> None:
    """An outline that moves as one keeps its shape between the key points that say so."""
    space = base.engine.space
    points = (space.mean - torch.tensor([0.0, 0.95])) / 2.1 + 0.5  # as a lower face is cut out
    head = space.placement(points[None])
    wanted = points.clone()
    lower = space.mean[:, 1] > space.mean[list(CHIN), 1].min() - 0.15
    wanted[lower, 1] += 0.04
    between = (wanted[list(CHIN[:-1])] + wanted[list(CHIN[1:])]) / 2
    at = torch.cat([wanted[list(CHIN)], between])[None, None]
    dents = {}
    for closely in (NEAR, lips.SOFT):
        steps = whole_motion(
            wanted[None], points[None], (head, head), side=lips.SIDE, closely=closely
        )
        found = F.grid_sample(steps.permute(0, 3, 1, 2), at * 2 - 1, align_corners=True)[0, 1, 0]
        knots, gaps = found[: len(CHIN)], found[len(CHIN) :]
        dents[closely] = float(
            (gaps - (knots[1:] + knots[:-1]) / 2).abs().mean() / found.mean().abs()
        )
    assert dents[lips.SOFT] < 0.08
    assert dents[lips.SOFT] < dents[NEAR] / 3
