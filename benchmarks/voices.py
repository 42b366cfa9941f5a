"""Do other voices drive an avatar as its own does? Lip reading, sync and articulation of what it
says, by whom it hears.

    python benchmarks/voices.py CORPUS [FOLDER ...] [--avatar default] [--clips 10] [--motion
    regressor] [--parts recordings synthetic languages]
        [--voices NAME ...] [--own-pace] [--drawn 0] [--pictures FOLDER] [-o voices.json]

CORPUS is the prepared corpus that the avatar was trained on; the sound of its held-out clips is its
own voice. Each FOLDER holds recordings of another speaker, named as in GRID. Then synthetic voices
say the held-out sentences, with silence before and after as in GRID (with --own-pace each in the
time that the person's own sentences take in the mean: the lip readers know no other pace), and as
many more of GRID's grammar, drawn at random, as --drawn says (twenty clips tell word errors to 4
points); last four sentences in each of five languages (--pictures keeps frames of them to look at).
Everything is spoken as a user gets it (predicted pose), and read by the lip reader that sees pixels
and the one that sees points. Articulation is the standard deviation of the mouth's opening in
frames with speech, relative to what the person's own voice gives; sync confidence is how much more
alike mouth and sound are at the judges' offset than at others. What the judges can read at all of
somebody else's rhythm is told by real_lips: the held-out clip itself, its frames moved in time to
where the other voice says the same (dynamic time warping of the speech features), read as what is
made is read; opening_correlation is between its mouth's opening and that of the mouth that was
made.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from talkers import Avatar, Controls
from talkers.corpus import Corpus
from talkers.corpus.splits import held_out
from talkers.evaluation.tracked import track_clip
from talkers.evaluation.variants import features_at_frames
from talkers.experts import load_expert
from talkers.experts.words import SLOTS, sentence_of_name, word_error_rate, written
from talkers.hardware import machine
from talkers.media import AUDIO_RATE, audio_blocks, write_png
from talkers.media.montage import montage
from talkers.speech import loudness, speech_activity
from talkers.speech.voices import load_voice
from talkers.training.augment import dtw_align

Heard = tuple[
    str, NDArray[np.float32], tuple[str, ...] | None
]  # voice, float32 [n] at 16 kHz, the six words
ENGLISH = ("joe", "am_michael", "bm_george", "af_heart", "bf_emma")
LANGUAGES = {
    "English": (
        "af_heart",
        (
            "The old man put a pebble in his pocket and smiled at the morning sun.",
            "Where did you put the blue bowl that my mother bought?",
            "Five people waited in front of the bank, but nobody opened.",
            "Please wash your hands, and then we will eat together.",
        ),
    ),
    "Spanish": (
        "em_alex",
        (
            "El hombre viejo guardó una piedra en el bolsillo y sonrió al sol de la mañana.",
            "¿Dónde pusiste el cuenco azul que compró mi madre?",
            "Cinco personas esperaron delante del banco, pero nadie abrió.",
            "Por favor, lávate las manos y después comeremos juntos.",
        ),
    ),
    "French": (
        "ff_siwis",
        (
            "Le vieil homme mit un petit caillou dans sa poche et sourit au soleil du matin.",
            "Où as-tu mis le bol bleu que ma mère a acheté ?",
            "Cinq personnes ont attendu devant la banque, mais personne n'a ouvert.",
            "Lave-toi les mains, s'il te plaît, et puis nous mangerons ensemble.",
        ),
    ),
    "Italian": (
        "im_nicola",
        (
            "Il vecchio mise un piccolo sasso in tasca e sorrise al sole del mattino.",
            "Dove hai messo la ciotola blu che ha comprato mia madre?",
            "Cinque persone hanno aspettato davanti alla banca, ma nessuno ha aperto.",
            "Per favore, lavati le mani e poi mangeremo insieme.",
        ),
    ),
    "Portuguese": (
        "pf_dora",
        (
            "O velho homem pôs uma pedrinha no bolso e sorriu para o sol da manhã.",
            "Onde você pôs a tigela azul que minha mãe comprou?",
            "Cinco pessoas esperaram em frente ao banco, mas ninguém abriu.",
            "Por favor, lave as mãos e depois comeremos juntos.",
        ),
    ),
}
PARTS = ("recordings", "synthetic", "languages")


cached_voice = cache(load_voice)


def synthetic(voice: str, text: str, lasting: float | None = None) -> NDArray[np.float32]:
    """What a voice says of a text, at 16 kHz; at its own pace, or so that the speech lasts so many
    seconds."""
    teller = cached_voice(voice)

    def said(speed: float) -> NDArray[np.float32]:
        return np.asarray(
            soxr.resample(teller.say(text, speed).samples, teller.rate, AUDIO_RATE), np.float32
        )

    plain = said(1.0)
    return plain if lasting is None else said(float(np.clip(lasts(plain) / lasting, 0.5, 2)))


def lasts(samples: NDArray[np.float32]) -> float:
    """Seconds from the first to the last of the speech."""
    spoken = np.flatnonzero(
        speech_activity(loudness(samples, AUDIO_RATE, 25, len(samples) * 25 // AUDIO_RATE))
    )
    return float(spoken[-1] - spoken[0] + 1) / 25


def framed(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """A sentence in the middle of the three seconds that GRID's clips last: the readers know
    sentences with silence around them."""
    missing = max(0, 3 * AUDIO_RATE - len(samples))
    return np.pad(samples, (missing // 2, missing - missing // 2))


def drawn(count: int, known: set[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Sentences of GRID's grammar that are not known, the same ones for every voice."""
    chance = np.random.default_rng(0)
    found: list[tuple[str, ...]] = []
    while len(found) < count:
        sentence = tuple(str(chance.choice(slot)) for slot in SLOTS)
        if sentence not in known:
            found.append(sentence)
    return found


