"""Speech features at two a frame -> one embedding a frame (DAE-Talker, section 3.3)."""

from __future__ import annotations

from torch import Tensor, nn


class SpeechEmbedding(nn.Module):
    """Projects speech features and halves their rate by a convolution.

    Args:
        features: width of the speech features.
        width: of the embedding.
        dropout: share of its numbers that are dropped in training.
    """

    def __init__(self, features: int, width: int, dropout: float):
        super().__init__()
        self.in_proj = nn.Sequential(
            nn.LayerNorm(features), nn.Linear(features, width), nn.SiLU(), nn.Dropout(dropout)
        )
        self.downsample = nn.Conv1d(width, width, 3, stride=2, padding=1)  # 50 Hz -> 25 Hz

    def forward(self, features: Tensor) -> Tensor:
        """[B, 2 T, F] -> [B, T, width]."""
        out: Tensor = self.downsample(self.in_proj(features).transpose(1, 2)).transpose(1, 2)
        return out
