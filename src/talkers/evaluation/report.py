"""The report that people read: one HTML page that holds everything, and a table for the
terminal."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from rich.table import Column, Table

from talkers.artefacts.files import atomic
from talkers.experts.rate import RATE
from talkers.media import read_audio

MAIN_FIGURES = (
    "psnr",
    "psnr_mouth",
    "psnr_mouth_gain",
    "psnr_outside",
    "mouth_r2",
    "eye_r2",
    "ssim",
    "lpips_mnv2",
    "lmd_mouth",
    "lmd_face",
    "opening_correlation",
    "opening_correlation_old",
    "lip_leak",
    "articulation",
    "silence_motion",
    "bilabial_closure",
    "sync_offset",
    "in_sync",
    "sync_confidence",
    "lip_wer",
    "lip_wer_old",
    "jitter_ratio",
    "flicker_ratio",
    "csim",
)
"""Figures of the terminal's table, and the first of the page."""
MADE = (
    "codec",
    "reenacted",
    "speech",
    "sampled",
    "live",
    "pairs",
    "self_dub",
    "cross_dub",
    "silent_dub",
)
"""Sections of metrics.json that are no controls, in the order of the table's columns."""


def _template() -> str:
    """The page before it is filled in."""
    return (files("talkers.evaluation") / "report.html").read_text("utf-8")


def columns_of(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The variants of metrics.json, side by side."""
    columns: dict[str, dict[str, Any]] = {name: metrics[name] for name in MADE if name in metrics}
    for name in ("speech", "sampled"):
        if name in columns:
            columns[f"{name}, pose given"] = {
                k.removesuffix("_given_pose"): v
                for k, v in columns[name].items()
                if k.endswith("_given_pose")
            }
            columns[name] = {
                k: v for k, v in columns[name].items() if not k.endswith("_given_pose")
            }
    return columns | metrics.get("controls", {})


def tables(metrics: dict[str, Any]) -> list[Table]:
    """The main figures for the terminal: what was made beside the real clip, then the other
    controls."""
    columns = columns_of(metrics)
    first = [c for c in columns if c not in metrics.get("controls", {}) or c == "real"]
    found = []
    for title, names in (
        (f"means over {len(metrics['about']['clips'])} clips", first),
        ("controls", [c for c in columns if c not in first]),
    ):
        found.append(
            Table(
                Column("", no_wrap=True),
                *(Column(c.replace("_", " "), justify="right") for c in names),
                title=title,
            )
        )
        for metric in MAIN_FIGURES:
            row = [columns[c].get(metric, {}).get("mean") for c in names]
            if any(v is not None for v in row):
                found[-1].add_row(
                    metric,
                    *("" if v is None else f"{v:.2f}" if abs(v) < 10 else f"{v:.1f}" for v in row),
                )
    return found


def curves(record: dict[str, Any], sound: Path) -> str:
    """Sound, mouth opening and pose of a clip over time, of all its variants: a PNG in base64."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(4, 1, figsize=(11, 8), sharex=True, constrained_layout=True)
    axes[0].specgram(read_audio(sound) + 1e-6, NFFT=400, Fs=16_000, noverlap=240, cmap="magma")
    axes[0].set_ylabel("Hz")
    for name, rows in record["curves"].items():
        time = (np.arange(len(rows["opening"])) + 0.5) / RATE
        for axis, key in zip(axes[1:], ("opening", "yaw", "pitch"), strict=True):
            axis.plot(
                time,
                rows[key],
                label=name,
                color="black" if name == "real" else None,
                linewidth=2 if name == "real" else 1.2,
            )
    for axis, label in zip(
        axes[1:], ("mouth opening / eye distance", "yaw / degrees", "pitch / degrees"), strict=True
    ):
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    axes[1].legend(ncols=4, fontsize=8)
    axes[-1].set_xlabel("seconds")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=90)
    pyplot.close(figure)
    return base64.b64encode(png.getvalue()).decode()


def write_report(
    out: Path,
    metrics: dict[str, Any],
    pictured: Mapping[str, dict[str, Any]],
    paths: Mapping[str, Path],
) -> None:
    """Write index.html.

    Args:
        out: the report's folder.
        metrics: what metrics.json holds.
        pictured: records of the clips whose videos and curves are in it.
        paths: where each clip's record lies, its pictures beside it.
    """
    clips = []
    for name, record in pictured.items():
        folder = paths[name].with_suffix("")
        video, picture = ((folder / f).read_bytes() for f in ("side-by-side.mp4", "montage.png"))
        clips.append(
            {
                "name": name,
                "sentence": " ".join(record["sentence"] or ()),
                "columns": " | ".join(record["curves"]),
                "video": base64.b64encode(video).decode(),
                "montage": base64.b64encode(picture).decode(),
                "curves": curves(record, folder / "side-by-side.mp4"),
            }
        )
    columns = columns_of(metrics)
    figures_found = dict.fromkeys(figure for figures in columns.values() for figure in figures)
    rows = [figure for figure in MAIN_FIGURES if figure in figures_found]
    rows += [figure for figure in figures_found if figure not in MAIN_FIGURES]
    page = Environment(autoescape=True).from_string(_template())
    text = page.render(
        about=metrics["about"],
        speed=metrics.get("speed"),
        columns=columns,
        metrics=rows,
        clips=clips,
    )
    with atomic(out / "index.html") as temporary:
        temporary.write_text(text, "utf-8")
