"""The report that people read: one HTML page that holds everything, and a table for the terminal."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from rich.table import Column, Table

from talkers.artefacts.files import atomic
from talkers.experts.rate import RATE
from talkers.media import read_audio

SHOWN = (
    "psnr",
    "psnr_mouth",
    "mouth_r2",
    "eye_r2",
    "ssim",
    "lpips_mnv2",
    "lmd_mouth",
    "articulation",
    "silence_motion",
    "bilabial_closure",
    "sync_offset",
    "sync_confidence",
    "lip_wer",
    "jitter_ratio",
    "flicker_ratio",
    "csim",
)
"""Metrics of the terminal's table; the page has all."""

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>talkers evaluate</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px}td,th{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}.ci{color:#888;font-size:11px}video,img{max-width:100%}.wide{overflow-x:auto}
h2{margin-top:2.5rem}</style>
<h1>talkers evaluate</h1>
<p>{{ about.avatar or about.made }} on {{ about.clips|length }} clips, talkers {{ about.talkers }}, {{ about.machine }}.<br><code>{{ about.command }}</code></p>
<p>A figure means something only beside the controls: <b>real</b> is the clip itself, <b>mean_frame</b> a still picture,
<b>previous_frame</b> the real video a frame late, and the audio controls drive the same avatar with the wrong sound.
Ranges are 95 % intervals over clips.</p>
{% if about.failures %}<h2>Clips that could not be scored</h2><ul>{% for name, why in about.failures.items() %}<li>{{ name }}: {{ why }}</li>{% endfor %}</ul>{% endif %}
{% if about.notes %}<ul>{% for note in about.notes %}<li>{{ note }}</li>{% endfor %}</ul>{% endif %}
{% if about.skipped %}<p>Left out:</p><ul>{% for name, why in about.skipped.items() %}<li><b>{{ name }}</b>: {{ why }}</li>{% endfor %}</ul>{% endif %}
{% if speed %}<h2>Speed, end to end</h2><table>{% for name, value in speed.items() if name != "training" %}<tr><td>{{ name }}</td><td>{{ value.mean }}</td></tr>{% endfor %}
{% for stage, spent in speed.training.items() %}<tr><td>training of the {{ stage }}</td><td>{{ spent.frames_seen }} frames seen, {{ (spent.seconds / 3600)|round(2) }} h</td></tr>{% endfor %}</table>{% endif %}
<h2>Figures</h2><div class="wide"><table><tr><th></th>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr>
{% for metric in metrics %}<tr><td>{{ metric }}</td>{% for column, figures in columns.items() %}<td>{% set f = figures.get(metric) %}{% if f and f.mean is not none %}{{ f.mean }}
{% if f.low is not none %}<br><span class="ci">{{ f.low }} .. {{ f.high }}</span>{% endif %}{% endif %}</td>{% endfor %}</tr>{% endfor %}</table></div>
{% for clip in clips %}<h2>{{ clip.name }}{% if clip.sentence %}: {{ clip.sentence }}{% endif %}</h2><p>{{ clip.columns }}</p>
<video controls loop src="data:video/mp4;base64,{{ clip.video }}"></video><p><img alt="frames" src="data:image/png;base64,{{ clip.montage }}"></p>
<p><img alt="curves" src="data:image/png;base64,{{ clip.curves }}"></p>{% endfor %}</html>
"""


def columns_of(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The variants of metrics.json, side by side."""
    made: dict[str, dict[str, Any]] = {
        name: metrics[name]
        for name in ("codec", "speech", "sampled", "live", "pairs")
        if name in metrics
    }
    for name in ("speech", "sampled"):
        if name in made:
            made[f"{name}, pose given"] = {
                k.removesuffix("_given_pose"): v
                for k, v in made[name].items()
                if k.endswith("_given_pose")
            }
            made[name] = {k: v for k, v in made[name].items() if not k.endswith("_given_pose")}
    return made | metrics.get("controls", {})


def tables(metrics: dict[str, Any]) -> list[Table]:
    """The main figures for the terminal: what was made beside the real clip, then the other controls."""
    columns = columns_of(metrics)
    first = [c for c in columns if c not in metrics.get("controls", {}) or c == "real"]
    shown = []
    for title, names in (
        (f"means over {len(metrics['about']['clips'])} clips", first),
        ("controls", [c for c in columns if c not in first]),
    ):
        shown.append(
            Table(
                Column("", no_wrap=True),
                *(Column(c.replace("_", " "), justify="right") for c in names),
                title=title,
            )
        )
        for metric in SHOWN:
            row = [columns[c].get(metric, {}).get("mean") for c in names]
            if any(v is not None for v in row):
                shown[-1].add_row(
                    metric,
                    *("" if v is None else f"{v:.2f}" if abs(v) < 10 else f"{v:.1f}" for v in row),
                )
    return shown


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
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=90)
    pyplot.close(figure)
    return base64.b64encode(held.getvalue()).decode()


def write_report(
    out: Path, metrics: dict[str, Any], shown: dict[str, dict[str, Any]], paths: dict[str, Path]
) -> Path:
    """Write index.html.

    Args:
        shown: records of the clips that are shown. paths: where each clip's record lies, its pictures beside it.
    """
    clips = []
    for name, record in shown.items():
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
    rows = list(dict.fromkeys(metric for figures in columns.values() for metric in figures))
    page = Environment(autoescape=True).from_string(PAGE)
    text = page.render(
        about=metrics["about"],
        speed=metrics.get("speed"),
        columns=columns,
        metrics=rows,
        clips=clips,
    )
    with atomic(out / "index.html") as temporary:
        temporary.write_text(text, "utf-8")
    return out / "index.html"
