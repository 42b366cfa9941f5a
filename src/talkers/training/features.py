"""Speech features of every clip in every variant, two a frame; cached beside the corpus."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from talkers.corpus import Corpus
from talkers.corpus.store import ClipRecord
from talkers.motion.windows import at_frames
from talkers.progress import Report
from talkers.speech import (
    FEATURE_RATE,
    SpeechEncoder,
    load_speech_encoder,
    recording_features,
)
from talkers.speech.voices import Voice
from talkers.systems.recipe import Recipe
from talkers.training.augment import (
    Augmentation,
    Sound,
    at_positions,
    augment_voice,
    dtw_align,
    generator,
    non_speech,
)
from talkers.training.cache import VariantCache, cache_path, purge_stale, write_variants
from talkers.training.variants import (
    NON_SPEECH,
    VOICES,
    gated,
    load_voices,
    sentence_of,
    sound_variants,
    synthesise,
    tts_voices,
    tts_voices_of,
)

VERSION = 6  # of what the cache holds


class VariantEmbedder:
    """Embeds the variants of one clip after another.

    Args:
        corpus: the footage.
        encoder: the frozen speech encoder.
        voices: synthetic voices.
    """

    def __init__(self, corpus: Corpus, encoder: SpeechEncoder, voices: list[Voice]):
        self.corpus, self.encoder, self.voices = corpus, encoder, voices
        longest = max((clip.frames for clip in corpus.clips), default=0)
        # Silence is the same everywhere: that of a short clip is the beginning of a long one's.
        samples = np.zeros(int(longest / float(corpus.rate) * 16_000) + 16_000, np.float32)
        self._silence = self._at_frames(self._embed(samples), longest)

    def _embed(self, sound: Sound) -> Tensor:
        return recording_features(self.encoder, sound)

    def _at_frames(self, features: Tensor, frames: int, speed: float = 1.0) -> Tensor:
        """Features of sound that is `speed` times as fast -> [2 frames, F], two a frame."""
        return at_frames(features, FEATURE_RATE / speed, float(self.corpus.rate), 0, frames)

    def embed(self, clip: ClipRecord) -> Iterator[Tensor]:
        """Features of a clip in the order of `sound_variants`, [2 T, F] each."""
        samples, frames = self.corpus.audio(clip.name), clip.frames
        own = self._embed(samples)
        yield self._at_frames(own, frames)
        speech = np.asarray(self.corpus.column("speech", clip.name), bool)
        silenced = gated(samples, speech, float(self.corpus.rate))
        yield self._at_frames(self._embed(silenced), frames)
        yield self._silence[: 2 * frames]
        for k in range(NON_SPEECH):
            sound = non_speech(len(samples), generator(clip.name, 20 + k))
            yield self._at_frames(self._embed(sound), frames)
        sentence, chosen = sentence_of(clip), tts_voices_of(clip, len(self.voices))
        for k in range(VOICES + len(chosen)):
            random = generator(clip.name, 1 + k)
            if k >= VOICES and sentence is not None:
                spoken = self._embed(synthesise(self.voices[chosen[k - VOICES]], sentence))
                # Row t of the clip is said at row dtw(t) of the synthetic recording.
                yield self._at_frames(at_positions(spoken, dtw_align(own, spoken)), frames)
            else:
                how = Augmentation.drawn(random)
                sound = augment_voice(samples, how, random)
                yield self._at_frames(self._embed(sound), frames, how.speed)


def speech_features(corpus: Corpus, recipe: Recipe, report: Report) -> VariantCache:
    """Features of every clip in all variants; made if they are not there yet.

    Synthetic voices, drawn for each clip, say its transcript; their features are brought into the
    clip's own time. A clip without a transcript is heard in as many more altered voices.

    Args:
        corpus: the footage.
        recipe: names the speech encoder and the synthetic voices.
        report: called with clips done and clips in all.

    Returns:
        rows [2 T, F] of every clip and variant, on disk.
    """
    names, synthetic = sound_variants(recipe), tts_voices(recipe)
    path = cache_path(corpus, "speech", f"{recipe.speech} {names} {synthetic} {VERSION}")
    if not path.exists():
        encoder = load_speech_encoder(recipe.speech)
        embedder = VariantEmbedder(corpus, encoder, load_voices(synthetic))

        def clips() -> Iterator[tuple[str, dict[str, dict[str, NDArray[np.floating]]]]]:
            for done, clip in enumerate(corpus.clips):
                rows = zip(names, embedder.embed(clip), strict=True)
                yield clip.name, {name: {"features": part.numpy()} for name, part in rows}
                report("hearing speech", done + 1, len(corpus.clips))

        purge_stale(path)
        write_variants(path, {"features": encoder.width}, clips())
    return VariantCache(path)
