"""corpus: prepared footage comes back as it was measured; preparing resumes, repeats and survives broken files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkers.artefacts.documents import read_json
from talkers.corpus import Corpus, store, table
from talkers.corpus.clips import in_pieces
from talkers.corpus.prepare import Statement, prepare
from talkers.corpus.store import fill_gaps
from talkers.errors import ArtefactError, FaceError, TalkersError
from talkers.face.landmarks import mouth_opening
from talkers.media import VideoWriter, decode_frames
from talkers.runtime.avatar import Avatar
from talkers.training.frames import FrameStore


def test_what_was_measured_comes_back(corpus: Corpus) -> None:
    import speaker

    acts = speaker.perform(75, 2)
    marks = corpus.column("landmarks", "clip2")
    assert np.allclose(mouth_opening(marks), 0.11 * acts.opening / 0.32, atol=2e-3)
    assert np.allclose(corpus.pose("clip2")[:, 0], acts.yaw, atol=1e-3)
    assert np.allclose(corpus.column("blink", "clip2"), acts.blink, atol=2e-3)
    assert corpus.frames("clip2").shape == (75, 64, 64, 3)
    assert len(corpus.audio("clip2")) == 48_000
    assert len(corpus.digest()) == 64
    assert corpus.digest(["clip0"]) != corpus.digest(["clip1"])


def test_gaps_are_filled_from_their_neighbours() -> None:
    series = np.array([[0.0], [np.nan], [np.nan], [3.0], [np.nan]], np.float32)
    assert fill_gaps(series)[:, 0].tolist() == [0, 1, 2, 3, 3]
    assert fill_gaps(np.full((2, 1), np.nan, np.float32)).tolist() == [[0], [0]]


@pytest.mark.parametrize("damage", ["missing", "not json", "newer", "no clips", "rows"])
def test_damaged_corpora_are_refused(corpus: Corpus, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "c"
    shutil.copytree(corpus.folder, folder)
    about = json.loads((folder / "corpus.json").read_text())
    if damage == "missing":
        (folder / "corpus.json").unlink()
    elif damage == "not json":
        (folder / "corpus.json").write_text("{")
    elif damage == "newer":
        (folder / "corpus.json").write_text(json.dumps(about | {"format_version": 99}))
    elif damage == "no clips":
        (folder / "corpus.json").write_text(
            json.dumps({k: v for k, v in about.items() if k != "clips"})
        )
    else:
        about["clips"][0]["frames"] = 3
        (folder / "corpus.json").write_text(json.dumps(about))
    with pytest.raises(ArtefactError) as caught:
        Corpus(folder).pose("clip1")
    assert caught.value.todo


@pytest.fixture(scope="module")
def footage(bundled: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three real-looking clips of the bundled avatar, and three that are broken."""
    folder = tmp_path_factory.mktemp("footage")
    rng = np.random.default_rng(0)
    try:
        for k in range(3):
            sound = (0.1 * rng.normal(size=19_200) * (np.sin(np.arange(19_200) / 1500) > 0)).astype(
                np.float32
            )
            bundled.speak(sound, seed=k, provenance=False).save(folder / f"good{k}.mp4")
    except TalkersError as error:
        pytest.skip(str(error))
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a video")
    import speaker

    speaker.make_clip(folder / "cartoon.mp4", 20, 0)  # decodes, but shows no real face
    return folder


