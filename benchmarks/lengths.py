"""Do picture and sound last equally long? Random durations, frame rates and sampling rates, each
spoken and decoded again.

    python benchmarks/lengths.py [--cases 300] [--seed 0] [--avatar default] [--longest 4] [--long
    600] [--long-rate 30000/1001] [-o lengths.json]

Each case is noise of a random length (0.02 s to the longest) at a random sampling rate (8 to 96
kHz), spoken at a random rate (23.976 to 60 frames a second). Compared are the lengths of the sound
that was given, of the frames that can be decoded and of the sound that can be decoded of the video;
in frames. Last, one of `--long` seconds at `--long-rate` frames a second (29.97 unless told): what
drifts would be late at its end. Ten minutes at 25: `--cases 0 --long 600 --long-rate 25`. More than
half a frame of difference, of picture or sound, ends it with 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from talkers import Avatar
from talkers.corpus.store import rate_of
from talkers.hardware import machine
from talkers.media import audio_duration, decode_frames

RATES = [
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60),
]
HERTZ = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)


HALF = 0.5 + 1e-6  # of a frame


def case(
    avatar: Avatar, folder: Path, seconds: float, rate: Fraction, hertz: int
) -> dict[str, float]:
    """Speak so many seconds; differences in frames."""
    sound, video = folder / "a.wav", folder / "a.mp4"
    count = max(1, round(seconds * hertz))
    soundfile.write(sound, 0.05 * np.random.default_rng(count).standard_normal(count), hertz)
    avatar.speak(sound, frame_rate=rate, provenance=False).save(video)
    frames, heard = sum(1 for _ in decode_frames(video)), audio_duration(video)
    exact = Fraction(count, hertz)
    return {
        "picture": abs(float(frames - exact * rate)),
        "sound": abs(float((Fraction(heard) - exact) * rate)),
        "frames": frames,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--avatar", default="default")
    parser.add_argument("--longest", type=float, default=4.0)
    parser.add_argument("--long", type=float, default=600.0)
    parser.add_argument("--long-rate", type=rate_of, default=Fraction(30000, 1001))
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    avatar, random, bad = Avatar.load(options.avatar), np.random.default_rng(options.seed), []
    worst = {"picture": 0.0, "sound": 0.0}
    with tempfile.TemporaryDirectory() as name:
        for number in range(options.cases):
            seconds, rate = (
                float(random.uniform(0.02, options.longest)),
                RATES[int(random.integers(len(RATES)))],
            )
            hertz = HERTZ[int(random.integers(len(HERTZ)))]
            found = case(avatar, Path(name), seconds, rate, hertz)
            worst = {key: max(value, found[key]) for key, value in worst.items()}
            least = 1 if seconds * rate < 0.5 else HALF  # there is always one frame
            if found["picture"] > least or found["sound"] > HALF:
                bad.append(
                    {"case": number, "seconds": seconds, "rate": str(rate), "hertz": hertz, **found}
                )
        long = (
            case(avatar, Path(name), options.long, options.long_rate, 44_100)
            if options.long
            else {}
        )
    report = {
        "machine": machine(),
        "cases": options.cases,
        "seed": options.seed,
        "worst_in_frames": worst,
        f"after_{options.long:g}_s_at_{float(options.long_rate):g}": long,
        "bad": bad[:20],
    }
    print(json.dumps(report, indent=1))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(1 if bad or (long and max(long["picture"], long["sound"]) > HALF) else 0)


if __name__ == "__main__":
    main()
