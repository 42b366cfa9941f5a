"""Who made this: every video says so in a signed C2PA manifest.

A mark in its frames (see `watermark`) says it too.

A manifest says that the video was made by a model, by which tool and version, and which avatar
speaks (a digest). It says nothing of the user, the speech or the file's name. It is signed with the
certificate in the identity folder: the user's own (certificate.pem, the chain, and key.pem), or one
that is made there on first use, which proves only that nothing was changed since.
"""

from __future__ import annotations

import datetime
import json
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from talkers.artefacts.folders import user_folder
from talkers.errors import (
    ArtefactError,
    MediaError,
    ResourceError,
    interrupts_held,
    missing,
    reason,
)
from talkers.version import __version__

SIGNED = frozenset({".mp4", ".m4v", ".mov"})  # which can hold a manifest
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
AVATAR = "org.talkers.avatar"
YEARS = 10
STORE = b"jumdc2pa"  # how what c2pa embeds in a file begins, whatever kind of file it is
IDENTITY = "key.pem", "certificate.pem"
SETTINGS = {
    "core": {
        "merkle_tree_chunk_size_in_kb": 1024,
        "backing_store_memory_threshold_in_mb": 4,  # else c2pa holds whole videos, twice
        "allowed_network_hosts": [],
    },
    "verify": {
        "remote_manifest_fetch": False,
        "ocsp_fetch": False,
    },  # else a file chooses what is asked of the network
}


def identity_folder() -> Path:
    """Where the certificate is: $TALKERS_IDENTITY, or talkers/identity in the user's data
    folder."""
    if chosen := os.environ.get("TALKERS_IDENTITY"):
        return Path(chosen)
    return user_folder("TALKERS_IDENTITY", "XDG_DATA_HOME", ".local/share") / "identity"


def lacking(folder: Path) -> list[str]:
    """Which of its files an identity folder lacks.

    A link to nowhere is there, and not ours to replace.
    """
    return [name for name in IDENTITY if not os.path.lexists(folder / name)]


def _new_pair() -> tuple[bytes, bytes]:
    """A key, and a certificate of no name for it, signed by a root that is thrown away."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(what: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "talkers (local)"),
                x509.NameAttribute(NameOID.COMMON_NAME, what),
            ]
        )

    def usage(sign: bool) -> x509.KeyUsage:
        return x509.KeyUsage(sign, False, False, False, False, not sign, not sign, False, False)

    now = datetime.datetime.now(datetime.UTC)
    root, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    made = []
    for owner, what, is_root in ((root, "local root", True), (key, "local signer", False)):
        builder = x509.CertificateBuilder(
            named("local root"), named(what), owner.public_key(), x509.random_serial_number()
        )
        builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
            now + datetime.timedelta(days=365 * YEARS)
        )
        builder = builder.add_extension(
            x509.BasicConstraints(is_root, 0 if is_root else None), critical=True
        )
        builder = builder.add_extension(usage(not is_root), critical=True)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(owner.public_key()), critical=False
        )
        if not is_root:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
            )
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()),
                critical=False,
            )
        made.append(builder.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ), made[1] + made[0]


def _make_identity(folder: Path) -> None:
    """Make key and certificate, unless another process just did.

    Raises:
        ArtefactError: one of them is there. ResourceError: they cannot be kept.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if len(missing := lacking(folder)) == len(IDENTITY):
                pair = _new_pair()
                with interrupts_held():  # one without the other could sign nothing
                    for name, content, mode in zip(IDENTITY, pair, (0o600, 0o644), strict=True):
                        temporary = folder / f".{os.getpid()}.{name}"
                        with os.fdopen(
                            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb"
                        ) as file:
                            file.write(content)
                        temporary.replace(folder / name)
                return
    except OSError as error:
        todo = "Name a folder that can be written in TALKERS_IDENTITY"
        raise ResourceError(
            "the certificate that signs videos cannot be kept",
            where=folder,
            why=error.strerror,
            todo=todo,
        ) from error
    if missing:
        todo = f"Put {missing[0]} back, or take the other file away to have both made anew"
        raise ArtefactError(
            "the certificate that signs videos cannot be used",
            where=folder,
            why=f"{missing[0]} is missing",
            todo=todo,
        )


