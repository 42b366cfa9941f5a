"""No code from data: files that try to run something, and files that lie about what they hold."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import talkers
from talkers import Avatar
from talkers.cli import main
from talkers.errors import TalkersError
from talkers.experts import load_expert
from talkers.media import write_flac
from talkers.runtime.bundle import avatar_folder

SOURCE = Path(talkers.__file__).parent
FORBIDDEN_MODULES = {
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "joblib",
    "yaml",
    "xmlrpc",
    "code",
    "codeop",
    "runpy",
    "imp",
}
FORBIDDEN_NAMES = re.compile(  # in full, whatever they were imported as
    r"(builtins\.)?(eval|exec|compile|__import__)|(os|posix|nt)\.(system|popen|startfile|exec[lv]\w*|(posix_)?spawn\w*)|subprocess\.get(status)?output"
    r"|torch\.(jit\.load|hub\.\w+|package\.\w+)|pandas\.(io\.pickle\.)?read_pickle"
)
KEYWORDS = {
    "shell": False,
    "allow_pickle": False,
    "trust_remote_code": False,
    "weights_only": True,
}  # must be written so wherever they are given
REQUIRED = {"torch.load": "weights_only", "torch.serialization.load": "weights_only"}


def faults(tree: ast.AST) -> Iterator[str]:
    full: dict[str, str] = {}  # what each imported name stands for
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for a in node.names:
                full[a.asname or a.name.split(".")[0]] = (
                    a.name if a.asname else a.name.split(".")[0]
                )
                if a.name.split(".")[0] in FORBIDDEN_MODULES:
                    yield f"line {node.lineno}: import {a.name}"
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for a in node.names:
                full[a.asname or a.name] = name = f"{node.module}.{a.name}"
                if (
                    name.split(".")[0] in FORBIDDEN_MODULES
                    or a.name == "*"
                    or FORBIDDEN_NAMES.fullmatch(name)
                ):
                    yield f"line {node.lineno}: import {name}"

    def named(node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return full.get(node.id, node.id)
        return f"{named(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else "()"

    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            name = named(node)
            if FORBIDDEN_NAMES.fullmatch(name) or (
                name in {*REQUIRED, "numpy.load"} and id(node) not in called
            ):  # which hides how it is called
                yield f"line {node.lineno}: {name}"
        if isinstance(node, ast.Call):
            name, given = named(node.func), {k.arg: k.value for k in node.keywords}
            required = (
                "trust_remote_code" if name.endswith("from_pretrained") else REQUIRED.get(name)
            )
            if required and required not in given:
                yield f"line {node.lineno}: {name}() without {required}"
            if None in given and name.startswith(("subprocess.", "numpy.load")):
                yield f"line {node.lineno}: {name}() with what is not written there"
            if name == "numpy.load" and len(node.args) > 2:
                yield f"line {node.lineno}: allow_pickle without its name"
            for keyword, value in given.items():
                if keyword in KEYWORDS and not (
                    isinstance(value, ast.Constant) and value.value is KEYWORDS[keyword]
                ):
                    yield f"line {node.lineno}: {keyword}"


BAD = [
    "import pickle",
    "import os, yaml",
    "from joblib import load",
    "import _pickle as p",
    "import runpy",
    "from runpy import run_path",
    "import dill.source",
    "from os import *",
    "eval('1')",
    "exec(x)",
    "compile(x, 'x', 'exec')",
    "__import__('x')",
    "import builtins\nbuiltins.eval('1')",
    "from builtins import exec as e",
    "map(eval, x)",
    "os.system('x')",
    "from os import system as s",
    "import os as o\no.popen('x')",
    "os.execvp('x', y)",
    "os.execl('x')",
    "os.spawnlp(0, 'x')",
    "import posix\nposix.system('x')",
    "os.posix_spawn('x', y, z)",
    "f = os.system",
    "subprocess.getoutput('x')",
    "from subprocess import getstatusoutput",
    "run(x, shell=True)",
    "run(x, shell=s)",
    "run(x, shell=a.b)",
    "import subprocess as s\ns.run(x, **options)",
    "torch.load(f)",
    "torch.load(f, weights_only=False)",
    "torch.load(f, weights_only=w)",
    "from torch import load\nload(f)",
    "import torch as t\nt.load(f)",
    "import torch.nn\ntorch.load(f)",
    "read = torch.load",
    "from torch import serialization\nserialization.load(f)",
    "torch.jit.load(f)",
    "from torch import jit\njit.load(f)",
    "from torch.jit import load as l",
    "torch.hub.load('a', 'b')",
    "import torch.hub as h\nh.load('a', 'b')",
    "import pandas as pd\npd.read_pickle(f)",
    "from pandas import read_pickle",
    "np.load(f, allow_pickle=True)",
    "np.load(f, allow_pickle=a)",
    "import numpy as np\nnp.load(f, None, True)",
    "from numpy import load\nload(f, **options)",
    "AutoModel.from_pretrained(n)",
    "AutoModel.from_pretrained(n, trust_remote_code=True)",
    "pipeline(n, trust_remote_code=t)",
]
GOOD = """
import re, platform, subprocess, torch
import numpy as np
from re import compile
compile("x"), re.compile("x"), platform.system(), model.eval(), model.compile(), json.load(f), Avatar.load(f)
torch.load(f, weights_only=True), np.load(f), np.load(f, allow_pickle=False), subprocess.run(["x"], shell=False)
AutoModel.from_pretrained(n, trust_remote_code=False)
"""


def test_nothing_in_the_package_runs_data() -> None:
    found = [
        f"{path.name} {fault}"
        for path in sorted(SOURCE.rglob("*.py"))
        for fault in faults(ast.parse(path.read_text("utf-8")))
    ]
    assert found == []
    assert [
        text for text in BAD if not list(faults(ast.parse(text)))
    ] == []  # the check itself sees
    assert list(faults(ast.parse(GOOD))) == []


class Touch:
    """Touches the canary when it is unpickled."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(self.canary),)


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    packed = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(packed) if length is None else length) + packed + data


