"""The corpus on disk: corpus.json, frames.parquet, clips/NAME.mp4 (frames) and clips/NAME.flac
(sound)."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from talkers.artefacts.documents import _text_of
from talkers.corpus.table import LANDMARK_STEP, POSE, WIDE, PoseSeries, schema
from talkers.errors import ArtefactError, reason
from talkers.face.crop import Crop
from talkers.media import decode_frames, read_audio

FORMAT_VERSION = 1
MAX_HELD = 4  # pieces of its wide columns that an open corpus keeps


@dataclass(frozen=True)
class ClipRecord:
    """One clip of a corpus: its name, frames, source and where the source was cut."""

    name: str
    frames: int
    source: str
    sha256: str
    crop: Crop
    gaps: tuple[tuple[int, int], ...]  # first and one-past-last frame without a usable face
    transcript: str | None = None  # what is said in it
    speaker: str | None = None  # who is seen in it, where a corpus shows several people


_CLIPS = TypeAdapter(list[ClipRecord])
MAX_FRAMES = 10**8  # of a clip


def _check_clip(clip: ClipRecord) -> None:
    """Raises ValueError: its name is no file's name, or its numbers cannot be."""
    if clip.name in ("", ".", "..") or not clip.name.isprintable() or set(clip.name) & set("/\\"):
        raise ValueError(f"a clip is named {clip.name!r:.60}")
    if not 1 <= clip.frames <= MAX_FRAMES or any(
        not 0 <= a <= b <= clip.frames for a, b in clip.gaps
    ):
        raise ValueError(
            f"the clip '{clip.name:.60}' has {clip.frames} frames and gaps that do not lie in them"
        )
    if not all(1 <= n <= 10**5 for n in (clip.crop.side, clip.crop.size)) or not all(
        abs(n) <= 10**5 for n in (clip.crop.left, clip.crop.top)
    ):
        raise ValueError(f"the clip '{clip.name:.60}' was cut from nowhere: {clip.crop}")


def rate_of(text: object) -> Fraction:
    """Frames a second, written as 25, 29.97 or 30000/1001. Exponents are refused: Fraction would
    write them out.

    Raises:
        ValueError: it is written otherwise, or not from 1 to 240. ZeroDivisionError.
    """
    if not re.fullmatch(r"\d{1,9}(/\d{1,9}|\.\d{1,9})?", str(text)):
        raise ValueError(f"{str(text)[:60]!r} is no frame rate")
    rate = Fraction(str(text))
    if not 1 <= rate <= 240:
        raise ValueError(f"{rate} is no frame rate")
    return rate


