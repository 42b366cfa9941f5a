"""Of what each result was made: a small file for each, beside the results.

Any number of processes can write them at the same time, and a million of them need no memory.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from talkers.artefacts.files import file_digest
from talkers.jobs.storage import read_text, size_of, within, write_text

RECORD = ".talkers-done"  # a folder among the results


def key_of(inputs: list[Path], decides: Any) -> str:
    """What tells whether a result is still that of its inputs: a digest of files and options.

    Args:
        inputs: the files.
        decides: all else that decides what is made of them; JSON.
    """
    digests = [file_digest(path) for path in inputs]
    known = json.dumps([digests, decides], sort_keys=True, default=str)
    return sha256(known.encode()).hexdigest()


class Record:
    """The record of a folder of results.

    Args:
        folder: a folder or a URL.
        run: names this run, so that a job that was done twice in it counts once.
    """

    def __init__(self, folder: str, run: str):
        self.folder, self.run = folder, run

    def _file(self, name: str) -> str:
        return within(self.folder, f"{RECORD}/{name}.json")

    def held(self, name: str, key: str) -> dict[str, Any] | None:
        """What is recorded of a result that is there, as it was written, of the same inputs and
        options; None: it has to be made.

        Args:
            name: of the result within the folder.
            key: from `key_of`.
        """
        try:
            held = json.loads(read_text(self._file(name)) or "null")
        except (ValueError, RecursionError):
            return None
        if not isinstance(held, dict) or held.get("made_of") != key:
            return None
        return held if held.get("bytes") == size_of(within(self.folder, name)) else None

    def note(self, name: str, key: str, said: str) -> None:
        """Record a result that was written."""
        size = size_of(within(self.folder, name))
        about = {"made_of": key, "bytes": size, "said": said, "run": self.run}
        write_text(self._file(name), json.dumps(about, ensure_ascii=False) + "\n")
