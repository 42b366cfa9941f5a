"""A face as a camera of this machine, for OBS, browsers and video calls: v4l2loopback on Linux.

The kernel module v4l2loopback makes devices that take pictures from one program and give them to
others as a camera does. Pictures have no sound: play it beside them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from numpy.typing import NDArray

from talkers.errors import MissingComponent, ResourceError, UsageError, reason, unreachable

# of linux/videodev2.h, on machines of 64 bits
QUERY_CAPABILITY, SET_FORMAT = 0x80685600, 0xC0D05605
CAPABILITY, FORMAT = struct.Struct("=80x3I12x"), struct.Struct("=I4x7I172x")
VIDEO_OUTPUT, SRGB = 2, 8  # a capability and type of buffer; colours
YUYV = int.from_bytes(b"YUYV", "little")  # what nearly every program takes from a camera
LOAD = "Load its kernel module: `sudo modprobe v4l2loopback exclusive_caps=1`"


class VirtualCamera:
    """A device to which pictures are given, and from which other programs take them.

    Args:
        path: such as /dev/video0.
        size: width and height of the pictures, pixels; even.

    Raises:
        MissingComponent: there is no such device.
        UsageError: it is no virtual camera.
        ResourceError: another program gives it pictures, or it may not be opened.
    """

    def __init__(self, path: str | Path, size: tuple[int, int]):
        self.path, self.size = Path(path), size
        if not self.path.exists():
            raise MissingComponent("there is no virtual camera", where=path, todo=LOAD)
        try:
            self._file = os.open(path, os.O_RDWR)
        except OSError as error:
            raise unreachable(error) or _refused(path, error) from error
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        """Say how large the pictures are."""
        width, height = self.size
        try:
            answer = fcntl.ioctl(self._file, QUERY_CAPABILITY, bytes(CAPABILITY.size))
            _, all_of_driver, of_device = CAPABILITY.unpack(answer)
            if not (of_device or all_of_driver) & VIDEO_OUTPUT:
                raise OSError(errno.ENOTTY, "it only gives pictures")
            wanted = (width, height, YUYV, 1, 2 * width, 2 * width * height, SRGB)
            fcntl.ioctl(self._file, SET_FORMAT, FORMAT.pack(VIDEO_OUTPUT, *wanted))
        except OSError as error:
            raise _refused(self.path, error) from error

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Give it a picture.

        Args:
            picture: uint8 [height, width, 3] RGB, of the camera's size.

        Raises:
            UsageError: the picture is of another size.
            ResourceError: the device takes nothing any more.
        """
        if picture.shape != (self.size[1], self.size[0], 3):
            raise UsageError(
                f"a picture {picture.shape} was given to a camera of {self.size[0]}x{self.size[1]}"
            )
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
        try:
            os.write(self._file, frame.reformat(format="yuyv422").to_ndarray().tobytes())
        except OSError as error:
            raise ResourceError(
                "this camera takes no pictures", where=self.path, why=reason(error)
            ) from error

    def close(self) -> None:
        """Give it no more. Once more does no harm."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> VirtualCamera:
        """The camera; it is closed when the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


def _refused(path: str | Path, error: OSError) -> UsageError | ResourceError:
    """The error where a device cannot be used."""
    if error.errno == errno.EBUSY:
        return ResourceError(
            "another program gives pictures to this camera",
            where=path,
            todo="End it, or name another camera",
        )
    return UsageError("this is no virtual camera", where=path, why=error.strerror, todo=LOAD)
