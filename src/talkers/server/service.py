"""What one server holds: avatars, jobs, live sessions, and what is counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

from talkers.controls.request import Controls
from talkers.errors import UsageError
from talkers.runtime.avatar import Avatar
from talkers.runtime.bundle import base_folder
from talkers.server.jobs import Jobs
from talkers.server.limits import Limits
from talkers.server.metrics import Metrics
from talkers.server.problem import Refused


class Service:
    """What one server holds.

    Args:
        avatars: by the names that clients call them; the first is meant where none is named.
        limits: of what it takes on.

    Raises:
        UsageError: no avatar is given.
    """

    def __init__(self, avatars: Mapping[str, Avatar], limits: Limits):
        if not avatars:
            raise UsageError("no avatar was named", todo="Name one, such as default")
        self.avatars, self.limits, self.metrics = dict(avatars), limits, Metrics()
        self.jobs = Jobs(limits, self.metrics.count_job)
        self.sessions = 0  # that are open
        self._lock = threading.Lock()

    def avatar(self, name: str | None) -> tuple[str, Avatar]:
        """An avatar and its name.

        Args:
            name: None: the first.

        Raises:
            UsageError: this server has none of that name.
        """
        found = next(iter(self.avatars)) if name is None else name
        if found not in self.avatars:
            raise UsageError(
                f"this server has no avatar {found[:60]!r}",
                todo=f"Name one of {', '.join(self.avatars)}",
            )
        return found, self.avatars[found]

    def checked(self, avatar: Avatar, controls: Controls, seed: int) -> Controls:
        """Controls that mean something to an avatar.

        Raises:
            TalkersError: they do not.
        """
        avatar.resolve_controls(seed, controls)
        return controls

    @cached_property
    def _base(self) -> Avatar:
        return Avatar.load(base_folder())

    def base(self) -> Avatar:
        """The avatar that dubs films; loaded when the first is dubbed."""
        return self._base

    @contextmanager
    def session(self) -> Iterator[None]:
        """A place for a live session.

        Raises:
            Refused: all are taken.
        """
        with self._lock:
            if self.sessions >= self.limits.sessions:
                raise Refused(
                    503,
                    "this server has no place for another live session",
                    why=f"it has {self.limits.sessions}, and all are taken",
                    todo="Try again when another has ended",
                )
            self.sessions += 1
        self.metrics.sessions.inc()
        self.metrics.open.inc()
        try:
            yield
        finally:
            with self._lock:
                self.sessions -= 1
            self.metrics.open.dec()
