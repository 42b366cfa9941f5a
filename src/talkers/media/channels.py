"""Many channels of sound -> two or one, as loud as a listener in the room would hear them.

Layouts with a centre, surrounds and so on are mixed by FFmpeg's own matrices (after ITU-R BS.775).
Channels that are each other's negative would leave silence; then one of them is taken for all.
"""

from __future__ import annotations

from functools import cache

import av
import numpy as np
from numpy.typing import NDArray

CANCELLATION = (
    0.1  # energy of a mono mix, as a share of its loudest channel's, below which it cancels
)
MAX_CHANNELS = 64
USUAL_LAYOUTS = {3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


@cache
def stereo_matrix(layout: str) -> NDArray[np.float32] | None:
    """FFmpeg's weights from a channel layout to left and right.

    Args:
        layout: FFmpeg's name of a layout, such as "5.1(side)".

    Returns:
        float32 [2, channels]; None: FFmpeg knows no mix of this layout.
    """
    try:
        channels = av.AudioLayout(layout).nb_channels
        # An impulse in each channel in turn: what comes out are the columns of the matrix.
        sound = np.zeros((64 * channels, channels), np.float32)
        sound[np.arange(channels) * 64 + 32, np.arange(channels)] = 1.0
        frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = 48_000
        resampler = av.AudioResampler(format="flt", layout="stereo", rate=48_000)
        mixed = np.concatenate([part.to_ndarray() for part in resampler.resample(frame)], 1)
        return mixed.reshape(-1, 2)[32::64].T.copy()
    except (av.error.FFmpegError, ValueError, IndexError):
        return None


def mix_weights(layout: str | None, channels: int) -> NDArray[np.float32]:
    """Weights from the channels of a sound to left and right.

    Args:
        layout: FFmpeg's name of it; None: what is usual for so many channels.
        channels: how many there are.

    Returns:
        float32 [2, channels]
    """
    if channels == 1:
        return np.ones((2, 1), np.float32)
    if channels == 2:
        return np.eye(2, dtype=np.float32)
    matrix = stereo_matrix(layout or USUAL_LAYOUTS.get(channels, ""))
    if matrix is None or matrix.shape[1] != channels or not matrix.any():
        return np.full((2, channels), 1 / channels, np.float32)
    return matrix


def cancels(mix_energy: float, channel_energies: NDArray[np.float64]) -> bool:
    """Whether a mono mix is so weak that its channels must be each other's negative.

    Args:
        mix_energy: mean square of the mix.
        channel_energies: [channels] mean square of each.
    """
    loudest = float(channel_energies.max(initial=0.0))
    return loudest > 0 and mix_energy < CANCELLATION * loudest


def mix_to_mono(samples: NDArray[np.float32], layout: str | None = None) -> NDArray[np.float32]:
    """Mix a whole sound to one channel.

    Args:
        samples: float32 [channels, n]
        layout: see `mix_weights`.

    Returns:
        float32 [n]; the loudest channel alone where the mix cancels.
    """
    weights = mix_weights(layout, len(samples)).mean(0)
    mono = weights @ samples
    energies = np.square(samples, dtype=np.float64).mean(1)
    weighted = energies * (weights > 0)  # a channel of low effects is never the voice
    if cancels(float(np.square(mono, dtype=np.float64).mean()), weighted):
        return samples[int(weighted.argmax())].copy()
    return mono
