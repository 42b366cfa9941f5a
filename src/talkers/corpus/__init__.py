"""Corpora: prepared footage of one speaker, on disk and in memory."""

from talkers.corpus.store import Corpus
from talkers.corpus.table import PoseSeries

__all__ = ["Corpus", "PoseSeries"]
