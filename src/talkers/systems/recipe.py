"""Complete configurations of a training, each a function that returns a frozen typed dataclass.

A recipe is saved as JSON with what it made; reading one back refuses unknown keys and names the nearest valid one.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from talkers.errors import ArtefactError, UsageError
from talkers.motion import FlowConfig, MotionConfig
from talkers.renderers.diffusion_autoencoder import CodecConfig
from talkers.speech import SpeechConfig
from talkers.speech.streaming import StreamingEncoderConfig


@dataclass(frozen=True)
class CodecTraining:
    """How stage 1 is trained."""

    frames: int = (
        100_000_000  # frames seen in all; 0: the codec of the avatar that is begun with is kept
    )
    batch: int = 64  # frames a step and process
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    warmup: float = 0.0  # share of training with a rising learning rate
    decay: bool = False  # let the learning rate fall to 1 % (cosine)
    gradient_clip: float = 1.0
    ema: float = 0.9999  # decay of the averaged weights
    mouth_weight: float = 1.0  # loss weight of the mouth's box, relative to the rest of the picture
    eye_weight: float = 1.0
    blink_boost: float = 0.0  # closed eyes are seen 1 + this times as often
    noisiest_share: float = (
        0.0  # share of training pictures at the very first sampling step (t = 999)
    )
    appearance_weight: float = 0.5  # of the error of the appearance model's picture alone
    shape_weight: float = (
        0.0  # of the loss by which latents must tell the shape of mouth and eyes linearly
    )
    latent_noise: float = (
        0.0  # standard deviation of noise added to latents, which keeps neighbours alike
    )
    validate_every: int = 40_000  # frames between validations
    save_every: int = 8_000  # frames between checkpoints
    compile: bool = False  # fuse kernels with torch.compile (needs a C++ compiler on a CPU)


@dataclass(frozen=True)
class MotionTraining:
    """How stage 2 is trained."""

    frames: int = 3_000_000  # frames seen in all
    batch: int = 16  # clips a step and process
    window: int = 64  # frames of a training window
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warmup: float = 0.03  # share of training with a rising learning rate
    gradient_clip: float = 1.0
    ema: float = 0.998
    pose_weight: float = 0.5  # of the pose predictor's loss, relative to that of the latents
    velocity_weight: float = 0.5  # of the error of frame-to-frame differences of the latents
    quiet_share: float = (
        0.3  # how often windows are heard with digital silence between words, or nothing, relative
    )
    wordless_share: float = 0.45  # and with music or noise in place of the speech
    voices_share: float = 1.0  # how often they are heard in other voices, rooms and noise
    rhythms_share: float = 0.5  # of windows that pass in another rhythm, sound and face together
    synthetic: tuple[
        str, ...
    ] = ()  # voices of `talkers say` that speak the clips' transcripts, some of the others
    readout_weight: float = (
        1.0  # of the error of the face's shape as a linear reading of the latents tells it
    )
    lips_weight: float = (
        0.0  # of what the lip reader that sees points reads off the made lips, beside the real ones
    )
    sync_weight: float = (
        0.0  # of how unlike the sync expert that sees points finds the made lips and the sound
    )
    validate_every: int = 200_000
    save_every: int = 100_000


@dataclass(frozen=True)
class SamplerTraining:
    """How the motion sampler is trained."""

    frames: int = 3_000_000  # frames seen in all; 0: that of the avatar that is begun with is kept, if it has the same codec
    batch: int = 16  # windows a step and process
    window: int = 64  # frames of a training window
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warmup: float = 0.03
    ema: float = 0.998
    quiet_share: float = 0.3  # as in MotionTraining
    wordless_share: float = 0.45
    voices_share: float = 1.0
    rhythms_share: float = 0.5
    unheard_share: float = 0.15  # of windows of which nothing is heard, for guidance
    turned_share: float = 0.25  # of windows whose end comes first, as a reference clip does
    readout_weight: float = 0.5  # of the error of the face's shape where the flow ends
    validate_every: int = 400_000
    save_every: int = 100_000


@dataclass(frozen=True)
class ListenerTraining:
    """How the listener is distilled from the speech encoder."""

    frames: int = 6_000_000  # frames heard in all; 0: that of the avatar that is begun with is kept, if it hears the same
    batch: int = 8  # windows a step and process
    window: int = 64  # frames of a training window
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    ema: float = 0.995
    features_weight: float = (
        0.5  # of the error of the features, relative to that of what the motion model reads of them
    )
    latent_weight: float = 0.5  # of the errors of the latents and of the mouth that the motion model makes of what is heard
    noise: float = 0.5  # share of windows with noise
    validate_every: int = 200_000
    save_every: int = 100_000


@dataclass(frozen=True)
class Recipe:
    """The complete typed configuration of a training."""

    name: str
    rate: int = 25  # frames a second of the corpus
    steps: int = 20  # network passes a frame when speaking, unless asked otherwise
    seed: int = 0
    minutes: float = 0.0  # of the corpus that are trained on, or 0 for all of it
    codec: CodecConfig = field(default_factory=CodecConfig)
    codec_training: CodecTraining = field(default_factory=CodecTraining)
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    motion_training: MotionTraining = field(default_factory=MotionTraining)
    sampler: FlowConfig = field(default_factory=FlowConfig)
    sampler_training: SamplerTraining = field(default_factory=SamplerTraining)
    listener: StreamingEncoderConfig = field(default_factory=StreamingEncoderConfig)
    listener_training: ListenerTraining = field(default_factory=ListenerTraining)
    weights: Literal["int8", "float16"] = "float16"  # how the avatar's weights are stored


def _closed(kind: Any) -> None:
    """Make pydantic refuse unknown keys in a dataclass and those inside it."""
    if dataclasses.is_dataclass(kind) and not hasattr(kind, "__pydantic_config__"):
        setattr(kind, "__pydantic_config__", ConfigDict(extra="forbid"))  # noqa: B010
        for part in dataclasses.fields(kind):
            if callable(part.default_factory):
                _closed(part.default_factory)


_closed(Recipe)
_ADAPTER = TypeAdapter(Recipe)


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain JSON values."""
    plain: dict[str, Any] = json.loads(_ADAPTER.dump_json(recipe))
    return plain


