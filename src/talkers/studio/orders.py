"""What the studio's jobs do beside what the API's do: portraits, checks of marks, comparisons."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from talkers.controls.request import Controls
from talkers.errors import MissingComponent, TalkersError, missing
from talkers.runtime.avatar import Avatar
from talkers.runtime.dubbing import DubTerms
from talkers.runtime.source import Speech
from talkers.server.forms import SayForm
from talkers.server.jobs import Job
from talkers.server.limits import Limits
from talkers.server.problem import without_paths
from talkers.server.work import FINDING_SHARE, refuse_longer, said, save
from talkers.studio.curves import CURVES, MotionCurves, write_curves

PORTRAIT_SHARE = 0.2  # of the work on a photo that speaks is to make its avatar
COMPARED_SECONDS = 60.0  # longer videos are shown, and not measured


@dataclass(frozen=True)
class Photo:
    """A photo that becomes an avatar.

    Attributes:
        picture: the file.
        out: the folder of the avatar.
        consent: who agreed to what.
        face: which of its faces, as `talkers portrait` calls it.
    """

    picture: Path
    out: Path
    consent: str
    face: str = "largest"

    def avatar(self, job: Job, share: float = 1.0) -> Avatar:
        """Make the avatar.

        Args:
            job: that it is part of.
            share: of the job.
        """
        from talkers.runtime.portrait import PortraitTerms, make_portrait

        job.report("making the portrait", 0.0)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        terms = PortraitTerms("the studio", self.consent)
        avatar, notes = make_portrait([self.picture], self.out, terms, face=self.face)
        job.notes += [without_paths(note.partition(": ")[2] or note) for note in notes]
        job.outcome["avatar"] = self.out.name
        try:
            job.report("making the portrait", share)
        except BaseException:  # nobody wants it any more
            shutil.rmtree(self.out, ignore_errors=True)
            raise
        return avatar

    def make(self, job: Job) -> None:
        """The whole job: nothing but the avatar."""
        avatar = self.avatar(job)
        shutil.copyfile(avatar.folder / "preview.png", job.folder / "preview.png")
        job.results = {"preview.png"}


@dataclass(frozen=True)
class Speaking:
    """An avatar that is to say something.

    Attributes:
        avatar: gives it; takes the job, and may take its share of it.
        share: of the job that giving it takes.
        controls, seed: how.
        frame_rate, size: of the video; None: the avatar's own.
        limits: of its length.
    """

    avatar: Callable[[Job], Avatar]
    share: float
    controls: Controls
    seed: int
    frame_rate: Fraction | None
    size: int | None
    limits: Limits

    def speak(self, job: Job, speech: Path) -> None:
        """Make the video of a sound file."""
        avatar = self.avatar(job)
        talk = avatar.speak(
            Speech(speech),
            seed=self.seed,
            controls=self.controls,
            frame_rate=self.frame_rate,
            size=self.size,
        )
        refuse_longer(talk.seconds, self.limits)
        talk.watch = curves = MotionCurves(avatar.engine.space)
        save(job, talk, "speaking", self.share)
        write_curves(job.folder, speech, job.seconds, curves)
        job.results |= {CURVES}

    def say(self, job: Job, form: SayForm) -> None:
        """Make the video of a text."""
        self.speak(job, said(job, form, self.limits))


@dataclass(frozen=True)
class DubbingOrder:
    """A film that is to say something else; as the API's, with all that the studio offers.

    Attributes:
        base: gives the avatar that knows how people speak.
        terms, amplitude: how.
        learn: seconds in which it first learns what this person's mouth is like; 0: it does not.
        limits: of its length.
    """

    base: Callable[[], Avatar]
    terms: DubTerms
    amplitude: float
    learn: float
    limits: Limits

    def dub(self, job: Job, film: Path, speech: Path) -> None:
        """Make the video."""
        share = FINDING_SHARE

        def report(stage: str, done: int, total: int) -> None:
            job.report(stage, share * done / max(1, total))

        job.report("reading the film", 0.0)
        made = self.base().dub(
            film, Speech(speech), self.terms, amplitude=self.amplitude, report=report
        )
        refuse_longer(float(made.frame_count / made.frame_rate), self.limits, "the film")
        if self.learn:
            try:
                from talkers.training.film_stage import learn_film
            except ImportError as error:
                raise missing("learning", "train", error) from error
            begun, share = share, 0.7
            learn_film(
                made,
                self.learn,
                lambda stage, done, total: job.report(
                    stage, begun + (share - begun) * done / max(1, total)
                ),
            )
        left = [{"start": a, "end": b, "why": why} for a, b, why in made.left]
        job.notes += [f"{a:.2f} to {b:.2f} s is left as it was: {why}" for a, b, why in made.left]
        save(job, made, "dubbing", share)
        write_curves(job.folder, job.video, job.seconds, left=left)
        job.results |= {CURVES}


def verify(job: Job, video: Path) -> None:
    """Say whether a video tells that a machine made it, as `talkers verify` does."""
    from talkers.media import decode_frames, probe
    from talkers.media.manifest import read_manifest
    from talkers.media.watermark import find

    job.report("reading the manifest", 0.0)
    found = probe(video)
    manifest = read_manifest(video)._asdict()
    rate = float(found.video.frame_rate) if found.video is not None else 25.0
    total = max(1.0, float(found.duration or 1) * rate)

    def watched() -> Any:
        for done, frame in enumerate(decode_frames(video)):
            job.report("looking for the mark", 0.1 + 0.9 * min(1.0, done / total))
            yield frame

    job.outcome |= {"manifest": manifest, "mark": find(watched())._asdict()}
    job.results = set()


def compare(job: Job, first: Path, second: Path) -> None:
    """Measure how alike two videos are, where the extra `evaluate` is there."""
    from talkers.media import probe

    job.results = {first.name, second.name}
    lengths = [float(probe(path).duration or 0) for path in (first, second)]
    job.outcome |= {"videos": [first.name, second.name], "seconds": lengths}
    if min(lengths) > COMPARED_SECONDS:
        job.notes.append(f"Videos longer than {COMPARED_SECONDS:.0f} s are not measured.")
        return
    job.report("measuring", 0.0)  # how far that is nobody says
    try:
        job.outcome["figures"] = _figures(job, first, second)
    except TalkersError as error:  # they can be looked at nevertheless
        todo = f" {error.todo}." if isinstance(error, MissingComponent) else ""
        why = "" if error.why is None else f", because {error.why}"
        job.notes.append(without_paths(f"They were not measured: {error.what}{why}.{todo}"))


def _figures(job: Job, first: Path, second: Path) -> dict[str, Any]:
    """The figures of the first video against the second, and of the second's mean frame.

    Raises:
        TalkersError: they cannot be measured.
    """
    try:
        from talkers.evaluation.pairs import PairTask, score_pair
        from talkers.evaluation.report import MAIN_FIGURES
        from talkers.experts import people_folder
    except ImportError as error:
        raise missing("measuring", "evaluate", error) from error
    record = job.folder / "record.json"
    threads = torch.get_num_threads()  # the task sets it, and this process has other work
    score_pair(PairTask(str(first), str(second), people_folder(), record, False, threads))
    figures: dict[str, Any] = json.loads(record.read_text("utf-8"))["figures"]
    columns = {"first": "pairs", "second": "controls.real", "still": "controls.mean_frame"}
    return {
        name: row
        for name in MAIN_FIGURES
        if (row := {to: _number(figures[key][0].get(name)) for to, key in columns.items()})
        and row["first"] is not None
    }


def _number(value: Any) -> float | None:
    """A figure as JSON has it."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None