def in_rhythm(
    avatar: Avatar, corpus: Corpus, name: str, samples: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """A clip's real frames where another recording of its words has them: [T, H, W, 3]."""
    real = np.array(corpus.frames(name))
    count = len(samples) * corpus.rate.numerator // (AUDIO_RATE * corpus.rate.denominator)
    theirs, own = (
        features_at_frames(avatar, sound, frames)
        for sound, frames in ((samples, count), (corpus.audio(name), len(real)))
    )
    at = (dtw_align(theirs, own).reshape(count, 2).mean(1) - 0.5) / 2
    return real[at.round().long().clamp(0, len(real) - 1).numpy()]


def sounds(
    corpus: Corpus,
    folders: list[Path],
    clips: int,
    parts: list[str],
    voices: Sequence[str],
    more: int,
    own_pace: bool,
) -> Iterator[Heard]:
    """Everything that is said to the avatar."""
    names = held_out(corpus.names)[:clips]
    for name in names:
        yield "own", corpus.audio(name), sentence_of_name(name)
    for folder in folders if "recordings" in parts else []:
        for path in sorted(p for p in folder.iterdir() if p.is_file())[:clips]:
            yield (
                folder.parent.name if folder.name == "video" else folder.name,
                np.concatenate(list(audio_blocks(path))),
                sentence_of_name(path.stem[-6:]),
            )
    lasting = float(np.mean([lasts(corpus.audio(name)) for name in names])) if own_pace else None
    sentences = [s for s in map(sentence_of_name, names) if s is not None]
    sentences += drawn(more, {s for s in map(sentence_of_name, corpus.names) if s is not None})
    for voice in voices if "synthetic" in parts else []:
        for sentence in sentences:
            yield voice, framed(synthetic(voice, written(sentence), lasting)), sentence
    for language, (voice, texts) in LANGUAGES.items() if "languages" in parts else []:
        for text in texts:
            yield language, synthetic(voice, text), None


def figure(values: Sequence[float]) -> float | None:
    """The mean of those that there are."""
    known = [v for v in values if v == v]
    return round(float(np.mean(known)), 3) if known else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--avatar", default="default")
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--motion", default="regressor", choices=("regressor", "sampler"))
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument(
        "--voices", nargs="*", default=list(ENGLISH), help="synthetic voices of English"
    )
    parser.add_argument("--own-pace", action="store_true", help="they speak as fast as the person")
    parser.add_argument(
        "--drawn",
        type=int,
        default=0,
        help="so many sentences of GRID's grammar more for each of them",
    )
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--live", action="store_true", help="hear with the avatar's own listener")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if missing := [str(folder) for folder in options.folders if not folder.is_dir()]:
        parser.error(f"there is no folder {', '.join(missing)}")
    avatar, corpus, controls = (
        Avatar.load(options.avatar),
        Corpus(options.corpus),
        Controls(motion=options.motion),
    )
    readers = {n: load_expert(f"lips-{n}") for n in ("pixels", "points")}
    clip_of = {sentence_of_name(name): name for name in held_out(corpus.names)}
    judges = {n: load_expert(f"sync-{n}") for n in ("pixels", "points")}
    rows: dict[str, list[dict[str, float]]] = {}
    for voice, samples, sentence in sounds(
        corpus,
        options.folders,
        options.clips,
        options.parts,
        options.voices,
        options.drawn,
        options.own_pace,
    ):
        frames = np.stack(list(avatar.speak(samples, controls=controls, live=options.live)))
        seen = track_clip(frames)
        speech = speech_activity(loudness(samples, AUDIO_RATE, 25, len(frames)))
        row = {"opening": float(seen.opening[speech].std())}
        real = (
            track_clip(in_rhythm(avatar, corpus, clip_of[sentence], samples))
            if sentence in clip_of
            else None
        )
        row["opening_correlation"] = (
            float("nan")
            if real is None
            else float(np.corrcoef(seen.opening[: len(real.opening)], real.opening)[0, 1])
        )
        for name, reader in readers.items():
            if sentence is not None:
                row[f"lip_wer_{name}"] = word_error_rate(sentence, reader.read(seen.mouths))
                row[f"real_lips_wer_{name}"] = (
                    word_error_rate(sentence, reader.read(real.mouths))
                    if real is not None
                    else float("nan")
                )
        for name, judge in judges.items():
            offset, row[f"sync_confidence_{name}"] = judge.sync(seen.mouths, samples, speech)[:2]
            row[f"in_sync_{name}"] = float(abs(offset) <= 1)
        if options.pictures and voice in LANGUAGES:
            options.pictures.mkdir(parents=True, exist_ok=True)
            write_png(
                options.pictures / f"{voice}-{len(rows.get(voice, ())) + 1}.png", montage([frames])
            )
        rows.setdefault(voice, []).append(row)
    own = np.mean([r["opening"] for r in rows["own"]])
    table = {}
    for voice, found in rows.items():
        table[voice] = {
            "clips": len(found),
            "articulation": round(float(np.mean([r["opening"] for r in found]) / own), 2),
        }
        table[voice] |= {k: figure([r[k] for r in found]) for k in found[0] if k != "opening"}
        if "lip_wer_pixels" in found[0]:
            errors = [(r["lip_wer_pixels"] + r["lip_wer_points"]) / 2 for r in found]
            table[voice]["lip_wer_standard_error"] = round(
                float(np.std(errors) / max(1, len(errors) - 1) ** 0.5), 3
            )
        print(voice, json.dumps(table[voice]), flush=True)
    report = {
        "machine": machine(),
        "avatar": avatar.engine.folder.name,
        "motion": options.motion,
        "live": options.live,
        "own_pace": options.own_pace,
        "voices": table,
    }
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
