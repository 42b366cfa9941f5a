"""evaluation of dubs: scored beside the film itself, a mouth that is held still, and no dub at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import speaker
from talkers.cli import main
from talkers.evaluation import dubbing as module
from talkers.evaluation.films import psnr_outside, with_still_mouth
from talkers.evaluation.motion import RIGID, opening_correlation
from talkers.evaluation.tracked import TrackedClip
from talkers.face.landmarks import EYE_CORNERS
from talkers.media import AUDIO_RATE, VideoWriter

FRAMES, SIZE = 34, 96  # more than 30, or sync means nothing
RATE = Fraction(25)
NAMES = ("bbaf2n", "lrwp9s")  # which spell sentences


def drawn(acts: speaker.Performance, opening: np.ndarray) -> np.ndarray:
    rows = zip(opening, acts.shift, acts.blink, strict=True)
    return np.stack([speaker.draw(SIZE, float(o), float(s), float(b)) for o, s, b in rows])


def written(path: Path, frames: np.ndarray, sound: np.ndarray | None) -> None:
    sounds = None if sound is None else [sound]
    with VideoWriter(path, RATE, sounds, AUDIO_RATE, crf=8) as writer:
        for frame in frames:
            writer.write(frame)


def dark(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many pixels of each frame are inside of the drawn mouth, and the column of its lips."""
    mouth = frames[:, SIZE // 2 :].astype(int)
    lips = (mouth[..., 0] > 120) & (mouth[..., 1] < 90)  # not the shirt
    columns = (lips * (np.arange(SIZE) + 0.5)).sum((1, 2)) / lips.sum((1, 2))
    return ((mouth[..., 0] < 110) & (mouth[..., 1] < 60)).sum((1, 2)), columns


@dataclass
class Dub:
    """A film of the drawn speaker with another mouth, as `Avatar.dub` returns one."""

    frames: np.ndarray
    left: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def frame_count(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.frames)

    def save(self, path: Path) -> None:
        written(path, self.frames, None)


class Dubber:
    """Dubs films of the drawn speaker: the mouth opens four fifths as far as it did with that sound."""

    engine = SimpleNamespace(renderer=SimpleNamespace(needs="portrait"), folder=Path("drawn"))
    digest = "a digest"

    def __init__(self, acts: dict[str, speaker.Performance]):
        self.acts = acts
        self.calls: list[tuple[str, str]] = []

    def dub(self, film: str, speech: Any, terms: Any, provenance: bool) -> Dub:
        said = Path(speech).stem if isinstance(speech, str) else "silence"
        self.calls.append((Path(film).stem, said))
        own, silence = self.acts[Path(film).stem], np.zeros(FRAMES, np.float32)
        opening = 0.8 * self.acts[said].opening if said in self.acts else silence
        return Dub(drawn(own, opening), [(0.0, 0.4, "no face is seen")])


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dubber]:
    """Two films of the drawn speaker, one without sound, and one that is none."""
    folder = tmp_path_factory.mktemp("films")
    acts = {name: speaker.perform(FRAMES, seed) for name, seed in zip(NAMES, (3, 8), strict=True)}
    for name, act in acts.items():
        sound = speaker.voice(act.opening, FRAMES)
        written(folder / f"{name}.mp4", drawn(act, act.opening), sound)
    written(folder / "mute.mp4", drawn(act, act.opening)[:5], None)
    (folder / "notes.mp4").write_bytes(b"no film")
    return folder, Dubber(acts)


