"""Every video says that a machine made it, and the mark survives what people do to videos."""

from __future__ import annotations

import datetime
import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import speaker
from attacks import WAYS, copied, mark, resized
from talkers import Avatar
from talkers.cli import main
from talkers.errors import ArtefactError, ResourceError
from talkers.media import VideoWriter, decode_frames, probe
from talkers.media.manifest import Signer, read_manifest
from talkers.media.watermark import find, pattern

Frames = np.ndarray


@pytest.fixture(autouse=True)
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALKERS_IDENTITY", str(tmp_path / "identity"))
    return tmp_path / "identity"


def drawn(frames: int, size: int = 256) -> Frames:
    acts = speaker.perform(frames, 3)
    return np.stack(
        [
            speaker.draw(size, *map(float, row))
            for row in zip(acts.opening, acts.shift, acts.blink, strict=True)
        ]
    )


ATTACKS: dict[str, tuple[Callable[[Frames], Frames], float, int]] = {
    **{way: WAYS[way] for way in ("H.264 at CRF 28", "half size", "10 % crop", "25 -> 30 fps")},
    "twice the size": (lambda f: resized(f, 512), 28, 25),
}


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_the_mark_survives(attack: str) -> None:
    plain = drawn(48)
    found = {
        name: find(copied(frames, *ATTACKS[attack]))
        for name, frames in (("marked", mark(plain)), ("plain", plain))
    }
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


