"""A recurrent network from speech features to motion: it sees what was said, nothing ahead."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from talkers.configuration import limited
from talkers.motion import Conditions, Context, Motion, MotionModel
from talkers.space.contract import HEAD
from talkers.space.linear import LinearSpace


@dataclass(frozen=True)
class RecurrentConfig:
    """Shape of the network."""

    type: str = "recurrent"
    width: int = limited(64, 1, 1024)


class RecurrentMotion(MotionModel):
    """Speech features -> motion and head values, by a GRU (Cho et al. 2014).

    Args:
        config: its shape.
        features: width of the speech features.
        space: of the motion.
    """

    context = Context(look_ahead=0.08)
    _space: list[LinearSpace]

    def __init__(self, config: RecurrentConfig, features: int, space: LinearSpace):
        super().__init__(space)
        self.config = config
        self.project = nn.Sequential(
            nn.LayerNorm(2 * features), nn.Linear(2 * features, config.width)
        )
        self.gru = nn.GRU(config.width, config.width, batch_first=True)
        self.predict = nn.Linear(config.width, space.width + len(HEAD))

    def forward(self, speech: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, 2 T, F] -> normalised motion [B, T, width] and head values [B, T, 7]."""
        frames = speech.reshape(len(speech), -1, 2 * speech.shape[-1])  # two features a frame
        rows = self.predict(self.gru(self.project(frames))[0])
        return rows[..., : -len(HEAD)], rows[..., -len(HEAD) :]

    def generate(
        self,
        conditions: Conditions,
        observed: Tensor | None = None,
        first: int = 0,
        seed: int = 0,
    ) -> Motion:
        """See `MotionModel.generate`. Head values that are given are written by the space."""
        self.check(conditions)
        space = self._space[0]
        motion, head = self(conditions.speech)
        head = space.denormalise_head(head)
        if conditions.adjust_head is not None:
            head = conditions.adjust_head(head)
        return Motion(space.denormalise(motion), head)

    def training_loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `talkers.training.trainable.Trainable`."""
        space, usable = self._space[0], batch["usable"]
        motion, head = self(batch["features"])
        wanted = space.normalise(batch["latents"]), space.normalise_head(batch["head"])
        errors = [(a - b).square().mean(-1) for a, b in zip((motion, head), wanted, strict=True)]
        # Means over the frames that count.
        share = usable / usable.sum().clamp(min=1)
        return {"motion": (errors[0] * share).sum(), "head": 0.3 * (errors[1] * share).sum()}
