"""Does an avatar do what its controls ask? Everything is measured on the frames that it makes.

    python benchmarks/controls.py CORPUS [--avatar default] [--motion regressor] [--live] [--clips
    4] [--drawn 0] [--voice am_michael] [--parts poses ...] [-o controls.json]

CORPUS is the prepared corpus that the avatar was trained on; the sound of its held-out clips is
spoken with one control changed at a time. Poses: the mean absolute difference between asked and
tracked angles in degrees, for poses inside the footage's range, and the lip readers' word errors
beside those with the predicted pose (for closer figures --drawn asks for so many sentences of
GRID's grammar more, said by a synthetic voice); what the tracker says of the corpus's own frames,
beside what was measured in the source video, is the scale (a tracker's angles depend on the crop).
Amplitude: the standard deviation of the mouth's opening in frames with speech, relative to
amplitude 1. Expression: likewise of the brows' blendshapes. Blinks: how many are seen of those
asked for. Silence: the pauses of all held-out clips, and five seconds of digital silence. Music and
noise: twelve sounds in which nobody speaks, of the kinds that training hears, drawn anew. Gaze: the
iris between the corners of the eyes, in shares of the eye's width.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkers import Avatar, Controls
from talkers.controls.pose_files import ANGLES
from talkers.corpus import Corpus
from talkers.corpus.splits import held_out
from talkers.evaluation.gaze import BROWS, gaze_of
from talkers.evaluation.motion import MOVING, blinks_of, silence_motion, silent_frames
from talkers.evaluation.tracked import TrackedClip, track_clip
from talkers.experts import load_expert
from talkers.experts.words import sentence_of_name, word_error_rate, written
from talkers.hardware import machine
from talkers.media import AUDIO_RATE
from talkers.speech import loudness, speech_activity
from talkers.training.augment import generator, non_speech
from voices import drawn, framed, synthetic

PARTS = ("silence", "noise", "poses", "amplitude", "expression", "gaze", "blinks")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--avatar", default="default")
    parser.add_argument("--motion", default="regressor", choices=("regressor", "sampler"))
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument(
        "--drawn", type=int, default=0, help="so many more sentences, drawn at random"
    )
    parser.add_argument("--voice", default="am_michael", help="the synthetic voice that says them")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--live", action="store_true", help="hear with the avatar's own listener")
    options = parser.parse_args()
    avatar, corpus = Avatar.load(options.avatar), Corpus(options.corpus)
    names = held_out(corpus.names)[: options.clips]
    sounds, said = (
        {n: corpus.audio(n) for n in held_out(corpus.names)},
        {n: sentence_of_name(n) or () for n in held_out(corpus.names)},
    )
    for sentence in drawn(
        options.drawn, {s for s in map(sentence_of_name, corpus.names) if s is not None}
    ):
        names.append(" ".join(sentence))
        said[names[-1]], sounds[names[-1]] = (
            sentence,
            framed(synthetic(options.voice, written(sentence))),
        )
    readers = [load_expert("lips-pixels"), load_expert("lips-points")]

    def made(
        names: list[str] = names, **asked: object
    ) -> list[tuple[TrackedClip, NDArray[np.bool_], str]]:
        shown = []
        for name in names:
            samples = sounds[name]
            frames = np.stack(
                list(
                    avatar.speak(
                        samples,
                        controls=Controls(motion=options.motion, **asked),
                        live=options.live,
                    )
                )
            )  # type: ignore[arg-type]
            shown.append(
                (
                    track_clip(frames),
                    speech_activity(loudness(samples, AUDIO_RATE, 25, len(frames))),
                    name,
                )
            )
        return shown

    def errors(shown: list[tuple[TrackedClip, NDArray[np.bool_], str]]) -> float:
        return float(
            np.mean(
                [
                    word_error_rate(said[n], reader.read(w.mouths))
                    for w, _, n in shown
                    for reader in readers
                ]
            )
        )

    def spread(shown: list[tuple[TrackedClip, NDArray[np.bool_], str]]) -> float:
        return float(np.mean([w.opening[s].std() for w, s, _ in shown]))

    def brows(shown: list[tuple[TrackedClip, NDArray[np.bool_], str]]) -> float:
        return float(np.mean([w.blendshapes[:, BROWS].std(0).mean() for w, _, _ in shown]))

    head = avatar.about["head"]
    real = [
        (track_clip(corpus.frames(n)).angles, np.stack([corpus.column(a, n) for a in ANGLES], 1))
        for n in held_out(corpus.names)[:8]
    ]
    seen, known = (np.concatenate(rows) for rows in zip(*real, strict=True))
    scale = [
        np.polyfit(known[:, k], seen[:, k], 1) for k in range(len(ANGLES))
    ]  # what the tracker says of an angle in these crops
    plain, parts = made(), options.parts
    table: dict[str, dict[str, float]] = {"predicted": {"lip_wer": errors(plain)}}

    def opening_of(sound: NDArray[np.float32]) -> NDArray[np.float32]:
        return track_clip(
            np.stack(
                list(
                    avatar.speak(sound, controls=Controls(motion=options.motion), live=options.live)
                )
            )
        ).opening

    if "silence" in parts:
        silent = made(held_out(corpus.names))
        quiet = np.array([silent_frames(s)[1:].sum() for _, s, _ in silent])
        shares = np.array([silence_motion(w.opening, s) for w, s, _ in silent])
        table["silence"] = {
            "moving": float(np.nansum(quiet * shares) / quiet[np.isfinite(shares)].sum()),
            "frames": float(quiet.sum()),
        }
        table["digital silence"] = {
            "moving": float(
                (np.abs(np.diff(opening_of(np.zeros(5 * AUDIO_RATE, np.float32)))) > MOVING).mean()
            )
        }
    if "noise" in parts:
        seen_unsaid = [
            opening_of(non_speech(3 * AUDIO_RATE, generator("benchmark", k))) for k in range(12)
        ]
        table["music and noise"] = {
            "opening": float(np.mean([o.std() for o in seen_unsaid])) / spread(plain),
            "moving": float(np.mean([(np.abs(np.diff(o)) > MOVING).mean() for o in seen_unsaid])),
            "moving_in_speech": float(
                np.mean([(np.abs(np.diff(w.opening))[s[1:]] > MOVING).mean() for w, s, _ in plain])
            ),
        }
    for share, (k, angle) in product((0.15, 0.85) if "poses" in parts else (), enumerate(ANGLES)):
        value = head["low"][k] + share * (head["high"][k] - head["low"][k])
        asked = {a: head["mean"][i] for i, a in enumerate(ANGLES)} | {angle: value}
        shown = made(pose=",".join(f"{a}={v:.3f}" for a, v in asked.items()))
        wanted = np.array(
            [np.polyval(line, v) for line, v in zip(scale, asked.values(), strict=True)]
        )
        off = np.concatenate([np.abs(w.angles - wanted) for w, _, _ in shown])
        table[f"{angle}={value:.1f}"] = {
            "pose_error": float(off.mean()),
            f"{angle}_error": float(off[:, k].mean()),
            "lip_wer": errors(shown),
        }
        print(json.dumps({f"{angle}={value:.1f}": table[f"{angle}={value:.1f}"]}), flush=True)
    for amplitude in (0.5, 1.5) if "amplitude" in parts else ():
        table[f"amplitude={amplitude}"] = {
            "opening": spread(made(amplitude=amplitude)) / spread(plain)
        }
    for expression in (0.0, 2.0) if "expression" in parts else ():
        table[f"expression={expression}"] = {
            "brows": brows(made(brow_amplitude=expression)) / brows(plain)
        }
    still = np.concatenate([gaze_of(w.landmarks)[w.blink < 0.3] for w, _, _ in plain]).mean(0)
    for way in ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)) if "gaze" in parts else ():
        looked = (
            np.concatenate(
                [gaze_of(w.landmarks)[w.blink < 0.3] for w, _, _ in made(gaze=way)]
            ).mean(0)
            - still
        )
        table[f"gaze={way[0]:g},{way[1]:g}"] = {"left": float(looked[0]), "up": float(looked[1])}
    for times in ((), (1.0, 2.0)) if "blinks" in parts else ():
        shown = made(blinks=0.0, blink_times=times)
        table[f"blink_times={times}"] = {
            "seen_a_clip": float(np.mean([blinks_of(w.blink)[0] for w, _, _ in shown]))
        }
    for name, row in table.items():
        print(name, json.dumps({k: round(v, 3) for k, v in row.items()}), flush=True)
    if options.output:
        report = {
            "machine": machine(),
            "avatar": avatar.engine.folder.name,
            "motion": options.motion,
            "clips": names,
            "controls": table,
        }
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