def test_preparing_does_what_can_be_done(footage: Path, tmp_path: Path) -> None:
    statement = Statement("the avatar's", speaker="ada")
    done = prepare([footage], tmp_path / "c", statement=statement, jobs=2)
    assert done.added == 3
    assert done.corpus.speakers == {"ada": ["good0", "good1", "good2"]}
    assert {Path(name).name for name in done.failures} == {"empty.mp4", "text.mp4", "cartoon.mp4"}
    assert done.corpus.names == ["good0", "good1", "good2"]
    assert done.corpus.about["consent"] == "the avatar's"
    assert done.corpus.frames("good0").shape == (30, 256, 256, 3)
    assert done.corpus.column("face", "good0").all()
    assert not (tmp_path / "c" / ".work").exists()
    before = (tmp_path / "c" / "corpus.json").read_bytes()
    again = prepare([footage / "good0.mp4", footage / "good1.mp4"], tmp_path / "c")
    assert again.added == 0
    assert (tmp_path / "c" / "corpus.json").read_bytes() == before
    with pytest.raises(ArtefactError, match="256 px"):
        prepare([footage / "good0.mp4"], tmp_path / "c", size=128)


def test_an_interrupted_preparation_goes_on(footage: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "writing clips":
            raise Stop

    files = [footage / "good0.mp4", footage / "good1.mp4"]
    with pytest.raises(Stop):
        prepare(files, tmp_path / "c", jobs=1, progress=interrupt)
    assert not (tmp_path / "c" / "corpus.json").exists()
    seen = {p: p.stat().st_mtime_ns for p in (tmp_path / "c" / ".work").glob("*.analysis")}
    assert len(seen) == 2
    stages: list[str] = []
    done = prepare(
        [*files, footage / "good2.mp4"],
        tmp_path / "c",
        jobs=1,
        progress=lambda stage, done, total: stages.append(stage),
    )
    assert done.added == 3
    assert sum(len(done.corpus.column("landmarks", name)) for name in done.corpus.names) == 90


def test_what_is_of_no_use_is_a_gap_and_is_told(footage: Path, tmp_path: Path) -> None:
    """A take in which the picture is held for two seconds, at 30 frames a second."""
    frames = list(decode_frames(footage / "good0.mp4"))
    frames = [*frames, *[frames[-1]] * 50]
    sound = np.random.default_rng(0).normal(0, 0.1, len(frames) * 640).astype(np.float32)
    with VideoWriter(tmp_path / "held.mp4", Fraction(25), [sound], 16_000, crf=16) as writer:
        for frame in frames:
            writer.write(frame)
    done = prepare([tmp_path / "held.mp4"], tmp_path / "c", rate=Fraction(30), jobs=1)
    (clip,) = done.corpus.clips
    ((first, last),) = clip.gaps
    assert (first, last) == (pytest.approx(35, abs=3), clip.frames)
    assert done.corpus.rate == 30
    seen = done.corpus.column("face", clip.name)
    assert seen[:first].all()
    assert not seen[first:].any()
    (finding,) = [f for f in done.corpus.about["findings"] if f["kind"] == "frozen"]
    assert finding["file"] == "held.mp4"
    assert any("stands still" in remark for remark in done.remarks)


def test_nothing_is_left_when_nothing_can_be_prepared(footage: Path, tmp_path: Path) -> None:
    with pytest.raises(FaceError, match="none of the footage"):
        prepare([footage / "empty.mp4", footage / "cartoon.mp4"], tmp_path / "c", jobs=1)
    assert not (tmp_path / "c").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(ArtefactError, match="not empty"):
        prepare([footage / "good0.mp4"], tmp_path / "other")


def test_real_footage_is_prepared(grid: Path, tmp_path: Path) -> None:
    clips = sorted((grid / "s1" / "video").glob("*.mpg"))[:2]
    done = prepare(clips, tmp_path / "c", jobs=2)
    assert done.added == 2
    assert not done.failures
    for name in done.corpus.names:
        marks = done.corpus.column("landmarks", name)
        assert np.isfinite(marks).all()
        assert marks.min() > 0
        assert marks.max() < 256
        assert 0.15 < done.corpus.column("speech", name).mean() < 0.9
        assert np.abs(done.corpus.pose(name)[:, :3]).max() < 25


def test_sound_is_cut_where_asked_however_it_arrives() -> None:
    samples, edges = np.arange(1000, dtype=np.float32), [0, 10, 10, 512, 1200]
    for size in (1, 7, 333, 1000):
        pieces = list(in_pieces(np.split(samples, range(size, 1000, size)), edges))
        assert [len(p) for p in pieces] == [10, 0, 502, 688]
        whole = np.concatenate(pieces)
        np.testing.assert_array_equal(whole[:1000], samples)
        assert not whole[1000:].any()


@pytest.mark.parametrize("damage", ["larger", "shorter", "longer"])
def test_clips_that_are_not_what_the_corpus_says_are_named(
    corpus: Corpus, tmp_path: Path, damage: str
) -> None:
    folder = shutil.copytree(corpus.folder, tmp_path / "c", ignore=shutil.ignore_patterns(".cache"))
    last = corpus.clips[-1]
    size, count = {
        "larger": (96, last.frames),
        "shorter": (64, last.frames - 1),
        "longer": (64, last.frames + 1),
    }[damage]
    with VideoWriter(folder / "clips" / f"{last.name}.mp4", corpus.rate) as writer:
        for _ in range(count):
            writer.write(np.zeros((size, size, 3), np.uint8))
    with pytest.raises(
        ArtefactError,
        match=rf"{last.name}\.mp4: .*clip {last.name} .*(96 x 96|does not have its {last.frames} frames)",
    ):
        FrameStore(Corpus(folder))
    assert not list((folder / ".cache").iterdir())


def test_json_that_is_far_too_long_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "corpus.json").open("wb") as out:
        out.truncate(3 << 30)
    for read in (Corpus, lambda folder: read_json(folder / "corpus.json")):
        with pytest.raises(ArtefactError, match="far too long"):
            read(tmp_path)


