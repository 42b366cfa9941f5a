"""How much footage does an avatar need, and how long should it be trained?

    python benchmarks/footage.py CORPUS -o FOLDER [--minutes 1 3 6 12 18] [--frames 16000] [--recipe
    compact] [--set key=value ...]

Trains the recipe from nothing on so many minutes of the corpus (fewer are a part of more), each
time with the same number of frames seen, and prints the figures of the finished avatars on the same
held-out clips, with the codec's figures after every validation on the way, and what the judges say
of the clips that it speaks. Interrupted, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ablations import scores
from talkers.corpus import Corpus
from talkers.corpus.splits import held_out
from talkers.hardware import machine
from talkers.systems.recipe import recipe_named, with_settings
from talkers.training.save import Terms
from talkers.training.train import TrainOptions, train


def on_the_way(folder: Path) -> list[dict[str, float]]:
    """Validations of the codec: frames seen and figures on the first held-out clips."""
    rows = [
        json.loads(line)
        for line in (folder / "training" / "metrics.jsonl").read_text().splitlines()
    ]
    return [
        {"frames_seen": r["frames"], "psnr": r["val/psnr"], "mouth_r2": r["val/mouth_r2"]}
        for r in rows
        if r["kind"] == "validation" and "val/mouth_r2" in r
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="*", default=[1, 3, 6, 12, 18])
    parser.add_argument("--frames", type=int, default=16_000)
    parser.add_argument("--recipe", default="compact")
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    options = parser.parse_args()
    table, corpus = {}, Corpus(options.corpus)
    for minutes in options.minutes:
        recipe = with_settings(recipe_named(options.recipe), options.settings)
        # the figures are the regressor's
        others = ["stages.flow.frames=0", "stages.streaming_encoder.frames=0"]
        frames = f"stages.codec.frames={options.frames}"
        recipe = with_settings(recipe, [frames, f"minutes={minutes}", *others])
        folder = options.output / f"{minutes:g}-minutes"
        avatar = train(
            corpus,
            folder,
            recipe,
            TrainOptions(
                resume=(folder / "training").exists(), terms=Terms("benchmarks/footage.py")
            ),
        )
        assert avatar is not None
        row = table[f"{minutes:g} minutes"] = {
            "metrics": avatar.about["metrics"],
            "spoken": scores(avatar, corpus, held_out(corpus.names)[:8], "regressor"),
            "training": avatar.about["training"],
            "on_the_way": on_the_way(folder),
        }
        print(
            json.dumps(
                {f"{minutes:g} minutes": {"metrics": row["metrics"], "spoken": row["spoken"]}}
            ),
            flush=True,
        )
        report = {
            "machine": machine(),
            "recipe": options.recipe,
            "settings": options.settings,
            "frames": options.frames,
            "footage": table,
        }
        (options.output / "footage.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
