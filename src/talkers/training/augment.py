"""Other voices, rooms and devices saying what a clip says, and sounds that are not speech.

Training on them lets others than the person drive the avatar.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from zlib import crc32

import numpy as np
import soxr
import torch
import torch.nn.functional as F
from av import AudioFrame
from av.filter import Graph
from numpy.typing import NDArray
from torch import Tensor

from talkers.media import AUDIO_RATE

Sound = NDArray[np.float32]  # [n] mono at 16 kHz
N_FFT, HOP = 512, 128
LIFTER = 32  # samples of the cepstrum that are the vocal tract's: below any pitch period (500 Hz)
ATEMPO_WINDOW = 0.045  # seconds of which atempo's first window is ahead at the start
TELEPHONE = 300.0, 3_400.0  # Hz
SCALE = (0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 19)  # semitones above the root
SLANT_COST = 0.1  # of a step in which only one of two aligned recordings goes on


def generator(name: str, number: int) -> np.random.Generator:
    """Random numbers of a clip's variant, the same each time."""
    return np.random.default_rng((crc32(name.encode()), number))


@dataclass(frozen=True)
class Augmentation:
    """Another voice in another room. Factors of 1 and None leave things as they are."""

    pitch: float = 1.0  # of the voice
    speed: float = 1.0  # of speaking
    formants: float = 1.0  # of the resonances: above 1 a shorter vocal tract
    echo: float | None = None  # seconds in which a room's sound fades by 60 dB
    noise: float | None = None  # its level in dB below the speech
    colour: float = 0.0  # of the noise: 0 white, 1 pink, 2 brown
    telephone: bool = False

    @staticmethod
    def drawn(random: np.random.Generator) -> Augmentation:
        """Any voice: of a man, a woman or a child, near or far, in a quiet or a noisy place."""
        pitch = float(np.exp(random.uniform(np.log(0.7), np.log(1.9))))
        return Augmentation(
            pitch=pitch,
            speed=max(
                float(np.exp(random.uniform(np.log(0.8), np.log(1.25)))), 0.55 * pitch
            ),  # FFmpeg slows down to a half
            formants=float(np.clip(pitch**0.4 * np.exp(random.normal(0, 0.06)), 0.8, 1.35)),
            echo=float(random.uniform(0.15, 0.7)) if random.random() < 0.4 else None,
            noise=float(random.uniform(5, 35)) if random.random() < 0.5 else None,
            colour=float(random.uniform(0, 2)),
            telephone=bool(random.random() < 0.2),
        )


def coloured(count: int, colour: float, random: np.random.Generator) -> Sound:
    """Noise of unit loudness whose power falls with frequency to the power of `colour`.

    Args:
        count: samples.
        colour: 0 white, 1 pink, 2 brown.
        random: source of the noise.

    Returns:
        [count]
    """
    spectrum = np.fft.rfft(random.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / AUDIO_RATE)
    # |N(f)|^2 ~ f^-colour, and above 30 Hz only, or it would drift
    noise = np.fft.irfft(spectrum * np.maximum(hertz, 30) ** (-colour / 2), count)
    return np.asarray(noise / max(float(noise.std()), 1e-9), np.float32)


