"""evaluation: one command scores an avatar beside its controls, goes on after an interruption, and pairs too."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

import speaker
from scored import in_this_process
from talkers.artefacts.documents import read_json, write_json
from talkers.cli import main
from talkers.corpus import Corpus
from talkers.errors import MediaError
from talkers.evaluation.evaluate import EvaluationOptions, _chosen, evaluate, judges_of
from talkers.evaluation.outcome import Outcome
from talkers.evaluation.scoring import partner, shuffled
from talkers.experts import people_folder
from talkers.media import VideoWriter, decode_frames
from talkers.runtime.avatar import Avatar

KEYS = {
    "codec": ("psnr", "psnr_mouth", "mouth_r2", "eye_r2", "ssim", "flicker_ratio"),
    "speech": (
        "psnr_given_pose",
        "psnr_mouth_given_pose",
        "mouth_r2_given_pose",
        "lmd_mouth",
        "sync_offset",
        "sync_confidence",
        "lip_wer",
        "silence_motion",
        "articulation",
        "jitter_ratio",
    ),
    "speed": ("fps", "first_frame_ms", "peak_mb", "real_time_factor"),
}
KEYS["speech"] += (
    "csim",
    "bilabial_closure",
    "blink_rate",
    "pose_range",
    "fid_mnv2",
    "lip_wer_points",
    "sync_offset_points",
    "sync_distance",
    "face_found",
    "ssim_face",
    "ssim_mouth",
    "lpips_mnv2_face",
    "lpips_mnv2_mouth",
    "fid_mnv2_face",
    "fid_mnv2_mouth",
)
KEYS["live"] = ("mouth_r2", "lip_wer", "sync_confidence", "articulation")
CONTROLS = {
    "real",
    "silent_audio",
    "shuffled_audio",
    "audio_later",
    "audio_sooner",
    "per_frame_noise",
    "mean_frame",
    "previous_frame",
}


FORMAT_3 = Path(__file__).parents[1] / "data" / "format-3"
FRAMES = 12  # of a clip
OPTIONS = EvaluationOptions(seeds=2, jobs=1, limit=3, every=True, speed_seconds=1)


@pytest.fixture(scope="module")
def report(tiny_avatar: Avatar, shared: Path) -> tuple[Outcome, Path]:
    """The procedural speaker's avatar scored on three clips, of which one is broken; made once for
    all processes."""
    folder = shared / "evaluation"
    with FileLock(shared / "evaluation.lock"):
        if not (folder / "outcome.json").exists():
            speaker.make_corpus(folder / "clips", clips=3, frames=FRAMES)
            (folder / "clips" / "clips" / "clip2.mp4").write_bytes(b"broken")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("talkers.evaluation.identity.MAX_FRAMES", 1)
                patch.setattr("talkers.evaluation.records.parallel", in_this_process)
                avatar = str(tiny_avatar.engine.folder)
                made = evaluate(avatar, [folder / "clips"], folder / "report", OPTIONS)
            write_json(folder / "outcome.json", asdict(made))
    return Outcome(**read_json(folder / "outcome.json")), folder / "report"


def test_the_report_holds_every_documented_key(report: tuple[Outcome, Path]) -> None:
    outcome, folder = report
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics == json.loads(json.dumps(outcome.metrics))
    for section, keys in KEYS.items():
        for key in keys:
            assert "mean" in metrics[section][key], (section, key)
    assert set(metrics["controls"]) == CONTROLS
    for figures in metrics["controls"].values():
        assert {"psnr", "mouth_r2", "sync_offset", "lip_wer", "articulation"} <= set(figures)
    assert metrics["speech"]["psnr"]["clips"] == 2
    assert (
        metrics["speech"]["psnr"]["low"]
        <= metrics["speech"]["psnr"]["mean"]
        <= metrics["speech"]["psnr"]["high"]
    )
    assert metrics["speech"]["psnr"]["seeds_std"] is not None
    assert "GRID" in metrics["about"]["skipped"]["lip_wer"]
    assert metrics["speed"]["training"]["codec"]["frames_seen"] > 1000


def test_controls_stand_where_they_must(report: tuple[Outcome, Path]) -> None:
    metrics = report[0].metrics
    pictured = list((report[1] / ".work").glob("*/side-by-side.mp4"))
    assert pictured
    assert all(len(list(decode_frames(video))) == FRAMES for video in pictured)
    controls = {
        name: {k: v["mean"] for k, v in figures.items()}
        for name, figures in metrics["controls"].items()
    }
    codec = {k: v["mean"] for k, v in metrics["codec"].items()}
    assert controls["real"]["mouth_r2"] == 1
    assert controls["real"]["articulation"] == 1
    assert abs(controls["mean_frame"]["mouth_r2"]) < 0.02
    assert codec["mouth_r2"] > 0.8
    spoken = metrics["speech"]["mouth_r2_given_pose"]["mean"]
    assert spoken > controls["shuffled_audio"]["mouth_r2"]
    assert spoken > controls["audio_later"]["mouth_r2"]
    assert spoken > controls["silent_audio"]["mouth_r2"]


def test_a_clip_that_fails_is_listed_and_the_rest_is_scored(report: tuple[Outcome, Path]) -> None:
    outcome, folder = report
    assert list(outcome.failures) == ["clip2"]
    assert "clip2" in outcome.metrics["about"]["failures"]
    page = (folder / "index.html").read_text()
    assert "clip2" in page
    assert page.count("<video") == 2
    assert 'src="data:video/mp4;base64,' in page
    assert "http://" not in page


def test_a_second_run_goes_on_where_the_first_was(
    report: tuple[Outcome, Path], tiny_avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = report
    kept = {p: p.stat().st_mtime_ns for p in (folder / ".work").glob("*.json")}
    speed = dict.fromkeys(folder.glob(".work/speed-*.json"))
    assert len(speed) == 1
    again = evaluate(
        str(tiny_avatar.engine.folder),
        [folder.parent / "clips"],
        folder,
        replace(OPTIONS, speed_seconds=0),
    )
    assert {p: p.stat().st_mtime_ns for p in (folder / ".work").glob("*.json")} == kept
    assert again.metrics["codec"] == report[0].metrics["codec"]

    def nothing_yet(
        score: object, tasks: dict[str, Any], paths: dict[str, Path], *rest: object
    ) -> dict[str, str]:
        assert len(paths) == 1
        assert not any(path.exists() for path in paths.values())  # other settings, another record
        return dict.fromkeys(tasks, "not tried")

    monkeypatch.setattr("talkers.evaluation.evaluate.score_all", nothing_yet)
    with pytest.raises(MediaError, match="not tried"):
        evaluate(
            str(tiny_avatar.engine.folder),
            [folder.parent / "clips"],
            folder,
            replace(OPTIONS, seeds=1, limit=1, speed_seconds=0),
        )


@pytest.mark.usefixtures("cheap_scores")
def test_an_avatar_of_another_frame_rate_is_scored(tiny_avatar: Avatar, tmp_path: Path) -> None:
    """At 30 frames a second it is generated, and compared at the experts' 25."""
    shutil.copytree(
        tiny_avatar.engine.folder, tmp_path / "a", ignore=shutil.ignore_patterns("training")
    )
    about = json.loads((tmp_path / "a" / "avatar.json").read_text())
    about["recipe"]["rate"] = 30
    (tmp_path / "a" / "avatar.json").write_text(json.dumps(about))
    assert Avatar.load(tmp_path / "a").frame_rate == 30
    clips = tmp_path / "clips"
    speaker.make_corpus(clips, clips=2, frames=18, rate=Fraction(30))
    options = replace(OPTIONS, seeds=1, limit=1, speed_seconds=0)
    metrics = evaluate(str(tmp_path / "a"), [clips], tmp_path / "report", options).metrics
    (record,) = (tmp_path / "report" / ".work").glob("*.json")
    curves = json.loads(record.read_text())["curves"]
    assert {len(rows["opening"]) for rows in curves.values()} == {15}
    assert metrics["controls"]["real"]["mouth_r2"]["mean"] == 1
    assert metrics["codec"]["mouth_r2"]["mean"] > 0.5
    assert metrics["speech"]["psnr_given_pose"]["clips"] == 1


