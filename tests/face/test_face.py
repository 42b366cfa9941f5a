"""face: landmarks, pose and crop on a real face, and findings on footage with known faults."""

from __future__ import annotations

import os
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import speaker
from talkers import Avatar, Controls
from talkers.errors import FaceError, MediaError, MissingComponent
from talkers.face import Crop, FaceTracker, choose_crop, landmarks, mouth_opening, paste_back
from talkers.face.analysis import Analysis, analyse, landmarks_in, poses_in
from talkers.face.check import check_footage, findings_of
from talkers.face.crop import box_of, face_height
from talkers.face.landmarks import angles_of
from talkers.face.usable import usable_frames
from talkers.media import VideoWriter, decode_frames
from talkers.runtime.resolved import resolve_controls


def analysis(frames: int = 100, **changes: object) -> Analysis:
    """An analysis of faultless footage, with changes."""
    rng = np.random.default_rng(0)
    opening = np.clip(np.sin(np.arange(frames) * 0.55) + 0.3 * rng.normal(size=frames), 0, 1)
    marks = np.tile(
        np.stack([np.linspace(100, 260, 478), np.linspace(80, 280, 478)], -1).astype(np.float32),
        (frames, 1, 1),
    )
    marks[:, 33], marks[:, 263] = (120, 150), (240, 150)
    marks[:, 13], marks[:, 14] = (180, 230), (180, 230)
    marks[:, 14, 1] += 30 * opening
    speed = np.abs(np.gradient(opening))
    values: dict[str, object] = {
        "source": "a.mp4",
        "sha256": "0" * 64,
        "width": 640,
        "height": 480,
        "rate": Fraction(25),
        "source_rate": 25.0,
        "audio_seconds": frames / 25,
        "clipped": 0.0,
        "boxes": box_of(marks),
        "opening": mouth_opening(marks),
        "blendshapes": np.zeros((frames, 52), np.float32),
        "angles": np.zeros((frames, 3), np.float32),
        "faces": np.ones(frames, np.int8),
        "levels": (-50 + 40 * np.convolve(speed, np.ones(3) / 3, "same")).astype(np.float32),
        "bands": np.zeros((2 * frames, 20), np.float32),
        "cuts": np.zeros(0, np.int32),
        "still": np.zeros(frames, bool),
        "identities": np.zeros((0, 128), np.float32),
        "identified": np.zeros(0, np.int32),
    }
    return Analysis(**(values | changes))  # type: ignore[arg-type]


def kinds(a: Analysis) -> set[str]:
    return {f.kind for f in findings_of(a)}


def test_good_footage_has_no_findings_of_its_own() -> None:
    assert findings_of(analysis()) == []


def test_each_fault_is_found_where_it_is() -> None:
    faces = np.ones(100, np.int8)
    faces[50:60] = 0
    gap = next(f for f in findings_of(analysis(faces=faces)) if f.kind == "no-face")
    assert gap.at == 2.0
    assert "0.40 s" in gap.what
    faces[:] = 1
    faces[25:30] = 2
    assert next(f.at for f in findings_of(analysis(faces=faces)) if f.kind == "two-faces") == 1.0
    assert kinds(analysis(cuts=np.array([40], np.int32))) == {"cut"}
    assert kinds(analysis(audio_seconds=0.0)) == {"no-audio"}
    assert kinds(analysis(audio_seconds=3.0)) == {"length"}
    assert kinds(analysis(clipped=0.02)) == {"clipped"}
    assert kinds(analysis(source_rate=12.0)) == {"frame-rate"}
    assert kinds(analysis(boxes=analysis().boxes * 0.2)) == {"resolution"}
    assert kinds(analysis(levels=np.full(100, -90, np.float32))) == {"no-speech"}
    assert "too-short" in kinds(analysis(10))


