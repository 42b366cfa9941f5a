"""A hook of mkdocs: writes reference/cli.md from what the parser itself says, so that no option is missing from the docs."""

from __future__ import annotations

import contextlib
import io
import os
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

COLUMNS = 100  # of the help


def help_of(*arguments: str) -> str:
    """What `talkers ARGUMENTS --help` prints."""
    from talkers.cli import main

    before, os.environ["COLUMNS"] = os.environ.get("COLUMNS"), str(COLUMNS)
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
            main([*arguments, "--help"])
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())


def page() -> str:
    """The page: a section for each verb."""
    usage = help_of()
    listed = re.search(r"\{([a-z,\s-]+)\}", usage)
    if listed is None:
        raise RuntimeError("the parser names no verbs")
    parts = [
        "# Command line\n\nFrom the parser itself: `talkers VERB --help` prints the same.\n",
        f"```text\n{usage}\n```\n",
    ]
    for verb in re.sub(r"\s", "", listed[1]).split(","):
        parts.append(f"## talkers {verb}\n\n```text\n{help_of(verb)}\n```\n")
    return "\n".join(parts)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page to those of the site."""
    files.append(File.generated(config, "reference/cli.md", content=page()))
    return files
