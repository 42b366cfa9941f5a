"""speech2latent, stage 2 of DAE-Talker (its figure 2): speech features -> convolutional
downsampling -> Conformer encoder -> pose adaptor -> Conformer decoder -> one latent a frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from talkers.configuration import limited
from talkers.motion.conformer import ConformerBlock, check_shape
from talkers.motion.contract import Conditions, Motion, MotionModel
from talkers.motion.speech_embedding import SpeechEmbedding
from talkers.space.contract import HEAD
from talkers.space.normalised import NormalisedSpace


@dataclass(frozen=True)
class RegressorConfig:
    """Shape of speech2latent."""

    type: str = "regressor"
    width: int = limited(256, 1, 4096)
    encoder_blocks: int = limited(2, 1, 24)
    decoder_blocks: int = limited(2, 1, 24)
    heads: int = limited(4, 1, 64)
    kernel: int = limited(13, 1, 63)  # of the Conformers' convolutions, frames; odd
    dropout: float = limited(0.1, 0, 1)
    pose_hidden: int = limited(64, 1, 4096)  # width of the pose predictor's and projector's LSTMs
    pose_adaptor: bool = True  # False: the decoder does not see the head (the paper's ablation)

    def __post_init__(self) -> None:
        check_shape(self.width, self.heads, self.kernel)


class Speech2Latent(MotionModel):
    """Regresses latents from frozen speech features, with a pose adaptor.

    Args:
        config: its shape.
        features: width of the speech features.
        space: of the latents.
    """

    def __init__(self, config: RegressorConfig, features: int, space: NormalisedSpace):
        super().__init__(space)
        self.config, w = config, config.width
        self.speech = SpeechEmbedding(features, w, config.dropout)
        block = (w, config.heads, config.kernel, config.dropout)
        self.encoder = nn.ModuleList([ConformerBlock(*block) for _ in range(config.encoder_blocks)])
        self.predictor = nn.LSTM(w, config.pose_hidden, 2, batch_first=True)
        self.predict = nn.Linear(config.pose_hidden, len(HEAD))
        self.projector = nn.LSTM(len(HEAD), config.pose_hidden, 2, batch_first=True)
        self.project = nn.Linear(config.pose_hidden, w)
        self.decoder = nn.ModuleList([ConformerBlock(*block) for _ in range(config.decoder_blocks)])
        self.out_proj = nn.Linear(w, space.width)

    @property
    def space(self) -> NormalisedSpace:
        """Of the latents."""
        space = self._space[0]
        assert isinstance(space, NormalisedSpace)
        return space

    def forward(self, conditions: Conditions) -> Motion:
        """Motion for all frames; in training the head is the measured one (teacher forcing)."""
        space, speech = self.space, self.speech(conditions.speech)
        exists = conditions.exists
        if exists is None:
            exists = torch.ones(speech.shape[:2], dtype=torch.bool, device=speech.device)
        x = speech
        for block in self.encoder:
            x = block(x, exists)
        predicted = self.predict(self.predictor(x)[0])  # normalised
        if conditions.adjust_head is not None:
            adjusted = conditions.adjust_head(space.denormalise_head(predicted))
            predicted = space.normalise_head(adjusted)
        used = predicted
        if conditions.head is not None:
            wanted = space.normalise_head(conditions.head)
            used = torch.where(wanted.isnan(), predicted, wanted)
        if self.config.pose_adaptor:
            x = x + self.project(self.projector(used)[0])
        for block in self.decoder:
            x = block(x, exists)
        return Motion(space.denormalise(self.out_proj(x)), space.denormalise_head(predicted))

    def generate(
        self,
        conditions: Conditions,
        observed: Tensor | None = None,
        first: int = 0,
        seed: int = 0,
    ) -> Motion:
        """See `MotionModel.generate`. Nothing is sampled: only the conditions matter."""
        self.check(conditions)
        motion: Motion = self(replace(conditions, tracks={}))
        return motion


def velocity(x: Tensor) -> Tensor:
    """Frame-to-frame differences: [B, T, C] -> [B, T - 1, C]."""
    return x[:, 1:] - x[:, :-1]
