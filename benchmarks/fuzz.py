"""Do the parsers stand whatever a file may hold?

    python benchmarks/fuzz.py [avatar corpus recipe pose alignment checkpoint] [--seconds 600] [-o fuzz.json] [--keep FOLDER]

Each parser is given files for so many seconds of CPU time. Half of it goes to Hypothesis, which changes the structure of valid
files (wrong types, NaN, huge numbers, deep nesting, missing and unknown keys, wrong shapes) and their bytes; half to Atheris, if it
is installed (`pip install atheris`), which is guided by the branches of the package that an input reaches, and drives both the
bytes of files and Hypothesis's choices. Without Atheris Hypothesis has all the time.

Every input must be read or end in a `TalkersError`, without a warning, within 2 s; whatever else happens is listed, with the input
in the --keep folder. A parser runs in a process of its own with 8 GiB of address space: when it dies, its last input is kept.
Exit code 1 when anything was found.
"""

from __future__ import annotations

import argparse
import copy
import faulthandler
import io
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

guided = "--child" in sys.argv and find_spec("atheris") is not None
if guided:
    import atheris

with atheris.instrument_imports(include=["talkers"]) if guided else nullcontext():
    from talkers.avatar import HEAD_SHAPES, Avatar
    from talkers.bundle import FORMAT_VERSION, write_weights
    from talkers.codec import DiffusionAutoencoder
    from talkers.codec.appearance import AppearanceConfig
    from talkers.controls import Controls
    from talkers.corpus.store import FORMAT_VERSION as CORPUS_VERSION
    from talkers.corpus.store import Corpus, frames_table
    from talkers.errors import TalkersError
    from talkers.experts.words import frame_labels, read_alignment
    from talkers.face.landmarks import BLENDSHAPES
    from talkers.motion import FlowMotion, Speech2Latent
    from talkers.recipes import Recipe, from_dict, tiny, to_dict, with_settings
    from talkers.speech import Listener
    from talkers.training.checkpoint import SafetensorsCheckpointIO
    from talkers.training.run import begin_with, machine
    from talkers.training.train import begun_with, spent_on, start_folder

SLOW = 2.0  # seconds of CPU time that an input may take
STUCK = 60.0  # seconds after which a parser is ended
FEATURES = 8  # width of the speech features of the avatar that is damaged


class Parser(NamedTuple):
    """Valid files, and what reads one that was put in the place of one of them."""

    files: dict[str, bytes]
    read: Callable[[Path], object]  # of the folder or file


def small_recipe() -> Recipe:
    """The smallest recipe that has every part."""
    base = tiny()
    unet = replace(base.codec.unet, channels=4, time_width=4, latent_map=2, positional=1, appearance=AppearanceConfig(2, 2, 4))
    encoder = replace(base.codec.encoder, channels=4, components=2, small=2, pool=1)
    return replace(
        base,
        codec=replace(base.codec, size=32, latent=8, unet=unet, encoder=encoder),
        motion=replace(base.motion, width=8, heads=2, kernel=3, pose_hidden=2),
        sampler=replace(base.sampler, width=8, blocks=1, heads=2, kernel=3, shapes=2),
        listener=replace(base.listener, width=8, blocks=2, kernel=3, dilations=(1, 2)),
    )


def networks(recipe: Recipe, features: int = FEATURES) -> dict[str, torch.nn.Module]:
    """The networks of an avatar, untrained."""
    latent = recipe.codec.latent
    return {
        "codec": DiffusionAutoencoder(recipe.codec),
        "motion": Speech2Latent(recipe.motion, features, latent),
        "sampler": FlowMotion(recipe.sampler, features, latent),
        "listener": Listener(recipe.listener, features),
    }


