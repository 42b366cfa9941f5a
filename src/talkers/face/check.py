"""What is wrong with footage: which file, at which time code, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from talkers.errors import FaceError, TalkersError
from talkers.face.analysis import Analysis
from talkers.face.crop import Crop, choose_crop, face_height
from talkers.face.identity import others
from talkers.face.picture import runs_of
from talkers.face.sync import (
    MAX_SHIFT,
    LipDelay,
    block_scores,
    delay_from,
    lip_features,
    sound_features,
    weights,
)
from talkers.face.usable import MIN_USABLE, Flaw, flaws_of, usable_frames
from talkers.speech.activity import speech_activity

ENOUGH_SECONDS = 180.0  # of footage for a recognisable avatar
MAX_FINDINGS = 5  # of a kind and file
ALL_FILES = "all files"
ONE_FACE = "Use footage that shows one face from the front"
FLAWS: dict[Flaw, tuple[str, str]] = {
    "no-face": ("no face is seen", "Nothing: the gap is left out. Cut it away if it is long"),
    "another-person": ("another person is seen", "Nothing: it is left out. Cut it away"),
    "frozen": ("the picture stands still", "Nothing: it is left out. Cut it away"),
    "outside": (
        "the head is outside the part that is cut out",
        "Nothing: it is left out. Use footage in which the person stays in one place",
    ),
}
"""What is said of frames that are left out, and what to do."""
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `at` in seconds; None when it concerns the whole file."""

    severity: Severity
    kind: str
    file: str
    at: float | None
    what: str
    todo: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def findings_of(a: Analysis, crop: Crop | None = None) -> list[Finding]:
    """Say everything that is wrong with one file.

    Args:
        a: the file.
        crop: how it is cut (default: by its own face).
    """
    if not a.found.any():
        what = "no face is seen in any frame"
        return [Finding("error", "no-face", a.source, None, what, ONE_FACE)]
    return [*_picture_findings(a, crop), *_sound_findings(a)]


def _picture_findings(a: Analysis, crop: Crop | None) -> list[Finding]:
    """What is wrong with the picture of a file that shows a face."""
    found: list[Finding] = []
    rate, seconds = float(a.rate), float(len(a.faces) / a.rate)

    def add(severity: Severity, kind: str, at: float | None, what: str, todo: str) -> None:
        found.append(Finding(severity, kind, a.source, at, what, todo))

    flaws = flaws_of(a, crop or _own_crop(a))
    for flaw, mask in flaws.items():
        what, todo = FLAWS[flaw]
        for first, last in runs_of(mask)[:MAX_FINDINGS]:
            add("warning", flaw, first / rate, f"{what} for {(last - first) / rate:.2f} s", todo)
    if len(a.faces) - sum(int(mask.sum()) for mask in flaws.values()) < min(
        MIN_USABLE, len(a.faces)
    ):
        what, _ = FLAWS[max(flaws, key=lambda flaw: int(flaws[flaw].sum()))]
        add("error", "no-use", None, f"nothing of it can be used: {what}", ONE_FACE)
    for first, last in runs_of(a.faces > 1)[:MAX_FINDINGS]:
        what = f"several faces are seen for {(last - first) / rate:.2f} s"
        todo = "Crop or cover the other person; the tracked face is kept"
        add("warning", "two-faces", first / rate, what, todo)
    for cut in a.cuts[:MAX_FINDINGS]:
        todo = "Split the file there; one set-up of camera and light a corpus"
        add("warning", "cut", float(cut) / rate, "the picture jumps", todo)
    if seconds < 1.0:
        severity: Severity = "error" if len(a.faces) < MIN_USABLE else "warning"
        what = f"it is only {seconds:.2f} s long"
        add(severity, "too-short", None, what, "Use clips of at least 1 s")
    if a.source_rate and a.source_rate < 20:
        what = f"it has only {a.source_rate:.3g} frames a second"
        add("warning", "frame-rate", None, what, "Use at least 24: fast lip movements are lost")
    height = face_height(a.boxes[a.found])
    if height < 100:
        severity = "error" if height < 48 else "warning"
        todo = "Move the camera nearer: a face of 128 pixels or more gives a sharper avatar"
        add(severity, "resolution", None, f"the face is only {height:.0f} pixels high", todo)
    return found


def _own_crop(a: Analysis) -> Crop | None:
    """The crop of a file that is alone, at no particular size; None where its face is too small."""
    usable = usable_frames(a)
    try:
        return choose_crop(a.boxes[usable if usable.any() else a.found], a.width, a.height, 256)
    except FaceError:
        return None


def _sound_findings(a: Analysis) -> list[Finding]:
    """What is wrong with the sound of a file."""
    found: list[Finding] = []
    seconds = float(len(a.faces) / a.rate)

    def add(severity: Severity, kind: str, what: str, todo: str) -> None:
        found.append(Finding(severity, kind, a.source, None, what, todo))

    if not a.audio_seconds:
        add("error", "no-audio", "there is no sound", "Use footage with the speaker's voice")
        return found
    if abs(a.audio_seconds - seconds) > max(0.5, 0.02 * seconds):
        what = f"the sound lasts {a.audio_seconds:.2f} s, the picture {seconds:.2f} s"
        add("warning", "length", what, "Check that the file was cut cleanly")
    if a.clipped > 0.001:
        what = f"{100 * a.clipped:.1f} % of the sound is at full scale"
        add("warning", "clipped", what, "Record with a lower level")
    if not speech_activity(a.levels).any() or a.levels.max() < -50:
        todo = "Use footage in which the person speaks"
        add("error", "no-speech", "no speech is heard", todo)
    return found


