"""Files that browsers have sent: whose they are, and for how long they stay."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from talkers.errors import UsageError
from talkers.server.limits import Limits
from talkers.server.problem import Refused

KEPT_SECONDS = 3_600.0  # an upload that nothing was made of
HELD_TIMES = 5  # as many bytes as one request may have, one visitor's uploads may take together
MAX_FILES = 100  # of one visitor
TIDY_EVERY = 60.0  # seconds


class Uploads:
    """Where the page's uploads lie. A file belongs to the visitors that sent it.

    Args:
        folder: they lie in it.
        limits: of the server.
        clock: seconds, as files' times count them.
    """

    def __init__(self, folder: Path, limits: Limits, clock: Callable[[], float] = time.time):
        self.folder, self.limits, self.clock = folder, limits, clock
        self._owners: dict[Path, set[str]] = {}
        self._lock = threading.Lock()
        self._tidied = clock()

    def refuse_more(self, visitor: str) -> None:
        """Raises Refused: this visitor's uploads take enough room already."""
        with self._lock:
            own = [path for path, owners in self._owners.items() if visitor in owners]
        size = sum(path.stat().st_size for path in own if path.is_file())
        if len(own) >= MAX_FILES or size >= HELD_TIMES * self.limits.upload:
            raise Refused(
                413,
                f"your uploads take {size / 1e6:.0f} MB in {len(own)} files",
                todo=f"Wait: they are deleted {KEPT_SECONDS / 60:.0f} minutes after they came",
            )

    def add(self, visitor: str, paths: list[str]) -> None:
        """A visitor has sent files."""
        with self._lock:
            for path in paths:
                self._owners.setdefault(Path(path).resolve(), set()).add(visitor)

    def owns(self, visitor: str, path: str | Path) -> bool:
        """Whether a visitor has sent a file."""
        with self._lock:
            return visitor in self._owners.get(Path(path).resolve(), ())

    def there(self, visitor: str, path: str | None, what: str) -> Path:
        """An upload.

        Args:
            visitor: who says that he sent it.
            path: of the upload; None: there is none.
            what: it is to be, such as "photo".

        Raises:
            UsageError: there is none, or none any more, or it is another visitor's.
        """
        if not path:
            raise UsageError(
                f"there is no {what} yet",
                todo="Give one; if you just did, it is still being sent: try again in a moment",
            )
        if not self.owns(visitor, path) or not Path(path).is_file():
            raise UsageError(
                f"the {what} is not there any more",
                why="uploads are kept for an hour",
                todo="Choose it again",
            )
        return Path(path)

    def take(self, visitor: str, path: str | None, to: Path, what: str) -> Path:
        """Copy an upload, into a job's folder; see `there`.

        Returns:
            the copy.
        """
        shutil.copyfile(self.there(visitor, path, what), to)
        return to

    def tidy(self) -> None:
        """Delete what has been kept long enough, also what a broken request has left."""
        now = self.clock()
        with self._lock:
            if now - self._tidied < TIDY_EVERY:
                return
            self._tidied = now
        for path in sorted(self.folder.rglob("*"), reverse=True):  # files before their folders
            with suppress(OSError):  # a folder that holds something
                if path.is_dir():
                    path.rmdir()
                elif now - path.stat().st_mtime > KEPT_SECONDS:
                    path.unlink()
        with self._lock:
            self._owners = {p: owners for p, owners in self._owners.items() if p.exists()}
