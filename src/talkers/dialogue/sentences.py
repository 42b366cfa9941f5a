"""Text of a language model, as it is written -> sentences that a voice can say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from talkers.errors import UsageError
from talkers.speech.text import sentences

MAX_SENTENCES = 3  # of a reply: who talks longer is not listened to
MAX_LENGTH = 400  # characters of a sentence; longer ones are cut
MAX_TURN = 4_000  # characters that a user says at once
ROLE = re.compile(r"^\s*(?:\w+ ?\d*|assistant)\s*:\s+(?=\S)", re.I)  # "User 2: "
NEXT_ROLE = re.compile(r"\n\s*(?:user|assistant|human|ai)\s*\d*\s*:", re.I)
ASIDE = re.compile(r"\*[^*\n]{1,60}\*|\([^()\n]{1,60}\)|[*_#`~|<>]+")  # *smiles*, markdown
END = (".", "!", "?", "…", ".”", "!”", "?”", '."', '!"', '?"', ".'", "!'", "?'")


def spoken_sentences(pieces: Iterable[str], most: int = MAX_SENTENCES) -> Iterator[str]:
    """Sentences, each as soon as the next one begins or the text ends.

    What is not for saying is dropped: roles, markdown, asides between stars or brackets, emoji. A
    last sentence that breaks off is dropped where there is one before it.

    Args:
        pieces: of the text.
        most: sentences that are taken; the writer is not asked for more.

    Yields:
        a sentence without line breaks.
    """
    text, given = "", 0
    for piece in pieces:
        text += piece
        if over := NEXT_ROLE.search(text):
            text = text[: over.start()]
        whole = list(sentences(text))
        for sentence in whole[given:-1]:
            given += 1
            if clean := speakable(sentence):
                yield clean
            if given == most:
                return
        if over:
            break
    rest = list(sentences(text))[given:]
    for sentence in rest[: most - given]:
        clean = speakable(sentence)
        if clean and (clean.endswith(END) or not given):
            given += 1
            yield clean


def speakable(sentence: str) -> str:
    """A sentence without what nobody says aloud; empty where nothing is left."""
    text = ASIDE.sub(" ", ROLE.sub("", sentence))
    kept = "".join(c if _is_text(c) else " " for c in text)
    text = " ".join(kept.split())[:MAX_LENGTH]
    return text if any(c.isalnum() for c in text) else ""


def _is_text(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMNPZ" or character in "+=$€£%°"


def checked_turn(text: str) -> str:
    """What a user said, without control characters.

    Raises:
        UsageError: there is nothing in it, or it is too long.
    """
    if len(text) > MAX_TURN:
        raise UsageError(
            f"a turn of {len(text):,} characters was given", todo=f"Say at most {MAX_TURN:,}"
        )
    clean = "".join(c if c.isprintable() else " " for c in text)
    clean = " ".join(clean.split())
    if not any(c.isalnum() or unicodedata.category(c) == "So" for c in clean):
        raise UsageError("there is nothing in this that can be answered", todo="Write words")
    return clean
