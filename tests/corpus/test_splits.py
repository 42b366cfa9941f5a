"""Which clips are held out, and which are trained on."""

from __future__ import annotations

from talkers.corpus import Corpus
from talkers.corpus.splits import held_out, training_clips


def test_held_out_clips_never_change() -> None:
    names = [f"clip{k}" for k in range(200)]
    chosen = held_out(names)
    assert 4 <= len(chosen) <= 25
    assert set(held_out(names[:100])) == set(chosen) & set(names[:100])
    assert len(held_out(["a", "b"])) == 1
    assert held_out(["only"]) == []


def test_fewer_minutes_are_part_of_more(corpus: Corpus) -> None:
    every = training_clips(corpus)
    assert set(every).isdisjoint(held_out(corpus.names))
    few, more = (training_clips(corpus, m) for m in (0.05, 0.12))
    assert 0 < len(few) < len(more) < len(every)
    assert set(few) < set(more) < set(every)
    assert sum(corpus.clip(n).frames for n in more) >= 0.12 * 60 * corpus.rate
