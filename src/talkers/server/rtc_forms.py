"""What a page with a live face sends; see docs/guide/live.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from talkers.runtime.live_session import LiveTerms
from talkers.server.forms import Command, ControlsForm, Form, Seed, SetCommand

Tell = Callable[[dict[str, Any]], Awaitable[None]]  # sends an event
SOUND_RATE = 48_000  # Hz of Opus


class Offer(Form):
    """The first message: what the browser offers, and which face it wants."""

    offer: str = Field(min_length=1, max_length=60_000)  # SDP
    avatar: str | None = None
    rate: int = Field(default=SOUND_RATE, ge=2_000, le=768_000)  # Hz of sound in messages
    controls: ControlsForm = ControlsForm()
    latency: Literal["low", "balanced", "quality"] = "balanced"
    seed: Seed = 0

    def terms(self) -> LiveTerms:
        """As the runtime takes them."""
        return LiveTerms(self.latency, SOUND_RATE)


class SayCommand(Form):
    """A text to be said after what was sent before."""

    type: Literal["say"]
    text: str
    voice: str = "joe"
    speed: float = Field(default=1.0, ge=0.5, le=2)


class ListenCommand(Form):
    """Whether the face says what the microphone hears."""

    type: Literal["listen"]
    on: bool


RtcCommand = Command | SetCommand | SayCommand | ListenCommand
RTC_COMMANDS: TypeAdapter[RtcCommand] = TypeAdapter(
    Annotated[RtcCommand, Field(discriminator="type")]
)