def written(folder: Path) -> dict[str, bytes]:
    """The files of a folder by their paths within it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def avatar_parser(folder: Path) -> Parser:
    recipe = small_recipe()
    head = {key: np.ones(shape).tolist() for key, shape in HEAD_SHAPES.items()}
    about = {"format_version": FORMAT_VERSION, "talkers": "0.1.0", "recipe": to_dict(recipe), "speech": {"encoder": "log-mel", "width": FEATURES}, "head": head,
             "data": {"digest": "0", "clips": 1, "held_out": ["a"]}, "consent": "drawn", "metrics": {"codec": {"psnr": 30.0}},
             "articulation": 1.1, "sampler_articulation": 1.0}  # fmt: skip
    torch.manual_seed(0)
    for name, network in networks(recipe).items():
        write_weights(folder / f"{name}.safetensors", network.state_dict(), "int8" if name == "codec" else "float16")
    (folder / "avatar.json").write_text(json.dumps(about))

    def read(path: Path) -> object:
        avatar = Avatar.load(path, "cpu")
        for kind in ("regressor", "sampler"):
            if kind == "regressor" or avatar.sampler is not None:
                avatar.articulation(kind), avatar.asked(0, Controls(motion=kind))
        return avatar.inspect(), avatar.frame_rate, begun_with(path)

    return Parser(written(folder), read)


def corpus_parser(folder: Path) -> Parser:
    frames, clips = 3, []
    tables = []
    for name in ("a", "b"):
        marks, shapes = np.ones((frames, 478, 2), np.float32), np.zeros((frames, len(BLENDSHAPES)), np.float32)
        seen = np.ones(frames, np.int8)
        tables.append(frames_table(name, np.zeros((frames, 3), np.float32), marks, shapes, seen, seen > 0, 64, 25))
        clips.append({"name": name, "frames": frames, "source": "a.mp4", "sha256": "0" * 64, "gaps": [[0, 1]],
                      "crop": {"left": 0, "top": 0, "side": 64, "size": 64}, "transcript": "hello"})  # fmt: skip
    pq.write_table(pa.concat_tables(tables).unify_dictionaries(), folder / "frames.parquet")
    about = {"format_version": CORPUS_VERSION, "talkers": "0.1.0", "size": 64, "rate": "25", "frames": 2 * frames, "seconds": 0.24, "consent": None,
             "licence": None, "face_heights": {"64x64": 30.0}, "clips": clips}  # fmt: skip
    (folder / "corpus.json").write_text(json.dumps(about))

    def read(path: Path) -> object:
        corpus = Corpus(path)
        for clip in corpus.clips:
            path / "clips" / f"{clip.name}.mp4", (clip.transcript or "").split(), clip.frames / corpus.rate
            corpus.pose(clip.name), corpus.column("landmarks", clip.name), corpus.column("blendshapes", clip.name), corpus.column("speech", clip.name).mean()
        return corpus.digest()

    return Parser(written(folder), read)


def recipe_parser(folder: Path) -> Parser:
    """Settings as `--set` takes them, one a line, a recipe as avatar.json holds it, and the one of a training that has begun:
    what is not refused can be built."""
    plain, corpus = to_dict(tiny()), Corpus.__new__(Corpus)
    corpus.size, corpus.rate, corpus.clips = 64, 25, []
    (folder / "training").mkdir()
    (folder / "recipe.json").write_text(json.dumps(plain))
    (folder / "training" / "recipe.json").write_text(json.dumps({**plain, "data": corpus.digest(), "budget": None}))
    (folder / "settings.txt").write_text("codec.size=64\nmotion.width=64\ncodec.unet.multipliers=[1, 2]\nlistener.dilations=[1, 2]\nname=a")

    def read(path: Path) -> object:
        recipes = [with_settings(tiny(), (path / "settings.txt").read_bytes().decode("utf-8", "surrogateescape").split("\n"))]
        try:
            values = json.loads((path / "recipe.json").read_bytes())
        except (ValueError, RecursionError):
            values = None  # read with the avatar.json around it
        recipes.append(from_dict(values))
        with torch.device("meta"):
            for recipe in recipes:
                networks(recipe)
        return start_folder(path, tiny(), corpus, None, True), begun_with(path)

    return Parser(written(folder), read)


def pose_parser(folder: Path) -> Parser:
    (folder / "pose.csv").write_text("time,yaw,pitch,roll\n0,1,2,3\n0.5,-1,-2.5,3e1\n")
    (folder / "pose.json").write_text(json.dumps([{"time": 0, "yaw": 1.5}, {"time": 0.5, "yaw": -2}]))
    (folder / "constant.txt").write_text("yaw=5,pitch=-2")

    def read(path: Path) -> object:
        constant = (path / "constant.txt").read_bytes().decode("utf-8", "surrogateescape")
        return [Controls(pose=str(pose)).curves() for pose in (path / "pose.csv", path / "pose.json", constant)]

    return Parser(written(folder), read)


def alignment_parser(folder: Path) -> Parser:
    (folder / "a.align").write_text("0 12000 sil\n12000 18000 bin\n18000 25000 blue\n25000 30000 at\n30000 31000 sp\n31000 74500 sil\n")
    return Parser(written(folder), lambda path: frame_labels(read_alignment(path / "a.align"), 75))


def checkpoint_parser(folder: Path) -> Parser:
    (folder / "training").mkdir()
    torch.manual_seed(0)
    network = torch.nn.Conv2d(2, 2, 1)
    pace = {"frames": 10, "budget": None, "seen": 5, "spent": 1.5}
    state = {"epoch": 0, "global_step": 5, "state_dict": {f"codec.{k}": v for k, v in network.state_dict().items()}, "callbacks": {"Pace": pace},
             "optimizer_states": [{"state": {0: {"step": 5.0, "exp_avg": torch.zeros(2, 2, 1, 1)}}, "param_groups": [{"betas": (0.9, 0.99)}]}]}  # fmt: skip
    SafetensorsCheckpointIO().save_checkpoint(state, folder / "training" / "codec-5.ckpt")

    def read(path: Path) -> object:
        begin_with(path, "codec", network, "codec.")
        return spent_on(path / "training")

    return Parser(written(folder), read)


PARSERS: dict[str, Callable[[Path], Parser]] = {
    "avatar": avatar_parser,
    "corpus": corpus_parser,
    "recipe": recipe_parser,
    "pose": pose_parser,
    "alignment": alignment_parser,
    "checkpoint": checkpoint_parser,
}

# What files are changed into

DEEP = "\x00deep"  # stands for nesting that json cannot write
TEXTS = ["", "x", "nan", "inf", "-1", "0", "1e999", "1e9999999", "9" * 400, "9" * 5000, "1/0", "../../x", "a\0b", "\ud800", "\x1b[31m", "None", "a" * 100_000]
NUMBERS = [0, 1, -1, 2, 3, 7, 255, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e-320, 1e38, 1e39, 1e308, -1e308, float("nan"), float("inf")]
plain_values = st.one_of(
    st.none(), st.booleans(), st.sampled_from(NUMBERS), st.integers(-5, 300), st.integers(), st.floats(), st.sampled_from(TEXTS), st.text(max_size=10)
)
values = st.one_of(
    plain_values,
    st.lists(plain_values, max_size=4),
    st.dictionaries(st.sampled_from([*TEXTS[:9], "size", "name"]), plain_values, max_size=3),
    st.tuples(st.sampled_from([DEEP]), st.sampled_from([50, 500, 950, 990, 2_000, 100_000]), st.sampled_from(["[]", "{}"])),
)


def as_json(tree: Any) -> bytes:
    """A tree as JSON, with NaN, lone surrogates and nesting of any depth."""
    deep: list[str] = []

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            _, depth, kind = value
            deep.append("[" * depth + "]" * depth if kind == "[]" else '{"a":' * depth + "0" + "}" * depth)
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
            last = draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
            if not isinstance(inner[last], dict | list) or not inner[last] or draw(st.integers(0, 3)) == 0:
                break
            inner = inner[last]
        kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add", "double", "move", "whole"]))
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
                    st.sampled_from([b",", b"\n", b'"', b"[", b"{", b"\0", b"\xff", b"nan", b"=", b"-", b"9" * 400, b"\xef\xbb\xbf"]),
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
        data = data[:begin] + (data[begin:end] * 8)[: count * other].ljust(count * other, b"\0") + data[end:]
        for k, entry in header.items():
            if k != "__metadata__" and (entry["data_offsets"][0] >= end or k == name):
                entry["data_offsets"] = [entry["data_offsets"][0] + (moved if k != name else 0), entry["data_offsets"][1] + moved]
    elif kind == "data":
        data = (b"\xff\x7f" * (len(data) // 2 + 1))[: len(data)] if draw(st.booleans()) else data[: draw(st.integers(0, len(data)))]
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
        table = table.rename_columns(["x" if k == at else c for k, c in enumerate(table.column_names)])
    elif kind == "rows":
        table = table.slice(draw(st.integers(0, rows)))
    elif kind == "double":
        table = table.append_column(name, table.column(at))
    else:
        others = [
            pa.array([None] * rows), pa.array(["x"] * rows), pa.array([b"\xff"] * rows), pa.array([float("nan")] * rows), pa.array([2**62] * rows),
            pa.array([[1.0]] * rows), pa.array([{"a": 1}] * rows), pa.array([None, *range(rows - 1)]), pa.array([True, *[None] * (rows - 1)]),
            pa.array([None, *["a"] * (rows - 1)]), pa.array([[None] * 956] * rows, pa.list_(pa.int16(), 956)), pa.array([[1, 2]] * rows, pa.list_(pa.int16(), 2)),
            pa.array([None] * rows, pa.list_(pa.int16(), 956)), pa.array([np.ones(52)] * rows, pa.list_(pa.float64())), pa.array([1e39] * rows), pa.array([10**9] * rows, pa.timestamp("s")),
        ]  # fmt: skip
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
        cell = draw(st.one_of(st.sampled_from(TEXTS), st.sampled_from(NUMBERS).map(str), st.floats().map(str), st.text(max_size=8)))
        if kind == "row":
            rows.insert(k, list(rows[k]))
        elif kind == "remove":
            del rows[k][at : at + 1]
        else:
            rows[k][at : at + (kind == "replace")] = [cell]
    return "\n".join(between.join(row) for row in rows).encode("utf-8", "surrogatepass")


def changed(parser: Parser) -> st.SearchStrategy[tuple[str, bytes]]:
    """One of a parser's files, changed: its name and content."""

    def of(name: str, content: bytes) -> st.SearchStrategy[tuple[str, bytes]]:
        by_bytes = [changed_bytes(content), st.binary(max_size=64)]
        if name.endswith(".json"):
            by_form = changed_tree(json.loads(content)).map(as_json)
        elif name.endswith((".safetensors", ".ckpt")):
            by_form = changed_tensors(content)
        elif name.endswith(".parquet"):
            by_form = changed_table(content)
        else:
            by_form = changed_lines(content, "," if name.endswith(".csv") else " " if name.endswith(".align") else "=")
        return st.tuples(st.just(name), st.one_of(by_form, by_form, by_form, *by_bytes))

    documents = [of(*file) for file in parser.files.items() if file[0].endswith(".json")]
    return st.one_of(*documents, *documents, *(of(*file) for file in parser.files.items()))