def shift_formants(samples: Sound, factor: float) -> Sound:
    """Stretch the spectral envelope, as another vocal tract does; the pitch stays.

    The envelope is the low part of the cepstrum (Oppenheim 1969).

    Args:
        samples: float32 [n] at 16 kHz.
        factor: above 1 a shorter vocal tract.
    """
    window = torch.hann_window(N_FFT)
    bins = torch.stft(torch.from_numpy(samples), N_FFT, HOP, window=window, return_complex=True)
    # c = F^-1 log |X|; envelope E = F(c lifter); |Y(f)| = |X(f)| exp(E(f / factor) - E(f))
    cepstrum = torch.fft.irfft((bins.abs() + 1e-5).log(), dim=0)
    lifter = torch.zeros(N_FFT)
    lifter[0], lifter[1:LIFTER], lifter[-LIFTER + 1 :] = 1, 1, 1
    envelope = torch.fft.rfft(cepstrum * lifter[:, None], dim=0).real
    at = (torch.arange(N_FFT // 2 + 1) / factor).clamp(max=N_FFT // 2)
    low = at.floor().long().clamp(max=N_FFT // 2 - 1)
    moved = torch.lerp(envelope[low], envelope[low + 1], (at - low)[:, None])
    return torch.istft(
        bins * (moved - envelope).clamp(-4, 4).exp(), N_FFT, HOP, window=window, length=len(samples)
    ).numpy()


def time_stretch(samples: Sound, factor: float) -> Sound:
    """Play sound faster at its own pitch, by FFmpeg's WSOLA.

    Args:
        samples: float32 [n] at 16 kHz.
        factor: how many times as fast, 0.5 or more.

    Returns:
        [n / factor]
    """
    graph = Graph()
    source = graph.add_abuffer(
        sample_rate=AUDIO_RATE, format="flt", layout="mono", time_base=Fraction(1, AUDIO_RATE)
    )
    graph.link_nodes(
        source, graph.add("atempo", f"{factor:.4f}"), graph.add("abuffersink")
    ).configure()
    frame = AudioFrame.from_ndarray(
        np.ascontiguousarray(samples[None], np.float32), format="flt", layout="mono"
    )
    frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, 0, Fraction(1, AUDIO_RATE)
    graph.push(frame)
    graph.push(None)
    parts = []
    while True:
        try:
            parts.append(graph.pull().to_ndarray()[0])
        except (EOFError, BlockingIOError):  # all of it was taken
            late, count = (
                round(ATEMPO_WINDOW * (1 / factor - 1) * AUDIO_RATE),
                round(len(samples) / factor),
            )
            sound = np.concatenate([np.zeros(max(0, late), np.float32), *parts])[max(0, -late) :]
            # it forgets the last hundredth of a second
            return np.pad(sound, (0, max(0, count - len(sound))))[:count]


def augment_voice(samples: Sound, how: Augmentation, random: np.random.Generator) -> Sound:
    """Let another voice in another room say what a clip says.

    Args:
        samples: float32 [n] at 16 kHz.
        how: the voice and the room.
        random: source of noise and echo.

    Returns:
        [n / how.speed]
    """
    sound = (
        np.asarray(soxr.resample(samples, AUDIO_RATE * how.pitch, AUDIO_RATE), np.float32)
        if how.pitch != 1
        else samples
    )
    if how.speed != how.pitch:
        sound = time_stretch(sound, how.speed / how.pitch)
    if how.formants != how.pitch:
        sound = shift_formants(sound, how.formants / how.pitch)
    loud = float(np.percentile(np.abs(sound), 95)) / 2 + 1e-9
    if how.echo is not None:
        # y = x * h, the impulse response h noise that fades by 60 dB: n(t) 10^(-3 t / T60)
        tail = random.standard_normal(int(how.echo * AUDIO_RATE)) * 10 ** (
            -3 * np.arange(int(how.echo * AUDIO_RATE)) / (how.echo * AUDIO_RATE)
        )
        tail *= random.uniform(0.2, 0.7) / np.linalg.norm(tail)
        tail[0] = 1.0
        size = len(sound) + len(tail)
        sound = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)[
            : len(sound)
        ].astype(np.float32)
    if how.noise is not None:
        sound = sound + loud * 10 ** (-how.noise / 20) * coloured(len(sound), how.colour, random)
    if how.telephone:
        hertz = np.fft.rfftfreq(len(sound), 1 / AUDIO_RATE)
        sound = np.fft.irfft(
            np.fft.rfft(sound) * ((hertz > TELEPHONE[0]) & (hertz < TELEPHONE[1])), len(sound)
        ).astype(np.float32)
    return np.asarray(sound, np.float32)


def dtw_align(reference: Tensor, other: Tensor) -> Tensor:
    """Find each row of a recording in another one of the same words.

    Dynamic time warping (Sakoe and Chiba 1978) with the cosine distance.

    Args:
        reference: speech features [N, F].
        other: those of the other recording [M, F].

    Returns:
        positions float [N] in the other one, 0..M - 1, never falling.
    """
    a, b = (F.normalize(x - x.mean(0), dim=1) for x in (reference, other))
    cost = (1 - a @ b.T).tolist()
    n, m = len(cost), len(cost[0])
    total = [[float("inf")] * m for _ in range(n)]
    # D(i, j) = c(i, j) + min(D(i-1, j-1), D(i-1, j) + s, D(i, j-1) + s)
    for i in range(n):
        for j in range(m):
            before = 0.0 if i == j == 0 else float("inf")
            if i and j:
                before = total[i - 1][j - 1]
            if i:
                before = min(before, total[i - 1][j] + SLANT_COST)
            if j:
                before = min(before, total[i][j - 1] + SLANT_COST)
            total[i][j] = before + cost[i][j]
    found: list[list[int]] = [[] for _ in range(n)]
    i, j = n - 1, m - 1
    while True:
        found[i].append(j)
        if not i and not j:
            break
        steps = [(total[i - 1][j - 1], i - 1, j - 1)] if i and j else []
        steps += [(total[i - 1][j] + SLANT_COST, i - 1, j)] if i else []
        steps += [(total[i][j - 1] + SLANT_COST, i, j - 1)] if j else []
        _, i, j = min(steps)
    path = torch.tensor([sum(js) / len(js) for js in found])
    smooth = F.avg_pool1d(F.pad(path[None, None], (2, 2), mode="replicate"), 5, 1)[0, 0]
    return smooth.clamp(0, m - 1)


def at_positions(features: Tensor, positions: Tensor) -> Tensor:
    """Rows [M, ...] at fractional positions [N], linearly interpolated: [N, ...]."""
    low = positions.floor().long()
    between = (positions - low).reshape(-1, *[1] * (features.ndim - 1))
    return torch.lerp(features[low], features[(low + 1).clamp(max=len(features) - 1)], between)


def time_warp(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """How many frames of a clip pass in each frame when somebody else says it.

    Half to one and a quarter times as fast in the mean, some sounds longer, some shorter.

    Args:
        count: frames.
        random: source of the rhythm.

    Returns:
        [count], 0.3 to 1.6
    """
    speed = np.exp(random.uniform(np.log(0.5), np.log(1.25)))
    uneven = random.normal(0, 0.3, count // 8 + 2)  # log of the factor, every eight frames
    # speed exp(u(t)), u interpolated linearly
    factor = np.exp(np.interp(np.arange(count) / 8, np.arange(len(uneven)), uneven))
    return np.clip(speed * factor, 0.3, 1.6)


def music(count: int, random: np.random.Generator) -> Sound:
    """Chords, a melody and a beat: [count]."""
    time = np.arange(count) / AUDIO_RATE
    beat = float(random.uniform(0.25, 0.7))  # seconds
    sound = np.zeros(count)
    root, timbre = float(random.uniform(80, 220)), float(random.uniform(0.8, 2.5))
    for k in range(int(time[-1] / beat) + 1 if count else 0):
        since, sounds = np.maximum(time - k * beat, 0), time >= k * beat
        chord = random.choice(SCALE, size=int(random.integers(1, 4)), replace=False)
        fade = np.exp(-since * random.uniform(1, 6)) * sounds * np.minimum(since / 0.01, 1)
        for step in chord:
            for harmonic in range(1, 7):
                # fade(t) sin(2 pi h f t + phase) / h^timbre, f = root 2^(step / 12)
                hertz = root * 2 ** (step / 12) * harmonic
                if hertz < AUDIO_RATE / 2:
                    phase = random.uniform(0, 6)
                    tone = np.sin(2 * np.pi * hertz * since + phase)
                    sound += fade * tone / harmonic**timbre
        if random.random() < 0.7:
            loud = random.uniform(0.3, 2)
            sound += loud * np.exp(-since * 30) * sounds * random.standard_normal(count)
    return np.asarray(sound / max(float(np.abs(sound).max()), 1e-9), np.float32)


def non_speech(count: int, random: np.random.Generator) -> Sound:
    """Sound in which nobody speaks: [count].

    It is music, or noise that is steady, swells, or comes in knocks.
    """
    if random.random() < 0.5:
        return music(count, random) * np.float32(10 ** random.uniform(-1.5, 0))
    noise = coloured(count, float(random.uniform(0, 2)), random)
    time = np.arange(count) / AUDIO_RATE
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * random.uniform(0.2, 4) * time + random.uniform(0, 6))
    knocks = np.exp(-((time * random.uniform(1, 5)) % 1) * 12)
    shape = (np.ones(count), swell, knocks)[int(random.integers(3))]
    return np.asarray(noise * shape * 10 ** random.uniform(-2.5, -0.7), np.float32)
