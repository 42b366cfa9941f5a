"""Means with confidence intervals over clips and seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import bootstrap


def interval(values: list[list[float]]) -> dict[str, float | int | None]:
    """Mean over clips (of each clip's mean over seeds) and its 95 % interval by bootstrap over
    clips.

    Args:
        values: [clips][seeds]; values that are not finite (not defined for a clip) are left out.

    Returns:
        mean, low, high (None where nothing is defined, or for the interval of a single clip),
        clips, and seeds_std, the standard deviation over seeds.
    """
    rows = [finite for row in values if (finite := [v for v in row if np.isfinite(v)])]
    if not rows:
        return {"mean": None, "low": None, "high": None, "clips": 0, "seeds_std": None}
    means = np.array([np.mean(row) for row in rows])
    low = high = None
    if len(means) > 1:
        found = bootstrap(
            (means,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(0)
        ).confidence_interval
        low, high = round(float(found.low), 4), round(float(found.high), 4)
    spread = (
        round(float(np.mean([np.std(row) for row in rows])), 4)
        if any(len(row) > 1 for row in rows)
        else None
    )
    return {
        "mean": round(float(means.mean()), 4),
        "low": low,
        "high": high,
        "clips": len(rows),
        "seeds_std": spread,
    }


def summary(
    values: dict[str, dict[str, list[list[float]]]], distances: dict[str, float]
) -> dict[str, Any]:
    """Sections codec, speech, pairs and controls.* of metrics.json, as far as there are such
    variants.

    The figures of speech with measured pose stand in `speech` (and `sampled`) under their names
    with `_given_pose`; the distance of the lips' landmarks, which means nothing when the head moves
    otherwise, is that of the measured pose.

    Args:
        values: {variant: {figure: [[value of each seed] of each clip]}}.
        distances: {variant/figure: Frechet distance over all clips}.
    """
    flat = {
        variant: {metric: interval(rows) for metric, rows in metrics.items()}
        for variant, metrics in values.items()
    }
    for key, distance in distances.items():
        variant, metric = key.split("/")
        flat[variant][metric] = {
            "mean": round(distance, 4),
            "low": None,
            "high": None,
            "clips": len(values[variant]["psnr"]),
            "seeds_std": None,
        }
    for variant in ("speech", "sampled"):
        if (given := flat.pop(f"{variant}_given_pose", None)) is not None:
            flat[variant] |= {f"{metric}_given_pose": figure for metric, figure in given.items()}
            for metric in ("lmd_mouth", "lmd_mouth_iod"):
                flat[variant][metric] = given[metric]
    sections: dict[str, Any] = {}
    for variant, figures in flat.items():
        *above, last = variant.split(".")
        section = sections
        for part in above:
            section = section.setdefault(part, {})
        section[last] = figures
    return sections
