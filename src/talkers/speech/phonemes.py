"""Phonemes as speech features: what is said, and nothing of who says it.

AVCT (Wang et al. 2022, section 3.1) drives faces by phonemes, so that no voice is strange to it.
PocketSphinx finds them in the sound, with the acoustic model and the phone language model that its
package brings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.speech.alignment import ALIGNER_RATE, aligner
from talkers.speech.config import FEATURE_RATE, SpeechConfig
from talkers.speech.windows import MARGIN, ROWS, SAMPLE_RATE, WINDOW

VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
PHONES = tuple(f"{VOWELS} {CONSONANTS}".split())
"""ARPAbet without stress; whatever else PocketSphinx finds is silence."""
PHONE_LM = "en-us/en-us-phone.lm.bin"
LM_WEIGHT = 2.0  # of the phone language model, beside the sound
BEAM = 1e-10
HISS = 2  # of a 16-bit sample's steps: the recogniser finds speech in digital silence


class Phonemes:
    """Which phoneme is said: one of 39 and silence, as shares of a feature's time.

    Args:
        config: nothing in it changes anything.

    Raises:
        MissingComponent: PocketSphinx is not installed.
    """

    width = len(PHONES) + 1
    rate = FEATURE_RATE
    lookahead = MARGIN / SAMPLE_RATE

    def __init__(self, config: SpeechConfig | None = None):
        self._decoder = aligner("the speech encoder 'phonemes'", "encoders")
        from pocketsphinx import get_model_path

        self._lm = get_model_path(PHONE_LM)
        hiss = np.random.default_rng(0).integers(-HISS, HISS + 1, WINDOW)
        self._hiss = hiss.astype(np.float32) / 32768

    def encode(self, windows: Tensor) -> Tensor:
        """See `SpeechEncoder`."""
        return torch.stack([self._window(window) for window in windows.cpu().numpy()])

    def _window(self, samples: NDArray[np.float32]) -> Tensor:
        """The features of one window: [ROWS, width]."""
        # a decoder of its own, since it goes on adapting to all that it has been given
        decoder: Any = self._decoder(
            allphone=self._lm,
            lm=None,
            dict=None,
            lw=LM_WEIGHT,
            beam=BEAM,
            pbeam=BEAM,
            loglevel="FATAL",
        )
        sound = np.clip(samples + self._hiss, -1, 1) * 32767
        decoder.start_utt()
        decoder.process_raw(sound.astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        each = ALIGNER_RATE // FEATURE_RATE
        shares = torch.zeros(ROWS * each, self.width)
        shares[:, -1] = 1
        for found in decoder.seg() or ():
            if found.word in PHONES:
                said = slice(found.start_frame, found.end_frame + 1)
                shares[said, -1] = 0
                shares[said, PHONES.index(found.word)] = 1
        return shares.reshape(ROWS, each, -1).mean(1)
