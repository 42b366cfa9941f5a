"""The verbs. Each is a function whose docstring is its help.

What a user can mend is said in one sentence; exit codes are those of `talkers.errors`.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from rich.markup import escape

# isort: off
# Each module registers its verbs, in the order of the help.
from talkers.cli import demo, portrait, check, prepare, train, speak, say, verify  # noqa: F401
from talkers.cli import dub, reenact, reconstruct, batch, evaluate, train_expert  # noqa: F401
from talkers.cli import serve, live, chat, inspect, doctor  # noqa: F401

# isort: on
from talkers.cli.app import app, renamed
from talkers.cli.console import err, printable_streams, remark
from talkers.cli.packages import extra_of
from talkers.errors import (
    PartialFailure,
    TalkersError,
    missing,
    not_installed,
    out_of_memory,
    shown,
    unreachable,
)
from talkers.version import __version__

NO_MEMORY = (
    "the memory of this machine is used up. Close other programs, use a smaller --size, or train "
    "with --set stages.codec.batch=4."
)
DESCRIPTION = (
    "Minutes of a person's video -> an avatar that says anything. "
    "For example: talkers demo, or talkers speak speech.wav -o out.mp4. "
    "talkers VERB --help tells more of a verb, talkers --version the version."
)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End on a request to end as on Ctrl-C."""
    raise KeyboardInterrupt


def _complain(title: str, text: str) -> None:
    err.print(f"[bold red]{title}:[/] {escape(text)}", highlight=False, soft_wrap=True)


def main(arguments: list[str] | None = None) -> int:
    """Run a verb.

    Args:
        arguments: of the command line, without the program (default: this process's).

    Returns:
        the exit code (see `talkers.errors`).
    """
    signal.signal(signal.SIGTERM, _interrupt)
    printable_streams()
    given = sys.argv[1:] if arguments is None else arguments
    if given == ["--version"]:
        sys.stdout.write(f"talkers {__version__}\n")
        return 0
    given, remarks = renamed(given)
    for text in remarks:
        remark(f"note: {text}")
    try:
        app.cli(prog="talkers", description=DESCRIPTION, args=given)
        return 0
    except TalkersError as error:
        return _print_error(error)
    except KeyboardInterrupt:
        err.print(
            "[bold]interrupted:[/] nothing half-written was left; finished parts are kept.",
            highlight=False,
        )
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        if os.environ.get("TALKERS_DEBUG"):
            raise
        if isinstance(error, ImportError) and (package := not_installed(error)):
            return _print_error(missing("this", extra_of(package), error))
        if isinstance(error, OSError) and (refused := unreachable(error)):
            return _print_error(refused)
        if out_of_memory(error):
            _complain("error", NO_MEMORY)
            return 6
        _complain(
            "internal fault",
            f"{type(error).__name__}: {shown(error)}. "
            "Please report it with the output of TALKERS_DEBUG=1.",
        )
        return 1


def _print_error(error: TalkersError) -> int:
    """Print an error; returns its exit code."""
    title = "partly done" if isinstance(error, PartialFailure) else "error"
    _complain(title, shown(error))
    return error.exit_code


def entry() -> None:
    """The console script."""
    sys.exit(main())
