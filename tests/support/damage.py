"""Valid files changed in structure and in bytes, as Hypothesis draws it: what benchmarks/fuzz.py gives the parsers."""

from __future__ import annotations

import copy
import io
import json
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

DEEP = "\x00deep"  # stands for nesting that json cannot write
TEXTS = [
    "",
    "x",
    "nan",
    "inf",
    "-1",
    "0",
    "1e999",
    "1e9999999",
    "9" * 400,
    "9" * 5000,
    "1/0",
    "../../x",
    "a\0b",
    "\ud800",
    "\x1b[31m",
    "None",
    "a" * 100_000,
]
NUMBERS = [
    0,
    1,
    -1,
    2,
    3,
    7,
    255,
    2**31,
    2**63,
    2**64,
    -(2**63),
    10**30,
    10**400,
    0.5,
    -0.0,
    1e-320,
    1e38,
    1e39,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
]
plain_values = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.integers(-5, 300),
    st.integers(),
    st.floats(),
    st.sampled_from(TEXTS),
    st.text(max_size=10),
)
values = st.one_of(
    plain_values,
    st.lists(plain_values, max_size=4),
    st.dictionaries(st.sampled_from([*TEXTS[:9], "size", "name"]), plain_values, max_size=3),
    st.tuples(
        st.sampled_from([DEEP]),
        st.sampled_from([50, 500, 950, 990, 2_000, 100_000]),
        st.sampled_from(["[]", "{}"]),
    ),
)


def as_json(tree: Any) -> bytes:
    """A tree as JSON, with NaN, lone surrogates and nesting of any depth."""
    deep: list[str] = []

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            _, depth, kind = value
            deep.append(
                "[" * depth + "]" * depth if kind == "[]" else '{"a":' * depth + "0" + "}" * depth
            )
            return f"{DEEP}{len(deep) - 1};"
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, list) else value

    text = json.dumps(plain(tree))
    for k, nested in enumerate(deep):
        text = text.replace(json.dumps(f"{DEEP}{k};"), nested)
    return text.encode()


