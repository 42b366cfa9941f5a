"""The avatar: loads, says what it is, and speaks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts.files import file_digest
from talkers.controls.request import Controls
from talkers.errors import UsageError, reason
from talkers.progress import Report, quiet
from talkers.runtime.bundle import BUNDLED, read_bundle
from talkers.runtime.checks import checked_rate, checked_seed, checked_side
from talkers.runtime.engine import Engine, Frame
from talkers.runtime.resolved import ResolvedControls, resolve_controls
from talkers.runtime.session import Session
from talkers.runtime.talking_video import TalkingVideo, VideoForm

if TYPE_CHECKING:
    from talkers.runtime.clock import Clock
    from talkers.runtime.dubbing import Dubbing, DubTerms
    from talkers.runtime.live_session import LiveSession, LiveTerms
    from talkers.runtime.reenactment import Reenactment, Reenactor, ReenactTerms


class Avatar:
    """A person that can be made to speak. Make one with `Avatar.load`.

    Args:
        engine: its components, loaded.
    """

    def __init__(self, engine: Engine):
        self.engine = engine

    @classmethod
    def load(cls, name: str | os.PathLike[str] = BUNDLED, device: str | None = None) -> Avatar:
        """Load an avatar.

        Args:
            name: a folder made by `talkers train`, "default" for the bundled avatar, or "mock"
                for one that needs no weights and draws a face.
            device: where frames are made ("cpu", "cuda", ...); by default a GPU if there is one.

        Raises:
            ArtefactError: no avatar there, damaged, from a newer version, or weights that do not
                fit its recipe.
            MissingComponent: a plug-in that it needs is not installed.
            UsageError: there is no such device.
        """
        bundle = read_bundle(name)
        try:
            chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        except RuntimeError as error:
            raise UsageError(
                f"there is no device '{device}'", why=reason(error), todo="Use cpu or cuda"
            ) from error
        return cls(Engine(bundle, chosen))

    @property
    def about(self) -> dict[str, Any]:
        """What avatar.json says, as format 4."""
        return self.engine.bundle.about

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.engine.folder

    @property
    def size(self) -> int:
        """Side of the frames that it makes, pixels."""
        return self.engine.size

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second at which it was trained."""
        return self.engine.frame_rate

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the digests of its files: what manifests name it by."""
        folder = self.engine.folder
        digests = [file_digest(folder / name) for name in self._files()]
        return sha256(" ".join(digests).encode()).hexdigest()

    def _files(self) -> list[str]:
        """Its files' names: avatar.json, then the components'."""
        names = [path.name for path in self.engine.bundle.components.values() if path.exists()]
        return ["avatar.json", *dict.fromkeys(names)]

    def inspect(self) -> dict[str, Any]:
        """What avatar.json says, with the sizes and digests of its files."""
        folder, engine = self.engine.folder, self.engine
        names = self._files()[1:]
        if (folder / "preview.png").exists():
            names.append("preview.png")
        files = {
            name: {"bytes": (folder / name).stat().st_size, "sha256": file_digest(folder / name)}
            for name in names
        }
        parts: dict[str, Any] = {
            "renderer": engine.renderer,
            "speech/student": engine.student,
        }
        parts |= {f"motion/{key}": model for key, model in engine.motion.items()}
        count = {
            name: sum(p.numel() for p in part.parameters())
            for name, part in parts.items()
            if isinstance(part, torch.nn.Module)
        }
        extent = {"folder": str(folder), "digest": self.digest}
        return {**self.about, **extent, "files": files, "parameters": count}

    def speak(
        self,
        speech: Any,
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
            speech: any file with sound in it, or samples: float32 [n] mono at 16 kHz, integers,
                [n, channels], a pair with their rate, a torch tensor, ...; or a `Speech`, which
                names a rate or one of a file's sound tracks.
            seed: of the shared noise and of the blinks; the same seed gives the same frames.
            steps: network passes a frame (default: the recipe's).
            controls: of head, eyes and mouth.
            frame_rate: frames a second of the result (default: the avatar's own).
            size: side of the result in pixels (default: the avatar's own).
            live: use the avatar's own speech encoder, exactly as `stream` does, instead of the
                pretrained one.
            provenance: mark the frames, and sign the video, as generated.

        Returns:
            an iterator over frames, uint8 [size, size, 3] RGB, with `save`. Memory does not grow
            with length.

        Raises:
            MediaError: the speech cannot be read. UsageError: a value out of range.
        """
        rate = self.frame_rate if frame_rate is None else checked_rate(frame_rate)
        side = self.size if size is None else checked_side(size)
        resolved = self.resolve_controls(seed, controls, rate, live)
        form = VideoForm(rate, side, live, provenance, lambda: self.digest)
        options = self.engine.options(seed, steps)
        return TalkingVideo(self.engine, speech, resolved, options, form)

    def resolve_controls(
        self,
        seed: int,
        controls: Controls | None = None,
        frame_rate: Fraction | None = None,
        live: bool = False,
    ) -> ResolvedControls:
        """What controls mean for this avatar; see `talkers.runtime.resolved`."""
        return resolve_controls(self.engine, controls, checked_seed(seed), frame_rate, live)

    def live(
        self,
        *,
        seed: int = 0,
        steps: int | None = None,
        controls: Controls | None = None,
        provenance: bool = True,
    ) -> Session:
        """Follow speech that is still going on: push sound, get the frames that are committed.

        Args:
            seed, steps, controls, provenance: as in `speak`.

        Raises:
            ArtefactError: this avatar has no streaming speech encoder.
            UsageError: a value out of range.
        """
        resolved = self.resolve_controls(seed, controls, live=True)
        return Session(self.engine, resolved, self.engine.options(seed, steps), provenance)

    def session(
        self,
        *,
        seed: int = 0,
        steps: int | None = None,
        controls: Controls | None = None,
        terms: LiveTerms | None = None,
        clock: Clock | None = None,
    ) -> LiveSession:
        """Let it live: it speaks what is pushed, idles in between, and keeps time.

        Args:
            seed, steps, controls: as in `speak`.
            terms: its latency, the rate of its sound, its watermark.
            clock: what tells the time (default: the machine's).

        Raises:
            ArtefactError, UsageError: as in `live`.
        """
        from talkers.runtime.live_session import LiveSession

        return LiveSession(self.engine, controls, self.engine.options(seed, steps), terms, clock)

    def stream(
        self,
        blocks: Iterable[NDArray[np.float32]],
        *,
        seed: int = 0,
        steps: int | None = None,
        controls: Controls | None = None,
        provenance: bool = True,
    ) -> Iterator[Frame]:
        """Frames of speech of unknown length, each yielded as soon as it is committed.

        Args:
            blocks: float32 [n] mono samples at 16 kHz, in blocks of any size, as they arrive.
            seed, steps, controls, provenance: as in `speak`.

        Yields:
            uint8 [size, size, 3] RGB, one for each 1 / frame_rate of sound; the same however the
            sound is cut.
        """
        session = self.live(seed=seed, steps=steps, controls=controls, provenance=provenance)
        for block in blocks:
            yield from session.push(block)
        yield from session.finish()

    def reenact(
        self,
        driving: str | os.PathLike[str],
        terms: ReenactTerms | None = None,
        *,
        seed: int = 0,
        steps: int | None = None,
        frame_rate: Fraction | float | None = None,
        size: int | None = None,
        provenance: bool = True,
        report: Report = quiet,
    ) -> Reenactment:
        """Let the avatar follow the head and the face of a video.

        Args:
            driving: a video of anybody.
            terms: what of it is followed, and how (default: all of it).
            seed: of blinks where none are driven, and of speech.
            steps: network passes a frame (default: the recipe's).
            frame_rate: frames a second of the result (default: the avatar's own).
            size: side of the result in pixels (default: the avatar's own).
            provenance: mark the frames, and sign the video, as generated.
            report: called with a sentence while the avatar is prepared, frames done and in all.

        Returns:
            an iterator over frames, uint8 [size, size, 3] RGB, with `save`. Memory does not grow
            with length.

        Raises:
            MediaError: a file cannot be read. UsageError: a value out of range.
            ArtefactError: this avatar cannot follow a face.
        """
        from talkers.runtime.reenactment import Reenactment, ReenactTerms

        rate = self.frame_rate if frame_rate is None else checked_rate(frame_rate)
        side = self.size if size is None else checked_side(size)
        resolved = self.resolve_controls(seed, None, rate)
        form = VideoForm(rate, side, False, provenance, lambda: self.digest)
        options, terms = self.engine.options(seed, steps), terms or ReenactTerms()
        return Reenactment(self.engine, driving, terms, resolved, options, form, report)

    def reenactor(
        self,
        terms: ReenactTerms | None = None,
        *,
        frame_rate: Fraction | float | None = None,
        seed: int = 0,
        steps: int | None = None,
        size: int | None = None,
        provenance: bool = True,
        report: Report = quiet,
    ) -> Reenactor:
        """Let the avatar follow a camera: `push` its frames, each gives the avatar's.

        Args:
            terms: what of the face is followed, and how (default: all of it).
            frame_rate: of the camera (default: the avatar's own).
            seed, steps, size, report: as in `reenact`.
            provenance: mark the frames as generated.

        Raises:
            ArtefactError: this avatar cannot follow a face.
            UsageError: a value out of range, or terms that only a video has.
        """
        from talkers.runtime.reenactment import Reenactor, ReenactTerms
        from talkers.runtime.retargeting import retargeter

        terms = terms or ReenactTerms()
        if terms != replace(terms, neutral=None, speech=None, upper=None):
            raise UsageError(
                "a camera has no neutral second, no speech and no second video",
                todo="Leave neutral, speech and upper out, or use `reenact`",
            )
        rate = self.frame_rate if frame_rate is None else checked_rate(frame_rate)
        side = self.size if size is None else checked_side(size)
        resolved = self.resolve_controls(seed, None, rate)
        form = VideoForm(rate, side, False, provenance, lambda: self.digest)
        options, target = self.engine.options(seed, steps), retargeter(self.engine, report)
        return Reenactor(self.engine, terms, resolved, options, form, target)

    def dub(
        self,
        film: str | os.PathLike[str],
        speech: Any,
        terms: DubTerms | None = None,
        *,
        amplitude: float = 1.0,
        provenance: bool = True,
        report: Report = quiet,
    ) -> Dubbing:
        """Let whoever is seen in a film say something else; only the lips change.

        Args:
            film: a video of a face.
            speech: as in `speak`.
            terms: which face, and what happens where film and speech differ in length.
            amplitude: how far the mouth moves, beside the film's own way, or what people do.
            provenance: sign the video as generated.
            report: called with a sentence, frames done and frames in all.

        Returns:
            an iterator over frames of the film's size, uint8 [H, W, 3] RGB, with `save`.

        Raises:
            MediaError: a file cannot be read. FaceError: no frame of the film can be dubbed.
            UsageError: a value out of range. ArtefactError: this is no base for portraits.
        """
        from talkers.runtime.dubbing import Dubbing, DubTerms

        resolved = self.resolve_controls(0, Controls(amplitude=amplitude))
        digest = (lambda: self.digest) if provenance else None
        terms = terms or DubTerms()
        return Dubbing(self.engine, film, speech, terms, resolved, digest, report)

    def encode(self, frames: NDArray[np.uint8]) -> Tensor:
        """Frames uint8 [N, size, size, 3] -> motion [N, width], on the CPU."""
        return self.engine.encode(frames)

    def decode(
        self,
        motion: Tensor,
        seed: int = 0,
        steps: int | None = None,
        mark: bool = False,
        size: int | None = None,
    ) -> NDArray[np.uint8]:
        """Motion [N, width] -> frames uint8 [N, S, S, 3], all from the one noise of the seed.

        Args:
            motion: what the face does in each frame.
            seed: of the noise.
            steps: network passes a frame (default: the recipe's).
            mark: put the watermark into the frames.
            size: of the frames (default: the avatar's own).
        """
        side = None if size is None else checked_side(size)
        return self.engine.decode(motion, self.engine.options(seed, steps), mark=mark, size=side)

    def reconstruct(
        self,
        frames: Iterator[Frame],
        seed: int = 0,
        steps: int | None = None,
        mark: bool = False,
    ) -> Iterator[Frame]:
        """Frames -> motion -> frames: what the codec alone keeps of a video, a batch at a time.

        Args:
            frames: uint8 [size, size, 3].
            seed: of the noise.
            steps: network passes a frame (default: the recipe's).
            mark: put the watermark into the frames.

        Raises:
            UsageError: a seed or a number of passes out of range.
        """
        return self.engine.reconstruct(frames, self.engine.options(seed, steps), mark=mark)
