"""The files of deploy/ and compose.yaml: they can be read, and give commands that the verbs understand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from talkers.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "guide" / "deploy.md").read_text("utf-8")


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    return found


def commands() -> Iterator[tuple[str, list[str]]]:
    """Where each command of talkers stands, and its words."""
    for name, service in services().items():
        if service.get("entrypoint") != ["ray"]:
            yield f"compose.yaml, {name}", service["command"]
    job = yaml.safe_load((ROOT / "deploy" / "kuberay.yaml").read_text("utf-8"))
    yield "kuberay.yaml", shlex.split(job["spec"]["entrypoint"])[1:]
    unit = (ROOT / "deploy" / "talkers.service").read_text("utf-8")
    for line in re.findall(r"^ExecStart=\S+/talkers (.+)$", unit, re.M):
        yield "talkers.service", shlex.split(line)


@pytest.mark.parametrize(("where", "words"), list(commands()), ids=lambda value: str(value)[:24])
def test_commands_have_verbs_and_options_that_exist(
    where: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([words[0], "--help"])
    assert ended.value.code == 0, where
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", capsys.readouterr().out))
    assert {word for word in words if word.startswith("-")} <= known, where


def test_every_service_is_an_ordinary_user_who_can_write_little() -> None:
    for name, service in services().items():
        assert service["read_only"], name
        assert service["user"] == "1000:1000", name
        assert service["cap_drop"] == ["ALL"], name
        writable = {volume.partition(":")[2] for volume in service["volumes"]}
        assert writable == {"/work", "/home/talkers/.local/share/talkers"}, name
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert "\nUSER talkers\n" in dockerfile
    assert dockerfile.count("--uid 1000") == 1
    job = yaml.safe_load((ROOT / "deploy" / "kuberay.yaml").read_text("utf-8"))
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsUser"] == 1000
        assert all(c["securityContext"]["readOnlyRootFilesystem"] for c in pod["containers"])


def test_the_page_tells_of_every_file() -> None:
    for name in ("Dockerfile", "compose.yaml", *(p.name for p in (ROOT / "deploy").iterdir())):
        assert name in PAGE, name
