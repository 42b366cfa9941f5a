"""Media from pipes, and samples without a header, as files that can be read repeatedly."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from talkers.errors import MediaError, ResourceError, TalkersError, UsageError
from talkers.media.forms import is_pipe
from talkers.media.samples import SAMPLE_RATES

MAX_BYTES = 8 << 30  # of what comes through a pipe
MAX_RAW_BYTES = (1 << 32) - 4096  # of samples: what the header of a WAV file can say
BLOCK = 1 << 20
STANDARD_INPUT = "standard input"


@contextmanager
def received(
    source: str | os.PathLike[str], rate: int | None = None, channels: int = 1
) -> Iterator[Path]:
    """Give a file with what a source holds.

    A file is itself; of anything else a temporary copy is made, which goes when the context ends.
    Errors within the context that tell of the copy name the source instead.

    Errors within the context that tell of the copy name the source instead.

    Args:
        source: a file; "-" for standard input; a named pipe or what `<(...)` makes.
        rate: Hz: the source holds nothing but samples, 16-bit little-endian, channels interleaved.
        channels: of such samples.

    Yields:
        the path to read.

    Raises:
        UsageError: nothing is piped, or no such rate. MediaError: nothing came, or too much.
        ResourceError: there is no room for the copy.
    """
    if rate is not None and not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]:
        raise UsageError(
            f"a sampling rate of {rate} is not possible",
            todo=f"Give Hz, {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]}",
        )
    if rate is None and not _is_stream(source):
        yield Path(source)
        return
    name = STANDARD_INPUT if is_pipe(source) else os.fspath(source)
    with tempfile.TemporaryDirectory(prefix="talkers-") as folder:
        copy = Path(folder) / STANDARD_INPUT
        try:
            if rate is None:
                with copy.open("wb") as file, _opened(source) as stream:
                    _copy(stream, file, MAX_BYTES, name)
            else:
                with wave.open(str(copy), "wb") as sound, _opened(source) as stream:
                    sound.setparams((channels, 2, rate, 0, "NONE", ""))
                    _copy(stream, sound, MAX_RAW_BYTES, name)
        except OSError as error:
            raise ResourceError(
                "what comes in cannot be kept",
                where=name,
                why=error.strerror,
                todo=f"Free some room in {tempfile.gettempdir()}",
            ) from error
        try:
            yield copy
        except TalkersError as error:
            if str(error.where).startswith(str(copy)):
                where = name + str(error.where).removeprefix(str(copy))
                raise type(error)(
                    error.what, where=where, why=error.why, todo=error.todo
                ) from error
            raise


def _is_stream(source: str | os.PathLike[str]) -> bool:
    """Whether a source can be read only once."""
    if is_pipe(source):
        return True
    try:
        mode = Path(source).stat().st_mode
    except (OSError, ValueError):
        return False  # reading tells of it
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


@contextmanager
def _opened(source: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    if is_pipe(source):
        if sys.stdin.isatty():
            raise UsageError(
                "nothing is piped to standard input",
                todo="Pipe sound into it, for example `cat speech.wav | ...`, or name a file",
            )
        yield sys.stdin.buffer
        return
    try:
        stream = Path(source).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise MediaError(
            "the file cannot be read", where=source, why=error.strerror, todo="Check the path"
        ) from error
    with stream:
        yield stream


def _copy(source: IO[bytes], target: IO[bytes] | wave.Wave_write, most: int, name: str) -> None:
    """Copy everything: as bytes, or as the samples of a WAV file."""
    count = 0
    while block := source.read(BLOCK):
        count += len(block)
        if count > most:
            raise MediaError(
                f"more than {most / 1e9:.0f} GB come in", where=name, todo="Give it in parts"
            )
        if isinstance(target, wave.Wave_write):
            target.writeframesraw(block)
        else:
            target.write(block)
    if not count:
        raise MediaError("nothing came in", where=name, todo="Check the command that is to send it")
