"""evaluation of pairs, whole and in pieces."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import speaker
from talkers.cli import main
from talkers.errors import MediaError
from talkers.evaluation import pairs as module
from talkers.evaluation import pieces
from talkers.evaluation.contract import FrameFeatures
from talkers.evaluation.metrics import ClipScores
from talkers.evaluation.pairs import evaluate_pairs
from talkers.evaluation.tracked import TrackedClip, track_clip
from talkers.media import VideoWriter


def write(
    path: Path, frames: np.ndarray, acts: speaker.Performance, rate: Fraction = Fraction(25)
) -> None:
    sound = [speaker.voice(acts.opening, len(acts.opening))]
    with VideoWriter(path, rate, sound, 16_000, crf=12) as writer:
        for frame in frames:
            writer.write(frame)


@pytest.mark.usefixtures("cheap_scores")
def test_pairs_of_videos_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("made", "real"):
        (tmp_path / folder).mkdir()
    for k in range(2):
        acts = speaker.perform(26, k)
        frames = np.stack(
            [
                speaker.draw(96, float(o), float(s), float(b))
                for o, s, b in zip(acts.opening, acts.shift, acts.blink, strict=True)
            ]
        )
        write(tmp_path / "real" / f"{k}.mp4", frames, acts)
        frozen = np.stack(
            [
                speaker.draw(96, 0, float(s), float(b))
                for s, b in zip(acts.shift, acts.blink, strict=True)
            ]
        )
        write(
            tmp_path / "made" / f"{k}.mp4", frames if k else frozen[:20, ::2, ::2], acts
        )  # the first frozen, smaller and shorter
    (tmp_path / "made" / "more").mkdir()
    (tmp_path / "real" / "more").mkdir()
    for folder in ("made", "real"):  # the same name in a folder below, at another rate
        write(tmp_path / folder / "more" / "1.mp4", frames, acts, Fraction(30))
    write(tmp_path / "made" / "alone.mp4", frames, acts)
    arguments = [
        "evaluate",
        str(tmp_path / "made"),
        str(tmp_path / "real"),
        "--pairs",
        "-o",
        str(tmp_path / "report"),
        "--json",
    ]
    assert main(arguments) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert len(metrics["about"]["clips"]) == 3
    records = {
        p.name[0]: json.loads(p.read_text())["figures"]["pairs"][0]
        for p in (tmp_path / "report" / ".work").glob("*.json")
    }
    assert records["m"]["psnr"] > 40
    assert records["1"]["psnr"] > 40
    assert records["1"]["articulation"] == pytest.approx(1, abs=0.1)
    assert records["0"]["articulation"] < 0.5
    assert records["0"]["mouth_r2"] < 0.3
    told = " ".join(metrics["about"]["notes"])
    assert "alone" in told
    assert "48x48" in told
    assert "20" in told
    assert "30 frames a second" in told
    with pytest.raises(MediaError, match="same name"):
        evaluate_pairs(tmp_path / "made" / "alone.mp4", tmp_path / "real", tmp_path / "other")


@pytest.mark.usefixtures("cheap_scores")
def test_long_pairs_are_scored_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acts = speaker.perform(36, 3)
    frames = np.stack(
        [
            speaker.draw(96, float(o), float(s), float(b))
            for o, s, b in zip(acts.opening, acts.shift, acts.blink, strict=True)
        ]
    )
    frozen = np.stack(
        [
            speaker.draw(96, 0, float(s), float(b))
            for s, b in zip(acts.shift, acts.blink, strict=True)
        ]
    )
    write(tmp_path / "real.mp4", frames, acts)
    write(
        tmp_path / "made.mp4",
        np.concatenate([frozen[:15], np.zeros_like(frozen[:15]), frames[30:]]),
        acts,
    )
    lengths: list[int] = []

    def watched(frames: np.ndarray, *arguments: float) -> TrackedClip:
        lengths.append(len(frames))
        return track_clip(frames, *arguments)

    monkeypatch.setattr(module, "track_clip", watched)
    monkeypatch.setattr(pieces, "PIECE_FRAMES", 15)
    videos = str(tmp_path / "made.mp4"), str(tmp_path / "real.mp4")
    module.score_pair(module.PairTask(*videos, None, tmp_path / "pair.json", False, 1))
    record = json.loads((tmp_path / "pair.json").read_text())
    assert sorted(set(lengths)) == [6, 15]
    pairs, real = record["figures"]["pairs"][0], record["figures"]["controls.real"][0]
    assert real["articulation"] == 1
    assert real["psnr"] > 40 > 30 > pairs["psnr"]  # what shows nobody counts, too
    assert pairs["face_found"] == pytest.approx(21 / 36, abs=0.02)
    assert 0.05 < pairs["articulation"] < 0.7  # frozen in 15 of 21 frames
    assert pairs["lmd_mouth"] > 0
    module.score_pair(module.PairTask(*videos[::-1], None, tmp_path / "other.json", False, 1))
    record = json.loads((tmp_path / "other.json").read_text())
    assert (
        "the real one from 0.6 to 1.2 s" in record["notes"][0]
    )  # with nobody there is nothing to compare
    assert record["figures"]["pairs"][0]["face_found"] == 1


def test_pieces_are_joined_by_their_frames() -> None:
    def judged(value: float) -> ClipScores:
        features = FrameFeatures(np.full((2, 3), value, np.float32), np.zeros((2, 3), np.float32))
        return ClipScores({"a": value, "b": float("nan")}, {"f": features})

    both = pieces.joined(
        [
            (30, judged(1.0)),
            (10, judged(2.0)),
            (5, ClipScores({"a": float("nan"), "b": 4.0}, judged(0).features)),
        ]
    )
    assert both.figures == {"a": 1.25, "b": 4.0}
    assert both.features["f"].generated.shape == (6, 3)