def lies() -> dict[str, bytes]:
    """Weights that lie."""
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    return {
        "huge header": safetensors(b"{}", length=1 << 62),
        "header beyond the end": safetensors(b"{}", length=1000),
        "no JSON": safetensors(b"\x80\x04not json"),
        "deep JSON": safetensors(b"[" * 50_000),
        "a hundred thousand tensors": safetensors(
            {
                f"t{k}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                for k in range(100_000)
            }
        ),
        "overlapping": safetensors({"a": one, "b": one}, bytes(4)),
        "beyond the data": safetensors({"a": {**one, "data_offsets": [0, 400]}}, bytes(4)),
        "negative": safetensors({"a": {**one, "data_offsets": [-4, 4]}}, bytes(4)),
        "huge shape": safetensors({"a": {**one, "shape": [1 << 40, 1 << 40]}}, bytes(4)),
        "wrong dtype": safetensors({"a": {**one, "dtype": "PY"}}, bytes(4)),
        "names that are paths": safetensors({"../../canary": one}, bytes(4)),
        "nothing": b"",
    }


def documents() -> dict[str, bytes]:
    """JSON that lies, or is not."""
    return {
        "deep": b"[" * 100_000,
        "deep objects": b'{"a":' * 50_000,
        "long number": b'{"format_version": ' + b"9" * 10_000 + b"}",
        "NaN": b'{"format_version": NaN}',
        "infinite": b'{"format_version": 1e999}',
        "not UTF-8": b"\xff\xfe\x00{",
        "a list": b"[]",
        "a string": b'"avatar"',
        "null": b"null",
        "twice": b'{"format_version": 3, "format_version": "x"}',
        "yaml": b"!!python/object/apply:os.mkdir ['canary']",
        "nothing": b"",
    }


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "canary"
    assert not (tmp_path / "canary").exists()


