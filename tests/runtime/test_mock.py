"""The mock avatar: no weights, the interface of any other avatar."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import speaker
from talkers import Avatar, Controls
from talkers.cli import main
from talkers.errors import ArtefactError
from talkers.media import decode_frames, write_flac
from talkers.media.manifest import read_manifest
from talkers.media.watermark import find
from talkers.space.face_state import FACE_STATE, GAZE
from talkers.systems.mock import about


@pytest.fixture(scope="module")
def mock() -> Avatar:
    return Avatar.load("mock")


def state(avatar: Avatar, samples: np.ndarray, **options: object) -> dict[str, np.ndarray]:
    """What the face does in each frame, by name."""
    motion = torch.cat(list(avatar.speak(samples, **options).motion()))  # type: ignore[arg-type]
    return dict(zip(FACE_STATE, motion.numpy().T, strict=True))


def test_its_file_is_what_its_system_says(mock: Avatar) -> None:
    folder = mock.engine.folder
    assert json.loads((folder / "avatar.json").read_text()) == about()
    assert [path.name for path in folder.iterdir()] == ["avatar.json"]


def test_the_mouth_opens_as_loud_as_it_is(mock: Avatar) -> None:
    acts = speaker.perform(100, 77)
    seen = state(mock, speaker.voice(acts.opening, 100))
    assert np.corrcoef(seen["mouth"], acts.opening)[0, 1] > 0.8
    assert state(mock, np.zeros(16_000, np.float32))["mouth"].max() == 0


def test_pixels_show_the_mouth_the_blink_and_the_gaze(mock: Avatar) -> None:
    """Where the mouth opens its throat is dark; closed eyes are not white; pupils move."""
    rest = torch.tensor([[0, 0, 0, 0.5, 0.4, 0.22, 0, 0, 0, 0, 0.0]])

    def drawn(**changes: float) -> np.ndarray:
        motion = rest.clone()
        for name, value in changes.items():
            motion[0, FACE_STATE.index(name)] = value
        return mock.decode(motion)[0].astype(int)

    plain, side = drawn(), mock.size
    throat = (drawn(mouth=1.0)[int(0.68 * side), side // 2] - [50, 10, 20]).tolist()
    assert np.abs(throat).max() < 12
    whites = [(frame[..., 2] > 230).sum() for frame in (plain, drawn(blink=1.0))]
    assert whites[0] > 500
    assert whites[1] < 0.1 * whites[0]
    eye = np.s_[int(0.38 * side) : int(0.42 * side), int(0.54 * side) : int(0.68 * side)]
    places = [
        np.mean(np.nonzero((frame[eye] < 90).all(-1))[1])
        for frame in (drawn(gaze_left=-1.0), plain, drawn(gaze_left=1.0))
    ]
    assert places[0] + 3 < places[1] < places[2] - 3


@pytest.mark.parametrize(
    ("controls", "shown"),
    [
        (Controls("yaw=8"), lambda face: np.allclose(face["yaw"], 8)),
        (Controls("still"), lambda face: np.ptp(face["yaw"]) == 0),
        (Controls("yaw=60"), lambda face: np.allclose(face["yaw"], 15)),  # its limit
        (Controls(blinks=0), lambda face: face["blink"].max() <= 0),
        (Controls(blink_times=(0.6,)), lambda face: 13 <= face["blink"].argmax() <= 17),
        (Controls(gaze=(0.5, -0.25)), lambda face: np.allclose(face["gaze_left"], 0.5)),
        (Controls(pose_scale=0.0), lambda face: np.abs(face["pitch"]).max() < 1e-6),
    ],
)
def test_controls_do_what_they_say(
    mock: Avatar, controls: Controls, shown: Callable[[dict[str, np.ndarray]], bool]
) -> None:
    face = state(mock, speaker.voice(speaker.perform(40, 1).opening, 40), controls=controls)
    assert shown(face)


def test_amplitudes_scale_mouth_and_brows(mock: Avatar) -> None:
    sound = speaker.voice(speaker.perform(40, 1).opening, 40)
    plain = state(mock, sound)
    wide = state(mock, sound, controls=Controls(amplitude=1.5, brow_amplitude=2.0))
    np.testing.assert_allclose(wide["mouth"], 1.5 * plain["mouth"], atol=1e-6)
    np.testing.assert_allclose(wide["brows"], 2 * plain["brows"], atol=1e-6)
    assert GAZE.start == 9


def test_a_stream_is_the_live_file_however_it_is_cut(mock: Avatar) -> None:
    sound = speaker.voice(speaker.perform(60, 3).opening, 60)
    whole = np.stack(list(mock.speak(sound, live=True)))
    for parts in (1, 7, 333):
        streamed = np.stack(list(mock.stream(np.array_split(sound, parts))))
        assert np.array_equal(streamed, whole)


def test_what_a_drawing_cannot_do_is_said(mock: Avatar) -> None:
    with pytest.raises(ArtefactError, match="cannot encode"):
        mock.encode(np.zeros((1, 256, 256, 3), np.uint8))
    with pytest.raises(ArtefactError, match="no motion model 'sampler'"):
        mock.speak(np.zeros(1600, np.float32), controls=Controls(motion="sampler"))


def test_the_command_line_speaks_and_signs(tmp_path: Path) -> None:
    sound = speaker.voice(speaker.perform(30, 1).opening, 30)
    write_flac(tmp_path / "a.flac", sound, 16_000)
    made = tmp_path / "a.mp4"
    assert main(["speak", str(tmp_path / "a.flac"), "--avatar", "mock", "-o", str(made)]) == 0
    frames = list(decode_frames(made))
    assert len(frames) == 30
    assert frames[0].shape == (256, 256, 3)
    assert find(frames).there
    assert read_manifest(made) is not None
    assert main(["inspect", "mock"]) == 0


@pytest.mark.parametrize("name", ["default", "mock"])
def test_a_folder_of_the_same_name_does_not_replace_a_shipped_avatar(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert Avatar.load(name).size == 256
    with pytest.raises(ArtefactError, match=r"avatar\.json is missing"):
        Avatar.load(f"./{name}/")
