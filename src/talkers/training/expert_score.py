"""How good an expert is on real clips, beside what chance would give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from talkers.corpus import Corpus
from talkers.experts.models import SYNC_RANGE, LipReader, SyncExpert
from talkers.experts.rate import shifted
from talkers.experts.words import CHANCE_WER, sentence_of_name, word_error_rate
from talkers.training.expert_footage import ExpertFootage

SHIFTS = (-10, -5, -2, 0, 3, 7, 10)  # frames by which the sound of each clip is moved
OTHER_CLIPS = 5  # whose sound each clip is tried with
LETTER_SLOT = 3  # of GRID's sentences


def score_lip_reader(
    expert: LipReader, footage: ExpertFootage, names: Sequence[str]
) -> dict[str, float]:
    """Word errors of clips whose names spell their sentences, and of the wrong clips.

    Args:
        expert: trained.
        footage: with the clips.
        names: of the clips.
    """
    pairs = [
        (said, expert.read(footage.mouths[name]))
        for name in names
        if (said := sentence_of_name(name)) is not None
    ]
    others = [
        word_error_rate(said, read)
        for j, (said, _) in enumerate(pairs)
        for k, (_, read) in enumerate(pairs)
        if j != k
    ]
    letters = [said[LETTER_SLOT] != read[LETTER_SLOT] for said, read in pairs]
    return {
        "clips": len(pairs),
        "wer": float(np.mean([word_error_rate(*pair) for pair in pairs])),
        "letter_error": float(np.mean(letters)),
        "wer_of_other_clips": float(np.mean(others)),
        "wer_of_guessing": round(CHANCE_WER, 4),
    }


def score_sync_expert(
    expert: SyncExpert, corpus: Corpus, footage: ExpertFootage, names: Sequence[str]
) -> dict[str, float]:
    """How often known offsets are found to a frame, and with other clips' sound.

    Args:
        expert: trained.
        corpus: of the clips.
        footage: with the clips.
        names: of the clips.
    """
    found, confidence, lost_confidence = list[float](), list[float](), list[float]()
    other_sentence, shuffled_sound = list[float](), list[float]()
    rng = np.random.default_rng(0)
    for k, name in enumerate(names):
        mouths, speech, samples = footage.mouths[name], footage.speech[name], corpus.audio(name)
        for shift in SHIFTS:
            offset, sure = expert.sync(mouths, shifted(samples, shift), speech)
            found.append(abs(offset - shift) <= 1)
            confidence.append(sure)
        for other in range(1, min(OTHER_CLIPS + 1, len(names))):
            sound = corpus.audio(names[(k + other) % len(names)])
            # begun where it begins, and anywhere
            other_sentence.append(abs(expert.sync(mouths, sound, speech)[0]) <= 1)
            rolled = np.roll(sound, rng.integers(len(sound)))
            offset, sure = expert.sync(mouths, rolled, speech)
            shuffled_sound.append(abs(offset) <= 1)
            lost_confidence.append(sure)
    return {
        "clips": len(names),
        "offset_found": float(np.mean(found)),
        "offset_found_with_shuffled_sound": float(np.mean(shuffled_sound or [np.nan])),
        "offset_found_with_another_sentence": float(np.mean(other_sentence or [np.nan])),
        "offset_found_by_guessing": round(3 / (2 * SYNC_RANGE + 1), 4),
        "confidence": float(np.mean(confidence)),
        "confidence_with_shuffled_sound": float(np.mean(lost_confidence or [np.nan])),
    }
