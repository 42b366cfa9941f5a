"""What the streaming speech encoder learns from: sounds and the frozen encoder's features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from talkers.corpus import Corpus
from talkers.corpus.store import ClipRecord
from talkers.errors import UsageError
from talkers.media import read_audio
from talkers.progress import Report
from talkers.speech import features_of, load_speech_encoder, recording_gain
from talkers.speech.mel import N_FFT
from talkers.speech.streaming import STEP
from talkers.speech.voices import Voice
from talkers.systems.recipe import Recipe
from talkers.training.augment import (
    Augmentation,
    Sound,
    augment_voice,
    generator,
    non_speech,
)
from talkers.training.cache import (
    Columns,
    VariantCache,
    cache_path,
    purge_stale,
    write_variants,
)
from talkers.training.variants import (
    gated,
    load_voices,
    sentence_of,
    synthesise,
    tts_voices,
    tts_voices_of,
)

VARIANT_WEIGHTS = {"clean": 2.0, "gated": 1.0, "non_speech": 0.5}  # relative to a voice's 1
VOICES = 3  # other voices in which a clip is heard
SUFFIXES = (".flac", ".wav", ".mp3", ".ogg", ".opus", ".m4a")  # of recordings
BESIDE = "sounds/"  # what the names of recordings beside the footage begin with
HELD_OUT_EVERY = 20  # of them
VERSION = 4  # of what the cache holds
START_ROWS, MIN_ROWS = 10, 20  # rows between the starts of windows, and left after the last one


def student_variants(
    corpus: Corpus, clip: ClipRecord, voices: Sequence[Voice]
) -> Iterator[tuple[str, Sound]]:
    """The variants of a clip's sound; one of the voices is synthetic, if there are such.

    Args:
        corpus: the footage.
        clip: one of its clips.
        voices: synthetic voices.

    Yields:
        names and sounds, float32 [n] at 16 kHz.
    """
    samples, sentence = corpus.audio(clip.name), sentence_of(clip)
    yield "clean", samples
    speech = np.asarray(corpus.column("speech", clip.name), bool)
    yield "gated", gated(samples, speech, float(corpus.rate))
    yield "non_speech", non_speech(len(samples), generator(clip.name, 100))
    for k in range(VOICES):
        random = generator(clip.name, 101 + k)
        if k == 0 and voices and sentence is not None:
            chosen = tts_voices_of(clip, len(voices))[0]
            yield f"voice {k + 1}", synthesise(voices[chosen], sentence)
        else:
            how = Augmentation.drawn(random)
            yield f"voice {k + 1}", augment_voice(samples, how, random)


def recordings_of(folder: str) -> dict[str, Path]:
    """The recordings of a folder and the folders within, by the names that they have beside clips.

    Args:
        folder: its path; empty: there is none.

    Raises:
        UsageError: it is no folder, or holds no recording.
    """
    if not folder:
        return {}
    found = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise UsageError(
            "there are no recordings", where=folder, todo=f"Use {', '.join(SUFFIXES)} files"
        )
    return {f"{BESIDE}{path.relative_to(folder)}": path for path in found}


def held_out_recordings(names: Iterable[str]) -> list[str]:
    """Those of some recordings that are not trained on."""
    return sorted(names)[HELD_OUT_EVERY // 2 :: HELD_OUT_EVERY]


def student_sounds(corpus: Corpus, recipe: Recipe, report: Report) -> VariantCache:
    """Sounds at one loudness and their features, for every clip and every recording beside the
    footage; made if they are not there yet.

    Args:
        corpus: the footage.
        recipe: names the speech encoder, the synthetic voices and the recordings.
        report: called with sounds done and sounds in all.

    Returns:
        on disk, for every sound and variant, columns samples [n, 1] at 16 kHz and features
        [n / STEP, F].

    Raises:
        TalkersError: a recording that cannot be read.
    """
    synthetic = tts_voices(recipe)
    recordings = recordings_of(recipe.stage("streaming_encoder").sounds)
    files = [(name, path.stat().st_mtime_ns) for name, path in recordings.items()]
    key = f"{recipe.speech} {sorted(VARIANT_WEIGHTS)} {VOICES} {synthetic} {VERSION} {files or ''}"
    path = cache_path(corpus, "student", key)
    if not path.exists():
        encoder, voices = load_speech_encoder(recipe.speech), load_voices(synthetic)

        def columns(sound: Sound) -> Columns:
            count = len(sound) // STEP
            fitted = np.asarray(sound[: count * STEP] * recording_gain(sound), np.float32)
            features = features_of(encoder, fitted)[:count]
            return {"samples": fitted[:, None], "features": features.numpy()}

        count = len(corpus.clips) + len(recordings)

        def clips() -> Iterator[tuple[str, dict[str, Columns]]]:
            for done, clip in enumerate(corpus.clips):
                variants = student_variants(corpus, clip, voices)
                yield clip.name, {name: columns(sound) for name, sound in variants}
                report("hearing speech again", done + 1, count)
            for done, (name, path) in enumerate(recordings.items(), len(corpus.clips)):
                sound, random = read_audio(path), generator(name, 101)
                altered = augment_voice(sound, Augmentation.drawn(random), random)
                yield name, {"clean": columns(sound), "voice 1": columns(altered)}
                report("hearing speech again", done + 1, count)

        purge_stale(path, "heard")
        write_variants(path, {"samples": 1, "features": encoder.width}, clips())
    return VariantCache(path)


class SoundDataset(Dataset[dict[str, Tensor]]):
    """Windows of sound that begin anywhere in a clip and go on with other clips.

    Args:
        sounds: see `student_sounds`.
        clips: names of the clips to use.
        rows: of features in a window.
        ahead: rows of sound that the student hears ahead.
        variants: names of the variants to use (default: all).
    """

    def __init__(
        self,
        sounds: VariantCache,
        clips: Sequence[str],
        rows: int,
        ahead: int,
        variants: Sequence[str] | None = None,
    ):
        self.sounds, self.rows, self.ahead = sounds, rows, ahead
        self.names = [
            (clip, variant)
            for clip in clips
            for variant in sounds.variants(clip)
            if variants is None or variant in variants
        ]
        self.starts = [
            (k, start)
            for k, name in enumerate(self.names)
            for start in range(0, max(1, sounds.count(*name) - MIN_ROWS), START_ROWS)
        ]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One window.

        Returns:
            samples [N_FFT / 2 + (rows + ahead + 2) STEP], features [rows, F]
        """
        k, start = self.starts[index]
        wanted = self.rows + self.ahead + 2
        samples, features = [torch.zeros(N_FFT // 2)], list[Tensor]()
        while (missing := wanted - sum(map(len, features))) > 0:
            name = self.names[k]
            part = self.sounds.rows(*name, start, start + missing)
            features.append(part)
            first, last = start * STEP, (start + len(part)) * STEP
            samples.append(self.sounds.rows(*name, first, last, "samples")[:, 0])
            k, start = (k * 31 + 17 * len(features)) % len(self.names), 0
        return {"samples": torch.cat(samples), "features": torch.cat(features)[: self.rows]}
