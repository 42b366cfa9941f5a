"""What clients send, checked: no field names a file of the server's machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from talkers.controls.request import Controls
from talkers.errors import UsageError
from talkers.runtime.dubbing import DubTerms
from talkers.runtime.live_session import LiveTerms
from talkers.server.problem import Problem, problem_of_fields

ANGLE = r"\s*(yaw|pitch|roll)\s*=\s*[-+]?\d{1,3}(\.\d{1,6})?\s*"
POSE = rf"^(predicted|still|{ANGLE}(,{ANGLE}){{0,2}})$"
Face = Annotated[str, Field(pattern=r"^(auto|largest|left|right|\d{1,5},\d{1,5})$")]
Seed = Annotated[int, Field(ge=0, lt=2**32, description="The same seed gives the same frames.")]


class Form(BaseModel):
    """A message whose unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ControlsForm(Form):
    """Of head, eyes and mouth. What is left out is as the avatar does it."""

    pose: str = Field(
        default="predicted", pattern=POSE, description="predicted, still, or yaw=5,pitch=-2"
    )
    pose_scale: float = Field(default=1.0, description="How far the head moves, 0 to 2.")
    pose_offset: tuple[float, float, float] = Field(
        default=(0, 0, 0), description="Yaw, pitch, roll; deg."
    )
    blinks: float = Field(default=15.0, description="Blinks a minute, 0 to 60.")
    blink_times: list[float] = Field(
        default=[], max_length=1_000, description="Seconds of the blinks."
    )
    amplitude: float = Field(default=1.0, description="How far the mouth opens, 0.5 to 1.5.")
    brow_amplitude: float = Field(default=1.0, description="How far the brows move, 0 to 3.")
    gaze: tuple[float, float] = Field(default=(0, 0), description="Left and up, -1 to 1.")
    smile: float = Field(default=0.0, description="-1 to 1; portraits only.")
    motion: str = Field(default="regressor", max_length=100, description="regressor or sampler.")

    def controls(self) -> Controls:
        """As the runtime takes them.

        Raises:
            UsageError: a value out of range.
        """
        return self.over(Controls())

    def over(self, controls: Controls) -> Controls:
        """The same, where what is left out is as in other controls.

        Raises:
            UsageError: a value out of range.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if "blink_times" in given:
            given["blink_times"] = tuple(self.blink_times)
        return replace(controls, **given)


class TermsForm(Form):
    """How a film is dubbed."""

    face: Face = Field(default="auto", description="auto, largest, left, right or x,y in pixels.")
    when_longer: Literal["loop", "bounce", "freeze", "stretch", "cut", "error"] = Field(
        default="loop", description="What is shown where the speech is longer than the film."
    )
    when_shorter: Literal["keep", "silence", "cut"] = Field(
        default="silence", description="What happens after a speech that is shorter."
    )
    amplitude: float = Field(default=1.0, description="How far the mouth moves, 0.5 to 1.5.")

    def terms(self) -> DubTerms:
        """As the runtime takes them."""
        return DubTerms(self.face, self.when_longer, self.when_shorter)


class SayForm(Form):
    """A text to be said."""

    text: str = Field(description="What is said; SSML is understood as `talkers say` does.")
    voice: str = Field(
        default="joe", description="One of the voices that `talkers say --help` lists."
    )
    speed: float = Field(
        default=1.0, ge=0.5, le=2, description="Times as fast as the voice speaks."
    )
    avatar: str | None = Field(default=None, description="One of those that /health lists.")
    controls: ControlsForm = ControlsForm()
    seed: Seed = 0


class Hello(Form):
    """The first message of a live session."""

    avatar: str | None = None
    rate: int = Field(default=16_000, ge=2_000, le=768_000)  # Hz of the sound that is sent
    sound_rate: int = 48_000  # Hz of the sound that comes
    controls: ControlsForm = ControlsForm()
    latency: Literal["low", "balanced", "quality"] = "balanced"
    seed: Seed = 0

    def terms(self) -> LiveTerms:
        """As the runtime takes them.

        Raises:
            UsageError: sound is not played at such a rate.
        """
        return LiveTerms(self.latency, self.sound_rate)


class Command(Form):
    """A word to a live session."""

    type: Literal["interrupt", "flush", "pause", "resume", "finish"]


class SetCommand(Form):
    """Other controls for a live session."""

    type: Literal["set"]
    controls: ControlsForm


COMMANDS: TypeAdapter[Command | SetCommand] = TypeAdapter(
    Annotated[Command | SetCommand, Field(discriminator="type")]
)


class Misread(UsageError):
    """Text that is not the JSON that was to come; `problem` tells more."""

    def __init__(self, problem: Problem):
        super().__init__(problem.what, why=problem.why, todo=problem.todo)
        self.problem = problem


def read_json(kind: type[Any] | TypeAdapter[Any], text: str) -> Any:
    """JSON text -> a form.

    Args:
        kind: the form, or an adapter.
        text: from a client.

    Raises:
        Misread: it is no such JSON.
    """
    try:
        if isinstance(kind, TypeAdapter):
            return kind.validate_json(text)
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise Misread(problem_of_fields(error)) from error
    except (ValueError, RecursionError) as error:  # halves of characters
        raise Misread(Problem(what="this is not JSON", todo="Send one JSON object")) from error
