"""Which clips of a corpus are trained on and which are only judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from talkers.corpus import Corpus

MIN_PEOPLE = 4  # in a corpus, for some of them to be held out altogether
PEOPLE_SHARE = 0.25  # of many people, held out


def held_out(names: Sequence[str], share: float = 0.06) -> list[str]:
    """The clips that training never sees, chosen by the SHA-256 of their names so that the choice
    never changes.

    At least one of two or more clips, none of a single one.
    """
    ranked = sorted(names, key=lambda name: sha256(name.encode()).hexdigest())
    limit = int(share * 2**32)
    chosen = [n for n in ranked if int(sha256(n.encode()).hexdigest()[:8], 16) < limit]
    return sorted(chosen or ranked[: len(ranked) > 1])


def held_out_people(speakers: Iterable[str]) -> list[str]:
    """The people whom training never sees, chosen by the SHA-256 of their names."""
    limit = int(PEOPLE_SHARE * 2**32)
    hashes = {s: int(sha256(f"person {s}".encode()).hexdigest()[:8], 16) for s in speakers}
    return sorted(s for s, value in hashes.items() if value < limit)


def held_out_clips(corpus: Corpus) -> list[str]:
    """The clips of a corpus that training never sees: of several people all of some of them."""
    speakers = corpus.speakers
    if len(speakers) < MIN_PEOPLE:
        return held_out(corpus.names)
    apart = held_out_people(speakers)[: len(speakers) // 2] or [min(speakers)]
    return sorted(name for person in apart for name in speakers[person])


def clips_apart_of_judges(corpus: Corpus) -> dict[str, list[str]]:
    """The clips that a judge never sees, by what is new in them.

    A judge of many people is to know nothing of some people, and nothing of some clips of the
    others: of a person of many clips those by which avatars of that person are judged.

    Returns:
        people_never_seen (of a corpus of several people alone) and clips_never_seen, sorted.
    """
    chosen = held_out(corpus.names)
    if len(corpus.speakers) < MIN_PEOPLE:
        return {"clips_never_seen": chosen}
    strangers = held_out_clips(corpus)
    return {
        "people_never_seen": strangers,
        "clips_never_seen": [name for name in chosen if name not in set(strangers)],
    }


def training_clips(corpus: Corpus, minutes: float = 0.0) -> list[str]:
    """The clips that are trained on: all but the held-out ones, or so many minutes of them; fewer
    minutes are a part of more minutes."""
    test = set(held_out_clips(corpus))
    names = [n for n in corpus.names if n not in test]
    if not minutes:
        return names
    chosen, frames = set(), 0
    for name in sorted(names, key=lambda n: sha256(f"minutes {n}".encode()).hexdigest()):
        if frames >= minutes * 60 * corpus.rate:
            break
        chosen.add(name)
        frames += corpus.clip(name).frames
    return [n for n in names if n in chosen]