@st.composite
def changed_tree(draw: st.DrawFn, tree: Any) -> Any:
    """A JSON tree with some of it replaced, left out, added, doubled or moved."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        if not isinstance(tree, dict | list) or not tree:
            return draw(values)
        inner = tree
        while True:  # down a few levels: what lies deep and is much is not chosen more often than what is one
            last = draw(
                st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner)))
            )
            if (
                not isinstance(inner[last], dict | list)
                or not inner[last]
                or draw(st.integers(0, 3)) == 0
            ):
                break
            inner = inner[last]
        kind = draw(
            st.sampled_from(
                ["replace", "replace", "replace", "remove", "add", "double", "move", "whole"]
            )
        )
        if kind == "replace":
            inner[last] = draw(values)
        elif kind == "remove":
            del inner[last]
        elif kind == "add" and isinstance(inner, dict):
            inner[draw(st.one_of(st.sampled_from(TEXTS), st.text(max_size=5)))] = draw(values)
        elif kind == "move" and isinstance(inner, dict):
            inner[str(last) + "x"] = inner.pop(last)
        elif kind == "whole":
            return draw(values)
        elif isinstance(inner, list):
            inner.insert(last, copy.deepcopy(inner[last]))
        else:
            inner[last] = [inner[last], inner[last]]
    return tree


@st.composite
def changed_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes cut short, overwritten, doubled or with something put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(1, 16))
        kind = draw(st.sampled_from(["cut", "overwrite", "insert", "remove", "double"]))
        if kind == "cut":
            del data[at:]
        elif kind == "remove":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length]
        else:
            new = draw(
                st.one_of(
                    st.binary(min_size=1, max_size=8),
                    st.sampled_from(
                        [
                            b",",
                            b"\n",
                            b'"',
                            b"[",
                            b"{",
                            b"\0",
                            b"\xff",
                            b"nan",
                            b"=",
                            b"-",
                            b"9" * 400,
                            b"\xef\xbb\xbf",
                        ]
                    ),
                )
            )
            data[at : at + (len(new) if kind == "overwrite" else 0)] = new
    return bytes(data)


@st.composite
def changed_tensors(draw: st.DrawFn, content: bytes) -> bytes:
    """A safetensors file with another header, or another tree in its metadata."""
    length = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    kind = draw(st.sampled_from(["header", "kind", "metadata", "data"]))
    if kind == "metadata" and "__metadata__" in header:
        tree = json.loads(header["__metadata__"]["tree"])
        header["__metadata__"]["tree"] = as_json(draw(changed_tree(tree))).decode()
    elif kind == "kind":  # other numbers of as many bytes
        name = draw(st.sampled_from([k for k in header if k != "__metadata__"]))
        widths = {
            1: ["I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"],
            2: ["F16", "BF16", "I16", "U16"],
            4: ["F32", "I32", "U32"],
            8: ["F64", "I64", "U64", "C64"],
        }
        other = draw(st.sampled_from([1, 2, 4, 8]))
        header[name]["dtype"] = draw(st.sampled_from(widths[other]))
        begin, end = header[name]["data_offsets"]
        count = int(np.prod(header[name]["shape"]))
        moved = count * other - (end - begin)
        data = (
            data[:begin]
            + (data[begin:end] * 8)[: count * other].ljust(count * other, b"\0")
            + data[end:]
        )
        for k, entry in header.items():
            if k != "__metadata__" and (entry["data_offsets"][0] >= end or k == name):
                entry["data_offsets"] = [
                    entry["data_offsets"][0] + (moved if k != name else 0),
                    entry["data_offsets"][1] + moved,
                ]
    elif kind == "data":
        data = (
            (b"\xff\x7f" * (len(data) // 2 + 1))[: len(data)]
            if draw(st.booleans())
            else data[: draw(st.integers(0, len(data)))]
        )
    else:
        header = draw(changed_tree(header))
    packed = as_json(header)
    return struct.pack("<Q", len(packed)) + packed + data


@st.composite
def changed_table(draw: st.DrawFn, content: bytes) -> bytes:
    """A Parquet file with a column of another kind, with missing values, without a column or with other rows."""
    table = pq.read_table(io.BytesIO(content))
    at = draw(st.integers(0, table.num_columns - 1))
    name, rows = table.column_names[at], table.num_rows
    kind = draw(st.sampled_from(["drop", "rename", "rows", "double", "other"]))
    if kind == "drop":
        table = table.remove_column(at)
    elif kind == "rename":
        table = table.rename_columns(
            ["x" if k == at else c for k, c in enumerate(table.column_names)]
        )
    elif kind == "rows":
        table = table.slice(draw(st.integers(0, rows)))
    elif kind == "double":
        table = table.append_column(name, table.column(at))
    else:
        others = [
            pa.array([None] * rows),
            pa.array(["x"] * rows),
            pa.array([b"\xff"] * rows),
            pa.array([float("nan")] * rows),
            pa.array([2**62] * rows),
            pa.array([[1.0]] * rows),
            pa.array([{"a": 1}] * rows),
            pa.array([None, *range(rows - 1)]),
            pa.array([True, *[None] * (rows - 1)]),
            pa.array([None, *["a"] * (rows - 1)]),
            pa.array([[None] * 956] * rows, pa.list_(pa.int16(), 956)),
            pa.array([[1, 2]] * rows, pa.list_(pa.int16(), 2)),
            pa.array([None] * rows, pa.list_(pa.int16(), 956)),
            pa.array([np.ones(52)] * rows, pa.list_(pa.float64())),
            pa.array([1e39] * rows),
            pa.array([10**9] * rows, pa.timestamp("s")),
        ]
        table = table.set_column(at, name, draw(st.sampled_from(others)))
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


@st.composite
def changed_lines(draw: st.DrawFn, content: bytes, between: str) -> bytes:
    """Text whose cells are replaced, left out or doubled."""
    rows = [line.split(between) for line in content.decode().splitlines()]
    for _ in range(draw(st.integers(1, 4))):
        k = draw(st.integers(0, len(rows) - 1))
        at = draw(st.integers(0, max(0, len(rows[k]) - 1)))
        kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "insert", "row"]))
        cell = draw(
            st.one_of(
                st.sampled_from(TEXTS),
                st.sampled_from(NUMBERS).map(str),
                st.floats().map(str),
                st.text(max_size=8),
            )
        )
        if kind == "row":
            rows.insert(k, list(rows[k]))
        elif kind == "remove":
            del rows[k][at : at + 1]
        else:
            rows[k][at : at + (kind == "replace")] = [cell]
    return "\n".join(between.join(row) for row in rows).encode("utf-8", "surrogatepass")


def changed(files: dict[str, bytes]) -> st.SearchStrategy[tuple[str, bytes]]:
    """One of these files, changed: its name and content."""

    def of(name: str, content: bytes) -> st.SearchStrategy[tuple[str, bytes]]:
        by_bytes = [changed_bytes(content), st.binary(max_size=64)]
        if name.endswith(".json"):
            by_form = changed_tree(json.loads(content)).map(as_json)
        elif name.endswith((".safetensors", ".ckpt")):
            by_form = changed_tensors(content)
        elif name.endswith(".parquet"):
            by_form = changed_table(content)
        else:
            by_form = changed_lines(
                content, "," if name.endswith(".csv") else " " if name.endswith(".align") else "="
            )
        return st.tuples(st.just(name), st.one_of(by_form, by_form, by_form, *by_bytes))

    documents = [of(*file) for file in files.items() if file[0].endswith(".json")]
    return st.one_of(*documents, *documents, *(of(*file) for file in files.items()))
