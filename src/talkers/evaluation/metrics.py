"""All registered metrics and experts, loaded once a process; what is not installed is left out and
named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from talkers.errors import MissingComponent, UsageError
from talkers.evaluation.contract import FrameFeatures, Metric, Needs, Score, Utterance
from talkers.evaluation.tracked import TrackedClip
from talkers.experts import Expert, ExpertClip
from talkers.registry import component, names


@dataclass(frozen=True)
class ClipScores:
    """What the metrics say of a clip.

    Attributes:
        figures: name -> value; NaN where it is not defined for this clip.
        features: of the frames, for each Frechet distance that can be had.
    """

    figures: dict[str, float]
    features: dict[str, FrameFeatures]


@dataclass(frozen=True)
class Metrics:
    """The metrics and experts that this machine can compute.

    Attributes:
        metrics: registered metrics by their names.
        experts: registered experts by theirs.
        skipped: figure -> why it is left out and what to install.
    """

    metrics: Mapping[str, Metric]
    experts: Mapping[str, Expert]
    skipped: Mapping[str, str]

    def figures_that_need(self, what: Needs) -> list[str]:
        """Names of the figures that are not defined without sound or text."""
        judges: list[Metric | Expert] = [*self.metrics.values(), *self.experts.values()]
        return [figure for judge in judges if what in judge.needs for figure in judge.figures]

    def judged(
        self, generated: TrackedClip, utterance: Utterance, needs: Needs | None = None
    ) -> dict[str, dict[str, float]]:
        """What the experts say of a clip, by their names.

        Args:
            generated: of T frames at 25 frames a second.
            utterance: what is to be seen in it.
            needs: ask only those that need this.
        """
        clip = ExpertClip(
            generated.mouths,
            float(generated.found.mean()),
            utterance.samples,
            utterance.speech,
            utterance.sentence,
        )
        return {
            name: expert.scores(clip)
            for name, expert in self.experts.items()
            if needs is None or needs in expert.needs
        }

    def score(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> ClipScores:
        """All figures of a generated clip beside the real one.

        Args:
            generated: of T frames at 25 frames a second.
            reference: the real clip, of as many.
            utterance: what is said in both.

        Raises:
            UsageError: two metrics give a figure of the same name.
        """
        scores: dict[str, Score] = {}

        def add(judge: str, found: Mapping[str, Score]) -> None:
            if twice := sorted(scores.keys() & found.keys()):
                what = f"two metrics give the figure '{twice[0]}'; the second is '{judge}'"
                raise UsageError(what, todo="Rename one of them")
            scores.update(found)

        for name, metric in self.metrics.items():
            add(name, metric.scores(generated, reference, utterance))
        for name, found in self.judged(generated, utterance).items():
            add(name, found)
        features = {k: v for k, v in scores.items() if isinstance(v, FrameFeatures)}
        figures = {k: float(v) for k, v in scores.items() if not isinstance(v, FrameFeatures)}
        return ClipScores(figures, features)


@lru_cache(1)
def load_metrics(experts: Path | None = None) -> Metrics:
    """All registered metrics and experts that can be had on this machine.

    Args:
        experts: folder of experts of one's own, in place of registered ones of the same name.

    Raises:
        ArtefactError: an expert is damaged.
    """
    skipped: dict[str, str] = {}
    metrics: dict[str, Metric] = {}
    for name in names("metric"):
        figures: tuple[str, ...] = (name,)
        try:
            kind: type[Metric] = component("metric", name).load()
            figures = kind.figures
            metrics[name] = kind()
        except MissingComponent as error:
            skipped.update(dict.fromkeys(figures, str(error)))
    judges: dict[str, Expert] = {}
    for name in names("expert"):
        try:
            judges[name] = component("expert", name).load()(name, experts)
        except MissingComponent as error:
            skipped[name] = str(error)
    return Metrics(metrics, judges, skipped)
