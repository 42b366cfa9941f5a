"""What can go wrong, told to the user: what, where, why, and what to do next.

Exit codes of the command line (also in docs/reference/formats.md):
0 done · 1 an internal fault · 2 wrong usage · 3 unusable media
4 unusable avatar, corpus or recipe · 5 a component is missing · 6 out of disk or memory
7 partly done (some files failed) · 130 interrupted
"""

from __future__ import annotations

import errno
import importlib.util
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def shown(text: object) -> str:
    """Text as it may be printed, so that a file's name can neither fail nor pretend.

    What is not printable (line breaks, other directions, bytes that are no characters) is escaped.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in str(text)
    )


def reason(error: BaseException) -> str:
    """What an exception says, as the cause of another error: its first line, or its kind."""
    said = str(error).strip().splitlines()
    return said[0][:200] if said else type(error).__name__


class TalkersError(Exception):
    """Base of every error that a user can cause or mend.

    Args:
        what: what happened, one clause.
        where: the file, time code or field concerned.
        why: the cause, where known.
        todo: what the user should do next.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: object = None, why: str | None = None, todo: str | None = None
    ):
        self.what, self.where, self.why, self.todo = what, where, why, todo
        text = what if where is None else f"{where}: {what}"
        if why:
            text += f", because {why}"
        text += "."
        if todo:
            text += f" {todo}"
            if not text.endswith((".", "`")):
                text += "."
        super().__init__(text)

    def __reduce__(self) -> tuple[object, ...]:  # crosses process borders with its fields
        return (_rebuild, (type(self), self.what, self.where, self.why, self.todo))


def _rebuild(
    kind: type[TalkersError], what: str, where: object, why: str | None, todo: str | None
) -> TalkersError:
    return kind(what, where=where, why=why, todo=todo)


class UsageError(TalkersError):
    """The command or call was put wrongly: an unknown name, a value out of range."""

    exit_code = 2


class MediaError(TalkersError):
    """A foreign media file cannot be used."""

    exit_code = 3


class FaceError(MediaError):
    """Footage does not show what is needed: one face, whole and large enough."""


class ArtefactError(TalkersError):
    """An avatar, corpus, checkpoint or recipe is missing, damaged or from another version."""

    exit_code = 4


class OtherRecipeError(ArtefactError):
    """Weights that are missing, or of another recipe: other names or shapes."""


class MissingComponent(TalkersError):
    """An optional package or a pretrained model is not there."""

    exit_code = 5


class ResourceError(TalkersError):
    """The disk is full, a folder cannot be written, or memory ran out."""

    exit_code = 6


class InternalFault(TalkersError):
    """An exception of the program's own, met at one file of many: the rest of the work goes on."""

    exit_code = 1


class PartialFailure(TalkersError):
    """The work was done for all but some of the files, which are listed."""

    exit_code = 7


NO_MEMORY = (  # what libraries say when memory ran out, in lower case
    "not enough memory",
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "failed to allocate memory",
    "std::bad_alloc",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of any library, or what caused it, means that memory ran out."""
    cause: BaseException | None = error
    while cause is not None:
        message = str(cause).lower()
        if isinstance(cause, MemoryError) or type(cause).__name__ == "OutOfMemoryError":
            return True
        if any(sign in message for sign in NO_MEMORY):
            return True
        cause = cause.__cause__
    return False


NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
NO_WAY = {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EIO}


def unreachable(error: OSError) -> TalkersError | None:
    """The error to tell where the system refuses a file that the user named.

    Args:
        error: what the system raised; it names the file.

    Returns:
        the error with the system's reason; None when it is a fault of the program's own.
    """
    if error.filename is None or error.errno not in NO_ROOM | NO_WAY:
        return None
    if error.errno in NO_ROOM:
        return ResourceError(
            "this file cannot be written",
            where=error.filename,
            why=error.strerror,
            todo="Free some space, or name another folder",
        )
    return MediaError(
        "this file cannot be reached",
        where=error.filename,
        why=error.strerror,
        todo="Check the path and its permissions",
    )


def refuse_if_out_of_memory(error: BaseException, where: object = None) -> None:
    """For handlers that call a file damaged whatever its reader raised: memory is not its fault.

    Args:
        error: what the reader raised.
        where: the file.

    Raises:
        ResourceError: the error means that memory ran out.
    """
    if out_of_memory(error):
        raise ResourceError(
            "there is not enough memory to read this file",
            where=where,
            todo="Close other programs, or use a machine with more memory",
        ) from error


def not_installed(error: ImportError) -> str | None:
    """The package whose absence an ImportError tells of; None when it is another fault.

    Only a package that the import system does not find is missing. A name that one of talkers' own
    modules lacks, or a package that is there and fails, is a fault of the program or of the
    package.
    """
    package = (error.name or "").partition(".")[0]
    if not package or package == "talkers":
        return None
    try:
        found = importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # it is loaded, without a specification
        found = True
    return None if found else package


def missing(
    what: str, extra: str, error: ImportError, otherwise: str | None = None
) -> MissingComponent:
    """The error to raise where an optional package is not installed.

    Args:
        what: what needs it, such as "saying text".
        extra: the extra of talkers that brings it; empty: every installation has it.
        error: what the import raised.
        otherwise: what can be done instead of installing it, such as "use --no-provenance".

    Returns:
        the error, which names the package and how to install it.

    Raises:
        ImportError: `error` itself, where the package is there and something else failed.
    """
    package = not_installed(error)
    if package is None:
        raise error
    command = (
        f"pip install 'talkers[{extra}]'" if extra else "pip install --force-reinstall talkers"
    )
    todo = f"Install it: `{command}`" + (f", or {otherwise}" if otherwise else "")
    return MissingComponent(f"{what} needs the package {package}", todo=todo)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C and a request to end are answered when this block ends, if they raise at all.

    For tidying, and for calls of libraries that lose an exception raised within them (PyAV goes on
    as if nothing had happened, c2pa tells of a broken file). Has no effect outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    held = True
    before = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))
    }

    def hold(number: int, frame: FrameType | None) -> None:
        if held:
            came.append(number)
        else:  # a signal between these lines has kept this handler in its place
            before[signal.Signals(number)](number, frame)

    try:
        for number in before:
            signal.signal(number, hold)
        yield
    finally:
        held = False
        for number, handler in before.items():
            signal.signal(number, handler)
        for missed in dict.fromkeys(came):
            signal.raise_signal(missed)
