"""The boxes of which mp4 and mov files consist (ISO/IEC 14496-12, section 4.2)."""

from __future__ import annotations

from pathlib import Path

FIRST = (b"ftyp", b"wide", b"mdat", b"free", b"skip")  # kinds with which such files begin
INDEX = b"moov"


def lacks_index(path: Path) -> bool:
    """Whether a file begins as mp4 or mov and has no index: its recording was not finished."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if kind == INDEX or (at == 0 and kind not in FIRST):
                return False
            if length == 1:  # a long box says its length after its kind
                length = int.from_bytes(head[8:16], "big")
            if length < 8:  # it lasts to the end of the file
                return True
            at += length
    return at > 0
