"""What a job is, who does it, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from talkers.errors import TalkersError
from talkers.progress import Report


@dataclass(frozen=True)
class Job:
    """One video to make. It can be pickled.

    Attributes:
        verb: that makes it.
        inputs: files or URLs that it is made of.
        name: of the video within the folder of results, such as a.mp4 or de/a.mp4.
        settings: the verb's options, as keyword arguments with their types.
        row: of the list that it stands in, as a spreadsheet counts; None: there is no list.
    """

    verb: str
    inputs: tuple[str, ...]
    name: str
    settings: dict[str, Any]
    row: int | None = None

    @property
    def title(self) -> str:
        """What people call it: its inputs, or its video where there is none."""
        return " + ".join(self.inputs) or self.name


@dataclass(frozen=True)
class Made:
    """What is said of a video that was made.

    Attributes:
        said: such as "25 frames, 1.00 s".
        notes: sentences on what was chosen or left out.
    """

    said: str
    notes: tuple[str, ...] = ()


class Maker(Protocol):
    """What does jobs. It can be pickled, and keeps what it has loaded for the next job."""

    def decides(self, job: Job) -> Any:
        """All that decides what is made, apart from the inputs' content; JSON."""
        ...

    def make(self, job: Job, inputs: list[Path], target: Path, report: Report) -> Made:
        """Make one video.

        Args:
            job: what is asked for.
            inputs: files with the content of the job's inputs.
            target: the file to write; it appears whole or not at all.
            report: called with the stage, frames done and frames in all.

        Raises:
            TalkersError: it cannot be made.
        """
        ...


@dataclass(frozen=True)
class Result:
    """What became of a job.

    Attributes:
        state: made, kept (it was done before) or failed.
        said: of the video, or what went wrong in a clause.
        error: why it failed.
        seconds: that it took.
        notes: sentences on what was chosen or left out.
        worker: which process did it; empty: this one.
    """

    job: Job
    state: Literal["made", "kept", "failed"]
    said: str
    error: TalkersError | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    worker: str = ""

    @property
    def state_shown(self) -> str:
        """The state in words, for the table."""
        words = {"made": self.said, "kept": "already done", "failed": f"failed: {self.said}"}
        return words[self.state]
