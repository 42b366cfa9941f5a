"""What every motion model does: conditions over time -> motion in a space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from talkers.errors import UsageError
from talkers.space.contract import MotionSpace

AdjustHead = Callable[[Tensor], Tensor]


class Motion(NamedTuple):
    """What a motion model generates.

    Attributes:
        values: [B, T, width], motion in the model's space.
        head: [B, T, 7], the head values that belong to it, in the order of `HEAD`.
        state: [B, T, C], what a model that samples needs of committed frames to go on; or None.
        audio: [B, n] at 16 kHz from models that make sound too; or None.
    """

    values: Tensor
    head: Tensor
    state: Tensor | None = None
    audio: Tensor | None = None


class Reference(NamedTuple):
    """A clip whose style is taken up.

    Attributes:
        speech: [B, 2 N, F] features of what is said in it.
        state: [B, N, C] its frames, see `Motion.state`.
    """

    speech: Tensor
    state: Tensor


@dataclass(frozen=True)
class Conditions:
    """What a motion is made from: named tracks over its frames.

    Attributes:
        speech: [B, 2 T, F] speech features, two a frame.
        head: [B, T, 7] head values to take; NaN leaves a value to the model, None all of them.
        tracks: further tracks [B, T, k] by name (gaze, emotion, style, text, partner, state);
            NaN marks frames without a value.
        reference: a clip whose style is taken up.
        exists: bool [B, T], which frames exist (None: all).
        adjust_head: the model's own head values [..., 7] -> those to take in their place.
    """

    speech: Tensor
    head: Tensor | None = None
    tracks: Mapping[str, Tensor] = field(default_factory=dict)
    reference: Reference | None = None
    exists: Tensor | None = None
    adjust_head: AdjustHead | None = None

    @property
    def names(self) -> set[str]:
        """Names of the conditions that are given."""
        given = {"speech", *self.tracks}
        if self.head is not None:
            given.add("head")
        return given | {"reference"} if self.reference is not None else given


class Context(NamedTuple):
    """How much of the conditions a model sees at once when it speaks, in seconds.

    Attributes:
        window: of speech that is seen together.
        hop: by which the window moves.
        stream_hop: the same in a stream.
        look_ahead: of speech after a frame that a stream waits for.
    """

    window: float = 4.0
    hop: float = 2.0
    stream_hop: float = 0.04
    look_ahead: float = 0.16


class MotionModel(nn.Module, ABC):
    """A motion model. Subclasses implement `generate`.

    Args:
        space: of the motion that it generates. It belongs to the avatar and is not saved with
            the model.

    Attributes:
        accepts: names of the conditions that it understands.
        context: what it sees at once.
    """

    accepts: frozenset[str] = frozenset({"speech", "head"})
    context = Context()

    def __init__(self, space: MotionSpace):
        super().__init__()
        self._space = [space]  # in a list: shared by the avatar's models, saved once

    @property
    def space(self) -> MotionSpace:
        """Of the motion that it generates."""
        return self._space[0]

    @abstractmethod
    def generate(
        self,
        conditions: Conditions,
        observed: Tensor | None = None,
        first: int = 0,
        seed: int = 0,
    ) -> Motion:
        """Generate motion for all frames of the conditions.

        Args:
            conditions: what it is made from.
            observed: [B, N, C] state of the first N frames, which are committed.
            first: number of the first frame in the whole talk.
            seed: of what is sampled: each frame has its own noise, whatever window it is in.

        Raises:
            UsageError: a condition that the model does not accept.
        """

    def check(self, conditions: Conditions) -> None:
        """Refuse conditions that the model does not accept.

        Raises:
            UsageError: names them, and those that it accepts.
        """
        if unknown := sorted(conditions.names - self.accepts):
            raise UsageError(
                f"this motion model does not know the condition '{unknown[0]}'",
                where=type(self).__name__,
                todo=f"Leave it out; it accepts {', '.join(sorted(self.accepts))}",
            )
