"""Videos side by side, in pieces, so that memory does not grow with length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from talkers.corpus.clips import MAX_SECONDS, in_pieces
from talkers.evaluation.contract import FrameFeatures, Utterance
from talkers.evaluation.metrics import ClipScores
from talkers.experts.rate import RATE, SAMPLES_PER_FRAME
from talkers.experts.words import sentence_of_name
from talkers.media import AUDIO_RATE, audio_blocks, decode_frames
from talkers.speech import loudness_of, speech_activity

Frames = NDArray[np.uint8]  # [T, H, W, 3]
PIECE_FRAMES = MAX_SECONDS * RATE  # of a video that are held in memory


def joined(pieces: Sequence[tuple[int, ClipScores]]) -> ClipScores:
    """Scores of a video from those of its pieces, each with its number of frames: means over the
    frames of the pieces that define a figure."""
    figures = {}
    for name in pieces[0][1].figures:
        defined = [(n, s.figures[name]) for n, s in pieces if np.isfinite(s.figures[name])]
        total = sum(n for n, _ in defined)
        figures[name] = sum(n * value for n, value in defined) / total if total else float("nan")
    features = {
        name: FrameFeatures(
            *(
                np.concatenate([scores.features[name][side] for _, scores in pieces])
                for side in (0, 1)
            )
        )
        for name in pieces[0][1].features
    }
    return ClipScores(figures, features)


def _resized(frames: Frames, height: int, width: int) -> Frames:
    size = (width, height)
    pictures = (Image.fromarray(f).resize(size, Image.Resampling.LANCZOS) for f in frames)
    return np.stack([np.asarray(picture) for picture in pictures])


def lockstep(
    generated_path: str, reference_path: str, notes: list[str]
) -> Iterator[tuple[int, Frames, Frames]]:
    """Frames of two videos at RATE, PIECE_FRAMES at a time, as far as both go.

    Args:
        generated_path: a video of any size.
        reference_path: the real video; the generated one is scaled to its size, or cut to it where
            it has but the row or column more that encoders want of odd sizes.
        notes: what was done to compare them is added here.

    Yields:
        the number of the first frame, generated and real frames.
    """
    paths, totals = (generated_path, reference_path), [0, 0]
    films = [decode_frames(path, Fraction(RATE)) for path in paths]
    for begin in count(0, PIECE_FRAMES):
        pieces = [list(islice(film, PIECE_FRAMES)) for film in films]
        totals = [total + len(piece) for total, piece in zip(totals, pieces, strict=True)]
        frames = min(map(len, pieces))
        if frames:
            generated, reference = (np.stack(piece[:frames]) for piece in pieces)
            height, width = reference.shape[1:3]
            if generated.shape[1:3] == (height + height % 2, width + width % 2):
                generated = generated[:, :height, :width]
            elif generated.shape != reference.shape:
                if not begin:
                    size = f"{generated.shape[2]}x{generated.shape[1]}"
                    notes.append(
                        f"the made one is {size}, the real one {width}x{height}; it is scaled "
                        "to that"
                    )
                generated = _resized(generated, height, width)
            del pieces
            yield begin, generated, reference
            del generated, reference
        if frames < PIECE_FRAMES:
            break
    totals = [total + sum(1 for _ in film) for total, film in zip(totals, films, strict=True)]
    if abs(totals[0] - totals[1]) > 1:
        notes.append(
            f"they have {totals[0]} and {totals[1]} frames; the first {min(totals)} are compared"
        )


class Soundtrack:
    """What is said in a video, one piece after the other.

    Args:
        path: a file with sound.
        name: that spells the sentence, or does not; see `sentence_of_name`.

    Attributes:
        speech: bool [T], where something is said, at RATE.
        sentence: the words; None where they are not known, and where they are more than a piece
            holds.

    Raises:
        MediaError: it has no sound, or cannot be read.
    """

    def __init__(self, path: str, name: str):
        levels, _ = loudness_of(audio_blocks(path), AUDIO_RATE, RATE)
        self.speech = speech_activity(levels)
        self.sentence = sentence_of_name(name) if len(levels) <= PIECE_FRAMES else None
        edges = count(0, PIECE_FRAMES * SAMPLES_PER_FRAME)
        self._pieces = in_pieces(audio_blocks(path), edges)
        self._begin = 0

    def piece(self, frames: int) -> Utterance:
        """What is said in the next piece, of so many frames; silence after the end."""
        speech = self.speech[self._begin : self._begin + frames]
        self._begin += PIECE_FRAMES
        samples = next(self._pieces)[: frames * SAMPLES_PER_FRAME]
        return Utterance(samples, np.pad(speech, (0, frames - len(speech))), self.sentence)
