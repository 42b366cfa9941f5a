"""A persona: whom an avatar plays, in a small TOML file.

```toml
name = "Ada"
gender = "woman"            # optional; helps to choose a voice and a face
facts = ["I am a baker.", "I have a dog named Max."]
style = "warm and curious"  # optional
```
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from talkers.errors import UsageError, reason

MAX_BYTES = 65_536  # of a file
MAX_FACTS = 40
MAX_FACT = 400  # characters
WORD = re.compile(r"[a-z0-9']+")
EMPTY_TEXT = (
    "a an and are as at be been but by can could did do does for from get got had has have he her "
    "his how i i'm i've if in is it it's its just like love me my of on or our out really she so "
    "some than that that's the their them then there they this to too up very was we were what "
    "when where which who will with would you your you're don't am not no yes go going much lot "
    "all also always one about because more most"
)
EMPTY_WORDS = frozenset(EMPTY_TEXT.split())


@dataclass(frozen=True)
class Persona:
    """Whom an avatar plays.

    Attributes:
        name: how it is called; may be empty.
        facts: sentences that it could say of itself, such as "I am a baker."
        style: how it talks, such as "warm and curious".
        gender: "woman", "man" or empty; for a voice and a face.
        description: free text, for a voice and a face too.
    """

    name: str = ""
    facts: tuple[str, ...] = ()
    style: str = ""
    gender: str = ""
    description: str = ""

    def __bool__(self) -> bool:
        """Whether it says anything at all."""
        return bool(self.name or self.facts or self.style or self.description)

    @property
    def text(self) -> str:
        """All of it as a text, for whoever compares texts."""
        parts = (self.name, self.gender, self.description, self.style, *self.facts)
        return " ".join(part for part in parts if part)

    def relevant(self, said: str, most: int = 6) -> tuple[str, ...]:
        """The facts that have most words in common with what was said, in their own order.

        Args:
            said: the last turns.
            most: facts. With fewer in all, all of them are relevant.
        """
        if len(self.facts) <= most:
            return self.facts
        wanted = content_words(said)
        overlap = [len(content_words(fact) & wanted) for fact in self.facts]
        best = sorted(range(len(self.facts)), key=lambda k: (-overlap[k], k))[:most]
        return tuple(self.facts[k] for k in sorted(best))


NOBODY = Persona()


def content_words(text: str) -> frozenset[str]:
    """The words of a text that say what it is about, in their plainest form."""
    return frozenset(_stem(word) for word in WORD.findall(text.lower()) if word not in EMPTY_WORDS)


def _stem(word: str) -> str:
    """Without the commonest endings: dogs and dog, baking and bake are one."""
    word = word.removesuffix("'s").strip("'")
    for ending in ("ing", "ies", "es", "ed", "s", "e"):
        if len(word) > len(ending) + 2 and word.endswith(ending):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def read_persona(path: str | os.PathLike[str]) -> Persona:
    """Read a persona's file.

    Raises:
        UsageError: it is not there, no TOML, empty, or has what a persona has not.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            "this persona cannot be read", where=path, why=error.strerror, todo="Check its name"
        ) from error
    if len(content) > MAX_BYTES:
        raise UsageError(
            f"this persona has more than {MAX_BYTES // 1024} KB", where=path, todo="Shorten it"
        )
    try:
        given = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            "this persona is not TOML in UTF-8",
            where=path,
            why=reason(error),
            todo='Write lines such as name = "Ada" and facts = ["I am a baker."]',
        ) from error
    persona = _checked(given, path)
    if not persona:
        raise UsageError(
            "this persona is empty", where=path, todo="Give it a name, facts or a style"
        )
    return persona


def _checked(given: dict[str, Any], path: Path) -> Persona:
    """A persona from what a file says.

    Raises:
        UsageError: an unknown key, or a value of another type or too long.
    """
    known = [field.name for field in fields(Persona)]
    for key, value in given.items():
        if key not in known:
            raise UsageError(
                f"a persona has no '{key}'", where=path, todo=f"Use {', '.join(known)}"
            )
        lines = value if key == "facts" else [value]
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            wanted = "a list of sentences" if key == "facts" else "a text"
            raise UsageError(f"'{key}' is not {wanted}", where=path, todo="Write it in quotes")
        if len(lines) > MAX_FACTS or any(len(line) > MAX_FACT for line in lines):
            raise UsageError(
                f"'{key}' is too long",
                where=path,
                todo=f"Give at most {MAX_FACTS} sentences of {MAX_FACT} characters",
            )
    facts = tuple(fact.strip() for fact in given.pop("facts", ()) if fact.strip())
    gender = given.get("gender", "").strip().lower()
    if gender not in ("", "woman", "man"):
        raise UsageError(
            f"the gender '{gender}' was given", where=path, todo="Use woman, man, or leave it out"
        )
    texts = {key: value.strip() for key, value in given.items()}
    return Persona(facts=facts, **{**texts, "gender": gender})