# Trying


class Trial:
    """Tries inputs and keeps count.

    Args:
        folder: holds the parser's valid files. keep: folder for inputs that ended badly.
    """

    def __init__(self, parser: Parser, folder: Path, keep: Path | None = None):
        self.parser, self.folder, self.keep = parser, folder, keep
        self.ends, self.bad = Counter[str](), dict[str, dict[str, Any]]()
        self.slowest = 0.0

    def ends_as(self, name: str, content: bytes) -> None:
        """Put content in the place of a valid file and read all.

        Raises:
            TalkersError, and whatever else the parser does.
        """
        path = self.folder / name
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                str(self.parser.read(self.folder))
        finally:
            path.write_bytes(self.parser.files[name])

    def one(self, name: str, content: bytes) -> None:
        """Try an input."""
        begin = time.process_time()
        (self.folder.parent / "last").write_bytes(content)
        faulthandler.dump_traceback_later(STUCK, exit=True)
        try:
            self.ends_as(name, content)
            self.ends["read"] += 1
        except TalkersError:
            self.ends["told"] += 1
        except (Exception, RecursionError) as error:
            self.ends["bad"] += 1
            frame = traceback.extract_tb(error.__traceback__)[-1]
            ours = [f for f in traceback.extract_tb(error.__traceback__) if "talkers" in f.filename] or [frame]
            self._found(type(error).__name__, f"{Path(ours[-1].filename).name}:{ours[-1].lineno}", str(error).split("\n")[0][:200], name, content)
        finally:
            faulthandler.cancel_dump_traceback_later()
        took = time.process_time() - begin
        self.slowest = max(self.slowest, took)
        if took > SLOW:
            self._found("slow", "", f"{took:.1f} s", name, content)

    def _found(self, kind: str, where: str, line: str, name: str, content: bytes) -> None:
        entry = self.bad.setdefault(f"{kind} {where} {name if kind == 'slow' else ''}", {"kind": kind, "where": where, "line": line, "times": 0})
        entry["times"] += 1
        if self.keep is not None and "input" not in entry:
            self.keep.mkdir(parents=True, exist_ok=True)
            kept = self.keep / f"{len(self.bad)}-{name.replace('/', '-')}"
            kept.write_bytes(content)
            entry["input"] = str(kept)


