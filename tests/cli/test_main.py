"""What the command line says when something else than the user is at fault, and how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import talkers
from talkers.cli import _interrupt, main
from talkers.cli.app import app
from talkers.cli.console import print_json, progress_bar, remark
from talkers.errors import (
    MissingComponent,
    ResourceError,
    missing,
    not_installed,
    out_of_memory,
    refuse_if_out_of_memory,
)
from talkers.progress import ProgressLines
from talkers.version import __version__

FORMAT_3 = Path(__file__).parents[1] / "data" / "format-3"


@pytest.mark.parametrize(
    ("error", "package"),
    [
        (
            ImportError("No module named 'nowhere_at_all'", name="nowhere_at_all.part"),
            "nowhere_at_all",
        ),
        (ImportError("cannot import name 'x' from 'talkers.errors'", name="talkers.errors"), None),
        (ImportError("No module named 'talkers.gone'", name="talkers.gone"), None),
        (ImportError("cannot import name 'x' from 'numpy'", name="numpy"), None),
        (ImportError("a library lacks a symbol"), None),
    ],
)
def test_only_a_package_that_is_not_installed_is_missing(
    error: ImportError, package: str | None
) -> None:
    assert not_installed(error) == package
    if package is None:
        with pytest.raises(ImportError) as raised:
            missing("this", "train", error)
        assert raised.value is error
    else:
        told = missing("training", "train", error)
        assert isinstance(told, MissingComponent)
        assert package in str(told)
        assert "pip install 'talkers[train]'" in str(told)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ImportError("cannot import name 'x'", name="talkers.errors"), 1, "internal fault"),
        (ImportError("cannot import name 'x'", name="numpy.linalg"), 1, "internal fault"),
        (ModuleNotFoundError("no", name="pyarrow_that_is_not_there"), 5, "pip install"),
    ],
)
def test_a_fault_of_our_own_is_not_told_as_a_missing_package(
    error: ImportError,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.delenv("TALKERS_DEBUG", raising=False)
    monkeypatch.setattr(app, "cli", fail)
    assert main(["doctor"]) == code
    assert message in capsys.readouterr().err


def test_a_package_is_told_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(app, "cli", fail)
    assert main(["check"]) == 5
    assert "talkers[prepare]" in capsys.readouterr().err


def test_a_request_to_end_is_answered_as_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["--version"]) == 0
        assert signal.getsignal(signal.SIGTERM) is _interrupt
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"talkers {__version__}\n"


def test_an_output_is_refused_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr("talkers.runtime.avatar.Avatar.load", load)
    monkeypatch.setattr("talkers.speech.voices.load_voice", load)
    soundfile.write(tmp_path / "a.wav", np.zeros(8_000), 16_000)
    for verb, given in (("speak", "a.wav"), ("reconstruct", "a.wav"), ("say", "Hello")):
        source = given if verb == "say" else str(tmp_path / given)
        assert main([verb, source, "-o", str(tmp_path / "o.docx")]) == 2, verb
        assert ".docx" in capsys.readouterr().err
    assert main(["say", "Hello", "-o", str(tmp_path / "o.mp4"), "--words", "w.txt"]) == 2
    assert ".srt or .vtt" in capsys.readouterr().err


def test_off_a_terminal_a_line_is_printed_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as report:
        for k in range(50):
            report("scoring", k, 50)
    assert capsys.readouterr().err == ""  # sooner done than a minute: no line, and no blank ones
    now, lines = [0.0], list[str]()
    told = ProgressLines(lines.append, clock=lambda: now[0])
    for k in range(1, 301):
        now[0] += 1
        told("scoring", k, 300)
    assert lines == [f"scoring: {60 * k} of 300" for k in range(1, 6)]


def test_json_is_escaped_where_stdout_is_not_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"file": "Łukasz – 日本 \U0001f600 é.mp4"}
    for encoding in ("ascii", "latin-1", "utf-8"):
        buffer = io.BytesIO()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(buffer, encoding))
        print_json(content)
        sys.stdout.flush()
        assert json.loads(buffer.getvalue().decode(encoding)) == content


def test_all_verbs_print_names_on_an_ascii_terminal(tmp_path: Path) -> None:
    name = tmp_path / "Łukasz – é.mp4"
    name.write_bytes(b"nothing")
    for more in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "talkers", "verify", str(name), *more],
            capture_output=True,
            env=os.environ | {"PYTHONIOENCODING": "ascii"},
            check=False,
        )
        assert done.returncode == 3, done.stderr
        assert b"fault" not in done.stderr


def test_memory_that_ran_out_is_no_damaged_file() -> None:
    for error in (
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("Failed to allocate memory for requested buffer of size 9"),
    ):
        assert out_of_memory(error)
        with pytest.raises(ResourceError, match="not enough memory"):
            refuse_if_out_of_memory(error, "model.onnx")
        wrapped = RuntimeError("cannot read")
        wrapped.__cause__ = error
        assert out_of_memory(wrapped)
    refuse_if_out_of_memory(ValueError("a fault"))


def test_a_photo_without_a_face_is_told_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # where `speak` makes its portrait
    photo = tmp_path / "me.jpg"
    Image.new("RGB", (64, 64)).save(photo)
    soundfile.write(tmp_path / "a.wav", np.zeros(8_000), 16_000)
    speak = ["speak", str(tmp_path / "a.wav"), "-o", str(tmp_path / "o.mp4")]
    agreed = ["--consent", "nobody is shown"]
    for arguments, code, said in (
        ([*speak, "--avatar", str(photo)], 2, "nobody is said to have agreed"),
        ([*speak, "--avatar", str(photo), "--consent", " "], 2, "nobody is said to have agreed"),
        ([*speak, "--avatar", str(photo), *agreed], 3, "no face is seen"),
        (["portrait", str(photo), "-o", str(tmp_path / "p"), *agreed], 3, "no face is seen"),
        (["inspect", str(photo)], 4, "no avatar yet"),
        (["check", str(photo)], 3, "a photo does not do"),
        (["prepare", str(photo), "-o", str(tmp_path / "c")], 3, "a photo does not do"),
    ):
        assert main(arguments) == code, arguments
        assert said in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.wav", "me.jpg"]


def test_advice_names_no_footage_folder_as_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("train", "train-expert"):
        assert main([verb, str(tmp_path), "-o", str(tmp_path / "x")]) == 4
        advice = capsys.readouterr().err
        assert f"talkers prepare {tmp_path}" in advice
        assert f"-o {tmp_path}`" not in advice


def test_old_names_of_options_are_understood_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(app, "cli", lambda **given: seen.append(given["args"]))
    assert main(["speak", "a.wav", "--expression", "2", "--start=old"]) == 0
    assert seen == [["speak", "a.wav", "--brow-amplitude", "2", "--init-from=old"]]
    told = capsys.readouterr().err
    assert "--expression is called --brow-amplitude now" in told
    assert "--start is called --init-from now" in told


def test_inspect_counts_digests_and_tells_the_beginning(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["inspect"]) == 0
    told = capsys.readouterr().out
    assert "340 files" in told
    assert "initialized from" in told
    digest = talkers.Avatar.load().inspect()["data"]["sources"][0]
    assert str(digest)[:20] not in told


@pytest.mark.parametrize("part", ["data", "metrics", "consent", "begun_with", "command", "seed"])
@pytest.mark.parametrize("value", [None, [], "text", 3, {"sources": 5, "command": []}])
def test_inspect_takes_any_part_of_any_type(
    part: str, value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from talkers.cli.inspect import in_short

    about = json.loads((FORMAT_3 / "avatar.json").read_text()) | {part: value}
    assert in_short(about)["licence"]


def test_remarks_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    remark("note: " + "x" * 500)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_pairs_name_what_has_no_partner(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from types import SimpleNamespace

    pytest.importorskip("talkers.evaluation.pairs")
    notes = ["2 videos have no partner and are left out: a, b."]
    metrics = {"about": {"notes": notes, "skipped": {}}}
    outcome = SimpleNamespace(metrics=metrics, failures={})
    monkeypatch.setattr("talkers.evaluation.pairs.evaluate_pairs", lambda *_: outcome)
    command = ["evaluate", "--pairs", "made", "real", "-o", str(tmp_path / "r"), "--json"]
    assert main(command) == 0
    told = capsys.readouterr()
    assert "note: 2 videos have no partner and are left out: a, b." in told.err
    assert json.loads(told.out) == metrics
