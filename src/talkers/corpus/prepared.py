"""What is said of footage that is prepared, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from talkers.corpus.store import Corpus


@dataclass(frozen=True)
class Statement:
    """What whoever prepares footage says of it.

    Attributes:
        consent: who agreed to what.
        licence: under which the footage stands.
        speaker: who is seen in it, where the corpus shows several people; each has a scale of
            his own.
    """

    consent: str | None = None
    licence: str | None = None
    speaker: str | None = None

    def or_that_of(self, existing: Corpus | None) -> Statement:
        """Consent and licence as they are stated now, or else were when the corpus was made."""
        about = existing.about if existing else {}
        return Statement(self.consent or about.get("consent"), self.licence or about.get("licence"))


@dataclass(frozen=True)
class Prepared:
    """Outcome of `prepare`.

    Attributes:
        corpus: the corpus.
        added: how many clips were added.
        failures: sources that could not be used, with their reasons.
        remarks: sentences about the rest.
    """

    corpus: Corpus
    added: int
    failures: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
