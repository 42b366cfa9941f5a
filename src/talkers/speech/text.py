"""Text before it is said: bytes of any usual encoding, SSML, sentences, and writing systems."""

from __future__ import annotations

import codecs
import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from talkers.errors import UsageError

MAX_BYTES = 4_000_000  # of a text file
MAX_BREAK = 10.0  # seconds of a pause that SSML asks for
SLOWEST, FASTEST = 0.5, 2.0  # times as fast as the voice speaks

MARKS = (  # of byte order, and the encodings that they tell
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BREAKS = {
    "none": 0.0,
    "x-weak": 0.1,
    "weak": 0.25,
    "medium": 0.5,
    "strong": 0.75,
    "x-strong": 1.0,
}  # seconds
RATES = {
    "x-slow": 0.5,
    "slow": 0.75,
    "medium": 1.0,
    "default": 1.0,
    "fast": 1.25,
    "x-fast": 1.6,
}
TAG = re.compile(r"<!--.*?-->|<[?!][^>]*>|<(/?)\s*([A-Za-z][\w:-]*)([^<>]*?)/?\s*>", re.S)
ATTRIBUTE = re.compile(r"([\w:-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
SSML = re.compile(
    r"<\s*(speak|break|prosody|emphasis|say-as|sub|phoneme|voice|audio|mark|lang|p|s)\b[^<>]*>"
)
SENTENCE_END = re.compile(r"(?:(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？])\s*|\n\s*\n\s*)(?=\S)")
ABBREVIATIONS = set(
    [
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "vs",
        "e.g",
        "i.e",
        "no",
        "fig",
        "approx",
        "sr",
        "jr",
        "sra",
        "mme",
        "dott",
        "ca",
        "bzw",
    ]
)
SCRIPTS = {  # by the first word of Unicode's names of letters: script, languages written in it
    "CYRILLIC": ("Cyrillic", {"ru", "uk", "bg", "be", "sr", "mk", "kk", "ky", "tt", "tg", "mn"}),
    "GREEK": ("Greek", {"el", "grc"}),
    "CJK": ("Chinese characters", {"cmn", "zh", "yue", "hak", "ja"}),
    "HIRAGANA": ("Japanese", {"ja"}),
    "KATAKANA": ("Japanese", {"ja"}),
    "HANGUL": ("Korean", {"ko"}),
    "ARABIC": ("Arabic", {"ar", "fa", "ur", "ug", "sd", "ps"}),
    "HEBREW": ("Hebrew", {"he", "yi"}),
    "DEVANAGARI": ("Devanagari", {"hi", "mr", "ne", "sa", "kok"}),
    "BENGALI": ("Bengali", {"bn", "as"}),
    "THAI": ("Thai", {"th"}),
    "TAMIL": ("Tamil", {"ta"}),
    "TELUGU": ("Telugu", {"te"}),
    "KANNADA": ("Kannada", {"kn"}),
    "MALAYALAM": ("Malayalam", {"ml"}),
    "GUJARATI": ("Gujarati", {"gu"}),
    "GURMUKHI": ("Gurmukhi", {"pa"}),
    "GEORGIAN": ("Georgian", {"ka"}),
    "ARMENIAN": ("Armenian", {"hy"}),
    "ETHIOPIC": ("Ethiopic", {"am"}),
}


@dataclass(frozen=True)
class Passage:
    """A sentence of a script.

    Attributes:
        text: what is said.
        rate: how many times as fast as the rest, 0.5 to 2.
        pause: seconds of silence before it.
    """

    text: str
    rate: float = 1.0
    pause: float = 0.0


@dataclass(frozen=True)
class Script:
    """What is to be said, in order.

    Attributes:
        passages: the sentences; an empty text at the end holds a last pause.
        remarks: sentences about what was dropped.
    """

    passages: tuple[Passage, ...]
    remarks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All of its text."""
        return " ".join(p.text for p in self.passages if p.text)


def decode(content: bytes, where: object) -> tuple[str, str]:
    """Bytes of a text file -> its text, and the encoding that it was read in.

    UTF-8 and, by its mark, UTF-16 are recognised; all else that can be text is Windows-1252.

    Args:
        content: at most `MAX_BYTES` bytes.
        where: the file, for errors.

    Raises:
        UsageError: it is too long, or no text.
    """
    if len(content) > MAX_BYTES:
        raise UsageError(
            f"this text has more than {MAX_BYTES // 10**6} MB", where=where, todo="Give it in parts"
        )
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8" or any(b < 9 or 13 < b < 32 for b in content):
            raise _no_text(where) from error
        encoding, text = "windows-1252", content.decode("windows-1252", "replace")
    if "\0" in text:
        raise _no_text(where)
    return text.replace("\ufeff", ""), encoding


def _no_text(where: object) -> UsageError:
    return UsageError("this is no text", where=where, todo="Save it as UTF-8")


def parse_script(text: str) -> Script:
    """Text or SSML -> sentences with their rates and pauses.

    Raises:
        UsageError: a pause or rate in SSML that is none.
    """
    text = text.replace("\ufeff", "")
    if SSML.search(text):
        return _parse_ssml(text)
    return Script(tuple(Passage(s) for s in sentences(text)))


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text, without the spaces around them."""
    begin = 0
    for gap in SENTENCE_END.finditer(text):
        before, after = text[begin : gap.start()], text[gap.end()]
        word = before.split()[-1].rstrip(".").lower() if before.split() else ""
        goes_on = after.islower() or word in ABBREVIATIONS or (len(word) == 1 and word.isalpha())
        if before.endswith(".") and goes_on:
            continue
        if before.strip():
            yield " ".join(text[begin : gap.end()].split())
        begin = gap.end()
    if text[begin:].strip():
        yield " ".join(text[begin:].split())


def _parse_ssml(text: str) -> Script:
    """See `parse_script`. Tags that are not understood are dropped, and said so."""
    passages: list[Passage] = []
    rates, pause, dropped = [1.0], 0.0, dict[str, None]()
    begun = ""  # text of the sentence so far

    def end() -> None:
        nonlocal begun, pause
        for sentence in sentences(html.unescape(begun)):
            passages.append(Passage(sentence, min(max(rates[-1], SLOWEST), FASTEST), pause))
            pause = 0.0
        begun = ""

    at = 0
    for tag in TAG.finditer(text):
        begun, at = begun + text[at : tag.start()], tag.end()
        name = (tag[2] or "").lower()
        attributes = {a[1].lower(): a[2] or a[3] or "" for a in ATTRIBUTE.finditer(tag[3] or "")}
        if name in ("speak", "p", "s"):
            end()
        elif name == "break" and not tag[1]:
            end()
            pause += _break(attributes)
        elif name == "prosody":
            end()
            if tag[1]:
                rates[1:] = rates[1:-1]
            else:
                rates.append(rates[-1] * _rate(attributes.pop("rate", "medium")))
                dropped |= {f"{key} of <prosody>": None for key in attributes}
        elif name and not tag[1]:
            dropped[f"<{name}>"] = None
    begun += text[at:]
    end()
    if pause:
        passages.append(Passage("", 1.0, pause))
    remarks = (f"{', '.join(dropped)} is not obeyed; the text in it is said.",) if dropped else ()
    return Script(tuple(passages), remarks)


def _break(attributes: dict[str, str]) -> float:
    """Seconds of a <break>."""
    time = attributes.get("time")
    if time is None:
        strength = attributes.get("strength", "medium")
        if strength not in BREAKS:
            raise UsageError(
                f"a <break> has the strength '{strength}'", todo=f"Use {', '.join(BREAKS)}"
            )
        return BREAKS[strength]
    found = re.fullmatch(r"\+?(\d+(?:\.\d+)?|\.\d+)(ms|s)", time.strip())
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1) if found else -1.0
    if not 0 <= seconds <= MAX_BREAK:
        raise UsageError(
            f"a <break> has the time '{time}'", todo=f"Use 0s to {MAX_BREAK:.0f}s, such as 500ms"
        )
    return seconds


def _rate(text: str) -> float:
    """How many times as fast a <prosody> is: a word of SSML, 1.2, 120% or +20%."""
    text = text.strip().lower()
    if text in RATES:
        return RATES[text]
    found = re.fullmatch(r"([+-]?)(\d+(?:\.\d+)?)(%?)", text)
    rate = 0.0
    if found:
        rate = float(found[2]) / (100 if found[3] else 1)
        if found[1] and found[3]:
            rate = 1 + rate if found[1] == "+" else 1 - rate
    if not SLOWEST <= rate <= FASTEST:
        raise UsageError(
            f"a <prosody> has the rate '{text}'", todo="Use 50% to 200%, slow, medium or fast"
        )
    return rate


def foreign_script(text: str, language: str) -> str | None:
    """The script in which a text is written and which a language does not have.

    A name or a formula in another script is no reason to refuse a text: more than a tenth of its
    letters is.

    Args:
        text: what is to be said.
        language: of the voice, as espeak names it, such as en-us.

    Returns:
        the script's name, or None where the voice can read the text.
    """
    spoken = re.split(r"[-_]", language.lower())[0]
    counts: Counter[str] = Counter()
    letters = 0
    for character in text:
        if not character.isalpha():
            continue
        letters += 1
        script, languages = SCRIPTS.get(unicodedata.name(character, "").split(" ")[0], ("", set()))
        if script and spoken not in languages:
            counts[script] += 1
    if sum(counts.values()) * 10 <= letters:
        return None
    return counts.most_common(1)[0][0]