def test_what_is_of_no_use_is_found_and_left_out() -> None:
    still = np.zeros(100, bool)
    still[20:60] = True
    frozen = next(f for f in findings_of(analysis(still=still)) if f.kind == "frozen")
    assert (frozen.at, frozen.what) == (0.8, "the picture stands still for 1.60 s")
    assert usable_frames(analysis(still=still)).sum() == 60
    whole = findings_of(analysis(still=np.ones(100, bool)))
    assert {f.kind for f in whole if f.severity == "error"} == {"no-use"}
    boxes = analysis().boxes.copy()
    boxes[70:80, [0, 2]] += 300  # the crop is 400 wide and the face 160
    a = analysis(boxes=boxes)
    assert next(f.at for f in findings_of(a) if f.kind == "outside") == 2.8
    assert check_footage({"a.mp4": a})["seconds"] == 3.6
    people = np.zeros((3, 128), np.float32)
    people[:, 0], people[1] = 1, np.eye(128)[1]
    cut = analysis(
        cuts=np.array([40, 70], np.int32),
        identities=people,
        identified=np.array([2, 42, 72], np.int32),
    )
    assert [f.at for f in findings_of(cut) if f.kind == "another-person"] == [1.6]
    assert usable_frames(cut).sum() == 70


def test_files_of_different_people_are_told() -> None:
    ada, bob = np.eye(128, dtype=np.float32)[:2, None]
    told = check_footage(
        {
            name: analysis(source=name, identities=who, identified=np.zeros(1, np.int32))
            for name, who in {"a.mp4": ada, "b.mp4": bob, "c.mp4": ada}.items()
        }
    )
    assert [f["file"] for f in told["findings"] if f["kind"] == "another-person"] == ["b.mp4"]


def test_broken_files_are_listed_and_the_rest_is_used() -> None:
    told = check_footage(
        {
            "bad.mp4": MediaError("the file is empty", where="bad.mp4", todo="Copy it again"),
            "a.mp4": analysis(),
        }
    )
    assert told["usable"]
    assert told["findings"][0]["kind"] == "unreadable"
    assert told["findings"][0]["todo"] == "Copy it again"
    assert told["seconds"] == 4.0


def test_analyses_survive_the_disk(tmp_path: Path) -> None:
    a = analysis(notes=["three damaged packets"])
    a.save(tmp_path / "a.safetensors")
    b = Analysis.load(tmp_path / "a.safetensors")
    assert b.notes == a.notes
    assert b.source == "a.mp4"
    assert np.array_equal(b.boxes, a.boxes)
    assert np.array_equal(b.opening, a.opening)


def test_the_crop_holds_the_face_and_is_undone() -> None:
    boxes = analysis().boxes
    crop = choose_crop(boxes, 640, 480, 256)
    marks = boxes.reshape(-1, 2, 2)
    inside = crop.to_crop(marks)
    assert inside.min() > 0
    assert inside.max() < 256
    assert crop.left >= 0
    assert crop.left + crop.side <= 640
    assert crop.top + crop.side <= 480
    assert np.allclose(crop.to_source(inside), marks, atol=1e-2)
    assert face_height(boxes) == pytest.approx(200)
    shared = choose_crop(boxes, 640, 480, 256, face=128)
    assert shared.side == 256  # native pixels where that is near


def test_small_and_missing_faces_are_refused() -> None:
    with pytest.raises(FaceError, match="no face"):
        choose_crop(np.zeros((0, 4), np.float32), 640, 480, 256)
    with pytest.raises(FaceError, match="20 pixels"):
        choose_crop(analysis().boxes * 0.1, 640, 480, 256)


def test_pasting_back_what_was_cut_changes_nothing() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    crop = Crop(50, 20, 256, 256)
    back = paste_back(frame, crop.cut(frame), crop)
    assert np.abs(back.astype(int) - frame).max() <= 1
    changed = paste_back(frame, np.zeros((256, 256, 3), np.uint8), crop)
    assert changed[148, 178].max() == 0
    assert np.array_equal(changed[:20], frame[:20])
    outside = Crop(-20, -10, 128, 64)
    assert outside.cut(frame).shape == (64, 64, 3)
    assert paste_back(frame, outside.cut(frame), outside).shape == frame.shape


def test_angles_have_their_signs() -> None:
    def turn(axis: int, degrees: float) -> np.ndarray:
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        m = np.eye(4)
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        m[i, i], m[j, j], m[i, j], m[j, i] = c, c, -s, s
        return m

    assert angles_of(turn(1, 10)) == pytest.approx([10, 0, 0], abs=1e-4)
    assert angles_of(turn(0, -10)) == pytest.approx([0, 10, 0], abs=1e-4)
    assert angles_of(turn(2, -10)) == pytest.approx([0, 0, 10], abs=1e-4)
    assert angles_of(3 * turn(1, 25)) == pytest.approx([25, 0, 0], abs=1e-4)