def told(capsys: pytest.CaptureFixture[str], *command: str) -> None:
    """The command fails as a user's mistake does: with a sentence, without a traceback."""
    code, text = main(list(command)), capsys.readouterr().err
    assert code in (2, 3, 4, 5), (command, code, text)
    assert "Traceback" not in text


def test_hostile_avatars_run_nothing(
    tiny_avatar: Avatar, tmp_path: Path, canary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = pickle.dumps(Touch(canary))
    with zipfile.ZipFile(tmp_path / "torch.zip", "w") as archive:  # as torch.save writes it
        archive.writestr("archive/data.pkl", evil)
        archive.writestr("../../canary/x", b"slip")
    contents = {"a pickle": evil, "torch's zip": (tmp_path / "torch.zip").read_bytes()}
    count = 0
    for name, more in {
        "renderer.safetensors": lies(),
        "motion-regressor.safetensors": lies(),
        "avatar.json": documents(),
    }.items():
        for content in {**contents, **more}.values():
            folder = tmp_path / str(count)
            shutil.copytree(
                tiny_avatar.engine.folder, folder, ignore=shutil.ignore_patterns("training")
            )
            (folder / name).write_bytes(content)
            told(capsys, "inspect", str(folder))
            shutil.rmtree(folder)
            count += 1
    assert count >= 40


def test_hostile_files_of_every_kind_run_nothing(
    tiny_avatar: Avatar, tmp_path: Path, canary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil, out = pickle.dumps(Touch(canary)), str(tmp_path / "o.mp4")
    sound = tmp_path / "a.flac"
    write_flac(sound, np.zeros(8_000, np.float32), 16_000)
    avatar = ["--avatar", str(tiny_avatar.engine.folder)]
    for suffix in (
        ".wav",
        ".mp3",
        ".flac",
        ".mp4",
        ".mkv",
        ".ogg",
        ".pkl",
        ".pt",
        ".npy",
        ".m3u8",
        ".concat",
        "",
    ):
        path = tmp_path / f"evil{suffix}"
        path.write_bytes(evil)
        told(capsys, "speak", str(path), "-o", out, *avatar)
        told(capsys, "verify", str(path))
    footage = [str(path) for path in sorted(tmp_path.glob("evil*"))]
    told(capsys, "prepare", *footage, "-o", str(tmp_path / "corpus"), "--jobs", "1")
    for suffix in (".csv", ".json", ".pkl"):
        path = tmp_path / f"pose{suffix}"
        for content in (evil, *documents().values()):
            path.write_bytes(content)
            told(capsys, "speak", str(sound), "-o", out, *avatar, "--pose", str(path))
    for content in (evil, *documents().values()):
        folder = tmp_path / "corpus2"
        folder.mkdir(exist_ok=True)
        (folder / "corpus.json").write_bytes(content)
        told(capsys, "train", str(folder), "-o", str(tmp_path / "trained"))
    known = {
        s: (SOURCE / "experts" / "weights" / f"sync-points{s}").read_bytes()
        for s in (".json", ".safetensors")
    }
    for suffix, contents in {".json": documents(), ".safetensors": lies()}.items():
        for content in (evil, *contents.values()):
            for s, held in (known | {suffix: content}).items():
                (tmp_path / f"judge{s}").write_bytes(held)
            with pytest.raises(TalkersError):
                load_expert(tmp_path / "judge.json")
    (tmp_path / "evil.onnx").write_bytes(evil)
    (tmp_path / "evil.onnx.json").write_bytes(evil)
    told(capsys, "say", "Hello", "-o", out, "--voice", str(tmp_path / "evil.onnx"), *avatar)
    assert not Path(out).exists()


def test_playlists_reach_nothing(
    tiny_avatar: Avatar, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """FFmpeg follows what some files name; none of it may be opened."""
    write_flac(tmp_path / "secret.flac", 0.1 * np.ones(16_000, np.float32), 16_000)
    files = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{tmp_path}/secret.flac\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile '{tmp_path}/secret.flac'\n",
        "list.txt": "ffconcat version 1.0\nfile secret.flac\n",
        "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        told(
            capsys,
            "speak",
            str(tmp_path / name),
            "-o",
            str(tmp_path / "o.mp4"),
            "--avatar",
            str(tiny_avatar.engine.folder),
        )


def greedy(folder: Path) -> dict[str, Path]:
    """Small files whose headers ask for very much, and the largest pictures that are accepted."""
    import av

    def wav(rate: int, seconds: float, content: bytes) -> bytes:
        """8-bit sound whose header says that it lasts so many seconds."""
        length = min(round(rate * seconds), 0xFFFFFFD0)
        return (
            struct.pack(
                "<4sI4s4sIHHIIHH4sI",
                b"RIFF",
                length + 36,
                b"WAVE",
                b"fmt ",
                16,
                1,
                1,
                rate,
                rate,
                1,
                8,
                b"data",
                length,
            )
            + content
        )

    def video(
        container: av.container.OutputContainer,
        codec: str,
        stamps: tuple[int, ...],
        width: int = 64,
        height: int = 64,
        form: str = "yuv420p",
    ) -> None:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, form
        if codec == "libx264":
            stream.options = {"preset": "ultrafast"}
        for stamp in stamps:
            frame = av.VideoFrame(width, height, form)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.pts, frame.time_base = stamp, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    kinds = {
        "pixels": "y4m",
        "endless": "wav",
        "hours": "wav",
        "slow": "wav",
        "jump": "mkv",
        "late": "mkv",
        "few": "mp4",
        "many": "mp4",
        "largest": "mkv",
        "deep": "mov",
    }
    files = {name: folder / f"{name}.{kind}" for name, kind in kinds.items()}
    files["pixels"].write_bytes(b"YUV4MPEG2 W65000 H65000 F25:1 C420\nFRAME\n" + bytes(1000))
    files["endless"].write_bytes(wav(16_000, 1e9, bytes(3_200)))
    files["hours"].write_bytes(wav(8_000, 360_000, bytes(3_200)))
    files["slow"].write_bytes(wav(1, 360_000, bytes(360_000)))
    for name, codec, stamps, *form in (
        ("jump", "libx264", (0, 1, 25 * 3600 * 100)),
        ("few", "libx264", (0, 1, 2)),
        ("largest", "libx264", (0, 1, 2), 4096, 2304),
        ("deep", "png", (0, 1), 4096, 2304, "rgba64be"),
    ):
        with av.open(str(files[name]), "w") as container:
            video(container, codec, stamps, *form)
    with av.open(str(files["late"]), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        video(container, "libx264", tuple(range(25)))
        block = av.AudioFrame.from_ndarray(
            np.zeros((1, 1_000), np.int16), format="s16", layout="mono"
        )
        block.sample_rate, block.pts, block.time_base = (
            16_000,
            16_000 * 3600 * 100,
            Fraction(1, 16_000),
        )
        container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    data = files["few"].read_bytes()
    movie, track = data.index(b"moov") - 4, data.index(b"trak") - 4
    sizes = [struct.unpack(">I", data[at : at + 4])[0] for at in (movie, track)]
    more = data[track : track + sizes[1]] * 899  # FFmpeg stops at 1000 by itself
    files["many"].write_bytes(
        data[:movie]
        + struct.pack(">I", sizes[0] + len(more))
        + data[movie + 4 : track]
        + more
        + data[track:]
    )
    return files


@pytest.mark.long
def test_greedy_headers_cost_little(tmp_path: Path) -> None:
    """What each use costs this process and the one that decodes together: at most 300 MB more than an ordinary file does, and twelve times its time.

    The processor's seconds are compared with those of the ordinary file on the same machine: most of these are the
    start of the process that decodes."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system does not tell how much memory a process has had")
    code = """
import os, sys
from fractions import Fraction
from pathlib import Path
import talkers.media as m
from talkers.errors import TalkersError
from talkers.media import guard

def peak(process):
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

def seconds(process):
    numbers = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, numbers[11:13])) / os.sysconf("SC_CLK_TCK")

def cost(path, use):
    guard._end_all()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
    before, told = seconds("self"), ""
    try:
        use(path)
    except TalkersError as error:
        told = str(error)
    child, = (child._process.pid for child in guard._idle)  # it is there still: nothing ended it
    return peak("self") + peak(child), seconds("self") - before + seconds(child), told

USES = {
    "probe": m.probe,
    "picture": lambda p: sum(1 for _ in m.decode_frames(p, Fraction(25))),
    "sound": lambda p: sum(map(len, m.audio_blocks(p))),
}
for name, use in USES.items():
    usual, moment, _ = cost(sys.argv[1], use)
    for path in sys.argv[2:]:
        memory, spent, told = cost(path, use)
        print(Path(path).stem, name, memory - usual, spent / moment, told.replace(chr(10), " "), sep="\t")
"""
    files = greedy(tmp_path)
    command = [sys.executable, "-c", code, str(files["few"]), *map(str, files.values())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told = {}
    for line in done.stdout.splitlines():
        name, use, memory, times, told[name, use] = line.split("\t")
        assert float(memory) <= 300, line
        assert float(times) <= 12, line
    assert len(told) == 3 * len(files)
    assert "the sound begins 360000 s after the picture" in told["late", "sound"]
    assert "1 samples a second" in told["slow", "sound"]
    assert "the time jumps" in told["jump", "picture"]
    assert "more than 64 streams" in told["many", "probe"]
    assert not told["largest", "picture"] + told["deep", "picture"] + told["hours", "sound"]


NAMES = [
    "it's.flac",
    'say "hi".flac',
    "$(touch canary).flac",
    "`touch canary`.flac",
    "-rf.flac",
    "--help.flac",
    "a;touch canary;.flac",
    "a|b.flac",
    "a&b.flac",
    "new\nline.flac",
    "tab\t.flac",
    "\u202eright to left.flac",
    "concat:a.flac",
    "http:example.flac",
    "file:a.flac",
    "pipe:0.flac",
    "a%00b.flac",
    "%s%n.flac",
    "{0}.flac",
    "[bold]a.flac",
    "~.flac",
    "*.flac",
    "?.flac",
    "  .flac",
    "\u00e4\u00f6\u00fc\u4f60.flac",
    "\U0001f600.flac",
    "..flac",
    "...flac",
    "a" * 240 + ".flac",
    "a.mp4.flac",
    "CON.flac",
    "a\\b.flac",
    "#a.flac",
    "a?b=c.flac",
    "@a.flac",
    "=1+1.flac",
    "\x01.flac",
    "\x7f.flac",
    "<script>.flac",
    "&amp;.flac",
    "data:audio,a.flac",
    "subfile,,start,0,end,0,,:a.flac",
    "crypto:a.flac",
    "tee:a|b.flac",
    "async:a.flac",
    "cache:a.flac",
    "lavfi.flac",
    "rtmp:a.flac",
    "%d.flac",
    "%05d.flac",
    "-.flac",
    "--avatar=x.flac",
    "-o.flac",
    "a\rb.flac",
    "a\x1b[31mb.flac",
    "e\u0301\u0327.flac",
    "\u2028line.flac",
    "\ufeffa.flac",
    "a\u200bb.flac",
    "${HOME}.flac",
    "$(yes|head -c9)`id`.flac",
    "\u2066isolated.flac",
]


def test_evil_file_names_are_only_names(
    tiny_avatar: Avatar,
    tmp_path: Path,
    canary: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_flac(tmp_path / "a.flac", np.zeros(3_200, np.float32), 16_000)
    evil = [os.fsencode(name) for name in NAMES] + [b"\xff\xfe not utf-8.flac"]
    (tmp_path / "package" / "avatars").mkdir(parents=True)  # what `demo` says, and by whom
    shutil.copy(tmp_path / "a.flac", tmp_path / "package" / "avatars" / "hello.flac")
    monkeypatch.setattr("talkers.cli.demo.files", lambda _: tmp_path / "package")
    monkeypatch.setattr(
        "talkers.runtime.bundle.avatar_folder",
        lambda name: avatar_folder("mock" if name == "default" else name),
    )
    tiny = ["--avatar", str(tiny_avatar.engine.folder)]
    new = str(tmp_path / "new")
    (tmp_path / "pose").mkdir()
    for k, name in enumerate(evil):
        shutil.copy(os.fsencode(tmp_path / "a.flac"), name)
        path = os.fsdecode(name)
        assert main(["speak", f"./{path}", "-o", f"./{path}.mp4", "--avatar", "mock"]) == 0, path
        assert Path(f"{path}.mp4").stat().st_size > 500, path
        assert main(["verify", f"./{path}.mp4"]) == 0, path
        if k % 16:  # neighbours in the list are of one kind: the other verbs meet one of them
            continue
        again = os.fsdecode(os.fsencode(tmp_path / "again") + b"/" + name[:200] + b".mp4")
        assert main(["reconstruct", f"./{path}.mp4", "-o", again, *tiny]) == 0, path
        assert Path(again).stat().st_size > 500, path
        told(capsys, "train", f"./{path}", "-o", new)
        told(capsys, "train-expert", f"./{path}", "-o", new)
        told(capsys, "say", "Hello", "-o", f"{new}.mp4", "--voice", f"./{path}", *tiny)
        pose = os.fsdecode(os.fsencode(tmp_path / "pose") + b"/" + name + b".csv")
        Path(pose).write_text("time,yaw\n0,1\n")
        posed = ["speak", f"./{path}", "-o", str(tmp_path / "posed.mp4"), "--avatar", "mock"]
        assert main([*posed, "--pose", pose]) == 0, path
        avatar = os.fsdecode(os.fsencode(tmp_path / "avatars") + b"/" + name)
        left = shutil.ignore_patterns("training")
        shutil.copytree(tiny_avatar.engine.folder, avatar, ignore=left)
        assert main(["inspect", avatar]) == 0, path
        demo = Path(os.fsdecode(os.fsencode(tmp_path / "demos") + b"/" + name))
        assert main(["demo", "-o", str(demo)]) == 0, path
        assert sorted(p.name for p in demo.iterdir()) == ["hello.mp4", "hello.png"], path
        shutil.rmtree(avatar)
    sounds = [f"./{os.fsdecode(name)}" for name in evil]
    one = ["--jobs", "1"]  # every further process costs seconds
    capsys.readouterr()
    assert main(["check", *one, *sounds]) == 3  # there is no picture in any of them
    said = capsys.readouterr()
    assert "Traceback" not in said.err + said.out
    assert not [c for c in said.err + said.out if not (c.isprintable() or c == "\n")]
    assert main(["check", "--json", *one, *sounds]) == 3
    assert len({f["file"] for f in json.loads(capsys.readouterr().out)["findings"]}) == len(evil)
    assert main(["prepare", "-o", str(tmp_path / "corpus"), *one, *sounds]) == 3
    assert "Traceback" not in capsys.readouterr().err
    assert (
        main(
            [
                "evaluate",
                str(tiny_avatar.engine.folder),
                *sounds,
                "-o",
                str(tmp_path / "report"),
                "--speed",
                "0",
                *one,
            ]
        )
        == 3
    )
    assert "Traceback" not in capsys.readouterr().err
    assert sorted(os.fsencode(p.name) for p in folder.iterdir()) == sorted(
        [*evil, *(name + b".mp4" for name in evil)]
    )
    assert len(evil) >= 60
    told(capsys, "speak", "a\0b.flac", "-o", "out.mp4", "--avatar", str(tiny_avatar.engine.folder))
    told(
        capsys,
        "speak",
        "http://127.0.0.1:9/a.flac",
        "-o",
        "out.mp4",
        "--avatar",
        str(tiny_avatar.engine.folder),
    )
    told(capsys, "speak", "a" * 300, "-o", "out.mp4", "--avatar", str(tiny_avatar.engine.folder))
    assert not canary.exists()
