"""What is wrong with footage: which file, at which time code, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from talkers.errors import TalkersError
from talkers.face.analysis import Analysis
from talkers.face.crop import face_height
from talkers.speech.activity import speech_activity

SYNC_RANGE = 15  # frames by which sound may be searched before or after the lips
ENOUGH_SECONDS = 180.0  # of footage for a recognisable avatar
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
        return asdict(self)


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First and one-past-last index of each run of true values: [K, 2]."""
    edges = np.concatenate([[False], mask, [False]])
    return np.flatnonzero(edges[1:] != edges[:-1]).reshape(-1, 2)


def lip_delay(analyses: Iterable[Analysis]) -> tuple[float, float]:
    """By how many seconds the sound comes after the lips, and how sure that is.

    The speed of the mouth is correlated with the level of the sound, over all files together.

    Returns:
        delay in seconds (positive: the sound is late), and the correlation there minus that of chance, 0..1.
    """
    sums, counts, rate = np.zeros(2 * SYNC_RANGE + 1), 0, 25.0
    for a in analyses:
        if a.audio_seconds and a.found.mean() > 0.5 and len(a.levels) > 4 * SYNC_RANGE:
            rate = a.rate
            seen = a.opening
            opening = np.interp(
                np.arange(len(seen)), np.flatnonzero(np.isfinite(seen)), seen[np.isfinite(seen)]
            )
            mouth = np.convolve(np.abs(np.gradient(opening)), np.ones(3) / 3, "same")
            sound = np.clip(a.levels, -60, 0)
            x, y = (v - v.mean() for v in (mouth, sound))
            scale = np.sqrt((x**2).sum() * (y**2).sum())
            if scale > 1e-9:
                for k, shift in enumerate(range(-SYNC_RANGE, SYNC_RANGE + 1)):
                    left, right = (
                        x[max(0, -shift) : len(x) - max(0, shift)],
                        y[max(0, shift) : len(y) - max(0, -shift)],
                    )
                    sums[k] += (left * right).sum() / scale
                counts += 1
    if not counts:
        return 0.0, 0.0
    curve = sums / counts
    best = int(np.argmax(curve))
    return (best - SYNC_RANGE) / rate, float(max(0.0, curve[best] - np.median(curve)))


def findings_of(a: Analysis) -> list[Finding]:
    """Everything wrong with one file."""
    found: list[Finding] = []

    def add(severity: Severity, kind: str, at: float | None, what: str, todo: str) -> None:
        found.append(Finding(severity, kind, a.source, at, what, todo))

    seconds = len(a.faces) / a.rate
    for first, last in _runs(~a.found)[:5]:
        add(
            "warning",
            "no-face",
            first / a.rate,
            f"no face is seen for {(last - first) / a.rate:.2f} s",
            "Nothing: the gap is left out. Cut it away if it is long",
        )
    if not a.found.any():
        found = [
            Finding(
                "error",
                "no-face",
                a.source,
                None,
                "no face is seen in any frame",
                "Use footage that shows one face from the front",
            )
        ]
    for first, last in _runs(a.faces > 1)[:5]:
        add(
            "warning",
            "two-faces",
            first / a.rate,
            f"several faces are seen for {(last - first) / a.rate:.2f} s",
            "Crop or cover the other person; the tracked face is kept",
        )
    for cut in a.cuts[:5]:
        add(
            "warning",
            "cut",
            cut / a.rate,
            "the picture jumps",
            "Split the file there; one set-up of camera and light a corpus",
        )
    if seconds < 1.0:
        add(
            "error" if len(a.faces) < 5 else "warning",
            "too-short",
            None,
            f"it is only {seconds:.2f} s long",
            "Use clips of at least 1 s",
        )
    if not a.audio_seconds:
        add("error", "no-audio", None, "there is no sound", "Use footage with the speaker's voice")
    else:
        if abs(a.audio_seconds - seconds) > max(0.5, 0.02 * seconds):
            add(
                "warning",
                "length",
                None,
                f"the sound lasts {a.audio_seconds:.2f} s, the picture {seconds:.2f} s",
                "Check that the file was cut cleanly",
            )
        if a.clipped > 0.001:
            add(
                "warning",
                "clipped",
                None,
                f"{100 * a.clipped:.1f} % of the sound is at full scale",
                "Record with a lower level",
            )
        if not speech_activity(a.levels).any() or a.levels.max() < -50:
            add(
                "error",
                "no-speech",
                None,
                "no speech is heard",
                "Use footage in which the person speaks",
            )
    if a.source_rate and a.source_rate < 20:
        add(
            "warning",
            "frame-rate",
            None,
            f"it has only {a.source_rate:.3g} frames a second",
            "Use at least 24: fast lip movements are lost",
        )
    if a.found.any():
        height = face_height(a.boxes[a.found])
        if height < 48:
            add(
                "error",
                "resolution",
                None,
                f"the face is only {height:.0f} pixels high",
                "Move the camera nearer; 128 pixels or more are good",
            )
        elif height < 100:
            add(
                "warning",
                "resolution",
                None,
                f"the face is only {height:.0f} pixels high",
                "128 pixels or more give a sharper avatar",
            )
    return found


def check_footage(results: dict[str, Analysis | TalkersError]) -> dict[str, Any]:
    """Findings over a set of footage files.

    Args:
        results: for each file its analysis, or the error that it gave.

    Returns:
        {"usable": bool, "seconds": of usable footage, "files": [...], "findings": [...]}, plain JSON values.
    """
    findings: list[Finding] = []
    files: list[dict[str, Any]] = []
    good: list[Analysis] = []
    for path, result in results.items():
        if isinstance(result, TalkersError):
            findings.append(
                Finding(
                    "error",
                    "unreadable",
                    path,
                    None,
                    result.what + (f" ({result.why})" if result.why else ""),
                    result.todo or "Leave it out",
                )
            )
            continue
        own = findings_of(result)
        findings += own
        if not any(f.severity == "error" for f in own):
            good.append(result)
        files.append(
            {
                "file": path,
                "seconds": round(len(result.faces) / result.rate, 3),
                "width": result.width,
                "height": result.height,
                "frame_rate": round(result.source_rate, 3),
                "faces": round(float(result.found.mean()), 4),
            }
        )
    seconds = sum(float(a.found.sum()) / a.rate for a in good)
    every = ", ".join(sorted({f"{a.width}x{a.height}" for a in good}))
    if len({(a.width, a.height) for a in good}) > 1:
        findings.append(
            Finding(
                "warning",
                "resolution",
                "all files",
                None,
                f"the files have different sizes ({every})",
                "Each size gets its own crop; one set-up a corpus is best",
            )
        )
    if good:
        delay, sure = lip_delay(good)
        if abs(delay) >= 0.12 and sure > 0.1:
            when = "late" if delay > 0 else "early"
            findings.append(
                Finding(
                    "warning",
                    "sync",
                    "all files",
                    None,
                    f"the sound seems {abs(delay):.2f} s {when}",
                    f"Shift the sound by {-delay:+.2f} s before preparing",
                )
            )
        if seconds < ENOUGH_SECONDS:
            findings.append(
                Finding(
                    "warning",
                    "too-short",
                    "all files",
                    None,
                    f"there are {seconds:.0f} s of usable footage",
                    f"{ENOUGH_SECONDS / 60:.0f} minutes or more give a good avatar",
                )
            )
    return {
        "usable": bool(good),
        "seconds": round(seconds, 2),
        "files": files,
        "findings": [f.as_dict() for f in findings],
    }