@pytest.fixture(scope="module")
def portrait(bundled: Avatar) -> np.ndarray:
    """A real face: the bundled avatar's preview."""
    return next(decode_frames(bundled.engine.folder / "preview.png"))


def test_trackers_opened_at_once_leave_stderr_where_it_was() -> None:
    """The second thread begins while stderr leads nowhere, and ends last."""
    before = Path("/dev/fd/2").stat()
    entered, leave = [[threading.Event() for _ in range(2)] for _ in range(2)]

    def hush(k: int) -> None:
        with landmarks._hushed():
            entered[k].set()
            leave[k].wait(0.5)

    threads = [threading.Thread(target=hush, args=(k,)) for k in range(2)]
    for k, thread in enumerate(threads):
        thread.start()
        entered[k].wait(0.2)
    for k, thread in enumerate(threads):
        leave[k].set()
        thread.join()
    assert os.path.samestat(before, Path("/dev/fd/2").stat())


def tracker(faces: int = 2) -> FaceTracker:
    try:
        return FaceTracker(faces)
    except MissingComponent as error:
        pytest.skip(str(error))


def test_a_real_face_is_read(portrait: np.ndarray) -> None:
    with tracker() as faces:
        reading = faces.track(portrait)
        mirrored = faces.track(portrait[:, ::-1])
        assert faces.track(np.zeros_like(portrait)) is None
    assert reading is not None
    assert mirrored is not None
    assert reading.landmarks.shape == (478, 2)
    assert reading.blendshapes.shape == (52,)
    assert reading.faces == 1
    assert 0 <= mouth_opening(reading.landmarks) < 0.4
    assert np.abs(reading.angles).max() < 20
    assert mirrored.angles[0] == pytest.approx(-reading.angles[0], abs=2.5)
    assert mirrored.angles[1] == pytest.approx(reading.angles[1], abs=2.5)


def test_of_two_faces_the_tracked_one_is_kept(portrait: np.ndarray, tmp_path: Path) -> None:
    both = np.concatenate([portrait, portrait[:, ::-1]], 1)
    with VideoWriter(tmp_path / "two.mp4", Fraction(25), crf=10) as writer:
        for k in range(6):
            alone = both.copy()
            if k == 0:
                alone[:, 256:] = 90
            writer.write(alone)
    with tracker():
        pass
    a = analyse(tmp_path / "two.mp4", marks=tmp_path / "marks")
    assert a.found.all()
    assert (a.faces[1:] == 2).all()
    marks = landmarks_in(tmp_path / "marks", slice(2, 6))
    assert marks.shape == (4, 478, 2)
    assert (marks[..., 0] < 256).all()
    assert np.array_equal(box_of(marks), a.boxes[2:])
    assert "two-faces" in {f.kind for f in findings_of(a)}


def test_the_head_of_a_video_is_followed(tiny_avatar: Avatar, tmp_path: Path) -> None:
    acts = speaker.perform(30, 4)
    frames = [
        speaker.draw(256, float(o), float(s), 0.0)
        for o, s in zip(acts.opening, acts.shift, strict=True)
    ]
    for name, shown in (
        ("a.mp4", frames),
        ("empty.mp4", [np.full((256, 256, 3), 90, np.uint8)] * 10),
    ):
        with VideoWriter(tmp_path / name, Fraction(25), crf=15) as writer:
            for frame in shown:
                writer.write(frame)
    curves = poses_in(tmp_path / "a.mp4")
    assert len(curves["time"]) > 20
    assert curves["time"][-1] <= 29 / 25
    assert set(curves) == {"time", "yaw", "pitch", "roll"}
    followed = resolve_controls(tiny_avatar.engine, Controls(pose=str(tmp_path / "a.mp4")), 0).head
    assert np.array_equal(followed.keys["yaw"], curves["yaw"])  # type: ignore[index]
    again = resolve_controls(tiny_avatar.engine, Controls(pose=str(tmp_path / "a.mp4")), 1).head
    assert again.keys is followed.keys  # the video is not read anew
    with pytest.raises(FaceError, match="0 of 10"):
        resolve_controls(tiny_avatar.engine, Controls(pose=str(tmp_path / "empty.mp4")), 0)
