"""The engine: an avatar's components, loaded, on a device, safe to use from several threads.

Talking videos, sessions and styles take an engine; the avatar is what users hold.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from talkers.errors import ArtefactError, ResourceError, out_of_memory, reason
from talkers.media.watermark import marked
from talkers.motion import Conditions, MotionModel
from talkers.renderers.contract import (
    FaceCodec,
    Identity,
    ReadsSpace,
    Renderer,
    RenderOptions,
    RenderState,
    from_frames,
    to_frames,
)
from talkers.runtime.bundle import Bundle, Calibration
from talkers.runtime.checks import checked_seed, checked_steps
from talkers.runtime.components import build_component, load_component, load_identity
from talkers.space.contract import Appearance, FaceEdit, MotionSpace
from talkers.speech import SpeechEncoder, StreamingEncoder, can_stream, load_speech_encoder
from talkers.speech.streaming import StreamingSpeechEncoder

Frame = NDArray[np.uint8]  # [H, W, 3] RGB
BATCH = 8  # frames made together, as long as memory holds them
MOTION_KEYS = {"sampler": "flow"}  # what the command line calls a motion model: its key


class Engine:
    """An avatar's components, loaded.

    Args:
        bundle: the avatar's folder, read and checked.
        device: where frames are made.

    Attributes:
        renderer: motion -> frames.
        space: of the motion.
        motion: the motion models by their keys.
        student: the avatar's own speech encoder for streams, or None.

    Raises:
        ArtefactError: a component cannot be built, or its weights are missing or damaged.
    """

    def __init__(self, bundle: Bundle, device: torch.device):
        self.bundle, self.recipe, self.device = bundle, bundle.recipe, device
        try:
            with torch.device("meta"):
                self.renderer: Renderer = build_component("renderer", self.recipe.renderer)
                width = self.renderer.motion_width
                self.space: MotionSpace = build_component("space", self.recipe.space, width)
                if isinstance(self.renderer, ReadsSpace):
                    self.renderer.bind(self.space)
                self.motion: dict[str, MotionModel] = {}
                for key in bundle.components:
                    if key.startswith("motion/"):
                        config = self.recipe.motion[key.removeprefix("motion/")]
                        space = self.space
                        if bundle.format_version == 3:  # each motion model had one of its own
                            space = build_component("space", self.recipe.space, width)
                        model = build_component("motion_model", config, bundle.speech_width, space)
                        self.motion[key.removeprefix("motion/")] = model
                self.student: StreamingSpeechEncoder | None = None
                if "speech/student" in bundle.components:
                    self.student = StreamingSpeechEncoder(
                        self.recipe.streaming_encoder, bundle.speech_width
                    )
        except (ValueError, RuntimeError, ArithmeticError, TypeError) as error:
            raise ArtefactError(
                "its recipe cannot be built",
                where=bundle.folder / "avatar.json",
                why=reason(error),
                todo="Copy or train the avatar again",
            ) from error
        self._fill()
        self.renderer.prepare_for(device)
        self.identity = load_identity(bundle, self.renderer)
        self._speech: SpeechEncoder | None = None
        self._lock = threading.Lock()

    def _fill(self) -> None:
        """Read the weights of all components."""
        old = self.bundle.format_version == 3
        if not old:
            load_component(self.bundle, "space", self.space)
        for key, model in self.motion.items():
            load_component(self.bundle, f"motion/{key}", model, model.space if old else None)
        if old:
            self.space = next(iter(self.motion.values())).space
        load_component(self.bundle, "renderer", self.renderer)
        if self.student is not None:
            load_component(self.bundle, "speech/student", self.student)
        for part in (self.space, *self.motion.values(), self.student):
            if isinstance(part, nn.Module):
                part.eval().requires_grad_(False)

    @property
    def size(self) -> int:
        """Side of the frames that it makes, pixels."""
        return self.renderer.size

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second at which it was trained."""
        return self.recipe.frame_rate

    @property
    def folder(self) -> Path:
        """Of the avatar."""
        return self.bundle.folder

    def motion_key(self, kind: str) -> str:
        """The key of a motion model, by its key or the command line's word for it.

        Raises:
            ArtefactError: this avatar has none of that name.
        """
        key = MOTION_KEYS.get(kind, kind)
        if key in self.motion:
            return key
        if key == "regressor":  # the default: the first that there is
            return next(iter(self.motion))
        known = ", ".join(self.motion)
        raise ArtefactError(
            f"this avatar has no motion model '{kind}'",
            where=self.folder,
            todo=f"Use one of {known}, or train an avatar with it",
        )

    def motion_model(self, kind: str = "regressor") -> MotionModel:
        """One of its motion models; errors as in `motion_key`."""
        return self.motion[self.motion_key(kind)]

    def calibration(self, kind: str) -> Calibration:
        """How a motion model's movements compare with the person's."""
        return self.bundle.calibration.get(f"motion/{self.motion_key(kind)}", Calibration())

    @property
    def speech_encoder(self) -> SpeechEncoder:
        """The pretrained speech encoder; loaded on first use.

        Raises:
            MissingComponent: it is not on this machine. ArtefactError: it does not fit.
        """
        with self._lock:
            if self._speech is None:
                encoder = load_speech_encoder(self.recipe.speech)
                if encoder.width != self.bundle.speech_width:
                    raise ArtefactError(
                        f"its speech features have {encoder.width} numbers, the avatar expects "
                        f"{self.bundle.speech_width}",
                        where=self.folder,
                        todo="Train the avatar again",
                    )
                self._speech = encoder
            return self._speech

    @property
    def streaming_encoder(self) -> StreamingEncoder | None:
        """What follows streams: the avatar's own encoder, or its speech encoder if that can."""
        if self.student is not None:
            return self.student
        if not can_stream(self.recipe.speech):
            return None
        encoder = self.speech_encoder
        assert isinstance(encoder, StreamingEncoder)
        return encoder

    @torch.inference_mode()
    def encode(self, frames: NDArray[np.uint8]) -> Tensor:
        """Frames uint8 [N, size, size, 3] -> motion [N, width], on the CPU.

        Raises:
            ArtefactError: its renderer cannot encode.
        """
        if not isinstance(self.renderer, FaceCodec):
            raise ArtefactError(
                "this avatar's renderer cannot encode frames",
                where=self.folder,
                todo="Use an avatar whose renderer is a codec",
            )
        codec = self.renderer
        dtype = torch.float32
        if isinstance(codec, nn.Module):
            encoder = getattr(codec, "encoder", codec)
            dtype = next((p.dtype for p in encoder.parameters()), dtype)

        def work(part: Tensor) -> Tensor:
            pictures = from_frames(part).to(self.device, dtype)
            pictures = pictures.contiguous(memory_format=torch.channels_last)
            return codec.encode(pictures).float().cpu()

        if not len(frames):
            return torch.zeros(0, self.renderer.motion_width)
        return self._in_batches(work, torch.from_numpy(frames))

    @torch.inference_mode()
    def decode(
        self,
        motion: Tensor,
        options: RenderOptions,
        *,
        mark: bool = False,
        size: int | None = None,
        state: RenderState | None = None,
        identity: Identity | None = None,
    ) -> NDArray[np.uint8]:
        """Motion [N, width] -> frames uint8 [N, S, S, 3].

        Args:
            motion: what the face does.
            options: seed and passes of the renderer.
            mark: put the watermark into the frames.
            size: of the frames (default: the avatar's own).
            state: of the video that they belong to; the same one for all of its frames.
            identity: who is shown (default: whom the avatar shows).

        Raises:
            ArtefactError: the avatar shows nobody.
        """
        state, side = state or RenderState(), size or self.size
        shown = identity or self.identity
        if self.renderer.needs != "nothing" and shown is None:
            raise ArtefactError(
                "this avatar shows nobody yet",
                where=self.folder,
                todo=f"Give it a face: `talkers portrait photo.jpg -o ada/ --base {self.folder}`",
            )

        def work(part: Tensor) -> Tensor:
            pictures = self.renderer.render(part, options, shown, state=state)
            if side != self.size:
                pictures = F.interpolate(pictures, (side, side), mode="bicubic", antialias=True)
            return to_frames(marked(pictures) if mark else pictures).cpu()

        if not len(motion):
            return np.zeros((0, side, side, 3), np.uint8)
        return self._in_batches(work, motion).numpy()

    def _in_batches(self, work: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        """`work` on rows, a batch at a time; a batch that memory does not hold is halved.

        Raises:
            ResourceError: memory does not hold a single row.
        """
        done: list[Tensor] = []
        batch, at = BATCH, 0
        while at < len(rows):
            try:
                done.append(work(rows[at : at + batch]))
                at += len(done[-1])
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if batch == 1:
                    raise ResourceError(
                        "there is not enough memory to make a frame",
                        where=self.folder,
                        todo="Close other programs, or use the CPU",
                    ) from error
                batch //= 2
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
        return torch.cat(done)

    @torch.inference_mode()
    def generate(
        self,
        features: Tensor,
        head: Tensor | None,
        *,
        kind: str = "regressor",
        amplitude: float | None = None,
        appearance: Appearance | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Motion of a clip that is generated at once.

        Args:
            features: speech features [2 T, F].
            head: head values [T, 7] to take, or None for the model's own.
            kind: which motion model.
            amplitude: how many times as far as it says the mouth moves (default: calibrated).
            appearance: see `estimate_appearance` (default: the avatar's own).
            seed: of what is sampled.

        Returns:
            [T, width]
        """
        model = self.motion_model(kind)
        conditions = Conditions(features[None], None if head is None else head[None])
        motion = model.generate(conditions, seed=seed).values[0]
        if amplitude is None:
            amplitude = self.calibration(kind).amplitude(1.0)
        return model.space.edit(motion, FaceEdit(amplitude), head, appearance=appearance)

    def estimate_appearance(
        self, motion: Tensor, features: Tensor, head: Tensor, kind: str = "regressor"
    ) -> Appearance:
        """What of a take neither speech nor head says and what does not change in it.

        Args:
            motion: of the take's frames [T, width].
            features: its speech features [2 T, F].
            head: its head values [T, 7].
            kind: the motion model that it is for.

        Returns:
            its appearance code, and by how much all motion generated for it lies elsewhere.
        """
        space: Any = self.motion_model(kind).space
        appearance: Appearance = space.estimate_appearance(motion)
        generated = self.generate(features, head, kind=kind, appearance=appearance)
        return appearance._replace(shift=motion.mean(0) - generated.mean(0))

    def reconstruct(
        self, frames: Iterator[Frame], options: RenderOptions, *, mark: bool = False
    ) -> Iterator[Frame]:
        """Frames -> motion -> frames, a batch at a time: what the codec alone keeps."""
        source, state = iter(frames), RenderState()
        parts = iter(lambda: list(islice(source, BATCH)), [])
        for part in parts:
            motion = self.encode(np.stack(part))
            yield from self.decode(motion, options, mark=mark, state=state)

    def options(self, seed: Any, steps: Any = None) -> RenderOptions:
        """Checked options of the renderer.

        Raises:
            UsageError: a seed or a number of passes that is no whole number, or out of range.
        """
        number = self.recipe.steps if steps is None else checked_steps(steps)
        return RenderOptions(checked_seed(seed), number)


def _after_fork() -> None:
    """In a forked child OpenMP's threads are gone and would be waited for for ever: use one."""
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
