"""Train an expert on a corpus: real clips only, never generated ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from talkers.artefacts.documents import read_json, write_json
from talkers.corpus import Corpus
from talkers.corpus.splits import clips_apart_of_judges
from talkers.errors import ArtefactError, UsageError
from talkers.experts.load import build_expert, save_expert
from talkers.experts.models import ExpertConfig, LipReader, SyncExpert
from talkers.experts.words import SLOTS, WORDS
from talkers.hardware import machine
from talkers.progress import Report, quiet
from talkers.training.expert_augment import augment_mouths, playback_positions, take_nearest
from talkers.training.expert_footage import ClipDataset, ExpertFootage
from talkers.training.expert_score import LETTER_SLOT, score_lip_reader, score_sync_expert
from talkers.training.loop import LoopOptions, StageData, fit
from talkers.training.module import StageModule
from talkers.training.progress import TrainingProgress

IS_LETTER = torch.tensor([word in SLOTS[LETTER_SLOT] for word in WORDS])
NEIGHBOUR_SHARE = 0.1  # of a frame's match that the sounds one frame before and after get
MIN_FRAME_WEIGHT = 0.05  # of frames in which nothing is said


@dataclass(frozen=True)
class ExpertTraining:
    """How an expert is trained.

    Attributes:
        frames: seen in all.
        batch: clips a step.
        window: frames of a clip.
        learning_rate: at its highest.
        weight_decay: of AdamW.
        warmup: share of the training in which the learning rate rises.
        gradient_clip: norm at which gradients are clipped.
        decay: let the learning rate fall to 1 % (cosine).
        ema: decay of the averaged weights.
        letter_weight: of the frames in which a letter is said: short, and the hardest word.
        rhythms_share: of clips that a lip reader sees in another rhythm; the others pass up to
            15 % faster or slower.
        validate_every: frames.
        save_every: frames.
        seed: of everything random.
    """

    frames: int = 1_500_000
    batch: int = 16
    window: int = 75
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.05
    gradient_clip: float = 1.0
    decay: bool = True
    ema: float = 0.995
    letter_weight: float = 3.0
    rhythms_share: float = 0.5
    validate_every: int = 200_000
    save_every: int = 100_000
    seed: int = 0


@dataclass(frozen=True)
class ExpertRun:
    """How a training of an expert is run.

    Attributes:
        alignments: folder of GRID .align files, one a clip. A lip reader's clips without one are
            aligned with the sentences that their names spell.
        budget: seconds of training, or None for the frames of the training.
        resume: go on with one that was interrupted.
        command: that is kept with the expert.
        trainer_options: passed on to Lightning's Trainer.
    """

    alignments: Path | None = None
    budget: float | None = None
    resume: bool = False
    command: str = ""
    trainer_options: Mapping[str, Any] = field(default_factory=dict)


def training_of(config: ExpertConfig) -> ExpertTraining:
    """How an expert is trained unless something else is asked for: contrasting pixels takes many
    steps, so each one sees less; reading points is cheap, and gains from seeing more."""
    if config.task == "sync" and config.sees == "pixels":
        return ExpertTraining(
            frames=800_000,
            batch=6,
            window=50,
            learning_rate=1e-3,
            validate_every=100_000,
            save_every=50_000,
        )
    if config.task == "lips":
        return ExpertTraining(frames=1_600_000 if config.sees == "pixels" else 5_000_000)
    return ExpertTraining()


class ExpertModule(StageModule):
    """Training step of an expert; validation says what it gets right on held-out clips."""

    config: ExpertTraining

    def __init__(self, config: ExpertConfig, training: ExpertTraining, progress: TrainingProgress):
        frames = training.batch * training.window
        super().__init__(build_expert(config), training, progress, training.seed, frames)

    def _reading_loss(self, batch: dict[str, Tensor]) -> Tensor:
        clips, frames = batch["mouths"].shape[:2]
        positions = playback_positions(clips, frames, self.config.rhythms_share)
        log_p = self.model(augment_mouths(take_nearest(batch["mouths"], positions)))
        labels = take_nearest(batch["labels"], positions)
        # L = - sum_t w_t log p_t(label_t) / sum_t w_t, w larger where a letter is said
        weights = 1 + (self.config.letter_weight - 1) * IS_LETTER[labels].float()
        loss = F.nll_loss(log_p.flatten(0, 1), labels.flatten(), reduction="none")
        return (loss * weights.flatten()).sum() / weights.sum()

    def _contrastive_loss(self, batch: dict[str, Tensor]) -> Tensor:
        model = self.model
        assert isinstance(model, SyncExpert)
        mel = batch["mel"]
        mel = mel + 0.1 * torch.rand(len(mel), 1, 1) * torch.randn(mel.shape)
        mouth_emb = model.embed_mouths(augment_mouths(batch["mouths"]))
        speech_emb = model.embed_speech(mel)
        clips, frames, width = mouth_emb.shape
        logits = mouth_emb.reshape(-1, width) @ speech_emb.reshape(-1, width).T
        logits = logits * model.log_sharpness.exp()
        # L = - sum q log softmax_rows(logits) - sum q log softmax_columns(logits): each frame is
        # to find its sound among all of the batch, and each sound its frame
        targets = torch.kron(torch.eye(clips), _soft_targets(frames))
        weights = (MIN_FRAME_WEIGHT + batch["speech"].float()).flatten()
        by_row = (targets * logits.log_softmax(1)).sum(1)
        by_column = (targets * logits.log_softmax(0)).sum(0)
        return -((by_row + by_column) * weights).sum() / weights.sum()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch."""
        reads = isinstance(self.model, LipReader)
        loss = self._reading_loss(batch) if reads else self._contrastive_loss(batch)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log the share of the frames that it gets right."""
        model, mouths = self.model, batch["mouths"]
        if isinstance(model, LipReader):
            right = (model(mouths).argmax(-1) == batch["labels"])[batch["labels"] > 0]
        else:
            assert isinstance(model, SyncExpert)
            speech_emb = model.embed_speech(batch["mel"])
            similarity = model.embed_mouths(mouths) @ speech_emb.transpose(1, 2)
            apart = similarity.argmax(-1) - torch.arange(similarity.shape[1])
            right = (apart.abs() <= 1)[batch["speech"]]
        self.log("val/frames_right", right.float().mean(), prog_bar=True, batch_size=len(mouths))


def _soft_targets(frames: int) -> Tensor:
    """Which sounds match which frames: [frames, frames], rows of sum 1."""
    neighbours = torch.diag(torch.ones(frames - 1), 1) + torch.diag(torch.ones(frames - 1), -1)
    targets = torch.eye(frames) * (1 - 2 * NEIGHBOUR_SHARE) + neighbours * NEIGHBOUR_SHARE
    return targets / targets.sum(1, keepdim=True)


def _check_begun(begun: Path, wanted: dict[str, Any], resume: bool) -> None:
    """Check that what was begun here, if anything, is what is to be trained.

    Raises:
        UsageError: a training has begun here, and is not to go on or was another one.
    """
    if not begun.exists():
        return
    if not resume:
        raise UsageError(
            "a training has begun here",
            where=begun.parent,
            todo="Add --resume to go on with it, or choose another folder",
        )
    if read_json(begun) != json.loads(json.dumps(wanted)):
        raise UsageError(
            "the training that has begun here has other settings or another corpus",
            where=begun.parent,
            todo="Choose another folder",
        )


def _shares(corpus: Corpus, names: Sequence[str]) -> NDArray[np.float64]:
    """How often each clip is drawn: a person of n clips n^(1/2) times as often as one of a single
    clip, so that many clips of one do not drown the others."""
    person = {name: speaker for speaker, clips in corpus.speakers.items() for name in clips}
    counts = Counter(person[name] for name in names)
    return np.array([counts[person[name]] ** -0.5 for name in names])


def _figures(
    expert: LipReader | SyncExpert, corpus: Corpus, footage: ExpertFootage, names: Sequence[str]
) -> dict[str, float]:
    """What it gets right on real clips, rounded."""
    if isinstance(expert, LipReader):
        figures = score_lip_reader(expert, footage, names)
    else:
        figures = score_sync_expert(expert, corpus, footage, names)
    return {key: round(value, 4) for key, value in figures.items()}


def train_expert(
    corpus: Corpus,
    out: Path,
    config: ExpertConfig,
    training: ExpertTraining,
    run: ExpertRun | None = None,
    report: Report = quiet,
) -> LipReader | SyncExpert:
    """Train an expert, or go on with one that was interrupted.

    Args:
        corpus: its held-out clips are never trained on, and the expert is scored on them. Its
            frames are taken at the experts' frame rate.
        out: folder of the expert, NAME.json and NAME.safetensors with NAME = task-sees.
        config: what it judges and what it looks at.
        training: how it is trained.
        run: how the training is run.
        report: told how far it is.

    Raises:
        ArtefactError: a corpus without what the task needs.
        UsageError: no frames, or a training that has begun otherwise.
        MediaError: an alignment cannot be read.
        MissingComponent: a clip is to be aligned, and the aligner is not installed.
    """
    run = run or ExpertRun()
    if training.frames < 1:
        raise UsageError(
            f"{training.frames} frames of training were asked for", todo="Use at least 1"
        )
    state = out / f"training-{config.name}"
    wanted = {"config": asdict(config), "training": asdict(training), "data": corpus.digest()}
    _check_begun(state / "recipe.json", wanted, run.resume)
    footage = ExpertFootage.collect(corpus, report)
    known, labels = list(footage.mouths), {}
    if config.task == "lips":
        labels = footage.labels(corpus, known, run.alignments)
        known = [name for name in known if name in labels]
    apart = {
        what: [name for name in clips if name in known]
        for what, clips in clips_apart_of_judges(corpus).items()
    }
    test = [name for clips in apart.values() for name in clips]
    names = [name for name in known if name not in set(test)]
    if len(names) < 2 or not next(iter(apart.values())):
        raise ArtefactError(
            "there are not enough clips to train an expert",
            where=corpus.folder,
            todo="Prepare more footage (a lip reader reads GRID's sentences, spelt by the clips' "
            "names)"
            if config.task == "lips"
            else "Prepare more footage",
        )
    write_json(state / "recipe.json", wanted)
    progress = TrainingProgress(training.frames, run.budget)
    torch.manual_seed(training.seed)
    module = ExpertModule(config, training, progress)
    clips, validation = (
        ClipDataset(footage, part, config.sees, training.window, labels) for part in (names, test)
    )
    weights = _shares(corpus, names)
    data = StageData(clips, np.arange(len(names)), weights, DataLoader(validation, batch_size=32))
    fit(module, config.name, data, LoopOptions(state, report, run.trainer_options))
    expert = module.model.eval().float()
    assert isinstance(expert, LipReader | SyncExpert)
    metrics = {
        what: _figures(expert, corpus, footage, clips) for what, clips in apart.items() if clips
    }
    expert.about = {
        "command": run.command,
        "training": asdict(training),
        "frames_seen": progress.seen,
        "seconds": round(progress.elapsed, 1),
        "machine": machine(),
        "data": {
            "digest": corpus.digest(names),
            "clips": len(names),
            "held_out": sorted(test),
            "licence": corpus.about.get("licence"),
        },
        "metrics": metrics,
    }
    save_expert(out, expert)
    return expert