def child(which: str, seconds: float, first: int, keep: Path | None, work: Path) -> None:
    """Fuzz one parser and write work/report.json; ends the process."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    torch.set_num_threads(1)
    folder = work / which
    folder.mkdir()
    parser = PARSERS[which](folder)
    trial = Trial(parser, folder, keep)
    for name, content in parser.files.items():
        trial.ends_as(name, content)  # what is valid is read
    strategy, begin = changed(parser), time.process_time()
    report: dict[str, Any] = {"parser": which}
    end = begin + seconds * (0.5 if guided else 1)
    told = settings(max_examples=200, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))

    @told
    @given(strategy)
    def one(drawn: tuple[str, bytes]) -> None:
        if time.process_time() < end:
            trial.one(*drawn)

    while time.process_time() < end:
        seed(first)(one)()
        first += 1
    report["hypothesis"] = sum(trial.ends.values())

    def finish() -> None:
        report["atheris"] = sum(trial.ends.values()) - report["hypothesis"]
        report["inputs"], report["seconds"] = sum(trial.ends.values()), round(time.process_time() - begin, 1)
        report.update(ends=dict(trial.ends), slowest=round(trial.slowest, 2), bad=list(trial.bad.values()))
        (work / "report.json").write_text(json.dumps(report))
        sys.stdout.flush()
        os._exit(0)

    if not guided:
        finish()
    end = float("inf")
    names = list(parser.files)
    seeds = work / "seeds"
    seeds.mkdir()
    for k, name in enumerate(names):
        (seeds / name.replace("/", "-")).write_bytes(bytes([1 + k]) + parser.files[name])
    drive = given(strategy)(lambda drawn: trial.one(*drawn)).hypothesis.fuzz_one_input

    def both(data: bytes) -> None:
        """The first byte says which file the rest is, or that Hypothesis shall choose by it."""
        if time.process_time() - begin > seconds:
            finish()
        which_file = data[0] % (len(names) + 1) if data else 0
        if which_file:
            trial.one(names[which_file - 1], data[1:])
        else:
            drive(data[1:])

    atheris.Setup([sys.argv[0], str(seeds), "-max_len=20000", "-timeout=3600", "-rss_limit_mb=0", "-verbosity=0", f"-seed={first}"], both)
    atheris.Fuzz()


def fuzz(which: str, seconds: float, first: int, keep: Path | None) -> dict[str, Any]:
    """Fuzz one parser in a process of its own."""
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, __file__, which, "--seconds", str(seconds), "--seed", str(first), "--child", work]
        done = subprocess.run(
            [*command, "--keep", str(keep / which)] if keep else command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=False
        )
        report, last = Path(work) / "report.json", Path(work) / "last"
        if report.is_file():
            found: dict[str, Any] = json.loads(report.read_text())
            return found
        entry = {"kind": "died", "where": "", "line": f"exit code {done.returncode}: {done.stderr[-1500:]}", "times": 1}
        if keep and last.is_file():
            (keep / which).mkdir(parents=True, exist_ok=True)
            entry["input"] = str(shutil.copy(last, keep / which / "died"))
        return {"parser": which, "bad": [entry]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parsers", nargs="*", help=f"of {', '.join(PARSERS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=600, help="of CPU time for each parser")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that ended badly")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if wrong := set(options.parsers) - set(PARSERS):
        parser.error(f"there is no parser {', '.join(sorted(wrong))}")
    if options.child:
        child(options.parsers[0], options.seconds, options.seed, options.keep, options.child)
    results = []
    for which in options.parsers or PARSERS:
        results.append(fuzz(which, options.seconds, options.seed, options.keep))
        print(json.dumps(results[-1], indent=1), file=sys.stderr, flush=True)
    report = {"machine": machine(), "atheris": find_spec("atheris") is not None, "parsers": results}
    print(json.dumps(report, indent=1))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(1 if any(result["bad"] for result in results) else 0)


if __name__ == "__main__":
    main()
