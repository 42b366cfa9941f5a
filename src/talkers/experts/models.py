"""The experts' networks: a backbone that sees the mouth, and what is concluded from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from talkers.errors import UsageError
from talkers.experts.contract import NAN, Expert, ExpertClip, Needs
from talkers.experts.mouths import PATCH, Mouths
from talkers.experts.rate import mel_of_clip
from talkers.experts.words import WORDS, read_sentence, word_error_rate
from talkers.speech.mel import N_MELS

POINTS = 81  # numbers of a lip shape
SYNC_RANGE = 15  # frames by which sound is searched before and after the lips
MIN_SPEECH_FRAMES = 10  # below which sound and lips are not compared
CONTEXT = 5  # frames that the backbone sees at once


@dataclass(frozen=True)
class ExpertConfig:
    """What an expert judges and what it looks at.

    Attributes:
        task: "lips" reads words, "sync" compares lips and sound.
        sees: "pixels" of the mouth, or "points", its landmarks.
        width: of its embeddings.
        dropout: in training.
    """

    task: Literal["lips", "sync"]
    sees: Literal["pixels", "points"] = "pixels"
    width: int = 128
    dropout: float = 0.4

    @property
    def name(self) -> str:
        """Of the expert: what its files are called."""
        return f"{self.task}-{self.sees}"

    @property
    def suffix(self) -> str:
        """Of its scores' names."""
        return "" if self.sees == "pixels" else "_points"


