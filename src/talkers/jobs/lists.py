"""Lists of jobs, as CSV or JSON lines: read row by row, so that a million rows need little memory.

A list is read twice. The first time every row is checked, and no job is kept: only where its row
begins, and digests of the names that must not occur twice. The second time the jobs come, those of
one avatar together.
"""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

import numpy as np

from talkers.errors import MediaError, UsageError
from talkers.jobs.contract import Job
from talkers.jobs.storage import url_of

MAX_ROW_BYTES = 1 << 20  # of a row
SEPARATORS = (",", ";", "\t")  # spreadsheets of some languages write the others


@dataclass(frozen=True)
class Wrong:
    """A row that is no job.

    Attributes:
        row: its number, as a spreadsheet counts.
        problems: sentences without their full stops.
    """

    row: int
    problems: tuple[str, ...]


class WrongRow(Exception):
    """Raised by what makes a job of a row; `problems` says all that is wrong with it."""

    def __init__(self, problems: list[str]):
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass
class _Seen:
    """What is kept of the rows that are jobs, one number each.

    Attributes:
        rows, offsets: their numbers, and the bytes at which they begin.
        groups: which jobs belong together.
        names: digests of what they write.
    """

    rows: array[int] = field(default_factory=lambda: array("q"))
    offsets: array[int] = field(default_factory=lambda: array("q"))
    groups: array[int] = field(default_factory=lambda: array("l"))
    names: array[int] = field(default_factory=lambda: array("Q"))


