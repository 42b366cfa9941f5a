"""Whom a persona sounds and looks like: the voice and the portrait that suit it best.

ChatAnything (Zhao et al. 2023) asks a large language model for both. Here descriptions are
compared: gender, age and country where both sides name them, then the words that they share. No
picture is looked at: a portrait is what the text beside it, or its file's name, says.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from talkers.artefacts.pretrained_table import KOKORO_LANGUAGES, KOKORO_VOICES
from talkers.dialogue.persona import Persona, content_words
from talkers.errors import UsageError

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
MAX_PICTURES = 10_000
MAX_CAPTION = 4_000  # bytes
GENDER, AGE, PLACE = 4.0, 2.0, 3.0  # what agreement on these counts; a word counts 1
GENDERS = {
    "woman": "woman women female girl lady she mother mom mum wife daughter sister aunt granny "
    "grandmother grandma actress queen waitress hostess girlfriend nun widow madam",
    "man": "man men male boy gentleman he father dad husband son brother uncle grandfather grandpa "
    "actor king waiter boyfriend monk widower sir beard bearded",
}
AGES = {
    "young": "young girl boy student teenager teen school college twenties",
    "old": "old elderly retired grandmother grandma grandfather grandpa senior seventy eighty grey",
}
PLACES = {
    "b": "british britain england london scotland scottish wales welsh uk oxford",
    "a": "american america usa texas york california boston chicago states florida ohio",
    "e": "spanish spain madrid mexico mexican argentina colombia barcelona peru chile",
    "f": "french france paris lyon marseille",
    "i": "italian italy rome milan naples florence",
    "p": "portuguese portugal brazil brazilian lisbon rio",
}


@dataclass(frozen=True)
class _Traits:
    gender: str
    age: str
    place: str


def cast_voice(persona: Persona) -> tuple[str, str]:
    """The best-matching voice by name, and why, as a clause.

    Voices are known by language and gender. English personas get English voices: a voice of another
    language would not read their answers.
    """
    traits = _traits(persona.text, persona.gender)
    place = traits.place if traits.place in ("a", "b") else "a"
    gender = {"woman": "f", "man": "m"}.get(traits.gender, "")
    fitting = [name for name in KOKORO_VOICES if name[0] == place and gender in name[1]]
    # the same persona has the same voice, and others have others
    words = sorted(content_words(persona.text))
    chosen = fitting[sum(map(ord, "".join(words))) % len(fitting)] if words else "joe"
    if chosen == "joe":
        return chosen, "the persona tells nothing that a voice could show"
    accent = "British" if place == "b" else "American"
    found = [f"{accent} English"] + ([f"a {traits.gender}"] if traits.gender else [])
    other = KOKORO_LANGUAGES[traits.place][0] if traits.place not in ("", "a", "b") else ""
    note = f"; answers are English, so no {other} voice was taken" if other else ""
    return chosen, ", ".join(found) + note


def cast_face(persona: Persona, folder: str | os.PathLike[str]) -> tuple[Path, str]:
    """The portrait of a folder that suits a persona best, and why, as a clause.

    Args:
        persona: see there.
        folder: of pictures. What NAME.jpg shows is said by NAME.txt beside it, or by its name.

    Raises:
        UsageError: there is no such folder, or no picture in it.
    """
    folder = Path(folder)
    try:
        names = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES)[:MAX_PICTURES]
    except OSError as error:
        raise UsageError(
            "the portraits cannot be read", where=folder, why=error.strerror, todo="Name a folder"
        ) from error
    if not names:
        raise UsageError(
            "there is no portrait in this folder", where=folder, todo="Put .jpg or .png files there"
        )
    wanted, about = _traits(persona.text, persona.gender), content_words(persona.text)
    best, most, reasons = names[0], float("-inf"), list[str]()
    for path in names:
        text = _caption(path)
        score, why = _match(wanted, about, text)
        if score > most:
            best, most, reasons = path, score, why
    return best, ", ".join(reasons) or "no description says more of any other"


def _match(wanted: _Traits, about: frozenset[str], text: str) -> tuple[float, list[str]]:
    """How well a description suits, and in what."""
    has, score, reasons = _traits(text, ""), 0.0, list[str]()
    for weight, ours, theirs in (
        (GENDER, wanted.gender, has.gender),
        (AGE, wanted.age, has.age),
        (PLACE, wanted.place, has.place),
    ):
        if ours and theirs:
            score += weight if ours == theirs else -weight
            if ours == theirs:
                reasons.append(PLACE_NAMES.get(ours, ours))
    shared = sorted(about & content_words(text))
    return score + len(shared), reasons + shared[:4]


PLACE_NAMES = {key: words.split()[0] for key, words in PLACES.items()}


def _traits(text: str, gender: str) -> _Traits:
    """What a text says of somebody: the commonest of each kind; empty: nothing."""
    words = re.findall(r"[a-z]+", text.lower())

    def named(kinds: dict[str, str]) -> str:
        counts = {kind: sum(w in known.split() for w in words) for kind, known in kinds.items()}
        best = max(counts, key=lambda kind: counts[kind])
        return best if counts[best] else ""

    return _Traits(gender or named(GENDERS), named(AGES), named(PLACES))


def _caption(path: Path) -> str:
    """What a picture shows: the text beside it, and its name."""
    text = re.sub(r"[-_.\d]+", " ", path.stem)
    beside = path.with_suffix(".txt")
    try:
        with beside.open("rb") as file:
            text += " " + file.read(MAX_CAPTION).decode("utf-8", "replace")
    except OSError:
        pass  # it is optional
    return text