def lip_delay(analyses: Iterable[Analysis]) -> LipDelay | None:
    """By how much the sound comes after the lips, over all files together.

    Returns:
        the delay; None where this footage does not let it be known for sure.
    """
    return delay_from(scores for a in analyses if (scores := _sync_scores(a)) is not None)


def _sync_scores(a: Analysis) -> NDArray[np.float64] | None:
    """Scores of a file's lips against its sound; None where either is of no use."""
    seen = a.found & ~a.still
    opening, shapes = a.opening.copy(), a.blendshapes.copy()
    opening[~seen], shapes[~seen] = np.nan, np.nan
    lips = lip_features(opening, shapes, float(a.rate)) if a.audio_seconds else None
    if lips is None or len(lips) <= 2 * MAX_SHIFT:
        return None
    return block_scores(lips, sound_features(a.bands, len(lips)), weights())


def _sync_findings(good: list[Analysis]) -> list[Finding]:
    """Delays of the sound that are known for sure: of all files together, and of single ones."""
    scores = {a.source: s for a in good if (s := _sync_scores(a)) is not None}
    together = delay_from(scores.values())
    delays = {ALL_FILES if len(good) > 1 else good[0].source: together}
    if len(good) > 1:
        for source, of_file in scores.items():
            own = delay_from([of_file])
            if own and not (together and own.earliest <= together.seconds <= own.latest):
                delays[source] = own
    found = []
    for name, delay in delays.items():
        if delay is None or not delay.out_of_step:
            continue
        when = "late" if delay.seconds > 0 else "early"
        size = f"{'more than ' if delay.beyond else ''}{abs(delay.seconds):.2f} s"
        todo = f"Shift the sound by {-delay.seconds:+.2f} s before preparing"
        if delay.beyond:
            todo = "Shift the sound by ear before preparing, then check again"
        found.append(Finding("warning", "sync", name, None, f"the sound is {size} {when}", todo))
    return found


def _identity_findings(good: list[Analysis]) -> list[Finding]:
    """Files that show another person than most of the footage."""
    known = [a for a in good if len(a.identities)]
    if len(known) < 2:
        return []
    middles = np.stack([np.median(a.identities, axis=0) for a in known])
    lengths = np.array([len(a.faces) for a in known], np.float64)
    what, todo = "it shows another person than the other files", "Make a corpus of each person"
    return [
        Finding("warning", "another-person", a.source, None, what, todo)
        for a, strange in zip(known, others(middles, lengths), strict=True)
        if strange
    ]


def check_footage(
    results: Mapping[str, Analysis | TalkersError], crops: Mapping[str, Crop] | None = None
) -> dict[str, Any]:
    """Say what is wrong with a set of footage files.

    Args:
        results: for each file its analysis, or the error that it gave.
        crops: how files are cut (default: each by its own face).

    Returns:
        {"usable": bool, "seconds": of usable footage, "files": [...], "findings": [...]}, plain
        JSON values.
    """
    findings: list[Finding] = []
    files: list[dict[str, Any]] = []
    good: list[Analysis] = []
    notes: list[str] = []
    for path, result in results.items():
        if isinstance(result, TalkersError):
            what = result.what + (f" ({result.why})" if result.why else "")
            todo = result.todo or "Leave it out"
            findings.append(Finding("error", "unreadable", path, None, what, todo))
            continue
        own = findings_of(result, (crops or {}).get(path))
        findings += own
        notes += result.notes
        if not any(f.severity == "error" for f in own):
            good.append(result)
        files.append(
            {
                "file": path,
                "seconds": round(float(len(result.faces) / result.rate), 3),
                "width": result.width,
                "height": result.height,
                "frame_rate": round(result.source_rate, 3),
                "faces": round(float(result.found.mean()), 4),
            }
        )
    seconds = 0.0
    for a in good:
        crop = (crops or {}).get(a.source) or _own_crop(a)
        seconds += float(usable_frames(a, crop).sum() / a.rate)
    if good:
        findings += [*_set_findings(good, seconds), *_identity_findings(good)]
    return {
        "usable": bool(good),
        "seconds": round(seconds, 2),
        "files": files,
        "findings": [f.as_dict() for f in findings],
        "notes": list(dict.fromkeys(notes)),
    }


def _set_findings(good: list[Analysis], seconds: float) -> list[Finding]:
    """What is wrong with the usable files together, of so many usable seconds."""
    found: list[Finding] = []
    sizes = sorted({f"{a.width}x{a.height}" for a in good})
    if len(sizes) > 1:
        what = f"the files have different sizes ({', '.join(sizes)})"
        todo = "Each size gets its own crop; one set-up a corpus is best"
        found.append(Finding("warning", "resolution", ALL_FILES, None, what, todo))
    found += _sync_findings(good)
    if seconds < ENOUGH_SECONDS:
        what = f"there are {seconds:.0f} s of usable footage"
        todo = f"{ENOUGH_SECONDS / 60:.0f} minutes or more give a good avatar"
        found.append(Finding("warning", "too-short", ALL_FILES, None, what, todo))
    return found