class JobList:
    """A list of jobs. Iterate it for the jobs, those of one group after each other.

    Args:
        path: a .csv or .jsonl file.
        job_of: makes a job of a row's cells and its number; raises WrongRow.
        group_of: what the jobs that are kept together have in common, such as an avatar.

    Attributes:
        wrong: the rows that are no jobs, in their order.

    Raises:
        UsageError: it is neither CSV nor JSON lines, or no regular file.
        MediaError: it cannot be read, or holds no rows.
    """

    def __init__(
        self,
        path: Path,
        job_of: Callable[[dict[str, Any], int], Job],
        group_of: Callable[[Job], str],
    ):
        self.path, self._job_of = path, job_of
        if path.suffix.lower() not in (".csv", ".jsonl"):
            raise UsageError(
                "this is no list of jobs", where=path, todo="Name a .csv or a .jsonl file"
            )
        if url_of(path) is not None or not path.is_file():
            raise MediaError(
                "there is no such file on this machine", where=path, todo="Check its name"
            )
        wrong: dict[int, tuple[str, ...]] = {}
        self._seen = seen = _Seen()
        numbers: dict[str, int] = {}
        for row, offset, cells in self._rows(wrong):
            try:
                job = job_of(cells, row)
            except WrongRow as error:
                wrong[row] = error.problems
                continue
            seen.rows.append(row)
            seen.offsets.append(offset)
            seen.groups.append(numbers.setdefault(group_of(job), len(numbers)))
            seen.names.append(_digest(job.name))
        if not seen.rows and not wrong:
            raise MediaError("there are no jobs in this list", where=path, todo="Write some rows")
        twice = self._twice()
        wrong |= twice
        self.wrong = [Wrong(row, wrong[row]) for row in sorted(wrong)]
        kept = [k for k, row in enumerate(seen.rows) if row not in twice] if twice else None
        order = np.argsort(np.asarray(seen.groups), kind="stable")
        self._order = order if kept is None else order[np.isin(order, kept)]

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Job]:
        with self._opened() as stream:
            if self._is_csv:
                columns, separator = self._header(stream)
            for k in self._order:
                stream.seek(self._seen.offsets[k])
                if self._is_csv:
                    cells = next(csv.reader(_Lines(stream), delimiter=separator))
                    row = _row_of(columns, cells)
                else:
                    row = json.loads(_line(stream))
                yield self._job_of(row, self._seen.rows[k])

    @property
    def _is_csv(self) -> bool:
        return self.path.suffix.lower() == ".csv"

    def _opened(self) -> IO[bytes]:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise MediaError(
                "this list cannot be read",
                where=self.path,
                why=error.strerror,
                todo="Check its permissions",
            ) from error

    def _header(self, stream: IO[bytes]) -> tuple[list[str], str]:
        """Names of the columns, and what separates them.

        Raises:
            MediaError: there are none.
        """
        try:
            line = next(_Lines(stream)).removeprefix("\ufeff")
            separator = max(SEPARATORS, key=line.count)
            columns = [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]
        except (ValueError, StopIteration, csv.Error) as error:
            raise MediaError(
                "the first row does not name the columns",
                where=self.path,
                todo="Begin with a row such as: verb,speech,output",
            ) from error
        return columns, separator

    def _rows(self, wrong: dict[int, tuple[str, ...]]) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Number, first byte and cells of each row; what cannot be read is put into `wrong`."""
        with self._opened() as stream:
            if self._is_csv:
                yield from self._csv_rows(stream, wrong)
                return
            number = 0
            while True:
                offset, number = stream.tell(), number + 1
                try:
                    line = _line(stream)
                    if not line:
                        return
                    text = line.removeprefix("\ufeff") if number == 1 else line
                    if not text.strip():
                        continue
                    row = json.loads(text)
                    if not isinstance(row, dict):
                        raise ValueError("it is no object")
                except (ValueError, RecursionError) as error:
                    wrong[number] = (f"this is not JSON: {error}",)
                    continue
                yield number, offset, row

    def _csv_rows(
        self, stream: IO[bytes], wrong: dict[int, tuple[str, ...]]
    ) -> Iterator[tuple[int, int, dict[str, Any]]]:
        columns, separator = self._header(stream)
        number = 1  # the columns' own
        while True:
            offset, number = stream.tell(), number + 1
            try:
                # a reader of its own for each row takes no more lines than the row has
                cells = next(csv.reader(_Lines(stream), delimiter=separator, strict=True))
            except StopIteration:
                return
            except (ValueError, csv.Error) as error:
                wrong[number] = (f"this row cannot be read: {error}",)
                continue
            if len(cells) > len(columns):
                wrong[number] = (
                    f"it has {len(cells)} cells, and there are {len(columns)} columns",
                )
            elif any(cells):
                yield number, offset, _row_of(columns, cells)

    def _twice(self) -> dict[int, tuple[str, ...]]:
        """The rows that write what another row writes, with what to say of them."""
        names = np.asarray(self._seen.names)
        order = np.argsort(names, kind="stable")
        same = names[order][1:] == names[order][:-1]
        if not same.any():
            return {}
        alike = np.zeros(len(names), bool)
        alike[order[1:][same]] = alike[order[:-1][same]] = True
        rows: dict[int, list[int]] = {}
        for k in np.flatnonzero(alike):
            rows.setdefault(int(names[k]), []).append(self._seen.rows[int(k)])
        found: dict[int, tuple[str, ...]] = {}
        for numbers in rows.values():
            for row in numbers:
                others = [str(n) for n in numbers if n != row][:5]
                said = f"its output is, in whatever case, also that of row {', '.join(others)}"
                found[row] = (said,)
        return found


class _Lines:
    """Lines of a file as text, so that a reader takes no byte more than it needs."""

    def __init__(self, stream: IO[bytes]):
        self._stream = stream

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if line := _line(self._stream):
            return line
        raise StopIteration


def _line(stream: IO[bytes]) -> str:
    """The next line; empty at the end.

    Raises:
        ValueError: it is no UTF-8, or too long.
    """
    line = stream.readline(MAX_ROW_BYTES)
    if len(line) == MAX_ROW_BYTES and not line.endswith(b"\n"):
        while rest := stream.readline(MAX_ROW_BYTES):
            if rest.endswith(b"\n"):
                break
        raise ValueError(f"it is longer than {MAX_ROW_BYTES} bytes")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error


def _row_of(columns: list[str], cells: list[str]) -> dict[str, Any]:
    """A row by its columns; empty cells are left out."""
    return {name: cell for name, cell in zip(columns, cells, strict=False) if cell.strip()}


def _digest(name: str) -> int:
    """64 bits of a name; names that differ by case only are one name on some disks."""
    return int.from_bytes(
        blake2b(name.casefold().encode("utf-8", "replace"), digest_size=8).digest()
    )
