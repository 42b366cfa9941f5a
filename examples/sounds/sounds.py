"""Recordings for an avatar's own speech encoder: sentences of a text, said by local voices.

    pip install 'talkers[prepare,kokoro]'
    python sounds.py sentences.txt -o sounds/ --count 600

The text has a sentence a line. Voices take turns; each file is one sentence, at most 12 seconds.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import soxr

from talkers.media import AUDIO_RATE, write_flac
from talkers.speech.voices import VOICES, load_voice

LONGEST = 120  # characters


def main() -> None:
    """Say so many of the sentences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--voices", nargs="*", default=list(VOICES))
    parser.add_argument("--part", default="0/1", help="k/n: every n-th sentence, from the k-th on")
    options = parser.parse_args()
    lines = sorted({line.strip() for line in options.text.read_text().splitlines()} - {""})
    lines = [line for line in lines if len(line) <= LONGEST]
    random.Random(0).shuffle(lines)
    options.output.mkdir(parents=True, exist_ok=True)
    first, every = map(int, options.part.split("/"))
    order = [(line, k, options.voices[k % len(options.voices)]) for k, line in enumerate(lines)]
    chosen = [(v, k, line) for line, k, v in order[: options.count] if k % every == first]
    for voice, number, line in sorted(chosen):  # a voice is loaded once
        path = options.output / f"{number:05d}-{voice}.flac"
        if path.exists():
            continue
        speaker = load_voice(voice)
        said = soxr.resample(speaker.say(line).samples, speaker.rate, AUDIO_RATE)
        write_flac(path, said, AUDIO_RATE)


if __name__ == "__main__":
    main()
