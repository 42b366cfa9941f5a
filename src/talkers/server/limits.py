"""How much one server takes on."""

from __future__ import annotations

from dataclasses import dataclass

from talkers.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """How much one server takes on.

    Attributes:
        upload: bytes of one request.
        seconds: of speech or film in one job.
        characters: of a text that is said.
        queue: jobs that wait.
        own: jobs of one visitor of the studio that wait.
        sessions: live faces at the same time.
        keep: seconds after which the result of a job is deleted.

    Raises:
        UsageError: one of them is not above 0.
    """

    upload: int = 200_000_000
    seconds: float = 600.0
    characters: int = 5_000
    queue: int = 8
    own: int = 4
    sessions: int = 2
    keep: float = 3_600.0

    def __post_init__(self) -> None:
        """Raises UsageError: one of them is not above 0."""
        for name, value in vars(self).items():
            if not value > 0:
                raise UsageError(f"a limit of {value} was given for {name}", todo="Use 1 or more")
