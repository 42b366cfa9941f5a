"""The one frame rate that experts know, and how pictures and sound are brought to it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.media import AUDIO_RATE
from talkers.speech import loudness, speech_gain
from talkers.speech.mel import log_mel_spectrogram

RATE = 25  # frames a second that the experts know
SAMPLES_PER_FRAME = 640  # of sound at 16 kHz


def frames_at_rate(count: int, rate: Fraction | float) -> NDArray[np.int64]:
    """Which of a clip's frames are shown when it is played at `RATE` frames a second.

    Args:
        count: frames of the clip, at least one.
        rate: its frames a second.

    Returns:
        indices [T'], T' = count * RATE / rate; 0, 1, 2 ... where the rate is `RATE` itself.
    """
    length = max(1, round(count * RATE / rate))
    # frame k of the result is on screen around its middle, (k + 1/2) / RATE seconds
    middles = (np.arange(length) + 0.5) * (float(rate) / RATE)
    return np.minimum(np.floor(middles + 1e-9).astype(np.int64), count - 1)


def shifted(samples: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Sound that comes later, as long as it was.

    Args:
        samples: float32 [n] at 16 kHz.
        frames: of 1/25 s by which it comes later (sooner, if negative).

    Returns:
        float32 [n]
    """
    padding = max(0, frames) * SAMPLES_PER_FRAME, max(0, -frames) * SAMPLES_PER_FRAME
    padded = np.pad(samples, padding)
    return padded[: len(samples)] if frames >= 0 else padded[-len(samples) :]


def mel_of_clip(samples: NDArray[np.float32], frames: int) -> Tensor:
    """The sound of a clip as sync experts are given it: at one loudness, silence behind it where
    it is too short.

    Args:
        samples: float32 [n] at 16 kHz.
        frames: of the clip, at `RATE` a second.

    Returns:
        log-mel [80, 4 * frames] at 100 Hz.
    """
    gain = np.float32(speech_gain(loudness(samples, AUDIO_RATE, RATE, frames)))
    length = frames * SAMPLES_PER_FRAME
    fitted = np.pad(samples[:length] * gain, (0, max(0, length - len(samples))))
    mel = log_mel_spectrogram(torch.from_numpy(fitted)[None])[0]
    # roughly -2..2 for speech: the quietest decades are cut off
    return mel.clamp(min=-6) / 2 + 1