def test_evaluating_needs_no_package_of_training() -> None:
    """Every module of evaluation and of the experts is imported where Lightning is not there."""
    code = """
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys(("pytorch_lightning", "lightning_fabric")))  # None: no such module
import talkers.evaluation, talkers.experts
for package in (talkers.evaluation, talkers.experts):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
print(*[name for name in sys.modules if name.startswith("talkers.training")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_everybody_but_the_bundled_person_is_judged_by_judges_of_many_people(
    bundled: Avatar, tiny_avatar: Avatar, report: tuple[Outcome, Path]
) -> None:
    assert judges_of(bundled) is None
    assert judges_of(tiny_avatar) == people_folder()
    assert any("fourteen people" in note for note in report[0].metrics["about"]["notes"])


def test_the_wrong_sound_is_wrong() -> None:
    names = ["bwwh2n", "bwwh4p", "lrbq3s", "bwwh9n"]
    assert partner("bwwh2n", names) == "lrbq3s"
    assert partner("alone", ["alone"]) == "alone"
    samples = np.arange(300, dtype=np.float32)
    assert 100 <= shuffled(samples, "x")[0] <= 200
    assert sorted(shuffled(samples, "x")) == list(samples)


def test_clips_of_the_training_are_left_out(tiny_avatar: Avatar, corpus: Corpus) -> None:
    held_out = tiny_avatar.about["data"]["held_out"]
    chosen, remark = _chosen(corpus, tiny_avatar, False, None)
    assert chosen == held_out
    assert "left out" in remark
    assert len(_chosen(corpus, tiny_avatar, True, None)[0]) == len(corpus.names)


@pytest.mark.usefixtures("cheap_scores")
def test_what_cannot_be_scored_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "real").mkdir()
    with VideoWriter(tmp_path / "real" / "a.mp4", Fraction(25), crf=20) as writer:
        for _ in range(30):
            writer.write(np.full((64, 64, 3), 90, np.uint8))
    for arguments, code, message in [
        (
            [
                "evaluate",
                str(tmp_path / "real"),
                str(tmp_path / "real"),
                "--pairs",
                "-o",
                str(tmp_path / "r1"),
            ],
            3,
            "sound",
        ),
        (
            [
                "evaluate",
                str(FORMAT_3),
                str(tmp_path / "nowhere.mp4"),
                "-o",
                str(tmp_path / "r2"),
                "--speed",
                "0",
            ],
            3,
            "No such file",
        ),
        (
            ["evaluate", str(tmp_path), str(tmp_path / "real"), "-o", str(tmp_path / "r3")],
            4,
            "no avatar",
        ),
        (
            [
                "evaluate",
                "default",
                str(tmp_path / "real"),
                "-o",
                str(tmp_path / "r4"),
                "--seeds",
                "0",
            ],
            2,
            "seeds",
        ),
        (
            [
                "evaluate",
                "default",
                str(tmp_path / "real"),
                "-o",
                str(tmp_path / "r4"),
                "--jobs",
                "0",
            ],
            2,
            "jobs",
        ),
        (
            [
                "evaluate",
                str(tmp_path / "gone.mp4"),
                str(tmp_path / "real"),
                "--pairs",
                "-o",
                str(tmp_path / "r5"),
            ],
            3,
            "no such file",
        ),
        (
            [
                "evaluate",
                str(tmp_path / "real"),
                str(tmp_path / "real"),
                "--pairs",
                "-o",
                str(tmp_path / "real" / "a.mp4"),
            ],
            6,
            "folder",
        ),
    ]:
        assert main(arguments) == code
        assert message in capsys.readouterr().err.replace("\n", " ")
