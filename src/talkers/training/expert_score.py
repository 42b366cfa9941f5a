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
    letters = [float(said[LETTER_SLOT] != read[LETTER_SLOT]) for said, read in pairs]
    values: dict[str, list[float]] = {
        "wer": [word_error_rate(*pair) for pair in pairs],
        "letter_error": letters,
        "wer_of_other_clips": others,
    }
    means = {name: float(np.mean(found)) for name, found in values.items() if found}
    return {"clips": len(pairs), **means, "wer_of_guessing": round(CHANCE_WER, 4)}


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
    values = {
        "offset_found": found,
        "offset_found_with_shuffled_sound": shuffled_sound,
        "offset_found_with_another_sentence": other_sentence,
        "confidence": confidence,
        "confidence_with_shuffled_sound": lost_confidence,
    }
    means = {name: float(np.mean(rows)) for name, rows in values.items() if rows}
    guessing = round(3 / (2 * SYNC_RANGE + 1), 4)
    return {"clips": len(names), **means, "offset_found_by_guessing": guessing}