@pytest.fixture(scope="module")
def patched(films: tuple[Path, Dubber]) -> Iterator[pytest.MonkeyPatch]:
    """Scoring in this process, with the drawn speaker's dubs and without slow metrics."""

    def score_here(score: Callable[..., None], tasks: dict, paths: dict, *rest: object) -> dict:
        for name, task in tasks.items():
            if not paths[name].is_file():
                score(task)
        return {}

    every = module.load_metrics(module.people_folder())
    few = {n: m for n, m in every.metrics.items() if n in ("fidelity", "movement")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_metrics", lambda _: replace(every, metrics=few))
        patch.setattr(module, "avatar_of", lambda _: films[1])
        patch.setattr(module, "score_all", score_here)
        yield patch


@pytest.fixture(scope="module")
def report(
    films: tuple[Path, Dubber], patched: object, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("report")
    assert main(command(films[0], out)) == 7
    return out


def command(films: Path, out: Path) -> list[str]:
    return ["evaluate", "default", str(films), "--dub", "--limit", "1", "-o", str(out)]


def means(report: Path) -> dict[str, dict[str, float]]:
    metrics = json.loads((report / "metrics.json").read_text())
    sections = {n: s for n, s in metrics.items() if n.endswith("_dub")} | metrics["controls"]
    return {n: {k: v["mean"] for k, v in s.items()} for n, s in sections.items()}


def test_a_dub_with_its_own_sound_lies_between_the_film_and_a_still_mouth(report: Path) -> None:
    found = means(report)
    assert set(found) == {
        *("self_dub", "cross_dub", "silent_dub", "real", "still", "mean_frame", "copied"),
    }
    for figure in ("psnr_mouth", "psnr_mouth_gain", "opening_correlation", "articulation"):
        assert found["real"][figure] > found["self_dub"][figure] > found["still"][figure], figure
    assert found["real"]["lmd_face"] == 0 < found["self_dub"]["lmd_face"]
    assert found["self_dub"]["lmd_face"] < found["still"]["lmd_face"]
    assert found["mean_frame"]["psnr_mouth_gain"] == 0
    assert found["self_dub"]["opening_correlation"] > 0.9
    assert found["self_dub"]["psnr_outside"] > 40
    assert found["self_dub"]["dubbed_share"] == pytest.approx(1 - 10 / FRAMES, abs=1e-3)
    assert found["still"]["psnr"] > found["mean_frame"]["psnr"]  # its head goes on moving


def test_a_dub_with_another_sound_follows_that_and_not_the_film(report: Path) -> None:
    found = means(report)
    cross, copied = found["cross_dub"], found["copied"]
    assert cross["opening_correlation"] > 0.9 > copied["opening_correlation"]
    assert copied["opening_correlation_old"] == 1 > cross["opening_correlation_old"]
    assert copied["opening_correlation"] == pytest.approx(cross["opening_correlation_old"], abs=0.2)
    assert {"lip_wer", "lip_wer_old", "sync_confidence", "in_sync"} <= set(cross) & set(copied)
    assert copied["lip_wer_old"] == found["real"]["lip_wer"]
    assert not {"psnr_mouth", "lmd_face"} & set(cross)  # other words look otherwise


def test_what_is_left_of_the_old_lips_is_told(report: Path) -> None:
    found = means(report)
    assert found["copied"]["lip_leak"] == 1
    assert found["silent_dub"]["lip_leak"] < 0.2
    assert found["still"]["lip_leak"] < 0.2
    assert "lip_wer_old" in found["silent_dub"]


def test_bad_films_are_listed_and_what_was_left_alone_is_told(report: Path) -> None:
    about = json.loads((report / "metrics.json").read_text())["about"]
    assert about["clips"] == [NAMES[0]]
    assert set(about["failures"]) == {"mute", "notes"}
    assert "no sound" in about["failures"]["mute"]
    assert f"{NAMES[0]}: 0.0 to 0.4 s is left as it was: no face is seen." in about["notes"]
    page = (report / "index.html").read_text()
    assert page.count("<video") == 1
    assert "what a dub scores that does nothing" in page
    assert "real | self_dub | cross_dub | silent_dub" in page


def test_a_second_run_goes_on_and_one_film_has_no_other(
    report: Path, films: tuple[Path, Dubber], patched: object, tmp_path: Path
) -> None:
    before, (folder, dubber) = means(report), films
    first = [(NAMES[0], said) for said in (*NAMES, "silence")]
    assert dubber.calls == first
    assert main(command(folder, report)) == 7
    assert dubber.calls == first
    assert means(report) == before
    assert main(command(folder / f"{NAMES[0]}.mp4", tmp_path)) == 0
    assert dubber.calls[3:] == [first[0], first[2]]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert module.NO_OTHER in metrics["about"]["notes"]
    assert "copied" not in metrics["controls"]


def test_what_cannot_be_scored_is_said(
    films: tuple[Path, Dubber], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = str(films[0]), str(tmp_path / "r")
    assert main(["evaluate", "default", folder, "--dub", "--pairs", "-o", out]) == 2
    assert "Leave out one of them" in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "avatar_of", lambda name: module.Avatar.load(name))
        assert main(["evaluate", "mock", folder, "--dub", "-o", out]) == 4
    assert "this avatar cannot dub films" in capsys.readouterr().err
    assert not Path(out).exists()


def test_only_the_lips_are_held_still() -> None:
    """While the head moves: the drawn mouth is as dark in all frames, and goes along."""
    acts = speaker.perform(30, 8)
    marks = np.stack(
        [
            speaker.landmarks(SIZE, float(o), float(s), float(b))
            for o, s, b in zip(acts.opening, acts.shift, acts.blink, strict=True)
        ]
    )
    nose = [k for k in RIGID if k not in EYE_CORNERS]  # where no mouth moves it
    marks[:, nose] = marks[:, list(EYE_CORNERS)].mean(1)[:, None]
    shapes, angles = np.zeros((30, 52), np.float32), np.zeros((30, 3), np.float32)
    clip = TrackedClip(drawn(acts, acts.opening), marks, shapes, angles, np.ones(30, bool))
    held = with_still_mouth(clip)
    before, after = (dark(frames) for frames in (clip.frames, held))
    assert before[0].max() > 30  # pixels
    assert after[0].max() < 6
    assert after[1] == pytest.approx((0.5 + acts.shift) * SIZE, abs=1.5)
    assert np.ptp(acts.shift * SIZE) > 3
    assert (held[:, : SIZE // 2] == clip.frames[:, : SIZE // 2]).all()


def test_what_lies_outside_is_compared_after_encoding(tmp_path: Path) -> None:
    """Whatever happens inside, and though encoders want even sides."""
    rng = np.random.default_rng(0)
    film = np.full((4, 48, 64, 3), 90, np.uint8)
    written(tmp_path / "film.gif", film[:, :47, :63], None)
    own = next(module.lockstep(*[str(tmp_path / "film.gif")] * 2, []))[2]
    dub = own.copy()
    dub[:, 20:30, 20:40] = rng.integers(0, 255, (4, 10, 20, 3))
    even = np.pad(dub, ((0, 0), (0, 1), (0, 1), (0, 0)), "edge")
    film_path = str(tmp_path / "film.gif")
    darker = np.where((even == 90), 80, even).astype(np.uint8)
    for name, frames, least, most in (("same", even, 38, 80), ("darker", darker, 26, 30)):
        written(tmp_path / f"{name}.mp4", frames, None)
        found = psnr_outside(iter(dub), str(tmp_path / f"{name}.mp4"), film_path)
        assert least < found < most, name
    assert np.isnan(psnr_outside(iter(own + 1), str(tmp_path / "same.mp4"), film_path))


def test_openings_go_together_or_not() -> None:
    moving = np.sin(np.arange(30, dtype=np.float32))
    unseen = moving.copy()
    unseen[5:9] = np.nan
    still = np.zeros(30, np.float32)
    assert opening_correlation(unseen, moving[:20]) == pytest.approx(1)
    assert opening_correlation(-moving, moving) == pytest.approx(-1)
    assert opening_correlation(still, moving) == 0
    assert np.isnan(opening_correlation(moving, still))
    assert np.isnan(opening_correlation(moving, moving[:0]))
