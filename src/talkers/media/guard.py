"""Foreign media are decoded in a child process, which FFmpeg's faults may end or hang.

The file is then told to be damaged.

One child serves one reading at a time and is kept for the next; readings at the same time have a
child each. What passes between the processes is JSON lines and raw arrays.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from talkers.errors import (
    MediaError,
    ResourceError,
    TalkersError,
    reason,
    refuse_if_out_of_memory,
)

LIMIT = 10.0  # seconds that a child may work until the next piece of what it reads
MEMORY = 4 << 30  # bytes of address space of a child
MAX_IDLE = 4  # idle children
Piece = tuple[dict[str, Any], NDArray[Any] | None]


class _Child:
    """A decoding process, see `serve`."""

    def __init__(self) -> None:
        home = str(Path(__file__).parents[2])
        paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
        command = [sys.executable, "-P", "-m", "talkers.media.child"]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        except OSError as error:
            refuse_if_out_of_memory(error)
            raise ResourceError(
                "the process that reads files cannot be started",
                where=sys.executable,
                why=error.strerror or reason(error),
                todo="Let this user run that program, and leave some processes free",
            ) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout

    def read(self, what: str, path: str, arguments: dict[str, Any]) -> Iterator[Piece]:
        """Pieces of a file.

        Raises:
            TalkersError: what the child says, or that it died.
        """
        line = b""
        with suppress(BrokenPipeError):
            place = str(Path(path).absolute())  # a kept child may have begun in another folder
            self._requests.write(
                json.dumps({"what": what, "path": place, "limit": LIMIT, **arguments}).encode()
                + b"\n"
            )
            self._requests.flush()
            while line := self._replies.readline():
                head = json.loads(line)
                if "end" in head:
                    return
                if "error" in head:
                    raise _as_given(head["error"], place, path)
                array = None
                if "dtype" in head:
                    array = np.empty(head.pop("shape"), head.pop("dtype"))
                    into: Any = self._replies  # a BufferedReader
                    wanted = array.reshape(-1).view(np.uint8)
                    if array.size and into.readinto(wanted) != array.nbytes:
                        break
                yield head, array
        code = -self._process.wait()
        why = (
            f"it holds the decoder up for more than {LIMIT:g} s"
            if code == signal.SIGALRM
            else f"it ends the decoder ({_named(code)})"
        )
        raise MediaError(
            "this file cannot be decoded",
            where=path,
            why=why,
            todo="Convert it to mp4 with another tool, or copy it again",
        )

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._replies):
            with suppress(OSError):
                pipe.close()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None


def _named(code: int) -> str:
    with suppress(ValueError):
        return signal.Signals(code).name
    return f"exit code {-code}"


def _as_given(error: dict[str, Any], place: str, path: str) -> TalkersError:
    """The child's error, about the path as it was given."""
    where = (
        path + error["where"].removeprefix(place)
        if str(error["where"]).startswith(place)
        else error["where"]
    )
    return MediaError(error["what"], where=where, why=error["why"], todo=error["todo"])


_idle: list[_Child] = []


@atexit.register
def _end_all() -> None:
    while _idle:
        _idle.pop().end()


def _after_fork() -> None:
    """In a forked child: the decoding processes are the parent's, which goes on talking to them."""
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def ask(what: str, path: str | os.PathLike[str], **arguments: Any) -> Iterator[Piece]:
    """What a child reads of a file, piece by piece: a head, and an array or None.

    Args:
        what: a name of `talkers.media.child.READINGS`.
        arguments: JSON values, passed on.

    Raises:
        MediaError: what the reading says; or that the file ends the decoder, or holds it up.
    """
    name, child = os.fsdecode(path), None
    with suppress(IndexError):  # none is idle
        while child is None or not child.alive:
            child = _idle.pop()
    if child is None or not child.alive:
        child = _Child()
    whole = False
    try:
        yield from child.read(what, name, arguments)
        whole = True
    except TalkersError:
        whole = child.alive  # it said so, and waits for the next
        raise
    finally:
        if whole and len(_idle) < MAX_IDLE:
            _idle.append(child)
        else:
            child.end()


def serve(
    requests: IO[bytes], replies: IO[bytes], readings: dict[str, Callable[..., Iterator[Piece]]]
) -> None:
    """The child: answer requests until there are no more.

    Args:
        readings: name -> (path, arguments) -> pieces.
    """
    for line in requests:
        request = json.loads(line)
        limit, what, path = request.pop("limit"), request.pop("what"), request.pop("path")
        pieces, last = readings[what](path, **request), False
        while not last:
            array = None
            signal.setitimer(signal.ITIMER_REAL, limit)
            try:
                head, array = next(pieces)
            except StopIteration:
                head, last = {"end": True}, True
            except TalkersError as error:
                where = None if error.where is None else str(error.where)
                head, last = (
                    {
                        "error": {
                            "what": error.what,
                            "where": where,
                            "why": error.why,
                            "todo": error.todo,
                        }
                    },
                    True,
                )
            except MemoryError:
                error_said = {
                    "what": "this file cannot be decoded",
                    "where": path,
                    "why": "it asks for too much memory",
                    "todo": "Convert it",
                }
                head, last = {"error": error_said}, True
            except Exception as error:
                why = f"the decoder says: {type(error).__name__}: {str(error).rstrip('.')}"
                error_said = {
                    "what": "this file cannot be decoded",
                    "where": path,
                    "why": why,
                    "todo": "Convert it to mp4 with another tool",
                }
                head, last = {"error": error_said}, True
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            if array is not None:
                head |= {"shape": array.shape, "dtype": array.dtype.str}
            replies.write(json.dumps(head).encode() + b"\n")
            if array is not None:
                replies.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            replies.flush()