class Corpus:
    """A corpus on disk, opened for reading.

    Raises:
        ArtefactError: there is no corpus, it is damaged, or a newer version wrote it.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        path = self.folder / "corpus.json"
        try:
            self.about: dict[str, Any] = json.loads(_text_of(path))
            version = self.about["format_version"]
            if not isinstance(version, int):
                raise ValueError("its version is no number")
            if version != FORMAT_VERSION:
                raise ArtefactError(
                    f"this corpus has format version {version}, this talkers reads version "
                    f"{FORMAT_VERSION}",
                    where=self.folder,
                    todo="Prepare the footage again, or install the talkers that wrote it",
                )
            self._held: dict[tuple[str, int], NDArray[Any]] = {}
            self.size, self.rate = int(self.about["size"]), rate_of(self.about["rate"])
            if not 1 <= self.size <= 2048:
                raise ValueError(f"its frames have {self.size} px")
            self.clips = _CLIPS.validate_python(self.about["clips"])
            for clip in self.clips:
                _check_clip(clip)
            self._by_name = {clip.name: clip for clip in self.clips}
            if len(self._by_name) < len(self.clips):
                raise ValueError("two clips have one name")
        except FileNotFoundError as error:
            raise ArtefactError(
                "there is no corpus here",
                where=self.folder,
                why="corpus.json is missing",
                todo=f"Make one: `talkers prepare FOOTAGE -o {self.folder}`",
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, ("clips", *first["loc"])))
            raise ArtefactError(
                "corpus.json is damaged",
                where=path,
                why=f"{place:.80}: {first['msg'].lower()}",
                todo="Prepare the footage again",
            ) from error
        except (OSError, KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            raise ArtefactError(
                "corpus.json is damaged",
                where=path,
                why=f"{type(error).__name__}: {reason(error)}",
                todo="Prepare the footage again",
            ) from error

    @property
    def names(self) -> list[str]:
        """Names of its clips, in their order."""
        return [clip.name for clip in self.clips]

    @property
    def speakers(self) -> dict[str, list[str]]:
        """Names of the clips of each speaker; clips that name none are one speaker's."""
        found: dict[str, list[str]] = {}
        for clip in self.clips:
            found.setdefault(clip.speaker or "", []).append(clip.name)
        return found

    def digest(self, names: Sequence[str] | None = None) -> str:
        """SHA-256 over the sources' digests and the preparation, for the clips named (default
        all)."""
        chosen = set(names if names is not None else self.names)
        lines = [
            f"{c.name} {c.sha256} {sorted(c.crop.as_dict().items())}"
            for c in sorted(self.clips, key=lambda c: c.name)
            if c.name in chosen
        ]
        return hashlib.sha256("\n".join([f"{self.size} {self.rate}", *lines]).encode()).hexdigest()

    def clip(self, name: str) -> ClipRecord:
        """The record of a clip.

        Raises:
            ArtefactError: there is no clip of this name.
        """
        if name not in self._by_name:
            raise ArtefactError(
                f"there is no clip '{name}' in this corpus",
                where=self.folder,
                todo="See corpus.json for the names",
            )
        return self._by_name[name]

    def frames(self, name: str) -> NDArray[np.uint8]:
        """All frames of a clip: uint8 [T, size, size, 3]."""
        return np.stack(list(decode_frames(self.folder / "clips" / f"{name}.mp4")))

    def audio(self, name: str) -> NDArray[np.float32]:
        """A clip's sound: float32 [n], 16 kHz."""
        return read_audio(self.folder / "clips" / f"{name}.flac")

    def _read(self, columns: Sequence[str], group: int | None = None) -> pa.Table:
        """Columns of frames.parquet: all rows, or those of one of the groups that were written
        together."""
        path, wanted = (
            self.folder / "frames.parquet",
            pa.schema([schema().field(name) for name in columns]),
        )
        try:
            with pq.ParquetFile(path) as file:
                table = file.read(columns) if group is None else file.read_row_group(group, columns)
                rows = (
                    file.metadata.num_rows
                    if group is None
                    else file.metadata.row_group(group).num_rows
                )
            table = table.select(wanted.names).cast(wanted)
            table.validate(full=True)
            if len(table) != rows:
                raise ValueError(f"it holds {len(table)} rows of {rows}")
            for name in wanted.names:
                parts = table.column(name).chunks
                if any(
                    part.null_count
                    or (pa.types.is_fixed_size_list(part.type) and part.flatten().null_count)
                    for part in parts
                ):
                    raise ValueError(f"there are values missing in its column '{name}'")
            return table
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise ArtefactError(
                "frames.parquet cannot be read",
                where=path,
                why=reason(error),
                todo="Prepare the footage again",
            ) from error

    @cached_property
    def _narrow(self) -> pa.Table:
        """All columns of one number a frame."""
        return self._read([name for name in schema().names if name not in WIDE])

    @cached_property
    def _ends(self) -> list[int]:
        """After which rows the groups of frames.parquet end."""
        path = self.folder / "frames.parquet"
        try:
            with pq.ParquetFile(path) as file:
                return list(
                    accumulate(
                        file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)
                    )
                )
        except (OSError, ValueError, pa.ArrowException) as error:
            raise ArtefactError(
                "frames.parquet cannot be read",
                where=path,
                why=reason(error),
                todo="Prepare the footage again",
            ) from error

    def _wide(self, column: str, group: int) -> NDArray[Any]:
        """A column of many numbers a frame in one group, as stored: [n, k]. Few are held, so that
        memory does not grow with the footage."""
        if (column, group) not in self._held:
            values = (
                self._read([column], group)
                .column(column)
                .combine_chunks()
                .flatten()
                .to_numpy()
                .reshape(-1, WIDE[column])
            )
            self._held = dict([*self._held.items(), ((column, group), values)][-MAX_HELD:])
        return self._held[column, group]

    @cached_property
    def _rows(self) -> dict[str, slice]:
        rows, start, names, fits = {}, 0, self._narrow.column("clip").to_pylist(), True
        for clip in (
            self.clips
        ):  # the table holds the clips in the order of corpus.json, perhaps with more after them
            rows[clip.name] = slice(start, start + clip.frames)
            fits &= set(names[start : start + clip.frames]) == {
                clip.name
            } and start + clip.frames <= len(names)
            start += clip.frames
        if not fits:
            raise ArtefactError(
                "frames.parquet and corpus.json disagree",
                where=self.folder,
                todo="Prepare the footage again",
            )
        return rows

    def column(self, column: str, clip: str) -> NDArray[Any]:
        """One column of the table (see docs/reference/formats.md) for one clip: [T], or [T, k] for
        landmarks (478 x 2 pixels) and blendshapes."""
        rows = self._rows[clip]
        if column not in WIDE:
            return np.asarray(
                self._narrow.column(column)
                .slice(rows.start, rows.stop - rows.start)
                .combine_chunks()
                .to_numpy(zero_copy_only=False)
            )
        parts, begin = [], 0
        for group, end in enumerate(self._ends):
            if begin < rows.stop and end > rows.start:
                parts.append(
                    self._wide(column, group)[max(0, rows.start - begin) : rows.stop - begin]
                )
            begin = end
        values = np.concatenate(parts).astype(np.float32)
        return (
            values.reshape(-1, 478, 2) * np.float32(LANDMARK_STEP)
            if column == "landmarks"
            else values
        )

    def pose(self, clip: str) -> PoseSeries:
        """Measured head pose of a clip: float32 [T, 6], gaps filled from their neighbours."""
        pose = np.stack([self.column(name, clip) for name in POSE], -1).astype(np.float32)
        return fill_gaps(pose)


def fill_gaps(series: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace rows with NaN by linear interpolation between their neighbours: [T, k] -> [T, k]."""
    good = np.isfinite(series).all(-1)
    if good.all() or not good.any():
        return np.nan_to_num(series)
    index = np.arange(len(series))
    return np.stack(
        [np.interp(index, index[good], series[good, k]) for k in range(series.shape[1])], -1
    ).astype(np.float32)
