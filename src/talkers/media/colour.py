"""What the numbers of a picture mean: colour matrices, and the brightness of HDR pictures.

Ordinary video says with which matrix its colours were coded (BT.601, BT.709), or says nothing; then
its size decides, as in players. HDR video (PQ and HLG, BT.2100) is brought to ordinary brightness
and colours as BT.2408 places them.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]


class Transfer(IntEnum):
    """Transfer functions of HDR, as numbered by ITU-T H.273."""

    PQ = 16
    HLG = 18


class Matrix(IntEnum):
    """Colour matrices, as numbered by ITU-T H.273."""

    BT709 = 1
    UNSPECIFIED = 2
    BT601 = 6


def usual_matrix(width: int, height: int) -> Matrix:
    """The matrix that players assume where a file says nothing: BT.709 for HD, else BT.601."""
    return Matrix.BT709 if width >= 1280 or height > 576 else Matrix.BT601


REFERENCE_WHITE = 203.0  # cd/m2 of diffuse white in HDR (BT.2408), which becomes full scale
HLG_PEAK = 1000.0  # cd/m2 of the display that HLG is shown on
KNEE = 0.6  # of full scale: brightness is kept up to here, and pressed together above
GAMMA = 2.4  # of ordinary displays (BT.1886)
TO_BT709 = np.array(  # linear light, BT.2020 -> BT.709 (BT.2087)
    [
        [1.6605, -0.5876, -0.0728],
        [-0.1246, 1.1329, -0.0083],
        [-0.0182, -0.1006, 1.1187],
    ],
    np.float32,
)
LUMA_BT2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
ROWS = 128  # worked on at once: a large picture in floats needs much memory


@cache
def _linear_light(transfer: Transfer) -> FloatImage:
    """Light for each of 65536 code values: PQ in units of reference white, HLG as scene light
    0..1."""
    code = np.linspace(0, 1, 1 << 16)
    if transfer is Transfer.PQ:
        # EOTF of ST 2084: Y = 10000 (max(E^(1/m2) - c1, 0) / (c2 - c3 E^(1/m2)))^(1/m1)
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = code ** (1 / m2)
        light = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
        return (light / REFERENCE_WHITE).astype(np.float32)
    # Inverse OETF of HLG: E = E'^2 / 3 up to 1/2, then (exp((E' - c) / a) + b) / 12
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return light.astype(np.float32)


def to_ordinary_brightness(picture: NDArray[np.uint16], transfer: Transfer) -> NDArray[np.uint8]:
    """Bring an HDR picture to ordinary brightness and colours.

    Args:
        picture: uint16 [H, W, 3], BT.2020 R'G'B' over the full range.
        transfer: what its code values mean.

    Returns:
        uint8 [H, W, 3], BT.709.
    """
    out = np.empty(picture.shape, np.uint8)
    for top in range(0, len(picture), ROWS):
        light = _linear_light(transfer)[picture[top : top + ROWS]]
        if transfer is Transfer.HLG:
            # OOTF: display light = peak * Ys^0.2 * E
            luma = np.maximum(light @ LUMA_BT2020, 1e-6)[..., None]
            light = light * luma**0.2 * np.float32(HLG_PEAK / REFERENCE_WHITE)
        light = np.maximum(light @ TO_BT709.T, 0)
        # The brightest channel x is kept up to the knee k, then k + (1 - k)(1 - exp(-(x - k) / (1 -
        # k))); the others
        # keep their ratio to it.
        x = np.maximum(light.max(-1, keepdims=True), 1e-6)
        pressed = KNEE + (1 - KNEE) * (1 - np.exp(-(x - KNEE) / (1 - KNEE)))
        light *= np.where(x > KNEE, pressed / x, 1)
        out[top : top + ROWS] = np.rint(255 * np.clip(light, 0, 1) ** (1 / GAMMA))
    return out
