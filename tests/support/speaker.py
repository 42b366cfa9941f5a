"""The procedural speaker: a drawn face with exactly known mouth opening, pose and blink, and sound that matches it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from talkers.artefacts.documents import write_json
from talkers.corpus.store import FORMAT_VERSION, Corpus
from talkers.corpus.table import Measurements, frames_table
from talkers.face.landmarks import (
    BLENDSHAPES,
    BLINKS,
    EYE_CORNERS,
    INNER_LIPS,
    LEFT_EYE,
    LIPS,
    RIGHT_EYE,
)
from talkers.media import AUDIO_RATE, VideoWriter, write_flac

RATE = Fraction(25)


@dataclass(frozen=True)
class Performance:
    """What the speaker does in each frame: mouth opening 0..1, sideways shift of the head (shares of the side) and
    the yaw in degrees that goes with it, blink 0..1."""

    opening: np.ndarray
    shift: np.ndarray
    blink: np.ndarray

    @property
    def yaw(self) -> np.ndarray:
        return self.shift * 200


def perform(frames: int, seed: int, rate: Fraction = RATE) -> Performance:
    """A seeded performance: syllables with pauses, a slowly moving head, a blink or two."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames) / float(rate)
    syllables = np.clip(np.sin(2 * np.pi * (2.0 + rng.random()) * time + 6 * rng.random()), 0, 1)
    speaking = (np.sin(2 * np.pi * 0.35 * time + 6 * rng.random()) > -0.3).astype(float)
    shift = 0.06 * np.sin(2 * np.pi * 0.3 * time + 6 * rng.random())
    blink = np.max([np.exp(-(((time - at * time[-1]) / 0.08) ** 2)) for at in rng.random(2)], 0)
    return Performance(
        (syllables * speaking).astype(np.float32),
        shift.astype(np.float32),
        blink.astype(np.float32),
    )


def draw(size: int, opening: float, shift: float, blink: float) -> np.ndarray:
    """One frame, uint8 [size, size, 3], drawn at four times the size and reduced."""
    big = 4 * size
    image = Image.new("RGB", (big, big), (40, 110, 180))
    pen = ImageDraw.Draw(image)
    x = (0.5 + shift) * big

    def oval(cx: float, cy: float, w: float, h: float, colour: tuple[int, int, int]) -> None:
        pen.ellipse(
            (cx - w * big / 2, cy * big - h * big / 2, cx + w * big / 2, cy * big + h * big / 2),
            fill=colour,
        )

    pen.rectangle((x - 0.35 * big, 0.9 * big, x + 0.35 * big, big), fill=(60, 70, 90))
    oval(x, 0.5, 0.5, 0.7, (224, 180, 150))
    for side in (-1, 1):
        oval(x + side * 0.11 * big, 0.4, 0.15, 0.1, (250, 250, 250))
        oval(x + side * 0.11 * big, 0.4, 0.06, 0.09, (40, 40, 60))
        if blink > 0.02:
            oval(x + side * 0.11 * big, 0.4, 0.16, 0.11 * blink, (214, 168, 140))
    oval(x, 0.68, 0.2, 0.05 + 0.12 * opening, (170, 60, 70))
    oval(x, 0.68, 0.15, 0.001 + 0.11 * opening, (50, 10, 20))
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))


def opening_of(frames: np.ndarray) -> np.ndarray:
    """How far the drawn mouth is open: dark red pixels below the nose."""
    mouth = frames[:, 36:54].astype(int)
    return ((mouth[..., 0] < 110) & (mouth[..., 1] < 60)).sum((1, 2)).astype(float)