def _convolutions(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


class Backbone(nn.Module):
    """Mouth patches [B, T, 48, 48] or lip shapes [B, T, 81] -> [B, T, width], each from five
    frames."""

    def __init__(self, config: ExpertConfig):
        super().__init__()
        self.sees, width = config.sees, config.width
        if config.sees == "pixels":
            layers: list[nn.Module] = []
            for k, (inputs, outputs) in enumerate(((CONTEXT, 32), (32, 48), (48, 96), (96, width))):
                layers += _convolutions(inputs, outputs, 3 if k else 5, 2)
                layers += _convolutions(outputs, outputs, 3, 1) if k else []
            out_proj = nn.Linear(width * (PATCH // 16) ** 2, width)
            self.net = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(config.dropout), out_proj)
        else:
            self.net = nn.Sequential(
                nn.Linear(CONTEXT * POINTS, 2 * width),
                nn.LayerNorm(2 * width),
                nn.ReLU(),
                nn.Dropout(config.dropout),
                nn.Linear(2 * width, width),
            )

    def forward(self, mouths: Tensor) -> Tensor:
        """Mouths as the expert sees them [B, T, ...] -> [B, T, width]."""
        x = mouths.float()
        if self.sees == "pixels":  # brightness and contrast of the clip do not count
            mean, std = x.flatten(1).mean(1), x.flatten(1).std(1)
            x = (x - mean[:, None, None, None]) / (std[:, None, None, None] + 5)
        else:  # neither does the mouth's own shape, only how it moves
            x = (x - x.mean(1, keepdim=True)) * 10
        padded = F.pad(x.flatten(2), (0, 0, CONTEXT // 2, CONTEXT // 2))
        nearby = [padded[:, k : k + x.shape[1]] for k in range(CONTEXT)]
        rows = torch.stack(nearby, 2).flatten(0, 1)  # [B T, 5, ...]
        if self.sees == "pixels":
            rows = rows.reshape(-1, CONTEXT, PATCH, PATCH)
            rows = rows.contiguous(memory_format=torch.channels_last)
        else:
            rows = rows.flatten(1)
        embedding: Tensor = self.net(rows)
        return embedding.reshape(*x.shape[:2], -1)


class MouthExpert(nn.Module, Expert):
    """What lip readers and sync experts have in common: a backbone, and what it is fed.

    Args:
        config: what it judges and what it looks at.
    """

    def __init__(self, config: ExpertConfig):
        super().__init__()
        self.config, self.name = config, config.name
        self.sees = "pixels" if config.sees == "pixels" else "landmarks"
        self.about: dict[str, Any] = {}
        self.backbone = Backbone(config)

    def inputs(self, mouths: Mouths) -> Tensor:
        """What it sees of a clip's mouths: patches [1, T, 48, 48] or points [1, T, 81].

        Raises:
            UsageError: these are no mouths.
        """
        patches, points = mouths
        shapes = (patches.shape[1:], points.shape[1:])
        if len(patches) != len(points) or shapes != ((PATCH, PATCH), (POINTS,)):
            raise UsageError(
                f"these are not mouths: {patches.shape}, {points.shape}",
                todo="Use mouths_of(frames, landmarks)",
            )
        return torch.from_numpy(patches if self.sees == "pixels" else points)[None]


class LipReader(MouthExpert):
    """Reads GRID's words off a mouth: log-probabilities of WORDS in every frame."""

    needs: frozenset[Needs] = frozenset({"text"})

    def __init__(self, config: ExpertConfig):
        super().__init__(config)
        self.figures = (f"lip_wer{config.suffix}",)
        width = config.width
        self.dropout = nn.Dropout(config.dropout)
        self.gru = nn.GRU(
            width, width, 2, batch_first=True, bidirectional=True, dropout=config.dropout
        )
        self.classifier = nn.Linear(2 * width, len(WORDS))

    def forward(self, mouths: Tensor) -> Tensor:
        """Patches [B, T, 48, 48] or points [B, T, 81] -> [B, T, len(WORDS)]."""
        hidden = self.dropout(F.relu(self.backbone(mouths)))
        logits: Tensor = self.classifier(self.dropout(self.gru(hidden)[0]))
        return logits.float().log_softmax(-1)

    @torch.inference_mode()
    def read(self, mouths: Mouths) -> tuple[str, ...]:
        """The six words that it sees said in a clip at 25 frames a second."""
        return read_sentence(self(self.inputs(mouths))[0].numpy())

    def scores(self, clip: ExpertClip) -> dict[str, float]:
        """lip_wer: the share of the sentence's words that are read wrongly."""
        error = NAN
        if clip.sentence and clip.visible:
            error = word_error_rate(clip.sentence, self.read(clip.mouths))
        return {self.figures[0]: error}

    def loss(
        self, generated: Tensor, reference: Tensor, batch: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """lips: how differently generated lips are read, in nats a frame."""
        usable = batch["usable"]
        with torch.backends.cudnn.flags(enabled=False):  # its GRU has no gradient in eval mode
            log_q, log_p = self(generated), self(reference)
        # KL(p || q) = sum_w p(w) (log p(w) - log q(w)), p read off the real lips
        divergence = (log_p.exp() * (log_p - log_q)).sum(-1)
        return {"lips": (divergence * usable).sum() / usable.sum().clamp(min=1)}


class SyncExpert(MouthExpert):
    """Mouth and sound in one space in which what belongs together is near (SyncNet, Chung and
    Zisserman 2016)."""

    needs: frozenset[Needs] = frozenset({"sound"})

    def __init__(self, config: ExpertConfig):
        super().__init__(config)
        kinds = ("sync_offset", "sync_distance", "sync_confidence", "in_sync")
        self.figures = tuple(f"{kind}{config.suffix}" for kind in kinds)
        width = config.width
        self.video_head = nn.Sequential(
            nn.ReLU(),
            nn.Conv1d(width, width, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(width, width, 1),
        )
        self.audio_encoder = nn.Sequential(
            nn.Conv1d(N_MELS, width, 5, 2, 2),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(config.dropout / 2),
            nn.Conv1d(width, width, 5, 2, 2),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(config.dropout / 2),
            nn.Conv1d(width, width, 5, 1, 2),
            nn.ReLU(),
            nn.Conv1d(width, width, 1),
        )
        self.log_sharpness = nn.Parameter(torch.tensor(2.5))  # log of the inverse temperature

    def embed_mouths(self, mouths: Tensor) -> Tensor:
        """Patches or points [B, T, ...] -> unit vectors [B, T, width]."""
        rows = self.video_head(self.backbone(mouths).transpose(1, 2))
        return F.normalize(rows.transpose(1, 2).float(), dim=-1)

    def embed_speech(self, mel: Tensor) -> Tensor:
        """Log-mel spectrogram [B, 80, 4 T] at 100 Hz -> unit vectors [B, T, width]."""
        return F.normalize(self.audio_encoder(mel).transpose(1, 2).float(), dim=-1)

    @torch.inference_mode()
    def sync(
        self, mouths: Mouths, samples: NDArray[np.float32], speech: NDArray[np.bool_]
    ) -> tuple[int, float]:
        """How late the sound is.

        Args:
            mouths: of a clip of T frames at 25 frames a second.
            samples: its sound, float32 [n] at 16 kHz.
            speech: bool [T], the frames that count.

        Returns:
            how many frames the sound comes after the lips (-15..15), and how sure that is: the
            similarity there minus the median over all offsets.
        """
        speech_emb = self.embed_speech(mel_of_clip(samples, len(mouths.patches))[None])[0]
        mouth_emb = self.embed_mouths(self.inputs(mouths))[0]
        curve = sync_curve(mouth_emb, speech_emb, torch.from_numpy(speech))
        best = int(curve.argmax())
        return best - SYNC_RANGE, float(curve[best] - curve.median())

    def scores(self, clip: ExpertClip) -> dict[str, float]:
        """sync_offset in frames, sync_distance, its absolute value; sync_confidence; in_sync: 1
        where the offset is at most a frame."""
        offset, confidence = NAN, NAN
        long_enough = len(clip.speech) > 2 * SYNC_RANGE
        if clip.visible and long_enough and clip.speech.sum() >= MIN_SPEECH_FRAMES:
            offset, confidence = self.sync(clip.mouths, clip.samples, clip.speech)
        in_sync = float(abs(offset) <= 1) if offset == offset else NAN
        values = (float(offset), float(abs(offset)), float(confidence), in_sync)
        return dict(zip(self.figures, values, strict=True))

    def loss(
        self, generated: Tensor, reference: Tensor, batch: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """sync: how unlike generated lips and sound are where something is said, 0..2."""
        if "mel" not in batch:
            return {}
        # 1 - cos(mouth, speech); both embeddings are of unit length
        speech_emb = self.embed_speech(batch["mel"].transpose(1, 2))
        distance = 1 - (self.embed_mouths(generated) * speech_emb).sum(-1)
        counted = batch["usable"] & ~batch["silent"]
        return {"sync": (distance * counted).sum() / counted.sum().clamp(min=1)}


def sync_curve(mouth_emb: Tensor, speech_emb: Tensor, weights: Tensor) -> Tensor:
    """Mean similarity of mouth and sound when the sound is taken k frames later, k = -15..15.

    Args:
        mouth_emb: unit vectors [T, width].
        speech_emb: unit vectors [T, width].
        weights: [T] how much each frame counts (speech).

    Returns:
        [31]
    """
    curve = []
    for k in range(-SYNC_RANGE, SYNC_RANGE + 1):
        first, last = max(0, -k), len(mouth_emb) - max(0, k)
        if last - first < 1:
            curve.append(torch.tensor(0.0))
            continue
        # s_k = sum_t w_t <m_t, a_(t + k)> / sum_t w_t
        similarity = (mouth_emb[first:last] * speech_emb[first + k : last + k]).sum(-1)
        w = weights[first:last].float() + 1e-6
        curve.append((similarity * w).sum() / w.sum())
    return torch.stack(curve)