def test_videos_say_who_made_them(
    mock: Avatar, tmp_path: Path, identity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = mock.speak(speaker.voice(speaker.perform(50, 1).opening, 50), size=256)
    for suffix in (".mp4", ".mov"):
        video = talk.save(tmp_path / f"a{suffix}")
        manifest = read_manifest(video)
        assert manifest.state == "valid"
        assert manifest.made_by.startswith("talkers ")
        assert manifest.by_machine
        assert manifest.avatar == mock.digest == mock.inspect()["digest"]
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
    assert not [
        p for p in tmp_path.iterdir() if "partial" in p.name or p.name.startswith(".talkers")
    ]


def test_provenance_is_switched_off_only_on_purpose(
    mock: Avatar, tmp_path: Path, identity: Path
) -> None:
    sound = np.zeros(8_000, np.float32)
    off = mock.speak(sound, size=256, provenance=False).save(tmp_path / "off.mp4")
    assert read_manifest(off).state == "none"
    assert not find(decode_frames(off)).there
    assert b"provenance was switched off" in off.read_bytes()
    assert not identity.exists()
    mkv = mock.speak(sound, size=256).save(tmp_path / "a.mkv")
    assert find(decode_frames(mkv)).there
    assert probe(mkv).video is not None


def test_a_certificate_that_cannot_sign_is_told(
    mock: Avatar, tmp_path: Path, identity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identity.mkdir()
    (identity / "certificate.pem").write_text("none")
    (identity / "key.pem").write_text("none")
    (tmp_path / "a.flac").write_bytes(b"")
    from talkers.media import write_flac

    write_flac(tmp_path / "a.flac", np.zeros(8_000, np.float32), 16_000)
    command = [
        "speak",
        str(tmp_path / "a.flac"),
        "-o",
        str(tmp_path / "a.mp4"),
        "--avatar",
        "mock",
    ]
    assert main(command) == 4
    assert "certificate" in capsys.readouterr().err
    assert not (tmp_path / "a.mp4").exists()
    shutil.rmtree(identity)
    assert main(command) == 0
    assert read_manifest(tmp_path / "a.mp4").state == "valid"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A short video without a manifest."""
    with VideoWriter(tmp_path / "plain.mp4", Fraction(25)) as writer:
        for k in range(3):
            writer.write(np.full((64, 64, 3), 60 * k, np.uint8))
    return tmp_path / "plain.mp4"


@pytest.fixture
def signed(plain: Path, tmp_path: Path) -> Path:
    Signer().sign(plain, tmp_path / "signed.mp4", "0" * 64)
    return tmp_path / "signed.mp4"


def test_a_picture_that_changes_its_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = mark(drawn(48))
    assert find([resized(frames[:4], 128)[0, :, :96], *frames]).there
    for side in (64, 96):
        with av.open(str(tmp_path / f"{side}.ts"), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height = 128, side
            for _ in range(5):
                container.mux(
                    stream.encode(
                        av.VideoFrame.from_ndarray(
                            np.full((side, 128, 3), 99, np.uint8), format="rgb24"
                        )
                    )
                )
            container.mux(stream.encode(None))
    (tmp_path / "both.ts").write_bytes(
        (tmp_path / "64.ts").read_bytes() + (tmp_path / "96.ts").read_bytes()
    )
    assert len({frame.shape for frame in decode_frames(tmp_path / "both.ts")}) == 2
    assert main(["verify", str(tmp_path / "both.ts")]) == 0
    assert "not found" in capsys.readouterr().out


def test_one_bad_file_does_not_stop_the_others(
    plain: Path, signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, gone = tmp_path / "bad.mp4", tmp_path / "gone.mp4"
    bad.write_text("no video")
    assert main(["verify", *map(str, (bad, signed, gone, plain))]) == 7
    told = capsys.readouterr()
    assert "manifest valid: made by talkers" in told.out
    assert "manifest none" in told.out
    assert all(str(path) in told.err for path in (bad, gone))
    assert main(["verify", "--json", *map(str, (bad, signed))]) == 7
    said = json.loads(capsys.readouterr().out)
    assert said[str(signed)]["manifest"]["state"] == "valid"
    assert str(bad) in said[str(bad)]["failed"]
    assert main(["verify", str(bad), str(gone)]) == 3
    told = capsys.readouterr()
    assert all(str(path) in told.err for path in (bad, gone))


@contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port, and what was asked there."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller:
                    heard.append(caller.recv(1000))
                    caller.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)


def test_no_file_chooses_what_is_asked_of_the_network(plain: Path, tmp_path: Path) -> None:
    with listener() as (port, heard):
        about = f'<rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="http://127.0.0.1:{port}/m.c2pa"/>'
        xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{about}</rdf:RDF></x:xmpmeta>'.encode()
        box = (
            struct.pack(">I4s", 24 + len(xmp), b"uuid")
            + bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
            + xmp
        )
        (tmp_path / "asks.mp4").write_bytes(plain.read_bytes() + box)
        assert read_manifest(tmp_path / "asks.mp4").state == "none"
        Signer().sign(tmp_path / "asks.mp4", tmp_path / "signed.mp4", "0" * 64)
        assert read_manifest(tmp_path / "signed.mp4").state == "valid"
        assert main(["verify", str(tmp_path / "asks.mp4")]) == 0
    assert not heard


def test_a_damaged_manifest_is_no_missing_one(plain: Path, signed: Path, tmp_path: Path) -> None:
    content, damaged = signed.read_bytes(), tmp_path / "damaged.mp4"
    begin = content.index(b"jumb")
    places = {
        "description": begin + 9,
        "claim": content.index(b"claim_generator_info"),
        "certificate": content.index(b"local root") - 20,
    }
    for name, place in places.items():
        damaged.write_bytes(content[:place] + b"\xff\xff" + content[place + 2 :])
        told = read_manifest(damaged)
        assert told.state == "invalid", name
        assert told.problems, name
    damaged.write_bytes(content[: begin + 400])
    assert read_manifest(damaged).state == "invalid"
    for other in (b"", b"no video", plain.read_bytes()[:-100], b"\x1aE\xdf\xa3" + bytes(100)):
        damaged.write_bytes(other)
        assert read_manifest(damaged).state == "none", other[:8]


@pytest.mark.parametrize("verb", ["Builder.sign_file", "Reader.json"])
def test_an_interrupt_within_c2pa_is_no_fault_of_the_file(
    verb: str, plain: Path, signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, name = verb.split(".")

    def losing(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:  # as c2pa's callbacks do
            raise c2pa.C2paError("the stream failed") from None

    monkeypatch.setattr(getattr(c2pa, kind), name, losing)
    with pytest.raises(KeyboardInterrupt):
        _ = (
            read_manifest(signed)
            if kind == "Reader"
            else Signer().sign(plain, tmp_path / "other.mp4", "0" * 64)
        )


def test_foreign_manifests_are_of_any_shape(plain: Path, tmp_path: Path) -> None:
    import c2pa

    for k, data in enumerate((["a"], {"sha256": ["a"]}, "a", 1)):
        created = {
            "action": "c2pa.created",
            "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
        }
        assertions = [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": "org.talkers.runtime.avatar", "data": data},
        ]
        manifest = {"claim_generator_info": [{"name": "foreign"}], "assertions": assertions}
        with c2pa.Context() as context:
            c2pa.Builder(manifest, context).sign_file(
                plain, tmp_path / f"{k}.mp4", Signer()._signer
            )
        told = read_manifest(tmp_path / f"{k}.mp4")
        assert told.made_by.startswith("foreign"), data
        assert not told.by_machine


@pytest.mark.parametrize("kept", ["key.pem", "certificate.pem"])
def test_half_an_identity_is_kept(kept: str, identity: Path) -> None:
    lost = {"key.pem": "certificate.pem", "certificate.pem": "key.pem"}[kept]
    Signer()
    before = (identity / kept).read_bytes()
    (identity / lost).unlink()
    with pytest.raises(ArtefactError, match=f"{lost} is missing"):
        Signer()
    assert (identity / kept).read_bytes() == before
    assert not (identity / lost).exists()
    (identity / lost).symlink_to(identity / "elsewhere")  # such as a stick that is not plugged in
    with pytest.raises(ArtefactError):
        Signer()
    assert (identity / lost).is_symlink()


def test_first_uses_at_once_make_one_identity(plain: Path, tmp_path: Path, identity: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from talkers.media.manifest import Signer
import c2pa, cryptography.x509
turn, real = int(sys.argv[3]), Path.replace
def late(self, target):  # the first to write the key is the last to write the certificate
    time.sleep(0.3 * turn if target.name == "key.pem" else 0.6 * (3 - turn))
    return real(self, target)
Path.replace = late
print(flush=True)
sys.stdin.readline()
Signer().sign(Path(sys.argv[1]), Path(sys.argv[2]), "0" * 64)
"""
    command, videos = (
        [sys.executable, "-c", code, str(plain)],
        [tmp_path / f"{k}.mp4" for k in range(4)],
    )
    processes = [
        subprocess.Popen(
            [*command, str(v), str(k)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for k, v in enumerate(videos)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60) and process.returncode for process in processes] == [
        0
    ] * 4
    assert [read_manifest(v).state for v in videos] == ["valid"] * 4
    certificate = x509.load_pem_x509_certificate((identity / "certificate.pem").read_bytes())
    key = serialization.load_pem_private_key((identity / "key.pem").read_bytes(), None)
    assert key.public_key() == certificate.public_key()


OWN = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", list(OWN))
def test_users_sign_with_their_own_certificate(
    kind: str, plain: Path, tmp_path: Path, identity: Path
) -> None:
    root, key = ec.generate_private_key(ec.SECP256R1()), OWN[kind]()
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    chain = b""
    for owner, what in ((key, "Ann"), (root, "Ann's root")):
        names = [
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, n),
                    x509.NameAttribute(NameOID.COMMON_NAME, n),
                ]
            )
            for n in ("Ann's root", what)
        ]
        made = x509.CertificateBuilder(
            *names, owner.public_key(), x509.random_serial_number(), now - day, now + day
        )
        made = made.add_extension(x509.BasicConstraints(owner is root, None), critical=True)
        made = made.add_extension(
            x509.KeyUsage(
                owner is key, False, False, False, False, owner is root, owner is root, False, False
            ),
            critical=True,
        )
        made = made.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False
        )
        if owner is key:
            made = made.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
            )
        chain += made.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    identity.mkdir()
    (identity / "certificate.pem").write_bytes(chain)
    (identity / "key.pem").write_bytes(secret)
    Signer().sign(plain, tmp_path / "a.mp4", "0" * 64)
    told = read_manifest(tmp_path / "a.mp4")
    assert (told.state, told.signed_by) == ("valid", "Ann")
    assert (identity / "key.pem").read_bytes() == secret


def test_a_full_disk_is_not_the_certificates_fault(plain: Path, tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from talkers.errors import ResourceError
from talkers.media.manifest import Signer
signer = Signer()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    signer.sign(Path(sys.argv[1]), Path(sys.argv[2]), "0" * 64)
except ResourceError as error:
    print(error)
"""
    for room in ("500", "3000"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(plain), str(tmp_path / "a.mp4"), room],
            capture_output=True,
            text=True,
            check=False,
        )
        assert str(tmp_path) in done.stdout, done.stderr
        assert "Free some room" in done.stdout
    with pytest.raises(ResourceError):
        Signer().sign(plain, tmp_path / "no folder" / "a.mp4", "0" * 64)


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
from talkers.media.manifest import Signer, read_manifest
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
