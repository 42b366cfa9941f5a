"""The process that decodes foreign media for `talkers.media.guard`, with little that it may do."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from talkers.media.audio import blocks_here, duration_here
from talkers.media.decode import frames_here
from talkers.media.guard import MEMORY, Piece, serve
from talkers.media.photo import photo_here
from talkers.media.probe import probe_here, to_dict
from talkers.media.tracks import choose_track


def _said(notes: list[str]) -> Iterator[Piece]:
    """Notes that have come by now, each once."""
    while notes:
        yield {"note": notes.pop(0)}, None


def _probe(path: str, track: int | None) -> Iterator[Piece]:
    info = probe_here(path)
    if track is not None or len(info.tracks) > 1:
        info = replace(info, audio=info.tracks[choose_track(path, track).number - 1])
    yield to_dict(info), None


def _frames(
    path: str, rate: str | None, stored: bool = False, only: list[int] | None = None
) -> Iterator[Piece]:
    notes: list[str] = []
    wanted = None if rate is None else Fraction(rate)
    for frame in frames_here(path, wanted, notes.append, stored, only):
        yield from _said(notes)
        yield {}, frame
    yield from _said(notes)


def _blocks(path: str, rate: int, channels: int, track: int | None) -> Iterator[Piece]:
    notes: list[str] = []
    for block in blocks_here(path, rate, channels, track, notes.append):
        yield from _said(notes)
        yield {}, block
    yield from _said(notes)


def _duration(path: str, track: int | None) -> Iterator[Piece]:
    yield {"seconds": duration_here(path, track)}, None


READINGS: dict[str, Callable[..., Iterator[Piece]]] = {
    "probe": _probe,
    "frames": _frames,
    "blocks": _blocks,
    "duration": _duration,
    "photo": photo_here,
}


def _bind() -> None:
    """Take from this process what decoding does not need.

    That is writing files, much memory, core dumps and many files.
    """
    try:
        import resource
    except ImportError:  # not on this system
        return
    for what, most in (
        ("RLIMIT_AS", MEMORY),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", 64),
    ):
        kind = getattr(resource, what, None)
        if kind is not None:
            hard = resource.getrlimit(kind)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", 1 << 16)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)  # whatever else is printed goes nowhere
    _bind()
    try:
        serve(requests, replies, READINGS)
    except BrokenPipeError:  # nobody listens any more
        os._exit(0)
    sys.exit(0)
