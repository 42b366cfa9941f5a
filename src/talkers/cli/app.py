"""The parser that the verbs register with, and old names of options."""

from __future__ import annotations

import tyro

app = tyro.extras.SubcommandApp()

RENAMED = {  # old name of an option: the new one; the old ones go with 0.4
    "--expression": "--brow-amplitude",
    "--start": "--init-from",
}


def renamed(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Arguments with the new names of their options, and a remark for each old one.

    Args:
        arguments: of the command line, without the program.
    """
    result, remarks = [], []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in RENAMED:
            remarks.append(f"{name} is called {RENAMED[name]} now; the old name goes with 0.4.")
            argument = RENAMED[name] + equals + value
        result.append(argument)
    return result, remarks
