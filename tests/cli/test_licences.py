"""Licences are read as packages say them, and what is not said is called unknown."""

from __future__ import annotations

import json
from email.message import Message
from pathlib import Path

import pytest

from talkers.cli import main
from talkers.cli.licences import dependencies, kind_of, licence_in
from talkers.errors import MissingComponent


@pytest.mark.parametrize(
    ("licence", "kind"),
    [
        ("MIT", "permissive"),
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", "permissive"),
        ("Apache-2.0 WITH LLVM-exception", "permissive"),
        ("Python Software Foundation License", "permissive"),
        ("Boost Software License", "permissive"),
        ("3-Clause BSD License", "permissive"),
        ("MPL-2.0 AND MIT", "weak copyleft"),
        ("LGPL-2.1-or-later", "weak copyleft"),
        ("GNU Lesser General Public License v3 (LGPLv3)", "weak copyleft"),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", "weak copyleft"),
        ("GPL-3.0-or-later", "copyleft"),
        ("GNU Affero General Public License v3", "copyleft"),
        ("MIT AND GPL-2.0-or-later", "copyleft"),
        ("MIT OR GPL-2.0-or-later", "permissive"),
        ("GNU General Public License v2 or later (GPLv2+)", "copyleft"),
        ("LicenseRef-NVIDIA-Proprietary", "proprietary"),
        ("Other/Proprietary License", "proprietary"),
        ("limited", "unknown"),
        ("MIT AND something else", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_kinds(licence: str | None, kind: str) -> None:
    assert kind_of(licence) == kind


def says(*fields: tuple[str, str]) -> str | None:
    metadata = Message()
    for key, value in fields:
        metadata[key] = value
    return licence_in(metadata)  # type: ignore[arg-type]


def test_the_plainest_field_counts() -> None:
    text = ("License", "BSD 3-Clause License\n\nCopyright 2020, somebody\n" + "words " * 100)
    mit = ("Classifier", "License :: OSI Approved :: MIT License")
    assert says(("License-Expression", "Apache-2.0"), ("License", "other"), mit) == "Apache-2.0"
    assert says(("License", "MPL-2.0"), mit) == "MPL-2.0"
    assert says(text, mit) == "MIT License"
    assert says(text) == "BSD 3-Clause License"
    assert says(("License", "UNKNOWN"), ("Classifier", "License :: OSI Approved")) is None
    assert says(("License", "Copyright 2020, somebody\n" + "words " * 100)) is None
    assert says(("Classifier", "Topic :: Multimedia")) is None


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """app -> one -> two[more] -> three, app[extra] -> four, and app[all] -> app[extra]; five is not installed, six not for this machine."""

    def install(name: str, licence: str | None, *lines: str) -> None:
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        said = [f"License-Expression: {licence}"] if licence else []
        (folder / "METADATA").write_text(
            "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *said, *lines])
            + "\n"
        )

    install(
        "app",
        "MIT",
        "Requires-Dist: one-x",
        "Provides-Extra: extra",
        "Requires-Dist: four; extra == 'extra'",
        "Provides-Extra: all",
        "Requires-Dist: app[extra]; extra == 'all'",
        "Requires-Dist: five; extra == 'all'",
        "Requires-Dist: six; sys_platform == 'never'",
    )
    install("One_X", None, "Requires-Dist: two[more]>=1")
    install(
        "two",
        "LGPL-3.0-only",
        "Provides-Extra: more",
        "Requires-Dist: three; extra == 'more'",
        "Provides-Extra: less",
        "Requires-Dist: six; extra == 'less'",
    )
    install("three", "MIT", "Requires-Dist: One.X")  # a circle
    install("four", "GPL-3.0-or-later", "Requires-Dist: three")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("packages")
def test_everything_that_is_needed_is_found() -> None:
    found = {
        d.name: (d.version, d.licence, d.kind, d.brought_by, d.wanted_by)
        for d in dependencies("app")
    }
    assert found == {
        "one-x": ("1.0", None, "unknown", ["core"], ["app", "three"]),
        "two": ("1.0", "LGPL-3.0-only", "weak copyleft", ["core"], ["one-x"]),
        "three": ("1.0", "MIT", "permissive", ["core"], ["two", "four"]),
        "four": ("1.0", "GPL-3.0-or-later", "copyleft", ["extra", "all"], ["app"]),
        "five": (None, None, "unknown", ["all"], ["app"]),
    }


@pytest.mark.usefixtures("packages")
def test_unknown_licences_are_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependencies, "__defaults__", ("app",))
    assert main(["doctor", "--licences", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {
        "permissive": 1,
        "weak copyleft": 1,
        "copyleft": 1,
        "proprietary": 0,
        "unknown": 1,
        "not installed": 1,
    }
    assert [d["kind"] for d in told["dependencies"] if d["name"] == "five"] == [None]
    assert main(["doctor", "--licences"]) == 0
    told = capsys.readouterr().out
    assert "1 unknown, 1 not installed" in told.replace("\n", " ")


def test_without_metadata_it_says_so() -> None:
    with pytest.raises(MissingComponent, match="not installed as a package"):
        dependencies("no-such-package-anywhere")
