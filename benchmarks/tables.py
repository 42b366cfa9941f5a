"""The README's tables of the bundled avatar, made from an evaluation and from measured speed.

talkers evaluate default CORPUS --limit 8 -o report && python benchmarks/speed.py -o speed.json
python benchmarks/tables.py report/metrics.json speed.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from talkers.evaluation.report import columns_of

COLUMNS = (
    "real",
    "codec",
    "speech",
    "speech, pose given",
    "sampled",
    "sampled, pose given",
    "live",
    "silent_audio",
    "shuffled_audio",
    "mean_frame",
    "previous_frame",
)
RANGED = ("codec", "speech, pose given")  # columns with their 95 % intervals over clips
ROWS = {
    "PSNR / dB": ("psnr", 1),
    "PSNR mouth / dB": ("psnr_mouth", 1),
    "mouth R2": ("mouth_r2", 2),
    "eye R2": ("eye_r2", 2),
    "SSIM": ("ssim", 3),
    "LPIPS-MNv2": ("lpips_mnv2", 3),
    "lip landmarks (LMD) / px": ("lmd_mouth", 2),
    "articulation": ("articulation", 2),
    "mouth moves in silence": ("silence_motion", 3),
    "p, b, m close the lips": ("bilabial_closure", 2),
    "in sync within a frame": ("in_sync", 2),
    "sync confidence": ("sync_confidence", 2),
    "lip reader, word errors": ("lip_wer", 2),
    "second lip reader": ("lip_wer_points", 2),
    "CSIM": ("csim", 3),
    "head moves as far": ("pose_std_ratio", 2),
    "and as fast": ("pose_speed_ratio", 2),
    "takes differ / IOD": ("takes_differ", 3),
    "jitter ratio": ("jitter_ratio", 2),
    "flicker ratio": ("flicker_ratio", 2),
}


def cell(figure: dict[str, Any], digits: int, ranged: bool) -> str:
    if figure.get("mean") is None:
        return ""
    text = f"{figure['mean']:.{digits}f}"
    return (
        f"{text} ({figure['low']:.{digits}f}..{figure['high']:.{digits}f})"
        if ranged and figure.get("low") is not None
        else text
    )


def speed(measured: dict[str, Any]) -> None:
    """The table of what `speed.py` writes."""
    print(
        "| | frames a second | real-time factor | peak memory | motion model |\n|---|---|---|---|---|"
    )
    for name, row in measured.items():
        if isinstance(row, dict) and "fps" in row:
            print(
                f"| {name.replace('_', ' ')} | {row['fps']:.0f} | {row['real_time_factor']:.2f} | {row['peak_mb']:.0f} MB | {row['motion_share']:.0%} |"
            )
    slow = measured["dae_talker_20_steps_fps"]
    print(
        f"| *the paper's U-Net at 20 steps, decoding alone* | *{slow:.3f}* | *{25 / slow:.0f}* | | |"
    )
    for name, row in measured.items():
        if name.startswith("stream"):
            print(f"{name.replace('_', ' ')}: " + ", ".join(f"{k} {v:g}" for k, v in row.items()))


def main() -> None:
    for path in sys.argv[1:]:
        told = json.loads(Path(path).read_text("utf-8"))
        speed(told) if "dae_talker_20_steps_fps" in told else quality(told)


def quality(metrics: dict[str, Any]) -> None:
    """The table of what `talkers evaluate` writes."""
    found = columns_of(metrics)
    columns = {name: found[name] for name in COLUMNS if name in found}
    print(
        "| | "
        + " | ".join(name.replace("_", " ") for name in columns)
        + " |\n|"
        + "---|" * (len(columns) + 1)
    )
    for title, (metric, digits) in ROWS.items():
        cells = [
            cell(figures.get(metric, {}), digits, name in RANGED)
            for name, figures in columns.items()
        ]
        if any(cells):
            print(f"| {title} | " + " | ".join(cells) + " |")
    print(f"\n{len(metrics['about']['clips'])} clips, {metrics['about'].get('seeds', 1)} seeds")
    for name, figure in metrics.get("speed", {}).items():
        if "mean" in figure:
            print(f"{name}: {figure['mean']:g}")


if __name__ == "__main__":
    main()