def test_what_a_killed_preparation_was_writing_is_removed(tmp_path: Path) -> None:
    """As SIGKILL leaves it while the table is joined."""
    folder = tmp_path / "c"
    (tmp_path / "text.mp4").write_text("not a video")
    (folder / "clips").mkdir(parents=True)
    (folder / ".work").mkdir()
    names = [
        folder / ".0a1b2c3d.partial.parquet",
        folder / ".1a1b2c3d.partial.json",
        folder / "clips" / ".2a1b2c3d.partial.mp4",
    ]
    for path in names:
        path.touch()
    with pytest.raises(
        FaceError, match="none of the footage"
    ):  # and not that the folder is not empty
        prepare([tmp_path / "text.mp4"], folder, jobs=1)
    assert not [path for path in names if path.exists()]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    code = """
import sys
from talkers.cli import main

for path in sys.argv[2:]:
    print("code", main(["prepare", path, "-o", sys.argv[1]]), flush=True)
    print("code", main(["check", path]), flush=True)
"""
    paths = [str(tmp_path / "c"), str(tmp_path / "pipe.mp4"), "/dev/zero"]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    *told, rest = done.stdout.split("code 3\n")
    assert (len(told), rest) == (4, ""), done.stdout
    assert all("no regular file" in " ".join(each.split()) for each in told), done.stdout


def test_little_of_a_long_corpus_is_held(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(corpus.folder, tmp_path / "c", ignore=shutil.ignore_patterns(".cache"))
    monkeypatch.setattr(table, "MAX_ROWS", 50)  # clips of 75 frames lie across such pieces
    table.write_table(
        tmp_path / "c" / "frames.parquet",
        (
            rows.slice(k, 50)
            for rows in table.read_tables(corpus.folder / "frames.parquet")
            for k in range(0, 600, 50)
        ),
    )
    long = Corpus(tmp_path / "c")
    for name in corpus.names:
        for column in ("landmarks", "blendshapes", "yaw", "speech"):
            assert np.array_equal(
                long.column(column, name), corpus.column(column, name), equal_nan=True
            ), (column, name)
        assert len(long._held) <= store.MAX_HELD
    assert len(long._ends) > store.MAX_HELD
