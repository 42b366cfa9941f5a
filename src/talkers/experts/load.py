"""Experts on disk (NAME.json and NAME.safetensors) and what they say of a clip."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from talkers.artefacts.files import atomic
from talkers.artefacts.weights import read_weights, write_weights
from talkers.errors import ArtefactError, UsageError, reason
from talkers.experts.models import (
    POINTS,
    SYNC_RANGE,
    ExpertConfig,
    LipReader,
    SyncExpert,
    sync_curve,
)
from talkers.experts.mouths import PATCH, Mouths
from talkers.experts.rate import RATE, SAMPLES_PER_FRAME
from talkers.experts.words import read_sentence
from talkers.speech import loudness, speech_gain
from talkers.speech.mel import log_mel_spectrogram

FORMAT_VERSION = 1
BUNDLED = ("lips-pixels", "lips-points", "sync-pixels", "sync-points")
_CONFIG = TypeAdapter(ExpertConfig)


def build(config: ExpertConfig) -> nn.Module:
    """An untrained expert."""
    return LipReader(config) if config.task == "lips" else SyncExpert(config)


def sounds_of(samples: NDArray[np.float32], frames: int) -> Tensor:
    """What the experts hear of a clip: log-mel [80, 4 * frames] at 100 Hz of its sound (float32 [n], 16 kHz),
    brought to one loudness; silence follows where it is too short."""
    gain = np.float32(speech_gain(loudness(samples, 16_000, RATE, frames)))
    length = frames * SAMPLES_PER_FRAME
    fitted = np.pad(samples[:length] * gain, (0, max(0, length - len(samples))))
    return log_mel_spectrogram(torch.from_numpy(fitted)[None])[0].clamp(min=-6) / 2 + 1


@dataclass(frozen=True)
class Expert:
    """A trained judge. about: what its json file says."""

    config: ExpertConfig
    about: dict[str, Any]
    model: nn.Module

    def _seen(self, mouths: Mouths) -> Tensor:
        if (
            len(mouths.patches) != len(mouths.points)
            or mouths.patches.shape[1:] != (PATCH, PATCH)
            or mouths.points.shape[1:] != (POINTS,)
        ):
            raise UsageError(
                f"these are not mouths: {mouths.patches.shape}, {mouths.points.shape}",
                todo="Use mouths_of(frames, landmarks)",
            )
        return torch.from_numpy(mouths.patches if self.config.sees == "pixels" else mouths.points)[
            None
        ]

    @torch.inference_mode()
    def read(self, mouths: Mouths) -> tuple[str, ...]:
        """The six words that a lip reader sees said in a clip at 25 fps."""
        self._must("lips")
        return read_sentence(self.model(self._seen(mouths))[0].numpy())

    @torch.inference_mode()
    def sync(
        self, mouths: Mouths, samples: NDArray[np.float32], speech: NDArray[np.bool_]
    ) -> tuple[int, float]:
        """How many frames the sound comes after the lips (-15..15), and how sure that is: the similarity there
        minus the median over all offsets.

        Args:
            mouths: of a clip of T frames at 25 fps.
            samples: its sound, float32 [n] at 16 kHz.
            speech: bool [T], the frames that count.
        """
        self._must("sync")
        model = cast(SyncExpert, self.model)
        heard = model.hear(sounds_of(samples, len(mouths.patches))[None])[0]
        curve = sync_curve(model.see(self._seen(mouths))[0], heard, torch.from_numpy(speech))
        best = int(curve.argmax())
        return best - SYNC_RANGE, float(curve[best] - curve.median())

    def _must(self, task: str) -> None:
        if self.config.task != task:
            raise UsageError(
                f"an expert for '{self.config.task}' was asked about '{task}'",
                todo="Load one for it",
            )


def save_expert(
    folder: Path, name: str, config: ExpertConfig, model: nn.Module, about: dict[str, Any]
) -> None:
    """Write an expert; its json file last."""
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder / f"{name}.safetensors", model.state_dict(), "float16")
    content = {
        "format_version": FORMAT_VERSION,
        "config": _CONFIG.dump_python(config, mode="json"),
        **about,
    }
    with atomic(folder / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def load_expert(name: str | os.PathLike[str]) -> Expert:
    """An expert by its name in `BUNDLED`, or by the path of its json file.

    Raises:
        ArtefactError: there is none, or it is damaged.
    """
    path = (
        Path(str(files("talkers") / "experts" / "weights" / f"{name}.json"))
        if str(name) in BUNDLED
        else Path(name)
    )
    todo = "Copy or train the expert again"
    try:
        about = json.loads(path.read_text("utf-8"))
        if not isinstance(about["format_version"], int):
            raise ValueError("its version is no number")
        if about["format_version"] != FORMAT_VERSION:
            raise ArtefactError(
                f"this expert has format version {about['format_version']}, this talkers reads version {FORMAT_VERSION}",
                where=path,
                todo=todo,
            )
        config = _CONFIG.validate_python(about["config"])
        if not 8 <= config.width <= 4096:
            raise ArtefactError(
                f"the setting 'width' is {config.width}", where=path, todo="Use 8 to 4096"
            )
    except FileNotFoundError as error:
        raise ArtefactError(
            "there is no expert here",
            where=path,
            todo=f"Use one of {', '.join(BUNDLED)}, or the json file of your own",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        raise ArtefactError(
            "this expert is damaged",
            where=path,
            why=f"{type(error).__name__}: {reason(error)}",
            todo=todo,
        ) from error
    with torch.device("meta"):
        model = build(config)
    read_weights(path.with_suffix(".safetensors"), model, model.state_dict(), owner="expert")
    return Expert(config, about, model.eval().requires_grad_(False))
