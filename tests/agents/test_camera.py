"""A virtual camera: what is written is what a driver expects, and what is no camera is refused in a sentence."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from talkers.agents import camera
from talkers.agents.camera import VirtualCamera
from talkers.errors import MissingComponent, ResourceError, TalkersError, UsageError


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that answers as v4l2loopback does, and the format that it was told in `format`."""

    def ioctl(file: int, request: int, argument: bytes) -> bytes:
        if request == camera.QUERY_CAPABILITY:
            assert len(argument) == 104
            return struct.pack("16s32s32s6I", b"v4l2 loopback", b"", b"", 0, 1 << 31, 2, 0, 0, 0)
        assert request == camera.SET_FORMAT
        (tmp_path / "format").write_bytes(argument)
        return argument

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    path = tmp_path / "video9"
    path.touch()
    return path


def test_pictures_are_written_as_a_camera_gives_them(device: Path) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, 32:] = 255
    with VirtualCamera(device, (64, 48)) as shown:
        shown.show(picture)
        shown.show(picture)
        with pytest.raises(UsageError, match="64x48"):
            shown.show(picture[:10])
    shown.close()
    told = (device.parent / "format").read_bytes()
    assert len(told) == 208
    kind, _, width, height, pixels, _, line, size = struct.unpack("8I", told[:32])
    assert (kind, width, height, line, size) == (2, 64, 48, 128, 64 * 48 * 2)
    assert pixels.to_bytes(4, "little") == b"YUYV"
    frames = np.frombuffer(device.read_bytes(), np.uint8).reshape(2, 48, 64, 2)
    assert frames[..., :24, 0].max() <= 20  # luma: black, then white
    assert frames[..., 40:, 0].min() >= 230


def test_what_is_no_camera_is_refused_in_a_sentence(
    tmp_path: Path, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingComponent, match="modprobe v4l2loopback"):
        VirtualCamera(tmp_path / "video8", (64, 64))

    def busy(*_: object) -> bytes:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(fcntl, "ioctl", busy)
    with pytest.raises(ResourceError, match="another program"):
        VirtualCamera(device, (64, 64))
    monkeypatch.undo()
    with pytest.raises(UsageError, match="no virtual camera"):
        VirtualCamera("/dev/null", (64, 64))
    with pytest.raises(TalkersError):
        VirtualCamera(tmp_path, (64, 64))


def test_a_camera_that_goes_away_is_told(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with VirtualCamera(device, (64, 64)) as shown:

        def gone(*_: object) -> int:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

        monkeypatch.setattr(os, "write", gone)
        with pytest.raises(ResourceError, match="No such device"):
            shown.show(np.zeros((64, 64, 3), np.uint8))
