"""Every video says that a machine made it, and the mark survives what people do to videos."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import speaker
from talkers import Avatar
from talkers.cli import main
from talkers.media import VideoWriter, decode_frames, probe
from talkers.provenance import read_manifest
from talkers.watermark import find, pattern
from watermark import WAYS, copied, mark, resized

Frames = np.ndarray


@pytest.fixture(autouse=True)
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALKERS_IDENTITY", str(tmp_path / "identity"))
    return tmp_path / "identity"


def drawn(frames: int, size: int = 256) -> Frames:
    acts = speaker.perform(frames, 3)
    return np.stack([speaker.draw(size, *map(float, row)) for row in zip(acts.opening, acts.shift, acts.blink, strict=True)])


ATTACKS: dict[str, tuple[Callable[[Frames], Frames], float, int]] = {
    **{way: WAYS[way] for way in ("H.264 at CRF 28", "half size", "10 % crop", "25 -> 30 fps")},
    "twice the size": (lambda f: resized(f, 512), 28, 25),
}


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_the_mark_survives(attack: str) -> None:
    plain = drawn(48)
    found = {name: find(copied(frames, *ATTACKS[attack])) for name, frames in (("marked", mark(plain)), ("plain", plain))}
    assert found["marked"].there
    assert not found["plain"].there
    assert found["marked"].score > 1.3 * found["plain"].score


def test_the_mark_is_not_seen() -> None:
    plain = drawn(2).astype(float)
    assert 10 * np.log10(255**2 / np.square(mark(plain.astype(np.uint8)) - plain).mean()) >= 42
    for side in (64, 256, 512):
        assert pattern(side).shape == (side, side)
        assert pattern(side).std() == pytest.approx(1, abs=0.01)
        assert pattern(side).abs().max() < 4
    assert not find(iter(())).there


def test_videos_say_who_made_them(tiny_avatar: Avatar, tmp_path: Path, identity: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk = tiny_avatar.speak(speaker.voice(speaker.perform(50, 1).opening, 50), size=256)
    for suffix in (".mp4", ".mov"):
        video = talk.save(tmp_path / f"a{suffix}")
        manifest = read_manifest(video)
        assert manifest.state == "valid"
        assert manifest.made_by.startswith("talkers ")
        assert manifest.by_machine
        assert manifest.avatar == tiny_avatar.digest == tiny_avatar.inspect()["digest"]
        assert not manifest.problems
        assert find(decode_frames(video)).there
    assert (identity / "key.pem").stat().st_mode & 0o077 == 0
    private = (str(tmp_path).encode(), Path.home().name.encode() + b"@", b"a.mp4")
    content = (tmp_path / "a.mp4").read_bytes()
    assert not any(name in content for name in private)  # nothing of the user
    copy = bytearray(content)
    copy[content.rindex(b"mdat") + 200] ^= 0xFF
    (tmp_path / "changed.mp4").write_bytes(copy)
    assert read_manifest(tmp_path / "changed.mp4").state == "invalid"
    assert main(["verify", str(tmp_path / "a.mp4"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)[str(tmp_path / "a.mp4")]
    assert said["manifest"]["state"] == "valid"
    assert said["mark"]["there"]
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name or p.name.startswith(".talkers")]


def test_provenance_is_switched_off_only_on_purpose(tiny_avatar: Avatar, tmp_path: Path, identity: Path) -> None:
    sound = np.zeros(8_000, np.float32)
    off = tiny_avatar.speak(sound, size=256, provenance=False).save(tmp_path / "off.mp4")
    assert read_manifest(off).state == "none"
    assert not find(decode_frames(off)).there
    assert b"provenance was switched off" in off.read_bytes()
    assert not identity.exists()
    mkv = tiny_avatar.speak(sound, size=256).save(tmp_path / "a.mkv")
    assert find(decode_frames(mkv)).there
    assert probe(mkv).video is not None


def test_a_certificate_that_cannot_sign_is_told(tiny_avatar: Avatar, tmp_path: Path, identity: Path, capsys: pytest.CaptureFixture[str]) -> None:
    identity.mkdir()
    (identity / "certificate.pem").write_text("none")
    (identity / "key.pem").write_text("none")
    (tmp_path / "a.flac").write_bytes(b"")
    from talkers.media import write_flac

    write_flac(tmp_path / "a.flac", np.zeros(8_000, np.float32), 16_000)
    command = ["speak", str(tmp_path / "a.flac"), "-o", str(tmp_path / "a.mp4"), "--avatar", str(tiny_avatar.folder)]
    assert main(command) == 4
    assert "certificate" in capsys.readouterr().err
    assert not (tmp_path / "a.mp4").exists()
    shutil.rmtree(identity)
    assert main(command) == 0
    assert read_manifest(tmp_path / "a.mp4").state == "valid"


def test_long_videos_are_signed_in_little_memory(tmp_path: Path, identity: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (10, 256, 256, 3), dtype=np.uint8)
    for name, frames in (("short.mp4", 5), ("long.mp4", 900)):
        with VideoWriter(tmp_path / name, Fraction(25), crf=18, preset="ultrafast") as writer:
            for k in range(frames):
                writer.write(noise[k % 10])
    size = (tmp_path / "long.mp4").stat().st_size / 1e6
    assert size > 25
    code = """
import sys
from pathlib import Path
from talkers.provenance import Signer, read_manifest
def peak(path):
    Signer().sign(Path(path), Path(path + ".signed.mp4"), "0" * 64)
    assert read_manifest(Path(path + ".signed.mp4")).state == "valid"
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
small = peak(sys.argv[1])
print(peak(sys.argv[2]) - small)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "short.mp4"), str(tmp_path / "long.mp4")]
    more = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert more < 0.5 * size
