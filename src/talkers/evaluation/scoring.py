"""Score one clip of an avatar's person; run in child processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from talkers.corpus import Corpus
from talkers.corpus.views import head_values
from talkers.evaluation.contract import Utterance
from talkers.evaluation.metrics import ClipScores, load_metrics
from talkers.evaluation.motion import takes_differ
from talkers.evaluation.portraits import self_portrait
from talkers.evaluation.records import write_pictures, write_record
from talkers.evaluation.tracked import TrackedClip, track_clip
from talkers.evaluation.variants import RealClip, variants
from talkers.experts.rate import frames_at_rate
from talkers.experts.words import sentence_of_name
from talkers.hardware import give_back_memory
from talkers.runtime.avatar import Avatar

SEEDED = (
    "codec",
    "speech",
    "speech_given_pose",
    "sampled",
    "sampled_given_pose",
    "live",
    "controls.per_frame_noise",
)  # variants made anew for every seed


@dataclass(frozen=True)
class ClipTask:
    """A clip to score.

    Attributes:
        avatar: folder of an avatar, or default.
        corpus: folder of the corpus, at the avatar's frame rate.
        name: the clip's.
        other: the clip whose sound is the wrong one for it.
        seeds: how often everything random is repeated.
        experts: folder of experts of one's own, or None.
        path: of the record to write.
        pictured: whether its video and curves are in the report.
        threads: that this process may use.
    """

    avatar: str
    corpus: str
    name: str
    other: str
    seeds: int
    experts: Path | None
    path: Path
    pictured: bool
    threads: int


@lru_cache(1)
def avatar_of(name: str) -> Avatar:
    """An avatar, loaded once a process."""
    return Avatar.load(name)


def partner(name: str, names: Sequence[str]) -> str:
    """The clip whose sound is the wrong one for a clip: one that shares the fewest words."""
    own = set(enumerate(sentence_of_name(name) or ()))

    def shared_words(other: str) -> tuple[int, str]:
        shared = own & set(enumerate(sentence_of_name(other) or ()))
        return len(shared), sha256(f"{name} {other}".encode()).hexdigest()

    return min([n for n in names if n != name] or [name], key=shared_words)


def shuffled(samples: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Sound that begins somewhere in its middle third, the place chosen by a name: sentences
    begin alike."""
    share = 1 / 3 + int(sha256(name.encode()).hexdigest()[:8], 16) / 2**32 / 3
    return np.roll(samples, -int(share * len(samples)))


def score_clip(task: ClipTask) -> None:
    """Score a clip and write its record.

    Clips of other frame rates than the experts' are generated at their own rate and compared at
    the experts'.

    Raises:
        TalkersError: it cannot be scored.
    """
    torch.set_num_threads(task.threads)
    avatar, corpus, metrics = (
        avatar_of(task.avatar),
        Corpus(task.corpus),
        load_metrics(task.experts),
    )
    name = task.name
    frames, samples, sentence = corpus.frames(name), corpus.audio(name), sentence_of_name(name)
    at = frames_at_rate(len(frames), corpus.rate)
    reference = track_clip(frames[at])
    speech = np.array(corpus.column("speech", name), dtype=bool)[at]
    utterance = Utterance(samples, speech, sentence)
    clip = RealClip(
        frames,
        samples,
        shuffled(corpus.audio(task.other), name),
        torch.from_numpy(head_values(corpus, name)),
    )
    with TemporaryDirectory() as folder:
        if avatar.engine.renderer.needs != "nothing":
            landmarks = corpus.column("landmarks", name)
            avatar, clip = self_portrait(avatar, clip, landmarks, Path(folder) / "portrait")
        scores: dict[str, list[ClipScores]] = {}
        columns: dict[str, TrackedClip] = {"real": reference}
        for variant, make in variants(avatar, clip).items():
            scores[variant], first = [], reference
            for seed in range(task.seeds if variant in SEEDED else 1):
                generated = reference
                if variant != "controls.real":
                    generated = track_clip(make(seed)[at], 0.0)
                scores[variant].append(metrics.score(generated, reference, utterance))
                first = generated if seed == 0 else first
                apart = takes_differ(generated, first) if seed else float("nan")
                scores[variant][-1].figures["takes_differ"] = apart
                if seed == 0 and not variant.startswith("controls."):
                    columns[variant] = generated
                del generated
                give_back_memory()
    curves = None
    if task.pictured:
        curves = write_pictures(task.path.with_suffix(""), columns, samples)
    about = {"curves": curves, "skipped": metrics.skipped, "sentence": sentence}
    write_record(task.path, scores, {**about, "notes": []})
