"""talkers doctor: what is installed, and under which licences."""

from __future__ import annotations

from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from talkers.cli.app import app
from talkers.cli.console import out, print_json, tell
from talkers.cli.options import Json


@app.command
def doctor(licences: bool = False, as_json: Json = False) -> None:
    """Say what is installed, what is missing, what it is needed for, and how to get it.

    For example: talkers doctor

    Args:
        licences: Say instead under which licence every package is that talkers and its extras need.
        as_json: Print one JSON object.
    """
    if licences:
        tell_licences(as_json)
        return
    from talkers.cli.installed import examine

    found = examine()
    if as_json:
        print_json({"checks": found})
    else:
        table = Table("", "what", "state", "needed for", "how to get it")
        for c in found:
            table.add_row(
                "[green]ok[/]" if c["ok"] else "[red]--[/]",
                c["what"],
                escape(c["state"]),
                c["needed_for"],
                escape("" if c["ok"] else c["todo"]),
            )
        out.print(table)


def tell_licences(as_json: bool) -> None:
    """Print under which licence every dependency is."""
    from talkers.cli.licences import KINDS, dependencies

    found = dependencies()
    counts = {kind: sum(d.version is not None and d.kind == kind for d in found) for kind in KINDS}
    counts["not installed"] = sum(d.version is None for d in found)
    if as_json:
        print_json(
            {
                "dependencies": [
                    asdict(d) | {"kind": d.kind if d.version else None, "note": d.note}
                    for d in found
                ],
                "counts": counts,
            }
        )
        return
    table = Table("package", "version", "licence", "brought by", "wanted by")
    for d in found:
        licence = "not installed here" if d.version is None else d.licence or "unknown"
        if d.version is not None and d.kind not in ("permissive", "unknown"):
            licence += f" ({d.kind})"
        extras = [extra for extra in d.brought_by if extra != "dev"] or d.brought_by
        wanted = d.wanted_by[:2] + [f"{len(d.wanted_by) - 2} more"] * (len(d.wanted_by) > 2)
        table.add_row(
            d.name, d.version or "", escape(licence), ", ".join(extras), ", ".join(wanted)
        )
    out.print(table)
    for d in found:
        if d.version and d.note:
            tell(f"{d.name}: {d.note}")
    tell(
        f"{len(found)} packages: "
        + ", ".join(f"{count} {kind}" for kind, count in counts.items())
        + ". This is what their metadata say."
    )