def _valid_keys(where: tuple[Any, ...]) -> list[str]:
    value: Any = Recipe(name="")
    for key in where:
        value = getattr(value, str(key), None)
    return [f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []


LARGEST = {
    "size": 2048,
    "latent": 8192,
    "channels": 1024,
    "blocks": 8,
    "middle_blocks": 4,
    "unshuffle": 32,
    "positional": 512,
    "latent_map": 1024,
    "pictures": 256,
    "components": 1024,
    "small": 256,
    "grid": 256,
    "time_width": 4096,
    "pool": 16,
    "width": 4096,
    "encoder_blocks": 24,
    "decoder_blocks": 24,
    "heads": 64,
    "kernel": 63,
    "pose_hidden": 4096,
    "dilations": 64,
    "ahead": 50,
    "dropout": 1,
    "rate": 120,
    "steps": 1000,
}
MAY_BE_EMPTY = {"attention", "layers", "synthetic"}
MAY_BE_NONE = {"codec_training.frames", "listener_training.frames", "sampler_training.frames"}
MAY_BE_ZERO = {"positional", "latent_map", "pictures", "components", "seed", "middle_blocks"}


def _check_ranges(value: Any, where: object, path: str = "") -> None:
    """Refuse numbers with which nothing can be built, or nothing that fits into a computer."""
    for part in dataclasses.fields(value):
        number, key = getattr(value, part.name), f"{path}{part.name}"
        if dataclasses.is_dataclass(number):
            _check_ranges(number, where, f"{key}.")
            continue
        numbers = number if isinstance(number, tuple) else (number,)
        low: float = (
            0 if isinstance(number, float) or part.name in MAY_BE_ZERO or key in MAY_BE_NONE else 1
        )
        high = LARGEST.get(part.name, 10**10)
        if part.name == "multipliers":
            low, high = 0.01, 16
        wrong = [
            n
            for n in numbers
            if isinstance(n, int | float)
            and not isinstance(n, bool)
            and part.name != "layers"
            and not low <= n <= high
        ]
        if not numbers and part.name not in MAY_BE_EMPTY:
            raise ArtefactError(
                f"the setting '{key}' holds nothing", where=where, todo="Give at least one number"
            )
        if wrong or len(numbers) > 32:
            raise ArtefactError(
                f"the setting '{key}' is {number}", where=where, todo=f"Use {low} to {high}"
            )
    if path == "" and (
        value.motion.width % value.motion.heads
        or value.motion.width // value.motion.heads % 2
        or value.motion.kernel % 2 == 0
    ):
        raise ArtefactError(
            "motion.width must be an even multiple of motion.heads, and motion.kernel odd",
            where=where,
            todo="Correct them",
        )
    if path == "" and (
        value.sampler.width % value.sampler.heads
        or value.sampler.width // value.sampler.heads % 2
        or value.sampler.kernel % 2 == 0
    ):
        raise ArtefactError(
            "sampler.width must be an even multiple of sampler.heads, and sampler.kernel odd",
            where=where,
            todo="Correct them",
        )
    if path == "" and value.codec.encoder.components > value.codec.latent:
        raise ArtefactError(
            "codec.encoder.components must not be more than codec.latent",
            where=where,
            todo="Use fewer",
        )
    if path == "" and value.codec.size % (
        value.codec.unet.unshuffle * 2 ** (len(value.codec.unet.multipliers) - 1)
    ):
        raise ArtefactError(
            "codec.size cannot be halved as often as codec.unet asks for",
            where=where,
            todo="Use a size that is a multiple of 32, or fewer multipliers",
        )


def from_dict(values: object, where: object = "recipe") -> Recipe:
    """Read a recipe back.

    Raises:
        ArtefactError: an unknown key (with the nearest valid one), a missing one, or a value of the wrong kind.
    """
    try:
        recipe = _ADAPTER.validate_python(values)
        _check_ranges(recipe, where)
        return recipe
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "unexpected_keyword_argument":
            near = difflib.get_close_matches(
                str(first["loc"][-1]), _valid_keys(first["loc"][:-1]), 1, 0.4
            )
            hint = (
                f"Did you mean '{near[0]}'?"
                if near
                else f"Valid here: {', '.join(_valid_keys(first['loc'][:-1]))}"
            )
            raise ArtefactError(f"there is no setting '{key}'", where=where, todo=hint) from error
        raise ArtefactError(
            f"the setting '{key}' is wrong",
            where=where,
            why=f"{first['msg'].lower()}, got {first['input']!r:.60}",
            todo="Correct it",
        ) from error


def with_settings(recipe: Recipe, settings: list[str]) -> Recipe:
    """A recipe with 'key.inner=value' changes; values are JSON, or text as it stands.

    Raises:
        UsageError: not of the form key=value. ArtefactError: as `from_dict`.
    """
    values = to_dict(recipe)
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path:
            raise UsageError(
                f"'{setting}' is not a setting",
                todo="Write it as key=value, for example codec_training.batch=16",
            )
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        inner = values
        *parents, last = path.split(".")
        for parent in parents:
            step = inner.get(parent)
            if not isinstance(step, dict):
                near = difflib.get_close_matches(parent, list(inner), 1, 0.4)
                raise UsageError(
                    f"there is no setting '{path}'",
                    todo=f"Did you mean '{near[0]}'?" if near else f"Valid: {', '.join(inner)}",
                )
            inner = step
        inner[last] = value
    return from_dict(values, "--set")
