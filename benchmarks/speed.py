"""How fast the bundled avatar speaks, end to end, beside the paper's U-Net on the same machine in the same run.

    python benchmarks/speed.py [--seconds 60] [-o speed.json]

Each length is spoken by a fresh process, as a user's command would be: import, model load, speech features, motion,
decoding, encoding and muxing all count. The baseline is one frame of the `dae_talker` recipe's codec at 20 DDIM steps
with random weights (timing does not depend on them).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

SPEAK = """
import json, resource, sys, time
begin = time.perf_counter()
import talkers
avatar = talkers.Avatar.load()
first = None
def progress(done, total):
    global first
    first = first or time.perf_counter() - begin
talk = avatar.speak(sys.argv[1])
talk.save(sys.argv[2], progress)
print(json.dumps({"frames": talk.frame_count, "seconds": time.perf_counter() - begin, "first_frame_s": first,
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""

WARM = """
import json, sys, time, numpy
import talkers
avatar = talkers.Avatar.load()
next(iter(avatar.speak(numpy.zeros(16000, "f"))))
begin = time.perf_counter()
next(iter(avatar.speak(sys.argv[1])))
print(json.dumps({"first_frame_ms": 1000 * (time.perf_counter() - begin)}))
"""


def speech(path: Path, seconds: float) -> None:
    """The demo's sentence, repeated to a length."""
    from importlib.resources import files

    samples, rate = soundfile.read(str(files("talkers") / "avatars" / "hello.flac"))
    soundfile.write(path, np.resize(samples, int(seconds * rate)), rate)


def child(code: str, *arguments: object) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def baseline(steps: int, frames: int) -> float:
    """Seconds a frame of the paper's codec in bfloat16, model only."""
    from talkers.codec import DiffusionAutoencoder, shared_noise
    from talkers.recipes import dae_talker

    config = dataclasses.replace(dae_talker().codec)
    codec = DiffusionAutoencoder(config).eval().to(torch.bfloat16)
    codec.reset_constants()
    with torch.inference_mode():
        codec.decode(torch.randn(1, 512), shared_noise(256, 0), 1)
        begin = time.perf_counter()
        codec.decode(torch.randn(frames, 512), shared_noise(256, 0), steps)
    return (time.perf_counter() - begin) / frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="*", default=[10, 60, 180])
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    report: dict[str, object] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    }
    slow = baseline(20, 1)
    report["dae_talker_20_steps_fps"] = round(1 / slow, 4)
    with tempfile.TemporaryDirectory() as folder:
        for seconds in options.seconds:
            path = Path(folder) / "speech.wav"
            speech(path, seconds)
            got = child(SPEAK, path, Path(folder) / "out.mp4")
            fps = got["frames"] / got["seconds"]
            report[f"speak_{seconds:g}s"] = {
                "fps": round(fps, 2), "real_time_factor": round(got["seconds"] / seconds, 3), "times_the_baseline": round(fps * slow),
                "first_frame_s_cold": round(got["first_frame_s"], 2), "peak_mb": round(got["peak_mb"]),
            }  # fmt: skip
        report["first_frame_ms_warm"] = round(child(WARM, path)["first_frame_ms"])
    text = json.dumps(report, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
