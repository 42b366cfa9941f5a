"""The verbs. Each is a function whose docstring is its help; what a user can mend is told in one sentence."""

from __future__ import annotations

import os
import signal
import sys

from rich.markup import escape

# isort: off
from talkers.cli import making, speaking, judging  # noqa: F401  (each registers its verbs, in the order of the help)

# isort: on
from talkers.cli.common import app, err
from talkers.errors import PartialFailure, TalkersError, out_of_memory, shown

NO_MEMORY = "the memory of this machine is used up. Close other programs, use a smaller --size, or train with --set codec_training.batch=8."


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; returns the exit code (see talkers.errors)."""
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        app.cli(
            prog="talkers",
            description="Minutes of a person's video -> an avatar that says anything.",
            args=arguments,
        )
        return 0
    except TalkersError as error:
        err.print(
            f"[bold red]{'partly done' if isinstance(error, PartialFailure) else 'error'}:[/] {escape(shown(error))}",
            highlight=False,
            soft_wrap=True,
        )
        return error.exit_code
    except KeyboardInterrupt:
        err.print(
            "[bold]interrupted:[/] nothing half-written was left; finished parts are kept.",
            highlight=False,
        )
        return 130
    except BrokenPipeError:
        return 0
    except ImportError as error:
        if os.environ.get("TALKERS_DEBUG"):
            raise
        err.print(
            f"[bold red]error:[/] the package {error.name} is missing. See `talkers doctor`.",
            highlight=False,
        )
        return 5
    except Exception as error:
        if os.environ.get("TALKERS_DEBUG"):
            raise
        if out_of_memory(error):
            err.print(f"[bold red]error:[/] {NO_MEMORY}", highlight=False, soft_wrap=True)
            return 6
        err.print(
            f"[bold red]internal fault:[/] {type(error).__name__}: {escape(shown(error))}. Please report it with the output of TALKERS_DEBUG=1.",
            highlight=False,
            soft_wrap=True,
        )
        return 1


def entry() -> None:
    """The console script."""
    sys.exit(main())
