"""How well the delay of the sound is known: on every speaker of GRID, with the sound shifted.

The map from sound to lips is fitted without the speaker on whom it is tried. Prints, for true
shifts and numbers of clips, how often a delay is found, and how often what is found is wrong.

    python benchmarks/lip_delay.py ../shared/data/grid --cache /tmp/lip_delay
    python benchmarks/lip_delay.py ../shared/data/grid --cache /tmp/lip_delay --write
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from talkers.errors import TalkersError
from talkers.face import sync
from talkers.face.analysis import Analysis, analyse

RIDGE = 0.3  # of the variance of a feature
SHRINKAGE = 0.1  # added to the error's variances
MAX_CLIPS = 40  # of a speaker in a fit
SHIFTS = (0, 2, -2, 5, -5, 10, -10, 20, -40, None)  # frames; None: another speaker's sound
NUMBERS = (1, 2, 5, 10, 40)  # clips together
TRIALS = 60  # of a speaker, shift and number
EVERY = {"s1": 3}  # of a speaker with very many clips, each third is read
CREDIT = "fitted to the GRID audio-visual sentence corpus (Cooke et al. 2006), CC BY 4.0"

Clip = tuple[NDArray[np.float32], NDArray[np.float32]]  # lips [T, 38], band energies [2T, 20]


def clips_of(folder: Path, cache: Path) -> dict[str, list[Clip]]:
    """Lips and sound of each speaker's clips, measured once and kept in a cache."""
    cache.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Clip]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".mpg", ".mkv", ".mp4")):
        parts = path.relative_to(folder).parts
        speaker = parts[1] if parts[0] == "many" else parts[0]
        if speaker == "mixed":  # of people who are not known
            continue
        counts[speaker] += 1
        if (counts[speaker] - 1) % EVERY.get(speaker, 1):
            continue
        kept = cache / ("_".join(parts) + ".analysis")
        if not kept.exists():
            try:
                analyse(path).save(kept)
            except TalkersError as error:
                print(error)
                continue
        a = Analysis.load(kept)
        lips = sync.lip_features(a.opening, a.blendshapes, float(a.rate))
        if lips is not None and a.found.mean() > 0.9:
            found[speaker].append((lips, a.bands[: 2 * len(lips)]))
    return found


def fit(clips: list[Clip]) -> NDArray[np.float32]:
    """The map of `sync.weights`: ridge regression, weighed by the inverse of its error."""
    x = np.concatenate([sync.sound_features(s, len(lips)) for lips, s in clips]).astype(np.float64)
    y = np.concatenate([lips for lips, _ in clips]).astype(np.float64)
    # W = (X'X + ridge)^-1 X'Y; Q = (cov(Y - XW) + shrinkage)^-1; G = WQ
    w = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y)
    error = np.cov((y - x @ w).T, bias=True)
    return (w @ np.linalg.inv(error + SHRINKAGE * np.eye(len(error)))).astype(np.float32)


def later(bands: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """The sound so many frames later, digital silence where there is none."""
    moved = np.full_like(bands, float(np.log(1e-6)))
    rows = 2 * frames
    if rows >= 0:
        moved[rows:] = bands[: len(bands) - rows]
    else:
        moved[:rows] = bands[-rows:]
    return moved


def trials(
    clips: dict[str, list[Clip]], rng: np.random.Generator
) -> Iterator[tuple[int | None, int, str, sync.LipDelay | None]]:
    """Shift, number of clips, speaker, and the delay that was found."""
    maps = {
        speaker: fit([c for s in clips if s != speaker for c in clips[s][:MAX_CLIPS]])
        for speaker in clips
    }
    speakers = sorted(clips)
    for shift in SHIFTS:
        for speaker in speakers:
            blocks = []
            for lips, bands in clips[speaker]:
                heard = later(bands, shift or 0)
                if shift is None:
                    other = rng.choice([s for s in speakers if s != speaker])
                    heard = clips[other][rng.integers(len(clips[other]))][1]
                sound = sync.sound_features(heard, len(lips))
                blocks.append(sync.block_scores(lips, sound, maps[speaker]))
            for number in (n for n in NUMBERS if n <= len(blocks)):
                for _ in range(TRIALS if number < len(blocks) else 1):
                    chosen = rng.choice(len(blocks), number, replace=False)
                    yield shift, number, speaker, sync.delay_from(blocks[k] for k in chosen)


def main() -> None:
    """Print the table, or write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("grid", type=Path, help="folder of the GRID corpus")
    parser.add_argument("--cache", type=Path, required=True, help="folder for measurements")
    parser.add_argument("--write", action="store_true", help="fit on all speakers and write")
    options = parser.parse_args()
    clips = clips_of(options.grid, options.cache)
    print(json.dumps({s: len(c) for s, c in clips.items()}))
    if options.write:
        chosen = [c for speaker in clips.values() for c in speaker[:MAX_CLIPS]]
        fitted = fit(chosen).astype(np.float16)
        save_file({"map": fitted}, sync.WEIGHTS, {"source": CREDIT, "clips": str(len(chosen))})
        print(f"{sync.WEIGHTS}: {sync.WEIGHTS.stat().st_size} bytes")
        return
    found: dict[tuple[int | None, int], list[tuple[bool, bool]]] = defaultdict(list)
    for shift, number, _, delay in trials(clips, np.random.default_rng(0)):
        told = delay is not None and delay.out_of_step
        right = False
        if delay is not None and shift is not None:
            frames = delay.seconds * sync.RATE
            right = abs(frames - shift) <= 1 or (
                delay.beyond and shift * frames >= sync.MAX_DELAY**2
            )
        found[shift, number].append((told, told and not right))
    print("| true shift, frames | clips of 3 s | trials | told | told wrongly |")
    print("|---|---|---|---|---|")
    for (shift, number), rows in found.items():
        told, wrong = np.array(rows).mean(0)
        name = "another's sound" if shift is None else f"{shift:+d}" if shift else "0"
        print(f"| {name} | {number} | {len(rows)} | {told:.3f} | {wrong:.3f} |")


if __name__ == "__main__":
    main()
