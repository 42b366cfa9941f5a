"""talkers live: what it serves to whom, what is said where it cannot begin, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aioice import ice
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rtc_client import viewing
from talkers.cli import main
from talkers.server import run
from talkers.server.limits import Limits
from talkers.server.run import Certificate


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "get_host_addresses", ice.get_host_addresses)  # it is put back


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would have been served."""
    calls: list[dict[str, Any]] = []

    def serve(
        avatars: Any,
        limits: Limits,
        listening: socket.socket,
        local: bool,
        begun: Callable[[], None],
        extend: Any,
        certificate: Certificate | None,
    ) -> None:
        rtc = extend.keywords["rtc"]
        calls.append(
            {
                "avatars": list(avatars),
                "sessions": limits.sessions,
                "local": local,
                "certificate": certificate,
                "ice": [s.urls for s in rtc.ice],
            }
        )
        assert rtc.only_local == local
        begun()

    monkeypatch.setattr(run, "serve", serve)
    return calls


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """One for this machine, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Certificate(folder / "cert.pem", folder / "key.pem")


def test_only_browsers_of_this_machine_are_let_in(
    served: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["live", "--avatar", "mock", "--port", "0", "--sessions", "3"]) == 0
    told = capsys.readouterr()
    assert "Open http://127.0.0.1:" in told.out
    assert "warning" not in told.err
    assert served == [
        {"avatars": ["mock"], "sessions": 3, "local": True, "certificate": None, "ice": []}
    ]
    assert ice.get_host_addresses(True, True) == ["127.0.0.1"]


def test_who_lets_others_in_is_warned(
    served: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], certificate: Certificate
) -> None:
    given = ["live", "--avatar", "mock", "--port", "0", "--host", "0.0.0.0"]
    assert main([*given, "--ice-server", "stun:a.example", "turn:u:p@b.example"]) == 0
    assert "encrypts nothing but picture and sound" in capsys.readouterr().err
    assert (served[0]["local"], served[0]["ice"]) == (False, ["stun:a.example", "turn:b.example"])
    files = map(str, certificate)
    assert main([*given, "--certificate", next(files), "--key", next(files)]) == 0
    told = capsys.readouterr()
    assert "encrypts nothing" not in told.err
    assert "https://0.0.0.0:" in told.out
    assert served[1]["certificate"] == certificate


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--ice-server", "turn:host"], 2, "names no STUN or TURN server"),
        (["--certificate", "cert.pem"], 2, "needs a certificate and its key"),
        (["--certificate", "no.pem", "--key", "no.pem"], 2, "there is no such file"),
        (["--sessions", "0"], 2, "a limit of 0 was given for sessions"),
        (["--avatar", "mock", "mock"], 2, "do not tell them apart"),
        (["--avatar", "nothing"], 4, "nothing"),
    ],
)
def test_what_cannot_be_served(
    served: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    assert main(["live", "--port", "0", *arguments]) == code
    assert said in capsys.readouterr().err
    assert not served


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "aiortc", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["live"]) == 5
    assert "pip install 'talkers[live]'" in capsys.readouterr().err


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], None]], list[Any]]]:
    """Begins a thread when the server begins; what it raised, which ends the server, is in the list."""
    begin, threads, raised = run.serve, list[threading.Thread](), list[Any]()

    def prepare(work: Callable[[], None]) -> list[Any]:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                raised.append(error)
                os.kill(os.getpid(), signal.SIGTERM)

        threads.append(threading.Thread(target=guarded))
        return raised

    def serve(*given: Any) -> None:
        threads[0].start()
        begin(*given)

    monkeypatch.setattr(run, "serve", serve)
    yield prepare
    threads[0].join(60)


def test_it_ends_with_a_viewer_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    beside: Callable[[Callable[[], None]], list[Any]],
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with run.bound("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    closed: list[int | None] = []

    async def view() -> None:
        async with viewing(f"http://127.0.0.1:{port}") as viewer:
            await viewer.until(lambda v: len(v.pictures) > 3)
            os.kill(os.getpid(), signal.SIGTERM)
            await viewer.socket.wait_closed()
            closed.append(viewer.socket.close_code)

    raised = beside(lambda: asyncio.run(view()))
    assert main(["live", "--avatar", "mock", "--port", str(port)]) == 0
    for thread in [t for t in threading.enumerate() if t.name.startswith("Thread-")]:
        thread.join(60)
    assert raised == []
    assert closed == [1012]
    assert "nothing of its sessions is left" in capsys.readouterr().err
    assert not [t for t in threading.enumerate() if "decoder" in t.name or "asyncio" in t.name]
    assert not list(tmp_path.iterdir())


def test_it_serves_over_https(
    certificate: Certificate,
    beside: Callable[[Callable[[], None]], list[Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with run.bound("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    pages: list[Any] = []

    def ask() -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/", context=context) as page:
            pages.append((page.status, page.headers["Digital-Source-Type"]))
        os.kill(os.getpid(), signal.SIGTERM)

    raised = beside(ask)
    files = map(str, certificate)
    given = ["--certificate", next(files), "--key", next(files)]
    assert main(["live", "--avatar", "mock", "--port", str(port), *given]) == 0
    assert raised == []
    assert pages[0][0] == 200
    assert pages[0][1].endswith("trainedAlgorithmicMedia")
