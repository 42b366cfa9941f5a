"""The clips of a corpus as experts are trained on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset

from talkers.artefacts.files import atomic
from talkers.corpus import Corpus
from talkers.corpus.store import fill_gaps
from talkers.experts.mouths import Mouths, mouths_of
from talkers.experts.rate import RATE, frames_at_rate, mel_of_clip
from talkers.experts.words import SAID, frame_labels, read_alignment, sentence_of_name
from talkers.progress import Report
from talkers.speech.alignment import aligned_words
from talkers.training.cache import purge_stale

MIN_FACE_SHARE = 0.9  # of a clip's frames, for a clip to be trained on
CACHE_VERSION = 2


def clip_mouths(corpus: Corpus, name: str) -> Mouths:
    """The mouth of a clip, at the experts' frame rate whatever the corpus's is."""
    face = np.asarray(corpus.column("face", name), bool)
    marks = corpus.column("landmarks", name).reshape(len(face), -1)
    marks[~face] = np.nan
    at = frames_at_rate(len(face), corpus.rate)
    landmarks = fill_gaps(marks).reshape(len(face), -1, 2)
    return mouths_of(corpus.frames(name)[at], landmarks[at])


@dataclass(frozen=True)
class ExpertFootage:
    """The clips of a corpus by name, at the experts' frame rate.

    Attributes:
        mouths: of T frames.
        mels: [80, 4 T], see `mel_of_clip`.
        speech: bool [T], where something is said.
    """

    mouths: dict[str, Mouths]
    mels: dict[str, Tensor]
    speech: dict[str, NDArray[np.bool_]]

    @staticmethod
    def collect(corpus: Corpus, report: Report) -> ExpertFootage:
        """Look at every clip with a face throughout; cached beside the corpus."""
        key = sha256(f"{corpus.digest()} mouths {CACHE_VERSION}".encode()).hexdigest()[:16]
        path = corpus.folder / ".cache" / f"mouths-{key}.safetensors"
        if not path.exists():
            tensors: dict[str, Tensor] = {}
            for done, clip in enumerate(corpus.clips):
                if corpus.column("face", clip.name).mean() > MIN_FACE_SHARE:
                    mouths = clip_mouths(corpus, clip.name)
                    mel = mel_of_clip(corpus.audio(clip.name), len(mouths.points))
                    tensors[f"{clip.name}/patches"] = torch.from_numpy(mouths.patches)
                    tensors[f"{clip.name}/points"] = torch.from_numpy(mouths.points)
                    tensors[f"{clip.name}/mel"] = mel.half()
                report("looking at mouths", done + 1, len(corpus.clips))
            purge_stale(path)
            with atomic(path) as temporary:
                save_file(tensors, temporary)
        tensors = load_file(path)
        names = sorted({key.split("/")[0] for key in tensors})
        mouths_by_name, speech = {}, {}
        for name in names:
            patches, points = (tensors[f"{name}/{what}"].numpy() for what in ("patches", "points"))
            mouths_by_name[name] = Mouths(patches, points)
            column = np.array(corpus.column("speech", name), dtype=bool)
            speech[name] = column[frames_at_rate(len(column), corpus.rate)]
        mels = {name: tensors[f"{name}/mel"].float() for name in names}
        return ExpertFootage(mouths_by_name, mels, speech)

    def labels(
        self, corpus: Corpus, names: Sequence[str], folder: Path | None
    ) -> dict[str, NDArray[np.int64]]:
        """Frame labels of the clips of which it is known which word is said when.

        Args:
            corpus: of the clips.
            names: of the clips.
            folder: of alignments NAME.align; a clip without one is aligned with the sentence that
                its name spells, if it spells one and the sentence is heard in its sound.

        Raises:
            MediaError: an alignment cannot be read.
            MissingComponent: a clip is to be aligned, and the aligner is not installed.
        """
        labels = {}
        for name in names:
            path = folder / f"{name}.align" if folder else None
            if path is not None and path.is_file():
                words = read_alignment(path)
            elif sentence := sentence_of_name(name):
                spoken = aligned_words(corpus.audio(name), [SAID.get(w, w) for w in sentence])
                pairs = zip(spoken, sentence, strict=False)
                words = [(start, end, word) for (start, end, _), word in pairs]
            else:
                continue
            if words:
                labels[name] = frame_labels(words, len(self.mouths[name].points), RATE)
        return labels


class ClipDataset(Dataset[dict[str, Tensor]]):
    """Clips cut, or lengthened by their last frame, to a window.

    Items hold mouths [W, ...], speech bool [W], mel [80, 4 W] and, where they are known, labels
    [W].

    Args:
        footage: the clips.
        names: of those that are items.
        sees: pixels or points.
        window: frames, W.
        labels: of frames, by name.
    """

    def __init__(
        self,
        footage: ExpertFootage,
        names: Sequence[str],
        sees: str,
        window: int,
        labels: Mapping[str, NDArray[np.int64]],
    ):
        self.footage, self.names, self.sees = footage, list(names), sees
        self.window, self.labels = window, labels

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        name, length = self.names[index], 4 * self.window
        mouths, mel = self.footage.mouths[name], self.footage.mels[name]
        seen = mouths.patches if self.sees == "pixels" else mouths.points
        rows = np.minimum(np.arange(self.window), len(seen) - 1)
        missing = max(0, length - mel.shape[1])
        item = {
            "mouths": torch.from_numpy(seen[rows]),
            "speech": torch.from_numpy(self.footage.speech[name][rows]),
            "mel": F.pad(mel, (0, missing), mode="replicate")[:, :length],
        }
        if name in self.labels:
            item["labels"] = torch.from_numpy(self.labels[name][rows])
        return item
