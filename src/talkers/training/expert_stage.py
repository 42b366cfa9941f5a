"""Train an expert on a corpus: real clips only, never generated ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from talkers.artefacts.documents import read_json, write_json
from talkers.artefacts.files import atomic
from talkers.corpus import Corpus
from talkers.corpus.splits import held_out
from talkers.corpus.store import fill_gaps
from talkers.errors import ArtefactError, UsageError
from talkers.experts.load import Expert, build, save_expert, sounds_of
from talkers.experts.models import ExpertConfig, LipReader, SyncExpert
from talkers.experts.mouths import Mouths, mouths_of
from talkers.experts.rate import RATE, shifted
from talkers.experts.words import (
    CHANCE_WER,
    SLOTS,
    WORDS,
    frame_labels,
    read_alignment,
    sentence_of_name,
    word_error_rate,
)
from talkers.hardware import machine
from talkers.progress import Report, quiet
from talkers.training.augment import time_warp
from talkers.training.cache import purge_stale
from talkers.training.loop import LoopOptions, StageData, fit
from talkers.training.module import StageModule
from talkers.training.progress import TrainingProgress

LETTERS = torch.tensor([word in SLOTS[3] for word in WORDS])
NEIGHBOURS = 0.1  # share of a frame's match that the sounds one frame before and after get


@dataclass(frozen=True)
class ExpertTraining:
    """How an expert is trained."""

    frames: int = 1_500_000  # frames seen in all
    batch: int = 16  # clips a step
    window: int = 75  # frames of a clip
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.05
    gradient_clip: float = 1.0
    decay: bool = True  # let the learning rate fall to 1 % (cosine)
    ema: float = 0.995
    letter_weight: float = (
        3.0  # of the frames in which a letter is said: short, and the hardest word
    )
    rhythms_share: float = 0.5  # of clips that a lip reader sees in another rhythm; the others pass up to 15 % faster or slower
    validate_every: int = 200_000
    save_every: int = 100_000
    seed: int = 0


def training_of(config: ExpertConfig) -> ExpertTraining:
    """How an expert is trained unless asked otherwise: contrasting pixels takes many steps, so each one sees less; reading
    points is cheap, and gains from seeing more."""
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


@dataclass(frozen=True)
class Footage:
    """The clips of a corpus as experts know them, by name."""

    mouths: dict[str, Mouths]
    sounds: dict[str, Tensor]  # [80, 4 T]
    speech: dict[str, NDArray[np.bool_]]  # [T]

    @staticmethod
    def collect(corpus: Corpus, report: Report) -> Footage:
        """Look at every clip with a face throughout; cached beside the corpus."""
        key = sha256(f"{corpus.digest()} mouths 1".encode()).hexdigest()[:16]
        path = corpus.folder / ".cache" / f"mouths-{key}.safetensors"
        if not path.exists():
            held: dict[str, Tensor] = {}
            for done, clip in enumerate(corpus.clips):
                if corpus.column("face", clip.name).mean() > 0.9:
                    marks = corpus.column("landmarks", clip.name).reshape(clip.frames, -1)
                    marks[~np.asarray(corpus.column("face", clip.name), bool)] = np.nan
                    mouths = mouths_of(
                        corpus.frames(clip.name), fill_gaps(marks).reshape(clip.frames, -1, 2)
                    )
                    held[f"{clip.name}/patches"], held[f"{clip.name}/points"] = (
                        torch.from_numpy(mouths.patches),
                        torch.from_numpy(mouths.points),
                    )
                    held[f"{clip.name}/sounds"] = sounds_of(
                        corpus.audio(clip.name), clip.frames
                    ).half()
                report("looking at mouths", done + 1, len(corpus.clips))
            purge_stale(path)
            with atomic(path) as temporary:
                save_file(held, temporary)
        held = load_file(path)
        names = sorted({k.split("/")[0] for k in held})
        return Footage(
            {n: Mouths(held[f"{n}/patches"].numpy(), held[f"{n}/points"].numpy()) for n in names},
            {n: held[f"{n}/sounds"].float() for n in names},
            {n: np.array(corpus.column("speech", n), dtype=bool) for n in names},
        )


class ClipDataset(Dataset[dict[str, Tensor]]):
    """Clips cut or stretched (by their last frame) to a window."""

    def __init__(
        self,
        footage: Footage,
        names: Sequence[str],
        sees: str,
        window: int,
        labels: dict[str, NDArray[np.int64]],
    ):
        self.footage, self.names, self.sees, self.window, self.labels = (
            footage,
            list(names),
            sees,
            window,
            labels,
        )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        name = self.names[index]
        seen = getattr(self.footage.mouths[name], "patches" if self.sees == "pixels" else "points")
        rows = np.minimum(np.arange(self.window), len(seen) - 1)
        item = {
            "seen": torch.from_numpy(seen[rows]),
            "speech": torch.from_numpy(self.footage.speech[name][rows]),
        }
        sound = self.footage.sounds[name]
        item["sounds"] = F.pad(
            sound, (0, max(0, 4 * self.window - sound.shape[1])), mode="replicate"
        )[:, : 4 * self.window]
        if name in self.labels:
            item["labels"] = torch.from_numpy(self.labels[name][rows])
        return item


def vary(seen: Tensor) -> Tensor:
    """Clips as another camera might have seen them, from elsewhere too: patches [B, T, 48, 48] or points [B, T, 81] -> the
    same shape."""
    b = len(seen)
    askew = torch.eye(2) + 0.05 * torch.randn(
        b, 2, 2
    )  # what a head that is turned a little does to a mouth, roughly
    if seen.ndim == 3:
        opening, lips = seen.float()[..., :1], seen.float()[..., 1:].reshape(*seen.shape[:2], -1, 2)
        turned = torch.einsum("btkc,bdc->btkd", lips, askew).flatten(2)
        whole = torch.cat([opening * askew[:, None, 1:, 1], turned], -1)
        return whole * (0.9 + 0.2 * torch.rand(b, 1, 1)) + 0.002 * torch.randn(seen.shape)
    angle, scale, flip = (
        0.1 * torch.randn(b),
        1 + 0.06 * torch.randn(b),
        1 - 2.0 * torch.randint(0, 2, (b,)),
    )
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([cos, -sin, sin, cos], -1).reshape(b, 2, 2) @ askew * scale[:, None, None]
    turn[:, :, 0] *= flip[:, None]
    theta = torch.cat([turn, 0.06 * torch.randn(b, 2, 1)], -1)
    moved = F.grid_sample(
        seen.float(),
        F.affine_grid(theta, [b, 1, *seen.shape[2:]], align_corners=False),
        padding_mode="border",
        align_corners=False,
    )
    gamma = (0.3 * torch.randn(b, 1, 1, 1)).exp()
    return (moved / 255).clamp(1e-3).pow(gamma) * 255 + 6 * torch.rand(b, 1, 1, 1) * torch.randn(
        seen.shape
    )


def passing(clips: int, frames: int, rhythms_share: float) -> Tensor:
    """At which frames clips are seen when they are played at another speed, or in another rhythm: [clips, frames]."""
    steps = (0.85 + 0.3 * torch.rand(clips, 1)).expand(-1, frames).clone()
    for k in torch.rand(clips).lt(rhythms_share).nonzero().flatten():
        steps[k] = torch.from_numpy(
            time_warp(frames, np.random.default_rng(int(torch.randint(2**31, ()))))
        )
    at = steps.cumsum(1) - steps
    unseen = (frames - 1 - at[:, -1:]).clamp(
        min=0
    )  # of a clip that passes slowly: it begins at any of them
    return at + torch.rand(clips, 1) * unseen + (torch.rand(clips, 1) - 0.5) * 8


def stretch(rows: Tensor, positions: Tensor) -> Tensor:
    """Clips as they pass at other frames: rows [B, T, ...] at positions [B, T] (nearest frame)."""
    index = positions.round().long().clamp(0, rows.shape[1] - 1)
    return torch.stack([r[i] for r, i in zip(rows, index, strict=True)])


class ExpertModule(StageModule):
    """Training step of an expert; validation says what it gets right on held-out clips."""

    config: ExpertTraining

    def __init__(self, config: ExpertConfig, training: ExpertTraining, pace: TrainingProgress):
        frames = training.batch * training.window
        super().__init__(build(config), training, pace, training.seed, frames)
        self.expert_config = config

    def _read_loss(self, batch: dict[str, Tensor]) -> Tensor:
        positions = passing(len(batch["seen"]), batch["seen"].shape[1], self.config.rhythms_share)
        told = self.model(vary(stretch(batch["seen"], positions)))
        labels = stretch(batch["labels"], positions)
        weights = 1 + (self.config.letter_weight - 1) * LETTERS[labels].float()
        loss = F.nll_loss(told.flatten(0, 1), labels.flatten(), reduction="none")
        return (loss * weights.flatten()).sum() / weights.sum()

    def _sync_loss(self, batch: dict[str, Tensor]) -> Tensor:
        model = self.model
        assert isinstance(model, SyncExpert)
        sounds = batch["sounds"] + 0.1 * torch.rand(len(batch["sounds"]), 1, 1) * torch.randn(
            batch["sounds"].shape
        )
        seen, heard = model.see(vary(batch["seen"])), model.hear(sounds)
        b, t, w = seen.shape
        near = (
            torch.eye(t) * (1 - 2 * NEIGHBOURS)
            + (torch.diag(torch.ones(t - 1), 1) + torch.diag(torch.ones(t - 1), -1)) * NEIGHBOURS
        )
        wanted = torch.kron(torch.eye(b), near / near.sum(1, keepdim=True))
        alike = seen.reshape(-1, w) @ heard.reshape(-1, w).T * model.sharpness.exp()
        counts = (0.05 + batch["speech"].float()).flatten()
        both = -(wanted * alike.log_softmax(1)).sum(1) - (wanted * alike.log_softmax(0)).sum(0)
        return (both * counts).sum() / counts.sum()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss = (
            self._read_loss(batch) if self.expert_config.task == "lips" else self._sync_loss(batch)
        )
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        if isinstance(self.model, LipReader):
            right = (
                (self.model(batch["seen"]).argmax(-1) == batch["labels"])[batch["labels"] > 0]
                .float()
                .mean()
            )
        else:
            assert isinstance(self.model, SyncExpert)
            alike = self.model.see(batch["seen"]) @ self.model.hear(batch["sounds"]).transpose(1, 2)
            found = (alike.argmax(-1) - torch.arange(alike.shape[1])).abs() <= 1
            right = found[batch["speech"]].float().mean()
        self.log("val/frames_right", right, prog_bar=True, batch_size=len(batch["seen"]))


def alignments_for(
    names: Sequence[str], folder: Path, footage: Footage
) -> dict[str, NDArray[np.int64]]:
    """Frame labels of the clips that have an alignment NAME.align in a folder."""
    found = {n: folder / f"{n}.align" for n in names if (folder / f"{n}.align").is_file()}
    return {
        n: frame_labels(read_alignment(path), len(footage.mouths[n].points), RATE)
        for n, path in found.items()
    }


def score(
    expert: Expert, corpus: Corpus, footage: Footage, names: Sequence[str]
) -> dict[str, float]:
    """How good an expert is on real clips: figures with what chance would give beside them."""
    if expert.config.task == "lips":
        read = {n: expert.read(footage.mouths[n]) for n in names}
        said = {n: sentence_of_name(n) for n in names}
        rows = [(s, read[n]) for n in names if (s := said[n]) is not None]
        others = [
            (said, told)
            for j, (said, _) in enumerate(rows)
            for k, (_, told) in enumerate(rows)
            if j != k
        ]
        return {
            "clips": len(rows),
            "wer": float(np.mean([word_error_rate(*row) for row in rows])),
            "letter_error": float(np.mean([s[3] != r[3] for s, r in rows])),
            "wer_of_other_clips": float(np.mean([word_error_rate(*row) for row in others])),
            "wer_of_guessing": round(CHANCE_WER, 4),
        }
    found, sure, unsure = [], [], []
    alike: list[float] = []
    lost: list[float] = []
    rng = np.random.default_rng(0)
    for k, name in enumerate(names):
        samples = corpus.audio(name)
        for shift in (-10, -5, -2, 0, 3, 7, 10):
            offset, confidence = expert.sync(
                footage.mouths[name], shifted(samples, shift), footage.speech[name]
            )
            found.append(abs(offset - shift) <= 1)
            sure.append(confidence)
        for other in range(
            1, min(6, len(names))
        ):  # five other clips' sound, begun where it begins, and anywhere
            sound = corpus.audio(names[(k + other) % len(names)])
            alike.append(
                float(abs(expert.sync(footage.mouths[name], sound, footage.speech[name])[0]) <= 1)
            )
            offset, confidence = expert.sync(
                footage.mouths[name], np.roll(sound, rng.integers(len(sound))), footage.speech[name]
            )
            lost.append(float(abs(offset) <= 1))
            unsure.append(confidence)
    return {
        "clips": len(names),
        "offset_found": float(np.mean(found)),
        "offset_found_with_shuffled_sound": float(np.mean(lost or [np.nan])),
        "offset_found_with_another_sentence": float(np.mean(alike or [np.nan])),
        "offset_found_by_guessing": round(3 / 31, 4),
        "confidence": float(np.mean(sure)),
        "confidence_with_shuffled_sound": float(np.mean(unsure or [np.nan])),
    }


def train_expert(
    corpus: Corpus,
    out: Path,
    config: ExpertConfig,
    training: ExpertTraining,
    alignments: Path | None = None,
    budget: float | None = None,
    resume: bool = False,
    report: Report = quiet,
    command: str = "",
    trainer_options: dict[str, Any] | None = None,
) -> Expert:
    """Train an expert, or go on with one that was interrupted.

    Args:
        corpus: at 25 fps; its held-out clips are never trained on, and the expert is scored on them.
        out: folder of the expert, NAME.json and NAME.safetensors with NAME = task-sees.
        alignments: folder of GRID .align files, one a clip; needed by a lip reader.
        budget: seconds of training, or None for the frames of `training`.

    Raises:
        ArtefactError, UsageError: a corpus of another rate or without what the task needs; a training begun otherwise.
    """
    if training.frames < 1:
        raise UsageError(
            f"{training.frames} frames of training were asked for", todo="Use at least 1"
        )
    if corpus.rate != RATE:
        raise ArtefactError(
            f"this corpus has {corpus.rate} fps, experts need {RATE}",
            where=corpus.folder,
            todo="Prepare it again with --rate 25",
        )
    if config.task == "lips" and alignments is None:
        raise UsageError(
            "a lip reader needs to know when which word is said",
            todo="Name the folder of .align files with --alignments",
        )
    name, state = f"{config.task}-{config.sees}", out / f"training-{config.task}-{config.sees}"
    wanted = {"config": asdict(config), "training": asdict(training), "data": corpus.digest()}
    begun = state / "recipe.json"
    if begun.exists():
        if not resume:
            raise UsageError(
                "a training has begun here",
                where=state,
                todo="Add --resume to go on with it, or choose another folder",
            )
        if read_json(begun) != json.loads(json.dumps(wanted)):
            raise UsageError(
                "the training that has begun here has other settings or another corpus",
                where=state,
                todo="Choose another folder",
            )
    else:
        write_json(begun, wanted)
    footage = Footage.collect(corpus, report)
    test = [n for n in held_out(corpus.names) if n in footage.mouths]
    names = [n for n in corpus.names if n in footage.mouths and n not in held_out(corpus.names)]
    labels = (
        alignments_for([*names, *test], alignments, footage)
        if alignments is not None and config.task == "lips"
        else {}
    )
    if config.task == "lips":
        names, test = [n for n in names if n in labels], [n for n in test if n in labels]
    if len(names) < 2 or not test:
        raise ArtefactError(
            "there are not enough clips to train an expert",
            where=corpus.folder,
            todo="Prepare more footage (and alignments for a lip reader)",
        )
    pace = TrainingProgress(training.frames, budget)
    torch.manual_seed(training.seed)
    module = ExpertModule(config, training, pace)
    clips = ClipDataset(footage, names, config.sees, training.window, labels)
    validation = DataLoader(
        ClipDataset(footage, test, config.sees, training.window, labels), batch_size=32
    )
    data = StageData(clips, np.arange(len(names)), np.ones(len(names)), validation)
    fit(module, name, data, LoopOptions(state, report, trainer_options or {}))
    expert = Expert(config, {}, module.model.eval().float())
    figures = {k: round(v, 4) for k, v in score(expert, corpus, footage, test).items()}
    expert.about.update(
        command=command,
        training=asdict(training),
        frames_seen=pace.seen,
        seconds=round(pace.elapsed, 1),
        machine=machine(),
        data={
            "digest": corpus.digest(names),
            "clips": len(names),
            "held_out": test,
            "licence": corpus.about.get("licence"),
        },
        metrics={"of": "real held-out clips", **figures},
    )
    save_expert(out, name, config, module.model, expert.about)
    return expert
