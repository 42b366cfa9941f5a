"""What an evaluation found: metrics.json and the report, made of the clips' records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from talkers.artefacts.documents import write_json
from talkers.errors import MediaError, ResourceError, UsageError
from talkers.evaluation.metrics import load_metrics
from talkers.evaluation.records import RECORD_VERSION, frechet_distances, read_records
from talkers.evaluation.report import write_report
from talkers.evaluation.statistics import summary
from talkers.experts import people_folder
from talkers.hardware import machine
from talkers.version import __version__

REPORT_VERSION = 1  # of metrics.json
PICTURED_CLIPS = 3  # whose videos and curves are in the report
ONE_PERSON = "the lip readers and sync experts are those of GRID speaker 1, and know nobody else."
MANY_PEOPLE = (
    "the lip readers and sync experts know fourteen people of GRID; what they are worth for "
    "strangers stands in the reference of metrics."
)


@dataclass(frozen=True)
class Outcome:
    """What an evaluation found.

    Attributes:
        metrics: what metrics.json holds.
        failures: clips that could not be scored, and why.
    """

    metrics: dict[str, Any]
    failures: dict[str, str]


@dataclass
class Evaluation:
    """An evaluation that is going on.

    Attributes:
        out: folder of the report.
        experts: folder of experts, or None for those of one person.
        about: what metrics.json says of the run.
        speed: figures of speed, and of training by stage; or None.
        failures: clips that could not be scored, and why.
    """

    out: Path
    experts: Path | None = None
    about: dict[str, Any] = field(default_factory=dict)
    speed: dict[str, Any] | None = None
    failures: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, out: Path, experts: Path | None, command: str) -> Evaluation:
        """Make the folder of the report.

        Raises:
            ResourceError: it cannot be made.
        """
        try:
            (out / ".work").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(
                "the report's folder cannot be made",
                where=out,
                why=error.strerror,
                todo="Choose a folder that can be written",
            ) from error
        run = {"talkers": __version__, "command": command, "machine": machine()}
        known = {None: [ONE_PERSON], people_folder(): [MANY_PEOPLE]}
        return cls(out, experts, {**run, "notes": known.get(experts, [])})

    @property
    def work(self) -> Path:
        """Folder of the clips' records."""
        return self.out / ".work"

    @property
    def key(self) -> str:
        """What decides the figures besides the clips: the code, the experts, what is installed."""
        metrics = load_metrics(self.experts)
        good = {name: expert.about.get("metrics") for name, expert in metrics.experts.items()}
        versions = f"{RECORD_VERSION} {REPORT_VERSION} {__version__}"
        return f"{versions} {good} {sorted(metrics.metrics)} {sorted(metrics.skipped)}"

    def finish(self, paths: Mapping[str, Path]) -> Outcome:
        """Write metrics.json and index.html.

        Args:
            paths: of the clips' records, by the clips' names.

        Raises:
            MediaError: no clip could be scored.
        """
        scored = {name: path for name, path in paths.items() if name not in self.failures}
        if not scored:
            first = next(iter(self.failures.values()), "there are none")
            raise MediaError(
                "none of the clips could be scored",
                why=f"the first: {first.rstrip('.')}",
                todo="See `talkers check`",
            )
        values, records = read_records(scored)
        judges = load_metrics(self.experts)
        skipped = {figure: why for r in records.values() for figure, why in r["skipped"].items()}
        if not any(record["sentence"] for record in records.values()):
            why = "no clip has a GRID file name that spells its sentence."
            skipped = dict.fromkeys(judges.figures_that_need("text"), why) | skipped
        notes = [f"{name}: {note}" for name, record in records.items() for note in record["notes"]]
        about = {
            **self.about,
            "skipped": skipped,
            "failures": self.failures,
            "clips": sorted(scored),
            "notes": [*self.about["notes"], *notes],
        }
        distances = frechet_distances(
            [path.with_suffix(".safetensors") for path in scored.values()]
        )
        metrics = {"format_version": REPORT_VERSION, "about": about, **summary(values, distances)}
        if self.speed is not None:
            metrics["speed"] = self.speed
        pictured = {name: record for name, record in records.items() if record["curves"]}
        write_report(self.out, metrics, pictured, scored)
        write_json(self.out / "metrics.json", metrics)
        return Outcome(metrics, self.failures)


def threads_each(workers: int) -> int:
    """Threads for each of so many child processes; OMP_NUM_THREADS limits them all.

    Raises:
        UsageError: there are no workers.
    """
    if workers < 1:
        raise UsageError(f"{workers} jobs were asked for", todo="Use at least 1")
    return max(1, torch.get_num_threads() // workers)