class Signer:
    """Signs videos with the identity folder's certificate.

    Raises:
        MissingComponent: c2pa-python is not installed. ArtefactError: a certificate that cannot
            sign.
        ResourceError: none can be made.
    """

    def __init__(self) -> None:
        try:
            import c2pa
        except ImportError as error:
            raise missing("signing videos", "", error, "use --no-provenance") from error
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        folder, self._c2pa = identity_folder(), c2pa
        if lacking(folder):
            _make_identity(folder)
        try:
            chain, secret = (
                (folder / "certificate.pem").read_bytes(),
                (folder / "key.pem").read_bytes(),
            )
            key = serialization.load_pem_private_key(secret, None)
            kind = b"ed25519" if isinstance(key, ed25519.Ed25519PrivateKey) else b"ps256"
            if isinstance(key, ec.EllipticCurvePrivateKey):
                kind = {256: b"es256", 384: b"es384", 521: b"es512"}[key.curve.key_size]
            self._signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(kind, chain, secret, None))
        except (OSError, ValueError, TypeError, KeyError, c2pa.C2paError) as error:
            raise ArtefactError(
                "the certificate that signs videos cannot be used",
                where=folder,
                why=reason(error),
                todo="It needs certificate.pem (the chain, signer first) and key.pem (without a "
                "password); remove both to have them made anew",
            ) from error

    def sign(self, source: Path, target: Path, avatar: str) -> None:
        """Copy a video with a manifest that says who made it; avatar: its digest.

        Raises:
            ArtefactError: the certificate is refused. ResourceError: there is no room.
        """
        actions = [{"action": "c2pa.created", "digitalSourceType": SOURCE}]
        manifest: dict[str, Any] = {
            "claim_generator_info": [{"name": "talkers", "version": __version__}],
            "title": "a video made by talkers",
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": actions}},
                {"label": AVATAR, "data": {"sha256": avatar}},
            ],
        }
        try:
            with (
                interrupts_held(),
                self._c2pa.Context(self._c2pa.Settings.from_dict(SETTINGS)) as context,
            ):
                self._c2pa.Builder(manifest, context).sign_file(source, target, self._signer)
        except self._c2pa.C2paError as error:
            if isinstance(error, self._c2pa.C2paError.Io) or isinstance(error.__cause__, OSError):
                todo = (
                    f"Free some room there and in {tempfile.gettempdir()}, or choose another folder"
                )
                raise ResourceError(
                    "the signed video cannot be written",
                    where=target.parent,
                    why=reason(error),
                    todo=todo,
                ) from error
            todo = "Check certificate.pem and key.pem there, or remove both to have them made anew"
            raise ArtefactError(
                "the video cannot be signed", where=identity_folder(), why=reason(error), todo=todo
            ) from error


class Manifest(NamedTuple):
    """state: valid (unchanged since it was signed), trusted (and by a certificate that this machine
    trusts), invalid or none.
    made_by: tool and version; signed_by: who the certificate names. by_machine: it says that a
        model made it."""

    state: str
    made_by: str = ""
    signed_by: str = ""
    by_machine: bool = False
    avatar: str = ""
    problems: tuple[str, ...] = ()


def _holds_manifest(path: Path) -> bool:
    """Whether there is a manifest in a file, however damaged both may be."""
    seen = b""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            if STORE in (seen := seen[-len(STORE) :] + block):
                return True
    return False


def read_manifest(path: Path) -> Manifest:
    """What a file's manifest says and whether it holds.

    Raises:
        MissingComponent: c2pa-python is not installed. MediaError: the file cannot be read.
    """
    try:
        import c2pa
    except ImportError as error:
        raise missing("reading manifests", "", error) from error
    kind = "video/quicktime" if path.suffix.lower() == ".mov" else "video/mp4"
    try:
        with (
            path.open("rb") as stream,
            interrupts_held(),
            c2pa.Context(c2pa.Settings.from_dict(SETTINGS)) as context,
            c2pa.Reader(kind, stream, context=context) as reader,
        ):
            state, said = str(reader.get_validation_state()).lower(), json.loads(reader.json())
    except OSError as error:
        raise MediaError(
            "the file cannot be read", where=path, why=error.strerror, todo="Check the path"
        ) from error
    except (c2pa.C2paError, ValueError) as error:
        of_the_file = type(error) in (
            c2pa.C2paError,
            c2pa.C2paError.Io,
            c2pa.C2paError.Other,
        )  # among them: no kind of file that c2pa knows
        if isinstance(error, c2pa.C2paError.ManifestNotFound) or (
            of_the_file and not _holds_manifest(path)
        ):
            return Manifest("none")
        return Manifest("invalid", problems=(reason(error),))
    manifest = said.get("manifests", {}).get(said.get("active_manifest"), {})
    data_of = {
        a["label"]: a["data"]
        for a in manifest.get("assertions", [])
        if isinstance(a.get("data"), dict)
    }  # foreign ones hold anything
    actions = [
        a
        for label, data in data_of.items()
        if label.startswith("c2pa.actions")
        for a in data.get("actions", [])
    ]  # c2pa has looked at these
    maker = (manifest.get("claim_generator_info") or [{}])[0]
    issues = tuple(
        s.get("code", "")
        for s in said.get("validation_status") or []
        if s.get("code") != "signingCredential.untrusted"
    )
    return Manifest(
        state,
        f"{maker.get('name', '')} {maker.get('version', '')}".strip(),
        str(manifest.get("signature_info", {}).get("issuer", "")),
        any(a.get("digitalSourceType") == SOURCE for a in actions),
        str(data_of.get(AVATAR, {}).get("sha256", "")),
        issues,
    )
