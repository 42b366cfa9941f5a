"""The docs and the packaging say what the code does: names, variables, recipes, models and voices are compared with their source."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

from talkers.artefacts import pretrained
from talkers.cli import main
from talkers.registry import names
from talkers.speech.voices import VOICES

ROOT = Path(__file__).parents[2]
SOURCE = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
PAGES = [ROOT / n for n in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TOOLS = {"dev", "docs"}  # extras of programs that are run, not imported


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 130


def test_every_environment_variable_is_documented() -> None:
    used = set(re.findall(r"\bTALKERS_[A-Z]+\b", SOURCE)) | {"TALKERS_GRID"}
    assert {v for v in used if f"`{v}" not in text_of("docs/reference/formats.md")} == set()


def test_every_recipe_is_in_the_table() -> None:
    headers = " ".join(
        line for line in text_of("docs/method.md").splitlines() if line.startswith("| | `")
    )
    assert {name for name in names("recipe") if f"`{name}`" not in headers} == set()


def test_every_pretrained_model_is_in_the_table() -> None:
    rows = [line for line in text_of("docs/dependencies.md").splitlines() if line.startswith("|")]
    kokoro = re.compile(r"kokoro-\w+$")  # its phonemes and voices share its row
    models = {kokoro.sub("kokoro", name) for name in pretrained.TABLE}
    assert {
        n.removesuffix(".json")
        for n in models
        if not any(r.startswith(f"| {n.split('.')[0]}") for r in rows)
    } <= {"piper-joe-config"}


def test_every_voice_is_in_the_help_and_in_the_guide(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["say", "--help"])
    told = set(re.findall(r"\w+", capsys.readouterr().out))
    assert {v for v in VOICES if v not in told} == set()
    assert {
        v for v in VOICES if not re.search(rf"\b{v}\b", text_of("docs/guide/voices.md"))
    } == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_are_whole_and_links_lead_somewhere(page: Path) -> None:
    """A table that an empty line cuts is printed as text; a row needs as many cells as its header."""
    plain = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    for table in re.findall(r"(?:^\|.*\n)+", plain + "\n", re.M):
        head, rule, *rows = [*table.splitlines(), ""]
        assert re.fullmatch(r"\|[\s:|-]+\|", rule), f"no table begins with: {head}"
        cells = [len(re.split(r"(?<!\\)\|", row)) for row in (head, rule, *rows) if row]
        assert set(cells) == {cells[0]}, head
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", plain):
        if "://" not in target:
            assert (page.parent / target).exists() or target == "reference/cli.md", target


def imported(distribution: str) -> bool:
    """Whether a line of the package imports something of a distribution."""
    files = importlib.metadata.files(distribution) or []
    modules = {f.parts[0].split(".")[0] for f in files if f.suffix in {".py", ".so"} and f.parts}
    return any(re.search(rf"^\s*(?:import|from) {module}\b", SOURCE, re.M) for module in modules)


@pytest.mark.parametrize(
    "extra", ["core", *(e for e in PROJECT["optional-dependencies"] if e not in TOOLS)]
)
def test_what_is_installed_is_imported(extra: str) -> None:
    wanted = PROJECT["dependencies"] if extra == "core" else PROJECT["optional-dependencies"][extra]
    packages = [re.split(r"[\[<>=~ ]", requirement)[0].lower() for requirement in wanted]
    assert {n for n in packages if n != "talkers" and not imported(n)} == set()
    for page in (*PAGES, ROOT / "Dockerfile"):
        named = re.findall(r"talkers\[([\w,]+)\]", page.read_text("utf-8"))
        assert {e for group in named for e in group.split(",")} <= set(
            PROJECT["optional-dependencies"]
        ), page


def test_who_only_speaks_needs_no_transformers() -> None:
    assert not [d for d in PROJECT["dependencies"] if d.startswith("transformers")]
    assert "transformers>=4.50" in PROJECT["optional-dependencies"]["encoders"]


def test_the_changelog_takes_every_fragment() -> None:
    kinds = {"added", "changed", "deprecated", "removed", "fixed", "security"}
    fragments = [p for p in (ROOT / "changelog.d").iterdir() if p.name != "README.md"]
    assert {
        p.name for p in fragments if not re.fullmatch(rf"\+[\w-]+\.({'|'.join(kinds)})\.md", p.name)
    } == set()
    assert {p.name for p in fragments if len(p.read_text("utf-8").strip()) < 20} == set()


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {PROJECT['version']}\n" in text_of("CITATION.cff")
