"""What training makes of a corpus once, clip by clip: one Arrow file in the corpus's .cache folder.

Files are read memory-mapped, so that memory does not grow with the footage. A file of another
corpus or recipe is removed when a new one of its kind is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts.files import atomic
from talkers.corpus import Corpus
from talkers.errors import ArtefactError, reason

Columns = Mapping[str, NDArray[np.floating]]  # of one variant of a clip: [n, width] each


def cache_path(corpus: Corpus, kind: str, key: str, suffix: str = ".arrow") -> Path:
    """Where a corpus keeps what is made of it.

    Args:
        corpus: the footage; its digest is part of the name.
        kind: of file, the beginning of its name.
        key: everything else that the content depends on.
        suffix: of the name.
    """
    digest = sha256(f"{key} {corpus.digest()}".encode()).hexdigest()[:16]
    return corpus.folder / ".cache" / f"{kind}-{digest}{suffix}"


def purge_stale(path: Path, *older_kinds: str) -> None:
    """Remove the files of the same kind that were made of another corpus or by another recipe.

    Args:
        path: the file that stays.
        older_kinds: names under which earlier versions kept the same.
    """
    for kind in (path.name.rpartition("-")[0], *older_kinds):
        for stale in path.parent.glob(f"{kind}-*"):
            if stale != path:
                stale.unlink(missing_ok=True)


def write_variants(
    path: Path, widths: Mapping[str, int], clips: Iterable[tuple[str, Mapping[str, Columns]]]
) -> None:
    """Write a file for `VariantCache`, clip by clip; it appears when it is complete.

    Args:
        path: of the file.
        widths: numbers in a row, by column.
        clips: names of clips, and for each of its variants the rows of every column.

    Raises:
        ResourceError: the file cannot be written.
    """
    fields = [pa.field(name, pa.large_list(pa.float16())) for name in widths]
    names = [pa.field("clip", pa.string()), pa.field("variant", pa.string())]
    schema = pa.schema(
        [*names, *fields], {name: str(width).encode() for name, width in widths.items()}
    )
    with (
        atomic(path) as temporary,
        temporary.open("wb") as out,
        pa.ipc.new_file(out, schema) as writer,
    ):
        for clip, variants in clips:
            arrays = [pa.array([clip] * len(variants)), pa.array(list(variants))]
            for name in widths:
                parts = [np.ravel(rows[name]).astype(np.float16) for rows in variants.values()]
                offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
                values = pa.array(np.concatenate(parts), pa.float16())
                arrays.append(pa.LargeListArray.from_arrays(pa.array(offsets), values))
            writer.write_batch(pa.record_batch(arrays, schema=schema))


class VariantCache:
    """Rows of numbers for every variant of every clip, read from disk where they are asked for.

    Args:
        path: a file that `write_variants` made.

    Raises:
        ArtefactError: the file is damaged.
    """

    def __init__(self, path: Path):
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
            metadata = self._reader.schema.metadata or {}
            self.widths = {name.decode(): int(width) for name, width in metadata.items()}
            self._places: dict[str, dict[str, tuple[int, int]]] = {}
            for batch in range(self._reader.num_record_batches):
                rows = self._reader.get_batch(batch)
                variants = rows.column("variant").to_pylist()
                place = {variant: (batch, row) for row, variant in enumerate(variants)}
                self._places[rows.column("clip")[0].as_py()] = place
        except (OSError, ValueError, KeyError, IndexError, pa.ArrowException) as error:
            raise ArtefactError(
                "what was made of this corpus is damaged",
                where=path,
                why=reason(error),
                todo="Remove this file; it is made again",
            ) from error

    @property
    def clips(self) -> list[str]:
        """Names of the clips."""
        return list(self._places)

    def variants(self, clip: str) -> list[str]:
        """Names of a clip's variants."""
        return list(self._places[clip])

    def _values(self, clip: str, variant: str, column: str) -> NDArray[np.float16]:
        """All numbers of one column of a variant, memory-mapped: [n * width]."""
        batch, row = self._places[clip][variant]
        lists = self._reader.get_batch(batch).column(column)
        first, last = (lists.offsets[k].as_py() for k in (row, row + 1))
        values: NDArray[np.float16] = lists.values.to_numpy(zero_copy_only=True)[first:last]
        return values

    def count(self, clip: str, variant: str, column: str = "features") -> int:
        """How many rows a variant of a clip has."""
        return len(self._values(clip, variant, column)) // self.widths[column]

    def rows(
        self,
        clip: str,
        variant: str,
        first: int = 0,
        last: int | None = None,
        column: str = "features",
    ) -> Tensor:
        """Rows first..last of a variant of a clip: float32 [last - first, width]."""
        width = self.widths[column]
        values = self._values(clip, variant, column)
        part = values[first * width : None if last is None else last * width]
        return torch.from_numpy(part.astype(np.float32).reshape(-1, width))
