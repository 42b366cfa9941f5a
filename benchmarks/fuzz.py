"""Do the parsers stand whatever a file may hold?

    python benchmarks/fuzz.py [avatar corpus recipe pose alignment checkpoint] [--seconds 600] [-o
    fuzz.json] [--keep FOLDER]

Each parser is given files for so many seconds of CPU time. Half of it goes to Hypothesis, which
changes the structure of valid files (wrong types, NaN, huge numbers, deep nesting, missing and
unknown keys, wrong shapes) and their bytes; half to Atheris, if it is installed (`pip install
atheris`), which is guided by the branches of the package that an input reaches, and drives both the
bytes of files and Hypothesis's choices. Without Atheris Hypothesis has all the time.

Every input must be read or end in a `TalkersError`, without a warning, within 2 s; whatever else
happens is listed, with the input in the --keep folder. A parser runs in a process of its own with 8
GiB of address space: when it dies, its last input is kept. Exit code 1 when anything was found.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

guided = "--child" in sys.argv and find_spec("atheris") is not None
if guided:
    import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
with atheris.instrument_imports(include=["talkers"]) if guided else nullcontext():
    from damage import changed
    from parsers import PARSERS, Trial
    from talkers.hardware import machine


def child(which: str, seconds: float, first: int, keep: Path | None, work: Path) -> None:
    """Fuzz one parser and write work/report.json; ends the process."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    torch.set_num_threads(1)
    folder = work / which
    folder.mkdir()
    parser = PARSERS[which](folder)
    trial = Trial(parser, folder, keep)
    for name, content in parser.files.items():
        trial.ends_as(name, content)  # what is valid is read
    strategy, begin = changed(parser.files), time.process_time()
    report: dict[str, Any] = {"parser": which}
    end = begin + seconds * (0.5 if guided else 1)
    told = settings(
        max_examples=200,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    @told
    @given(strategy)
    def one(drawn: tuple[str, bytes]) -> None:
        if time.process_time() < end:
            trial.one(*drawn)

    while time.process_time() < end:
        seed(first)(one)()
        first += 1
    report["hypothesis"] = sum(trial.ends.values())

    def finish() -> None:
        report["atheris"] = sum(trial.ends.values()) - report["hypothesis"]
        report["inputs"], report["seconds"] = (
            sum(trial.ends.values()),
            round(time.process_time() - begin, 1),
        )
        report.update(
            ends=dict(trial.ends), slowest=round(trial.slowest, 2), bad=list(trial.bad.values())
        )
        (work / "report.json").write_text(json.dumps(report))
        sys.stdout.flush()
        os._exit(0)

    if not guided:
        finish()
    end = float("inf")
    names = list(parser.files)
    seeds = work / "seeds"
    seeds.mkdir()
    for k, name in enumerate(names):
        (seeds / name.replace("/", "-")).write_bytes(bytes([1 + k]) + parser.files[name])
    drive = given(strategy)(lambda drawn: trial.one(*drawn)).hypothesis.fuzz_one_input

    def both(data: bytes) -> None:
        """The first byte says which file the rest is, or that Hypothesis shall choose by it."""
        if time.process_time() - begin > seconds:
            finish()
        which_file = data[0] % (len(names) + 1) if data else 0
        if which_file:
            trial.one(names[which_file - 1], data[1:])
        else:
            drive(data[1:])

    atheris.Setup(
        [
            sys.argv[0],
            str(seeds),
            "-max_len=20000",
            "-timeout=3600",
            "-rss_limit_mb=0",
            "-verbosity=0",
            f"-seed={first}",
        ],
        both,
    )
    atheris.Fuzz()


def fuzz(which: str, seconds: float, first: int, keep: Path | None) -> dict[str, Any]:
    """Fuzz one parser in a process of its own."""
    with tempfile.TemporaryDirectory() as work:
        command = [
            sys.executable,
            __file__,
            which,
            "--seconds",
            str(seconds),
            "--seed",
            str(first),
            "--child",
            work,
        ]
        done = subprocess.run(
            [*command, "--keep", str(keep / which)] if keep else command,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        report, last = Path(work) / "report.json", Path(work) / "last"
        if report.is_file():
            found: dict[str, Any] = json.loads(report.read_text())
            return found
        entry = {
            "kind": "died",
            "where": "",
            "line": f"exit code {done.returncode}: {done.stderr[-1500:]}",
            "times": 1,
        }
        if keep and last.is_file():
            (keep / which).mkdir(parents=True, exist_ok=True)
            entry["input"] = str(shutil.copy(last, keep / which / "died"))
        return {"parser": which, "bad": [entry]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parsers", nargs="*", help=f"of {', '.join(PARSERS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=600, help="of CPU time for each parser")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that ended badly")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if wrong := set(options.parsers) - set(PARSERS):
        parser.error(f"there is no parser {', '.join(sorted(wrong))}")
    if options.child:
        child(options.parsers[0], options.seconds, options.seed, options.keep, options.child)
    results = []
    for which in options.parsers or PARSERS:
        results.append(fuzz(which, options.seconds, options.seed, options.keep))
        print(json.dumps(results[-1], indent=1), file=sys.stderr, flush=True)
    report = {"machine": machine(), "atheris": find_spec("atheris") is not None, "parsers": results}
    print(json.dumps(report, indent=1))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(1 if any(result["bad"] for result in results) else 0)


if __name__ == "__main__":
    main()
