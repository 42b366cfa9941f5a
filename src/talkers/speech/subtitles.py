"""Subtitles of what a voice says: phrases or words with their times, as SubRip or WebVTT."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from talkers.artefacts.files import atomic
from talkers.errors import UsageError

MAX_CUE = 84  # characters shown at once: two lines of 42


class Word(NamedTuple):
    """A piece of text and when it is said, seconds."""

    text: str
    start: float
    end: float


def phrases_of(sentence: str, start: float, end: float, words: Sequence[Word] = ()) -> list[Word]:
    """A sentence in pieces that can be shown at once.

    Args:
        sentence: what is said.
        start: seconds at which it begins.
        end: seconds at which it ends.
        words: its words with their times, where they are known; else a piece takes as long as its
            share of the characters.
    """
    tokens = sentence.split()
    count = math.ceil(len(sentence) / MAX_CUE)
    if count < 2 or len(tokens) < 2:
        return [Word(sentence, start, end)]
    pieces: list[list[int]] = [[]]
    limit = len(sentence) / count
    for k, token in enumerate(tokens):
        held = len(" ".join(tokens[i] for i in pieces[-1]))
        full = held + 1 + len(token) > MAX_CUE or (
            held > 0.7 * limit and tokens[k - 1].endswith((",", ";", ":", "–", "—"))
        )
        if pieces[-1] and full:
            pieces.append([])
        pieces[-1].append(k)
    known = [w for w in words if w.text in tokens]
    by_word = len(known) == len(tokens)
    phrases, passed, total = [], 0, sum(map(len, tokens))
    for piece in pieces:
        text = " ".join(tokens[i] for i in piece)
        share = passed / total, (passed + sum(len(tokens[i]) for i in piece)) / total
        if by_word:
            phrases.append(Word(text, known[piece[0]].start, known[piece[-1]].end))
        else:
            begin, close = (start + s * (end - start) for s in share)
            phrases.append(Word(text, begin, close))
        passed += sum(len(tokens[i]) for i in piece)
    return phrases


def _clock(seconds: float, point: str) -> str:
    thousandths = round(seconds * 1000)
    whole, rest = divmod(thousandths, 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{rest:03}"


def as_webvtt(cues: Iterable[Word]) -> str:
    """Pieces of text as WebVTT, a cue each."""
    parts = ["WEBVTT\n"]
    for cue in cues:
        text = re.sub(r"[&<>]", lambda m: {"&": "&amp;", "<": "&lt;", ">": "&gt;"}[m[0]], cue.text)
        parts.append(f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{text}\n")
    return "\n".join(parts)


def as_subrip(cues: Iterable[Word]) -> str:
    """Pieces of text as SubRip (.srt), numbered from 1."""
    return "\n".join(
        f"{k}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for k, cue in enumerate(cues, 1)
    )


FORMS = {".vtt": as_webvtt, ".srt": as_subrip}


def refuse_subtitles(path: Path) -> None:
    """Refuse a name of which it is known that no subtitles can be written there.

    Raises:
        UsageError: another suffix.
    """
    if path.suffix.lower() not in FORMS:
        raise UsageError(
            f"subtitles are not written as '{path.suffix}'",
            where=path,
            todo="Use a name ending in .srt or .vtt",
        )


def write_subtitles(path: Path, cues: Iterable[Word]) -> None:
    """Write subtitles in the form that the suffix tells.

    Raises:
        UsageError: another suffix. ResourceError: the file cannot be written.
    """
    refuse_subtitles(path)
    text = FORMS[path.suffix.lower()](cues)
    with atomic(path) as temporary:
        temporary.write_text(text, "utf-8")
