"""The avatar: loads, says what it is, and speaks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts.files import file_digest
from talkers.artefacts.weights import read_weights
from talkers.controls.head_track import HeadTrack
from talkers.controls.request import OPENINGS, Controls
from talkers.errors import ArtefactError, ResourceError, UsageError, out_of_memory, reason
from talkers.hardware import bfloat16_pays
from talkers.media import VIDEO_SUFFIXES
from talkers.media.watermark import marked
from talkers.motion import FlowMotion, Speech2Latent
from talkers.motion.contract import MotionModel
from talkers.renderers.diffusion_autoencoder import (
    DiffusionAutoencoder,
    GraphedDecoder,
    from_frames,
    shared_noise,
    to_frames,
)
from talkers.runtime.bundle import BUNDLED, avatar_folder, read_about
from talkers.runtime.session import Session
from talkers.runtime.style import poses_of, style_of
from talkers.runtime.talking_video import TalkingVideo
from talkers.space.linear import HEAD, Appearance, FaceEdit
from talkers.speech import SpeechEncoder, load_speech_encoder
from talkers.speech.streaming import StreamingSpeechEncoder
from talkers.systems.recipe import Recipe, from_dict

Frame = NDArray[np.uint8]  # [H, W, 3] RGB
BATCH = 8
LARGEST_SEED = 2**32  # seeds are smaller
WIDEST = 65_536  # numbers that tell a speech feature
LARGEST = 1e6  # of the numbers in avatar.json with which frames are made
HEAD_SHAPES = {
    **dict.fromkeys(("mean", "std", "low", "high"), (len(HEAD),)),
    "follows": (3, 3),
}  # of what avatar.json says of the head


class Asked(NamedTuple):
    """What controls ask of an avatar: head values over time, how the face acts, and what moves it."""

    head: HeadTrack
    manner: FaceEdit
    motion_model: MotionModel


class Avatar:
    """A person that can be made to speak. Make one with `Avatar.load`."""

    def __init__(
        self,
        folder: Path,
        about: dict[str, Any],
        recipe: Recipe,
        codec: DiffusionAutoencoder,
        motion: Speech2Latent,
        sampler: FlowMotion | None,
        listener: StreamingSpeechEncoder | None,
        device: torch.device,
    ):
        self.folder, self.about, self.recipe, self.device = folder, about, recipe, device
        self.motion = motion.eval()
        self.sampler = sampler.eval().requires_grad_(False) if sampler is not None else None
        self.listener = listener.eval().requires_grad_(False) if listener is not None else None
        self.codec = _ready(codec, device)
        self._graphed = GraphedDecoder(self.codec.decode) if device.type == "cuda" else None
        self._speech: SpeechEncoder | None = None
        self._batch = BATCH  # frames made at once, as long as memory holds them

    @classmethod
    def load(cls, name: str | os.PathLike[str] = BUNDLED, device: str | None = None) -> Avatar:
        """Load an avatar.

        Args:
            name: a folder made by `talkers train`, or "default" for the bundled avatar.
            device: where frames are made ("cpu", "cuda", ...); by default a GPU if there is one.

        Raises:
            ArtefactError: no avatar there, damaged, from a newer version, or weights that do not fit its recipe.
        """
        folder = avatar_folder(name)
        about = read_about(folder)
        recipe = from_dict(about.get("recipe"), folder / "avatar.json")
        try:
            features = about["speech"]["width"]
            if not isinstance(features, int) or not 1 <= features <= WIDEST:
                raise ValueError("speech.width is no width of speech features")
            for key, shape in HEAD_SHAPES.items():
                held = np.array(about["head"][key])
                if (
                    held.shape != shape
                    or held.dtype.kind not in "if"
                    or not (np.abs(held) < LARGEST).all()
                ):
                    raise ValueError(
                        f"head.{key} does not hold {' x '.join(map(str, shape))} numbers"
                    )
            for key in ("articulation", "sampler_articulation", "sampler_pose"):
                held = np.array(about.get(key) or 1.0, dtype=np.float64)
                if (
                    held.shape not in ((), (len(OPENINGS),))[: 1 if key == "sampler_pose" else 2]
                    or not ((held >= 0) & (held < LARGEST)).all()
                ):
                    raise ValueError(f"{key} is no number of times")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ArtefactError(
                "avatar.json is damaged",
                where=folder / "avatar.json",
                why=f"{type(error).__name__}: {reason(error)}",
                todo="Copy or train the avatar again",
            ) from error
        try:
            with torch.device("meta"):
                codec = DiffusionAutoencoder(recipe.codec)
                motion = Speech2Latent(recipe.motion, features, recipe.codec.latent)
                sampler = (
                    FlowMotion(recipe.sampler, features, recipe.codec.latent)
                    if (folder / "sampler.safetensors").exists()
                    else None
                )
                listener = (
                    StreamingSpeechEncoder(recipe.listener, features)
                    if (folder / "listener.safetensors").exists()
                    else None
                )
        except (ValueError, RuntimeError, ArithmeticError, TypeError) as error:
            raise ArtefactError(
                "its recipe cannot be built",
                where=folder / "avatar.json",
                why=reason(error),
                todo="Copy or train the avatar again",
            ) from error
        read_weights(folder / "codec.safetensors", codec, codec.state_dict())
        read_weights(folder / "motion.safetensors", motion, motion.state_dict())
        if sampler is not None:
            read_weights(folder / "sampler.safetensors", sampler, sampler.state_dict())
        if listener is not None:
            read_weights(folder / "listener.safetensors", listener, listener.state_dict())
        codec.reset_constants()
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(folder, about, recipe, codec, motion, sampler, listener, chosen)

    @property
    def size(self) -> int:
        """Side of the frames it makes, pixels."""
        return self.recipe.codec.size

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second at which it was trained."""
        return Fraction(self.recipe.rate)

    def articulation(
        self, kind: Literal["regressor", "sampler"] = "regressor", opening: float = 1.0
    ) -> float:
        """By how much a motion model's mouth movements are enlarged, so that the mouth opens `opening` times, 0.5 to 1.5, as
        far as the person's."""
        known = np.array(
            self.about.get("articulation" if kind == "regressor" else "sampler_articulation")
            or 1.0,
            np.float64,
        )
        return float(np.interp(opening, OPENINGS, known if known.ndim else known * OPENINGS))

    def motion_model(self, kind: Literal["regressor", "sampler"]) -> Speech2Latent | FlowMotion:
        """One of its motion models.

        Raises:
            ArtefactError: it has no sampler.
        """
        if kind == "regressor":
            return self.motion
        if self.sampler is None:
            raise ArtefactError(
                "this avatar has no motion sampler",
                where=self.folder,
                todo="Use the regressor, or train an avatar with one",
            )
        return self.sampler

    @property
    def speech_encoder(self) -> SpeechEncoder:
        """What it listens with; loaded on first use."""
        if self._speech is None:
            encoder = load_speech_encoder(self.recipe.speech)
            if encoder.width != self.about["speech"]["width"]:
                raise ArtefactError(
                    f"its speech features have {encoder.width} numbers, the avatar expects {self.about['speech']['width']}",
                    where=self.folder,
                    todo="Train the avatar again",
                )
            self._speech = encoder
        return self._speech

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the digests of its files: what manifests name it by."""
        return sha256(
            " ".join(file_digest(self.folder / name) for name in self._files()).encode()
        ).hexdigest()

    def _files(self) -> list[str]:
        names = [
            "avatar.json",
            *(f"{part}.safetensors" for part in ("codec", "motion", "sampler", "listener")),
        ]
        return [name for name in names if (self.folder / name).exists()]

    def inspect(self) -> dict[str, Any]:
        """What avatar.json says, with the sizes and digests of its files."""
        parts = ("codec", "motion", "sampler", "listener")
        names = [
            *self._files()[1:],
            *(["preview.png"] if (self.folder / "preview.png").exists() else []),
        ]
        held = {
            n: {"bytes": (self.folder / n).stat().st_size, "sha256": file_digest(self.folder / n)}
            for n in names
        }
        count = {
            part: sum(p.numel() for p in getattr(self, part).parameters())
            for part in parts
            if getattr(self, part) is not None
        }
        return {
            **self.about,
            "folder": str(self.folder),
            "digest": self.digest,
            "files": held,
            "parameters": count,
        }

    def speak(
        self,
        speech: str | os.PathLike[str] | NDArray[np.float32],
        *,
        seed: int = 0,
        steps: int | None = None,
        controls: Controls | None = None,
        frame_rate: Fraction | float | None = None,
        size: int | None = None,
        live: bool = False,
        provenance: bool = True,
    ) -> TalkingVideo:
        """Make the avatar say something.

        Args:
            speech: any file with sound in it, or float32 [n] mono samples at 16 kHz.
            seed: of the shared noise and of the blinks; the same seed gives the same frames.
            steps: network passes a frame (default: the recipe's).
            controls: head poses and blinks.
            frame_rate: frames a second of the result (default: the avatar's own).
            size: side of the result in pixels (default: the avatar's own).
            live: hear with the avatar's own listener, exactly as `stream` does, instead of the pretrained speech encoder.
            provenance: mark the frames, and sign the video, as made by a machine.

        Returns:
            an iterator over frames, uint8 [size, size, 3] RGB, with `save`. Memory does not grow with length.

        Raises:
            MediaError: the speech cannot be read. UsageError: a value out of range.
        """
        rate = (
            self.frame_rate if frame_rate is None else Fraction(frame_rate).limit_denominator(1001)
        )
        if not 1 <= rate <= 240:
            raise UsageError(f"{float(rate):g} frames a second were asked for", todo="Use 1 to 240")
        if size is not None and (size % 2 or not 32 <= size <= 4096):
            raise UsageError(
                f"a side of {size} pixels was asked for", todo="Use an even number from 32 to 4096"
            )
        return TalkingVideo(
            self,
            speech,
            seed,
            self._passes(steps),
            self.asked(seed, controls, rate),
            rate,
            size or self.size,
            live,
            provenance,
        )

    def _passes(self, steps: int | None) -> int:
        """Network passes a frame: those asked for, or the recipe's."""
        if steps is not None and not 1 <= steps <= 1000:
            raise UsageError(f"{steps} network passes a frame were asked for", todo="Use 1 to 1000")
        return self.recipe.steps if steps is None else steps

    def asked(
        self, seed: int, controls: Controls | None, frame_rate: Fraction | None = None
    ) -> Asked:
        """What controls ask of this avatar.

        Args:
            frame_rate: of the video in which frames of a pose file are counted (default: the avatar's).

        Raises:
            UsageError: a seed out of range. TalkersError: a pose file or a style clip that cannot be used, or a motion model
            that it has not.
        """
        check_seed(seed)
        about: dict[str, Any] = {k: torch.tensor(self.about["head"][k]) for k in HEAD_SHAPES}
        controls, motion_model = (
            controls or Controls(),
            self.motion_model(controls.motion if controls else "regressor"),
        )
        poses = (
            poses_of(controls.pose)
            if Path(controls.pose).suffix.lower() in VIDEO_SUFFIXES
            else controls.curves()
        )
        if poses is not None and "frame" in poses:
            poses = {
                "time": poses["frame"] / float(frame_rate or self.frame_rate),
                **{k: v for k, v in poses.items() if k != "frame"},
            }
        manner = FaceEdit(
            self.articulation(controls.motion, controls.amplitude),
            controls.expression,
            controls.gaze,
        )
        scale = (
            float(self.about.get("sampler_pose") or 1.0) if controls.motion == "sampler" else 1.0
        )
        curve = partial(HeadTrack, controls, poses, seed, float(self.frame_rate), **about)
        if not controls.style:
            return Asked(curve(scale=scale), manner, motion_model)
        style = style_of(self, controls.style, controls.motion)
        manner = FaceEdit(
            manner.amplitude * style.manner.amplitude,
            manner.expression * style.manner.expression,
            manner.gaze,
        )
        speaks: MotionModel = (
            partial(motion_model, context=style.context)
            if style.context is not None
            else motion_model
        )
        return Asked(
            curve(scale=scale * style.pose_scale, offset=style.pose_offset), manner, speaks
        )

    def live(
        self,
        *,
        seed: int = 0,
        steps: int | None = None,
        controls: Controls | None = None,
        provenance: bool = True,
    ) -> Session:
        """Follow speech that is still going on: push sound, get the frames that are settled.

        Args: as in `speak`.

        Raises:
            ArtefactError: this avatar has no listener. UsageError: a value out of range.
        """
        return Session(
            self, seed, self._passes(steps), self.asked(seed, controls), provenance=provenance
        )

    def stream(
        self,
        blocks: Iterable[NDArray[np.float32]],
        *,
        seed: int = 0,
        steps: int | None = None,
        controls: Controls | None = None,
        provenance: bool = True,
    ) -> Iterator[Frame]:
        """Frames of speech of unknown length, each yielded as soon as it is settled.

        Args:
            blocks: float32 [n] mono samples at 16 kHz, in blocks of any size, as they arrive.

        Yields:
            uint8 [size, size, 3] RGB, one for each 1 / frame_rate of sound; the same however the sound is cut.
        """
        following = self.live(seed=seed, steps=steps, controls=controls, provenance=provenance)
        for block in blocks:
            yield from following.push(block)
        yield from following.finish()

    @torch.inference_mode()
    def encode(self, frames: NDArray[np.uint8]) -> Tensor:
        """Frames uint8 [N, size, size, 3] -> latents [N, L], on the CPU, where motion is made."""

        def told(part: Tensor) -> Tensor:
            pictures = from_frames(part).to(
                self.device, next(self.codec.encoder.parameters()).dtype
            )
            return (
                self.codec.encode(pictures.contiguous(memory_format=torch.channels_last))
                .float()
                .cpu()
            )

        return self._in_parts(told, torch.from_numpy(frames))

    @torch.inference_mode()
    def decode(
        self,
        latents: Tensor,
        seed: int = 0,
        steps: int | None = None,
        mark: bool = False,
        size: int | None = None,
    ) -> NDArray[np.uint8]:
        """Latents [N, L] -> frames uint8 [N, S, S, 3], all from the one noise of the seed; with the mark if asked for, in
        the avatar's own size or another."""
        noise, steps = (
            _noise(self.size, seed, self.device),
            self.recipe.steps if steps is None else steps,
        )
        decode = self.codec.decode if self._graphed is None else self._graphed

        def made(part: Tensor) -> Tensor:
            pictures = decode(part.to(self.device), noise, steps)
            if size is not None and size != self.size:
                pictures = F.interpolate(pictures, (size, size), mode="bicubic", antialias=True)
            return to_frames(marked(pictures) if mark else pictures).cpu()

        return self._in_parts(made, latents).numpy()

    def _in_parts(self, work: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        """`work` on rows, a batch at a time; a batch that memory does not hold is halved, for good.

        Raises:
            ResourceError: it does not hold a single row.
        """
        done: list[Tensor] = []
        while (at := sum(map(len, done))) < len(rows):
            try:
                done.append(work(rows[at : at + self._batch]))
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if self._batch == 1:
                    raise ResourceError(
                        "there is not enough memory to make a frame",
                        where=self.folder,
                        todo="Close other programs, or use the CPU",
                    ) from error
                self._batch //= 2
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
        return torch.cat(done)

    @torch.inference_mode()
    def latents(
        self,
        features: Tensor,
        head: Tensor,
        amplitude: float | None = None,
        look: Appearance | None = None,
        kind: Literal["regressor", "sampler"] = "regressor",
        seed: int = 0,
    ) -> Tensor:
        """Speech features [2 T, F] and head values [T, 7] -> latents [T, L], for a clip that is heard at once; the mouth
        moves `amplitude` times as far as the motion model says (default: the avatar's own articulation), and the look
        is the avatar's own or the one given (see `look_of`)."""
        motion_model = self.motion_model(kind)
        made = motion_model(features[None], head[None], seed=seed).latents[0]
        return motion_model.articulate(
            made, FaceEdit(self.articulation(kind) if amplitude is None else amplitude), look, head
        )

    def estimate_appearance(
        self,
        latents: Tensor,
        features: Tensor,
        head: Tensor,
        kind: Literal["regressor", "sampler"] = "regressor",
    ) -> Appearance:
        """What of a take neither speech nor head tell and what does not change in it: its latents [T, L], speech features
        [2 T, F] and head values [T, 7] -> what it wears, and by how much all that is made of it lies elsewhere."""
        worn = self.motion_model(kind).estimate_appearance(latents)
        return worn._replace(
            shift=latents.mean(0) - self.latents(features, head, look=worn, kind=kind).mean(0)
        )

    def reconstruct(
        self,
        frames: Iterator[Frame],
        seed: int = 0,
        steps: int | None = None,
        batch: int = BATCH,
        mark: bool = False,
    ) -> Iterator[Frame]:
        """Frames -> latents -> frames: what the codec alone keeps of a video, a batch at a time; with the mark if asked for.

        Raises:
            UsageError: a seed or a number of passes out of range.
        """
        check_seed(seed)
        passes, source = self._passes(steps), iter(frames)
        parts = iter(lambda: list(islice(source, batch)), [])
        return (
            frame
            for part in parts
            for frame in self.decode(self.encode(np.stack(part)), seed, passes, mark)
        )


def check_seed(seed: int) -> None:
    """Raises UsageError: a seed out of range."""
    if not 0 <= seed < LARGEST_SEED:
        raise UsageError(f"the seed {seed} was given", todo=f"Use 0 to {LARGEST_SEED - 1}")


@lru_cache(maxsize=2)
def _noise(size: int, seed: int, device: torch.device) -> Tensor:
    """A video's noise, where frames are made."""
    return shared_noise(size, seed).to(device)


def _ready(codec: DiffusionAutoencoder, device: torch.device) -> DiffusionAutoencoder:
    """Put a codec where and in the precision in which it is fastest."""
    codec = codec.eval().requires_grad_(False).to(device)
    exact = (
        deepcopy(codec.unet.appearance),
        deepcopy(codec.encoder.components),
        codec.encoder.state_dict().get("centre"),
    )
    codec = codec.to(
        dtype=torch.bfloat16 if bfloat16_pays(device) else torch.float32,
        memory_format=torch.channels_last,
    )  # type: ignore[call-overload]
    codec.unet.appearance, codec.encoder.components = exact[
        :2
    ]  # a tenth of a pixel, a grey level: these need full precision
    if exact[2] is not None:
        codec.encoder.centre = exact[2]
    codec.reset_constants()
    return codec
