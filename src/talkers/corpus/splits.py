"""Which clips of a corpus are trained on and which are only judged."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from talkers.corpus import Corpus


def held_out(names: Sequence[str], share: float = 0.06) -> list[str]:
    """The clips that training never sees, chosen by the SHA-256 of their names so that the choice
    never changes.

    At least one of two or more clips, none of a single one.
    """
    ranked = sorted(names, key=lambda name: sha256(name.encode()).hexdigest())
    limit = int(share * 2**32)
    chosen = [n for n in ranked if int(sha256(n.encode()).hexdigest()[:8], 16) < limit]
    return sorted(chosen or ranked[: len(ranked) > 1])


def training_clips(corpus: Corpus, minutes: float = 0.0) -> list[str]:
    """The clips that are trained on: all but the held-out ones, or so many minutes of them; fewer
    minutes are a part of more minutes."""
    test = set(held_out(corpus.names))
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
