"""Everything that judges a clip, loaded once a process; what is not installed is left out and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from talkers.errors import MissingComponent
from talkers.evaluation.fidelity import fidelity, regions
from talkers.evaluation.identity import FaceDescriptor
from talkers.evaluation.motion import movement
from talkers.evaluation.perceptual import (
    Frames,
    MobileNetV2,
    load_features,
    load_inception,
    load_lpips,
    perceptual,
)
from talkers.evaluation.phonemes import aligned_phones, bilabial_closure
from talkers.evaluation.tracked import TrackedClip
from talkers.experts import Expert, load_expert
from talkers.experts.load import BUNDLED
from talkers.experts.models import SYNC_RANGE
from talkers.experts.words import word_error_rate

Part = TypeVar("Part")
LEAST_SPEECH = 10  # frames with speech, below which sound and lips are not compared


@dataclass(frozen=True)
class ClipScores:
    """figures: name -> value (NaN: not defined for this clip). features: of made and real frames, for each Frechet
    distance (fid_mnv2, fid) that can be had."""

    figures: dict[str, float]
    features: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class Metrics:
    """The metrics that this machine can compute. skipped: metric -> why it is left out and what to install."""

    lips: dict[str, Expert]
    sync: dict[str, Expert]
    network: MobileNetV2 | None
    lpips: Callable[[Frames, Frames], float] | None
    inception: Callable[[Frames], NDArray[np.float32]] | None
    descriptor: FaceDescriptor | None
    phones: bool
    skipped: dict[str, str] = field(default_factory=dict)

    def align_phones(
        self, samples: NDArray[np.float32], sentence: tuple[str, ...] | None
    ) -> list[tuple[str, float, float]]:
        """Phones of a clip with their times; empty without a transcript or an aligner."""
        return aligned_phones(samples, sentence) if sentence and self.phones else []

    def judge(
        self,
        made: TrackedClip,
        real: TrackedClip,
        samples: NDArray[np.float32],
        speech: NDArray[np.bool_],
        sentence: tuple[str, ...] | None,
        phones: list[tuple[str, float, float]],
    ) -> ClipScores:
        """All figures of a made clip beside the real one.

        Args:
            made, real: of T frames at 25 fps.
            samples: the sound that both go with, float32 [n] at 16 kHz.
            speech: bool [T], where something is said.
            sentence: the six words of a GRID sentence, or None.
            phones: see `said_when`.
        """
        figures = fidelity(made.frames, real) | movement(made, real, speech)
        figures["bilabial_closure"] = bilabial_closure(made.opening, phones)
        seen = made.found.mean() >= 0.5
        heard = seen and speech.sum() >= LEAST_SPEECH and len(made.frames) > 2 * SYNC_RANGE
        for suffix, expert in self.sync.items():
            offset, sure = (
                expert.sync(made.mouths, samples, speech) if heard else (float("nan"), float("nan"))
            )
            figures |= {
                f"sync_offset{suffix}": offset,
                f"sync_distance{suffix}": abs(offset),
                f"sync_confidence{suffix}": sure,
            }
            figures[f"in_sync{suffix}"] = float(abs(offset) <= 1) if heard else float("nan")
        for suffix, expert in self.lips.items():
            figures[f"lip_wer{suffix}"] = (
                word_error_rate(sentence, expert.read(made.mouths))
                if sentence and seen
                else float("nan")
            )
        figures["csim"] = float("nan")
        if self.descriptor is not None and seen:
            figures["csim"] = self.descriptor.similarity(
                self.descriptor.describe(made), self.descriptor.describe(real)
            )
        features = {}
        for region, where in regions(real).items():
            shown, wanted = made.frames[:, *where], real.frames[:, *where]
            if self.network is not None:
                figures[f"lpips_mnv2{region}"], *pooled = perceptual(self.network, shown, wanted)
                features[f"fid_mnv2{region}"] = pooled[0], pooled[1]
            if self.lpips is not None:
                figures[f"lpips{region}"] = self.lpips(shown, wanted)
            if self.inception is not None:
                features[f"fid{region}"] = self.inception(shown), self.inception(wanted)
        return ClipScores({k: float(v) for k, v in figures.items()}, features)


def expert_paths(folder: Path | None) -> dict[str, str]:
    """Which expert judges what: those in a folder of one's own, else the bundled ones."""
    return {
        name: str(folder / f"{name}.json")
        if folder and (folder / f"{name}.json").is_file()
        else name
        for name in BUNDLED
    }


@lru_cache(1)
def load_metrics(experts: Path | None = None) -> Metrics:
    """All judges that can be had on this machine; experts: see `expert_paths`."""
    paths = expert_paths(experts)
    skipped: dict[str, str] = {}

    def have(metrics: str, make: Callable[[], Part]) -> Part | None:
        try:
            return make()
        except MissingComponent as error:
            skipped.update(dict.fromkeys(metrics.split(), str(error)))
            return None

    def aligner() -> Any:
        return aligned_phones(np.zeros(1600, np.float32), ())

    return Metrics(
        lips={"": load_expert(paths["lips-pixels"]), "_points": load_expert(paths["lips-points"])},
        sync={"": load_expert(paths["sync-pixels"]), "_points": load_expert(paths["sync-points"])},
        network=have("lpips_mnv2 fid_mnv2", load_features),
        lpips=have("lpips", load_lpips),
        inception=have("fid", load_inception),
        descriptor=have("csim", FaceDescriptor),
        phones=have("bilabial_closure", aligner) is not None,
        skipped=skipped,
    )
