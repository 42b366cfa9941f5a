"""Does a training survive being killed? Again and again it is, and must go on to where an
undisturbed one ends.

    python benchmarks/kills.py CORPUS [--kills 100] [--seed 0] [-o kills.json]

CORPUS is a small prepared corpus of 64 px. `talkers train` runs with the tiny recipe (all its
stages, few frames) and is ended by SIGKILL: every second time at a random moment, every other time
while it writes a checkpoint. After each kill the newest checkpoint of every stage must be complete,
and no older than one that had been complete before. Every training that comes to its end is
compared with one that was never killed: averaged weights, optimiser, random state and position of
the last checkpoints. When it ends before the kills are used up, another one begins. Last, the disk
is full in the middle of a training.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from talkers.hardware import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from killed_training import SAVED, STAGES, difference, full_disk, killed, reached


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    random, ends, faults, trainings = (
        np.random.default_rng(options.seed),
        dict[str, int](),
        list[str](),
        list[dict[str, Any]](),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "log"
        begin = time.monotonic()
        straight = killed(options.corpus, folder / "straight", log, 1e9, 0)
        whole = time.monotonic() - begin
        if straight != "ended":
            sys.exit(f"the undisturbed training failed: {straight}\n{log.read_text()}")
        kills = 0
        while kills < options.kills:
            out, before, history = folder / f"run{len(trainings)}", dict[str, int](), list[str]()
            while True:
                last = kills >= options.kills
                saves = int(random.integers(2, 9)) if kills % 2 else 0
                end = killed(
                    options.corpus,
                    out,
                    log,
                    1e9 if last else float(random.uniform(0, 0.9 * whole)),
                    0 if last else saves,
                )
                ends[end] = ends.get(end, 0) + 1
                try:
                    steps = reached(out)
                except Exception as error:
                    faults.append(f"kill {kills}: {type(error).__name__}: {error}")
                    break
                faults += [
                    f"kill {kills}: {stage} went back from {before[stage]} to {steps.get(stage, 0)}"
                    for stage in before
                    if steps.get(stage, 0) < before[stage]
                ]
                complete = (
                    sum(before.values()) + (saves - 1 - len(STAGES)) * SAVED
                )  # a stage saves once more at its end
                if end == "while saving" and sum(steps.values()) < complete:
                    faults.append(
                        f"kill {kills}: {saves} checkpoints had begun, and only {steps} is left after {before}"
                    )
                before = steps
                history.append(f"{end}: {steps}")
                if end == "ended":
                    apart, where = difference(folder / "straight", out)
                    trainings.append({"difference": apart, "where": where, "ends": history})
                    print(json.dumps(trainings[-1]), file=sys.stderr, flush=True)
                    break
                if end.startswith("exit"):
                    faults.append(
                        f"kill {kills}: {end}: {log.read_text().strip().splitlines()[-1]}"
                    )
                    break
                kills += 1
        disk = full_disk(options.corpus, folder / "full")
        if not disk["goes_on"] or disk["exit_code"] != 6 or disk["partial_files"]:
            faults.append(f"full disk: {disk}")
    worst = max(trainings, key=lambda training: training["difference"])
    if worst["difference"]:
        faults.append(f"a training ended elsewhere: {worst}")
    report = {
        "machine": machine(),
        "kills": kills,
        "seed": options.seed,
        "ends": ends,
        "seconds_undisturbed": round(whole, 1),
        "trainings_compared": len(trainings),
        "largest_difference": worst["difference"],
        "steps_between_checkpoints": SAVED,
        "full_disk": disk,
        "faults": faults[:20],
    }
    print(json.dumps(report, indent=1))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
