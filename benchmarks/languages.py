"""Do avatars speak languages that their training has not heard? Sync and articulation of sentences
in five languages, beside the same frames with the sound of another sentence.

    python benchmarks/languages.py AVATAR [AVATAR ...] [-o languages.json]

Each AVATAR is a folder, such as portraits of one picture by different bases. The voices and
sentences are those of voices.py; the judges those of many people, which know no language.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from talkers import Avatar
from talkers.evaluation.tracked import track_clip
from talkers.experts.load import load_registered, people_folder
from talkers.hardware import machine
from talkers.speech import loudness, speech_activity
from voices import AUDIO_RATE, LANGUAGES, figure, synthetic


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("avatars", nargs="+")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    judges = {n: load_registered(f"sync-{n}", people_folder()) for n in ("pixels", "points")}
    report: dict[str, object] = {"machine": machine()}
    for name in options.avatars:
        avatar = Avatar.load(name)
        table = {}
        for language, (voice, texts) in LANGUAGES.items():
            sounds = [synthetic(voice, text) for text in texts]
            rows = []
            for k, samples in enumerate(sounds):
                frames = np.stack(list(avatar.speak(samples)))
                seen = track_clip(frames)
                speech = speech_activity(loudness(samples, AUDIO_RATE, 25, len(frames)))
                other = np.resize(sounds[(k + 1) % len(sounds)], len(samples))
                row = {"opening": float(seen.opening[speech].std())}
                for judge, expert in judges.items():
                    for what, sound in (("", samples), ("_other_sound", other)):
                        offset, confidence = expert.sync(seen.mouths, sound, speech)[:2]
                        row[f"in_sync_{judge}{what}"] = float(abs(offset) <= 1)
                        row[f"sync_confidence_{judge}{what}"] = confidence
                rows.append(row)
            table[language] = {key: figure([r[key] for r in rows]) for key in rows[0]}
            print(name, language, json.dumps(table[language]), flush=True)
        report[name] = table
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