def landmarks(size: int, opening: float, shift: float, blink: float) -> np.ndarray:
    """The 478 points of a drawn frame, in pixels; points without a place of their own lie on the face's outline."""
    angle = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    points = np.stack([0.5 + shift + 0.25 * np.cos(angle), 0.5 + 0.35 * np.sin(angle)], -1)

    def ring(indices: tuple[int, ...], cx: float, cy: float, w: float, h: float) -> None:
        a = np.linspace(0, 2 * np.pi, len(indices), endpoint=False)
        points[list(indices)] = np.stack([cx + w / 2 * np.cos(a), cy + h / 2 * np.sin(a)], -1)

    ring(LIPS, 0.5 + shift, 0.68, 0.2, 0.05 + 0.12 * opening)
    ring(RIGHT_EYE, 0.39 + shift, 0.4, 0.15, 0.1 * (1 - 0.9 * blink))
    ring(LEFT_EYE, 0.61 + shift, 0.4, 0.15, 0.1 * (1 - 0.9 * blink))
    points[EYE_CORNERS[0]], points[EYE_CORNERS[1]] = (0.34 + shift, 0.4), (0.66 + shift, 0.4)
    points[INNER_LIPS[0]], points[INNER_LIPS[1]] = (
        (0.5 + shift, 0.68 - 0.055 * opening),
        (0.5 + shift, 0.68 + 0.055 * opening),
    )
    return (points * size).astype(np.float32)


def voice(opening: np.ndarray, frames: int, rate: Fraction = RATE) -> np.ndarray:
    """Sound that is loud when the mouth is open: float32 at 16 kHz."""
    n = int(frames * AUDIO_RATE / rate)
    time = np.arange(n) / AUDIO_RATE
    level = np.interp(time * float(rate) - 0.5, np.arange(len(opening)), opening)
    tone = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 9))
    return (0.2 * level * tone).astype(np.float32)


def make_clip(path: Path, frames: int, seed: int, size: int = 64) -> Performance:
    """A video file of the speaker with sound."""
    acts = perform(frames, seed)
    with VideoWriter(path, RATE, [voice(acts.opening, frames)], AUDIO_RATE, crf=12) as writer:
        for o, s, b in zip(acts.opening, acts.shift, acts.blink, strict=True):
            writer.write(draw(size, float(o), float(s), float(b)))
    return acts


def make_corpus(
    folder: Path, clips: int = 6, frames: int = 75, size: int = 64, rate: Fraction = RATE
) -> Corpus:
    """A corpus of the speaker, with its exact truth where footage would have measurements."""
    import pyarrow as pa

    tables, records = [], []
    for k in range(clips):
        name, acts = f"clip{k}", perform(frames, k, rate)
        with VideoWriter(folder / "clips" / f"{name}.mp4", rate, crf=12) as writer:
            for o, s, b in zip(acts.opening, acts.shift, acts.blink, strict=True):
                writer.write(draw(size, float(o), float(s), float(b)))
        write_flac(folder / "clips" / f"{name}.flac", voice(acts.opening, frames, rate), AUDIO_RATE)
        marks = np.stack(
            [
                landmarks(size, float(o), float(s), float(b))
                for o, s, b in zip(acts.opening, acts.shift, acts.blink, strict=True)
            ]
        )
        shapes = np.zeros((frames, len(BLENDSHAPES)), np.float32)
        shapes[:, list(BLINKS)] = acts.blink[:, None]
        shapes[:, BLENDSHAPES.index("jawOpen")] = acts.opening
        angles = np.stack([acts.yaw, 0 * acts.yaw, 0 * acts.yaw], -1).astype(np.float32)
        tables.append(
            frames_table(
                name,
                Measurements(angles, marks, shapes, np.ones(frames, np.int8), acts.opening > 0.05),
                size,
                rate,
            )
        )
        crop = {"left": 0, "top": 0, "side": size, "size": size}
        records.append(
            {
                "name": name,
                "frames": frames,
                "source": f"{name}.mp4",
                "sha256": f"{k:064x}",
                "crop": crop,
                "gaps": [],
            }
        )
    pq.write_table(pa.concat_tables(tables).unify_dictionaries(), folder / "frames.parquet")
    about = {
        "format_version": FORMAT_VERSION,
        "size": size,
        "rate": str(rate),
        "frames": clips * frames,
        "seconds": float(clips * frames / rate),
        "consent": "drawn",
        "licence": "Apache-2.0",
        "face_heights": {},
        "clips": records,
    }
    write_json(folder / "corpus.json", about)
    return Corpus(folder)
