"""What jobs do: an uploaded speech, a text or a film becomes a video."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from talkers.controls.request import Controls
from talkers.errors import missing
from talkers.media import AUDIO_RATE, audio_blocks
from talkers.runtime.avatar import Avatar
from talkers.runtime.dubbing import Dubbing, DubTerms
from talkers.runtime.film import film_info
from talkers.runtime.source import Speech
from talkers.runtime.talking_video import TalkingVideo
from talkers.server.forms import SayForm
from talkers.server.jobs import Job
from talkers.server.limits import Limits
from talkers.server.problem import Refused, without_paths

FINDING_SHARE = 0.4  # of the work on a film is to find its face
SOUND_NAME = "speech"


@dataclass(frozen=True)
class SpeakOrder:
    """An avatar that is to say something.

    Attributes:
        avatar: who.
        controls: how.
        seed: of noise and blinks.
        limits: of its length.
    """

    avatar: Avatar
    controls: Controls
    seed: int
    limits: Limits

    def speak(self, job: Job, speech: Path) -> None:
        """Make the video of a sound file."""
        talk = self.avatar.speak(Speech(speech), seed=self.seed, controls=self.controls)
        refuse_longer(talk.seconds, self.limits)
        save(job, talk, "speaking", 0.0)

    def say(self, job: Job, form: SayForm) -> None:
        """Make the video of a text."""
        self.speak(job, said(job, form, self.limits))


def said(job: Job, form: SayForm, limits: Limits) -> Path:
    """A text as a sound file in the job's folder.

    Raises:
        TalkersError: there is no such voice, or it would say it for too long.
    """
    import soundfile

    from talkers.speech.text import parse_script
    from talkers.speech.voices import load_voice, say_script

    job.report("loading the voice", 0.0)
    voice = load_voice(form.voice)
    speech = say_script(voice, parse_script(form.text), form.speed)
    refuse_longer(len(speech.samples) / voice.rate, limits)
    path = job.folder / SOUND_NAME
    soundfile.write(path, speech.samples, voice.rate, format="WAV")
    return path


@dataclass(frozen=True)
class DubOrder:
    """A film that is to say something else.

    Attributes:
        base: gives the avatar that knows how people speak.
        terms: how it is dubbed.
        amplitude: of the mouth.
        limits: of its length.
    """

    base: Callable[[], Avatar]
    terms: DubTerms
    amplitude: float
    limits: Limits

    def dub(self, job: Job, film: Path, speech: Path) -> None:
        """Make the video."""

        info = film_info(film).video
        assert info is not None

        def report(stage: str, done: int, total: int) -> None:
            refuse_longer(float(done / info.frame_rate), self.limits, "the film")  # truly
            job.report(stage, FINDING_SHARE * done / max(1, total))

        job.report("reading the film", 0.0)
        made = self.base().dub(
            film, Speech(speech), self.terms, amplitude=self.amplitude, report=report
        )
        job.notes += [f"{a:.2f} to {b:.2f} s is left as it was: {why}" for a, b, why in made.left]
        save(job, made, "dubbing", FINDING_SHARE)


def save(job: Job, video: TalkingVideo | Dubbing, stage: str, begun: float) -> None:
    """Write the video of a job.

    Args:
        job: whose.
        video: its frames.
        stage: what is done.
        begun: share of the work that is done already.
    """
    job.notes += [without_paths(note) for note in video.notes]
    job.seconds = float(video.frame_count / video.frame_rate)
    video.save(
        job.video,
        lambda done, total: job.report(stage, begun + (1 - begun) * done / max(1, total)),
    )


def refuse_longer(seconds: float, limits: Limits, what: str = "the speech") -> None:
    """Raises Refused: what is to be shown is too long."""
    if seconds > limits.seconds:
        raise Refused(
            422,
            f"{what} is longer than {limits.seconds:g} s",
            todo="Send it in pieces",
        )


def refuse_unusable(speech: Path, limits: Limits) -> None:
    """Decode a sound file, so that its sender hears at once what is wrong with it.

    Raises:
        MediaError: it cannot be read. Refused: it is too long, whatever it says itself.
    """
    samples = 0
    for block in audio_blocks(speech):
        samples += len(block)
        refuse_longer(samples / AUDIO_RATE, limits)


def refuse_unusable_film(film: Path, limits: Limits) -> None:
    """As `refuse_unusable`, by what the film says of itself."""
    refuse_longer(float(film_info(film).duration or 0), limits, "the film")


def require(module: str, what: str, extra: str) -> None:
    """Raises MissingComponent: a package that this needs is not installed."""
    if importlib.util.find_spec(module) is None:
        raise missing(what, extra, ImportError(name=module))
