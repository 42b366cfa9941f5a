"""The experts' networks: a look at the mouth, pixels or points, and what is concluded from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.experts.mouths import PATCH
from talkers.experts.words import WORDS
from talkers.speech.mel import N_MELS

POINTS = 81  # numbers of a lip shape
Sees = Literal["pixels", "points"]
Task = Literal["lips", "sync"]
SYNC_RANGE = 15  # frames by which sound is searched before and after the lips


@dataclass(frozen=True)
class ExpertConfig:
    """What an expert judges and what it looks at."""

    task: Task
    sees: Sees = "pixels"
    width: int = 128
    dropout: float = 0.4


class Backbone(nn.Module):
    """Mouth patches [B, T, 48, 48] or lip shapes [B, T, 81] -> [B, T, width], each from five frames."""

    def __init__(self, config: ExpertConfig):
        super().__init__()
        self.sees, w = config.sees, config.width
        if config.sees == "pixels":
            layers: list[nn.Module] = []
            for inputs, outputs, kernel in ((5, 32, 5), (32, 48, 3), (48, 96, 3), (96, w, 3)):
                layers += [
                    nn.Conv2d(inputs, outputs, kernel, 2, kernel // 2, bias=False),
                    nn.BatchNorm2d(outputs),
                    nn.ReLU(),
                ]
                layers += (
                    [
                        nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
                        nn.BatchNorm2d(outputs),
                        nn.ReLU(),
                    ]
                    if inputs > 5
                    else []
                )
            side = PATCH // 16
            self.net = nn.Sequential(
                *layers, nn.Flatten(), nn.Dropout(config.dropout), nn.Linear(w * side**2, w)
            )
        else:
            self.net = nn.Sequential(
                nn.Linear(5 * POINTS, 2 * w),
                nn.LayerNorm(2 * w),
                nn.ReLU(),
                nn.Dropout(config.dropout),
                nn.Linear(2 * w, w),
            )

    def forward(self, seen: Tensor) -> Tensor:
        if self.sees == "pixels":  # brightness and contrast of the clip do not count
            flat = seen.float().flatten(1)
            mean, std = flat.mean(1)[:, None, None, None], flat.std(1)[:, None, None, None]
            x = (seen.float() - mean) / (std + 5)
        else:  # neither does the mouth's own shape, only how it moves
            x = (seen.float() - seen.float().mean(1, keepdim=True)) * 10
        padded = F.pad(x.flatten(2), (0, 0, 2, 2))
        near = torch.stack([padded[:, k : k + x.shape[1]] for k in range(5)], 2)  # [B, T, 5, ...]
        rows = near.flatten(0, 1)
        rows = (
            rows.reshape(-1, 5, PATCH, PATCH).contiguous(memory_format=torch.channels_last)
            if self.sees == "pixels"
            else rows.flatten(1)
        )
        out: Tensor = self.net(rows)
        return out.reshape(*x.shape[:2], -1)


class LipReader(nn.Module):
    """Reads GRID's words off a mouth: log-probabilities of WORDS in every frame."""

    def __init__(self, config: ExpertConfig):
        super().__init__()
        self.config, w = config, config.width
        self.look = Backbone(config)
        self.before = nn.Dropout(config.dropout)
        self.recall = nn.GRU(w, w, 2, batch_first=True, bidirectional=True, dropout=config.dropout)
        self.after = nn.Dropout(config.dropout)
        self.tell = nn.Linear(2 * w, len(WORDS))

    def forward(self, seen: Tensor) -> Tensor:
        """Patches [B, T, 48, 48] or points [B, T, 81] -> [B, T, len(WORDS)]."""
        told: Tensor = self.tell(self.after(self.recall(self.before(F.relu(self.look(seen))))[0]))
        return told.float().log_softmax(-1)


class SyncExpert(nn.Module):
    """Mouth and sound in one space in which what belongs together is near (SyncNet, Chung and Zisserman 2016)."""

    def __init__(self, config: ExpertConfig):
        super().__init__()
        self.config, w = config, config.width
        self.look = Backbone(config)
        self.watch = nn.Sequential(
            nn.ReLU(), nn.Conv1d(w, w, 5, padding=2), nn.ReLU(), nn.Conv1d(w, w, 1)
        )
        self.listen = nn.Sequential(
            nn.Conv1d(N_MELS, w, 5, 2, 2),
            nn.BatchNorm1d(w),
            nn.ReLU(),
            nn.Dropout(config.dropout / 2),
            nn.Conv1d(w, w, 5, 2, 2),
            nn.BatchNorm1d(w),
            nn.ReLU(),
            nn.Dropout(config.dropout / 2),
            nn.Conv1d(w, w, 5, 1, 2),
            nn.ReLU(),
            nn.Conv1d(w, w, 1),
        )
        self.sharpness = nn.Parameter(torch.tensor(2.5))  # log of the inverse temperature

    def see(self, seen: Tensor) -> Tensor:
        """Patches or points [B, T, ...] -> unit vectors [B, T, width]."""
        return F.normalize(
            self.watch(self.look(seen).transpose(1, 2)).transpose(1, 2).float(), dim=-1
        )

    def hear(self, mel: Tensor) -> Tensor:
        """Log-mel spectrogram [B, 80, 4 T] at 100 Hz -> unit vectors [B, T, width]."""
        return F.normalize(self.listen(mel).transpose(1, 2).float(), dim=-1)


def sync_curve(seen: Tensor, heard: Tensor, weights: Tensor) -> Tensor:
    """Mean similarity of mouth and sound when the sound is taken k frames later, k = -15..15.

    Args:
        seen, heard: unit vectors [T, width].
        weights: [T] how much each frame counts (speech).

    Returns:
        [31]
    """
    curve = []
    for k in range(-SYNC_RANGE, SYNC_RANGE + 1):
        a, b = max(0, -k), len(seen) - max(0, k)
        if b - a < 1:
            curve.append(torch.tensor(0.0))
            continue
        near = (seen[a:b] * heard[a + k : b + k]).sum(-1)
        w = weights[a:b].float() + 1e-6
        curve.append((near * w).sum() / w.sum())
    return torch.stack(curve)
