"""Whatever a file holds is read or told in a sentence: a short run of benchmarks/fuzz.py, and what longer ones have found."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from damage import as_json, changed
from parsers import PARSERS, Trial
from talkers.cli.console import json_text
from talkers.cli.options import frame_rate_of
from talkers.errors import TalkersError, UsageError

EXAMPLES = {"avatar": 60, "recipe": 50}  # these build networks


@pytest.mark.parametrize("which", PARSERS)
def test_whatever_a_file_holds_is_read_or_told(which: str, tmp_path: Path) -> None:
    trial = Trial(PARSERS[which](tmp_path), tmp_path)
    ends = Counter[str]()
    for name, content in trial.parser.files.items():
        trial.ends_as(name, content)  # what is valid is read

    @settings(max_examples=EXAMPLES.get(which, 150), deadline=None, derandomize=True, database=None)
    @given(changed(trial.parser.files))
    def one(drawn: tuple[str, bytes]) -> None:
        try:
            trial.ends_as(*drawn)
            ends["read"] += 1
        except TalkersError as error:
            ends["told" if len(str(error)) < 2000 else "told at length"] += 1

    one()
    assert set(ends) == {"read", "told"}  # the inputs are neither all good nor all bad


def put(*change: object) -> Callable[[bytes], bytes]:
    """JSON with the value at a place replaced: place, ..., value."""

    def changes(content: bytes) -> bytes:
        tree = json.loads(content)
        *parents, last, value = change
        inner = tree
        for key in parents:
            inner = inner[key]
        inner[last] = value
        return as_json(tree)

    return changes


def deep(content: bytes) -> bytes:
    return b"[" * 100_000


def header(content: bytes, change: Callable[[dict[str, dict[str, object]]], None]) -> bytes:
    """A safetensors file with a changed header."""
    length = struct.unpack("<Q", content[:8])[0]
    tensors = json.loads(content[8 : 8 + length])
    change(tensors)
    packed = json.dumps(tensors).encode()
    return struct.pack("<Q", len(packed)) + packed + content[8 + length :]


def tree(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    """A checkpoint with another tree."""

    def changes(content: bytes) -> bytes:
        def other(tensors: dict[str, dict[str, object]]) -> None:
            metadata = tensors["__metadata__"]
            metadata["tree"] = change(json.loads(str(metadata["tree"])))

        return header(content, other)

    return changes


def integer_scales(content: bytes) -> bytes:
    """The first scales of int8 weights as integers of as many bytes."""

    def other(tensors: dict[str, dict[str, object]]) -> None:
        tensors[min(k for k in tensors if k.endswith(".scale"))]["dtype"] = "I32"

    return header(content, other)


def column(name: str, values: pa.Array | None) -> Callable[[bytes], bytes]:
    """A table with another column, or without it."""

    def changes(content: bytes) -> bytes:
        table = pq.read_table(pa.BufferReader(content))
        at = table.column_names.index(name)
        table = table.remove_column(at) if values is None else table.set_column(at, name, values)
        stream = pa.BufferOutputStream()
        pq.write_table(table, stream)
        return stream.getvalue().to_pybytes()

    return changes


HOLES = pa.FixedSizeListArray.from_arrays(pa.array([None] * (6 * 52), pa.float16()), 52)
FOUND = {
    "no width": ("avatar", "avatar.json", put("speech", "width", float("inf")), "speech.width"),
    "texts for numbers": ("avatar", "avatar.json", put("head", "mean", ["1"] * 7), "head.mean"),
    "numbers that overflow": (
        "avatar",
        "avatar.json",
        put("head", "mean", [1e300] * 7),
        "head.mean",
    ),
    "articulation": (
        "avatar",
        "avatar.json",
        put("calibration", "motion/regressor", "articulation", "wide"),
        "damaged",
    ),
    "a version that is nested": (
        "avatar",
        "avatar.json",
        put("format_version", ("", 900, "[]")),
        "version is no number",
    ),
    "no levels": (
        "avatar",
        "avatar.json",
        put("recipe", "renderer", "unet", "multipliers", []),
        "holds nothing",
    ),
    "scales of integers": ("avatar", "renderer.safetensors", integer_scales, "lacks its scales"),
    "a rate of a billion digits": (
        "corpus",
        "corpus.json",
        put("rate", "1e999999999"),
        "no frame rate",
    ),
    "a rate of nothing": ("corpus", "corpus.json", put("rate", "0"), "no frame rate"),
    "a name of another folder": (
        "corpus",
        "corpus.json",
        put("clips", 0, "name", "../../x"),
        "is named",
    ),
    "a name that is a list": (
        "corpus",
        "corpus.json",
        put("clips", 0, "name", ["a"]),
        r"clips\.0\.name",
    ),
    "one name twice": ("corpus", "corpus.json", put("clips", 0, "name", "b"), "one name"),
    "fewer frames than none": ("corpus", "corpus.json", put("clips", 0, "frames", -3), "frames"),
    "a gap elsewhere": ("corpus", "corpus.json", put("clips", 0, "gaps", [[2, 99]]), "gaps"),
    "a transcript that is none": (
        "corpus",
        "corpus.json",
        put("clips", 0, "transcript", 1.5),
        "transcript",
    ),
    "a crop of texts": ("corpus", "corpus.json", put("clips", 0, "crop", "side", "wide"), "side"),
    "no column": ("corpus", "frames.parquet", column("clip", None), "cannot be read"),
    "no blendshapes": ("corpus", "frames.parquet", column("blendshapes", None), "cannot be read"),
    "a column of texts": (
        "corpus",
        "frames.parquet",
        column("yaw", pa.array(["a"] * 6)),
        "cannot be read",
    ),
    "a column of nothing": (
        "corpus",
        "frames.parquet",
        column("speech", pa.array([None] * 6, pa.bool_())),
        "missing in its column 'speech'",
    ),
    "a column of holes": (
        "corpus",
        "frames.parquet",
        column("blendshapes", HOLES),
        "missing in its column 'blendshapes'",
    ),
    "rows of another length": (
        "corpus",
        "frames.parquet",
        column("landmarks", pa.array([[1, 2]] * 6, pa.list_(pa.int16(), 2))),
        "cannot be read",
    ),
    "dropout": (
        "recipe",
        "recipe.json",
        put("motion", "regressor", "dropout", 2.0),
        "motion.regressor.dropout",
    ),
    "no dilations": (
        "recipe",
        "recipe.json",
        put("streaming_encoder", "dilations", []),
        "holds nothing",
    ),
    "a nested setting": (
        "recipe",
        "settings.txt",
        lambda content: b"name=" + b"[" * 100_000 + b"\nrenderer.size=x",
        "renderer.size",
    ),
    "a nested recipe of a training": ("recipe", "training/recipe.json", deep, "damaged"),
    "no recipe of a training": (
        "recipe",
        "training/recipe.json",
        lambda content: b"null",
        "damaged",
    ),
    "half a recipe of a training": (
        "recipe",
        "training/recipe.json",
        lambda content: content[:99],
        "damaged",
    ),
    "times that overflow": (
        "pose",
        "pose.csv",
        lambda content: b"time,yaw\n-1.7e308,1\n1.7e308,2\n",
        "row 1 is at no time",
    ),
    "a time of a thousand digits": (
        "alignment",
        "a.align",
        lambda content: b"0 " + b"9" * 1000 + b" bin\n",
        "no time within a day",
    ),
    "a word that ends before it begins": (
        "alignment",
        "a.align",
        lambda content: b"12000 100 bin\n",
        "before it begins",
    ),
    "a nested tree": (
        "checkpoint",
        "training/codec-000000005.ckpt",
        tree(lambda held: "[" * 100_000),
        "cannot be read",
    ),
    "a number for a tree": (
        "checkpoint",
        "training/codec-000000005.ckpt",
        tree(lambda held: "1.5"),
        "holds no state",
    ),
    "no state": (
        "checkpoint",
        "training/codec-000000005.ckpt",
        tree(lambda held: '{"__items__": []}'),
        "no checkpoint of a training",
    ),
    "weights that are none": (
        "checkpoint",
        "training/codec-000000005.ckpt",
        tree(
            lambda held: (
                '{"__items__": [["state_dict", 5], ["callbacks", {"__items__": [["TrainingProgress", {"__items__": [["seen", 1], ["spent", 1]]}]]}]]}'
            )
        ),
        "no checkpoint of a training",
    ),
    "pictures for numbers": (
        "checkpoint",
        "training/codec-000000005.ckpt",
        tree(lambda held: '{"__tensor__": "1", "channels_last": true}'),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("fault", FOUND)
def test_what_was_found_is_told(fault: str, tmp_path: Path) -> None:
    which, name, change, told = FOUND[fault]
    trial = Trial(PARSERS[which](tmp_path), tmp_path)
    with pytest.raises(TalkersError, match=told):
        trial.ends_as(name, change(trial.parser.files[name]))


def test_frame_rates_are_not_written_out() -> None:
    with pytest.raises(UsageError, match="not a frame rate"):
        frame_rate_of("1e999999999")
    assert float(frame_rate_of("29.97")) == pytest.approx(29.97)


def test_halves_of_characters_are_printed() -> None:
    printed = json_text({"consent": "\ud800 \u00e4"})
    assert json.loads(printed.encode("utf-8")) == {"consent": "\ud800 \u00e4"}
    assert "\u00e4" in printed
