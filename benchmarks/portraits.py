"""What one picture gives: how soon, how fast, how far heads turn, and whether it drifts.

    python benchmarks/portraits.py FOLDER_OF_PICTURES [--count 6] [--minutes 2] [-o portraits.json]

For each picture: the seconds from the photo to the avatar (a process of its own), the yaw that the
face tracker finds where 15 degrees are asked for, the similarity (csim) of those frames and of a
sentence to the picture, how far eyes close and irises move when told to, and what changes behind a
head that turns. Then a long speech: its last ten seconds beside its first ten, said with the same
motion. Speed is that of the command `speak` for a portrait, beside the bundled avatar in the same
run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from talkers import Avatar, Controls
from talkers.errors import TalkersError
from talkers.evaluation.identity import FaceSimilarity
from talkers.evaluation.speed import measure_speed
from talkers.evaluation.tracked import track_clip
from talkers.face.landmarks import BLINKS
from talkers.hardware import machine
from talkers.media import AUDIO_RATE, read_audio
from talkers.space.face_motion import FaceMotionSpace

ASKED = 15.0  # degrees of yaw
REACH = 64  # pixels of a picture that a head may cover beside where it was
SENTENCE = str(files("talkers") / "avatars" / "hello.flac")


def sharpness(frames: NDArray[np.uint8]) -> float:
    """Mean size of the steps between neighbouring pixels."""
    return float(np.abs(np.diff(frames.astype(np.float32), axis=2)).mean())


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))


def turned(avatar: Avatar, yaw: float, blink: float = 0.0, gaze: float = 0.0) -> NDArray[np.uint8]:
    """Five frames of a head that is turned, with closed eyes or another gaze."""
    space = avatar.engine.space
    assert isinstance(space, FaceMotionSpace)
    motion = space.home.repeat(5, 1)
    motion[:, 0] += yaw * avatar.engine.bundle.head.turn[0]
    motion[:, 6] = blink
    motion[:, 7] += gaze
    return avatar.decode(motion)


def behind(avatar: Avatar) -> float:
    """By how many grey levels what lies behind changes where the head turns by `ASKED`."""
    identity = avatar.engine.identity
    assert identity is not None
    assert identity.values is not None
    if "matte" not in identity.values:
        return float("nan")
    near = F.max_pool2d(identity.values["matte"].float(), 2 * REACH + 1, 1, REACH)
    wall = F.avg_pool2d(near, 2)[0].numpy() < 1
    straight, aside = (turned(avatar, yaw)[0].astype(float) for yaw in (0.0, ASKED))
    return float(np.abs(straight - aside)[wall].mean())


def of_picture(photo: Path, folder: Path) -> dict[str, float]:
    """The figures of one picture."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "talkers", "portrait", str(photo), "-o", str(folder)]
    subprocess.run([*command, "--consent", "nobody is shown"], check=True, capture_output=True)
    found = {"seconds": time.perf_counter() - begin}
    avatar, judge = Avatar.load(folder), FaceSimilarity()
    straight = track_clip(turned(avatar, 0.0))
    own = judge.descriptor(straight)
    both = [track_clip(turned(avatar, way * ASKED)) for way in (-1, 1)]
    found["yaw"] = float(np.median(both[1].angles[:, 0] - both[0].angles[:, 0]) / 2)
    found["yaw_csim"] = float(np.mean([cosine(judge.descriptor(clip), own) for clip in both]))
    found["behind_changes"] = behind(avatar)
    spoken = track_clip(np.stack(list(avatar.speak(SENTENCE, provenance=False))))
    found["spoken_csim"] = cosine(judge.descriptor(spoken), own)
    top = float(avatar.engine.bundle.head.high[6])
    closed = track_clip(turned(avatar, 0.0, blink=top))
    lids = [clip.blendshapes[:, list(BLINKS)].mean() for clip in (straight, closed)]
    found["lids_open"], found["lids_closed"] = map(float, lids)
    looks = [track_clip(turned(avatar, 0.0, gaze=way)).landmarks for way in (-1.0, 1.0)]
    eye = np.linalg.norm(looks[0][0, 33] - looks[0][0, 133])
    found["iris_moves"] = float((looks[1] - looks[0])[:, 468, 0].mean() / eye)
    return found


def drift(folder: Path, minutes: float) -> dict[str, float]:
    """The end of a long speech beside its beginning, as shares of the beginning."""
    avatar, judge = Avatar.load(folder), FaceSimilarity()
    samples = read_audio(SENTENCE)
    many = np.tile(samples, int(minutes * 60 * AUDIO_RATE / len(samples)) + 1)
    first: list[NDArray[np.uint8]] = []
    last: list[NDArray[np.uint8]] = []
    for frame in avatar.speak(many, controls=Controls(pose="still"), provenance=False):
        if len(first) < 250:
            first.append(frame)
        last = [*last[-249:], frame]
    a, b = np.stack(first), np.stack(last)
    names = [judge.descriptor(track_clip(part[::5])) for part in (a, b)]
    return {
        "sharpness": sharpness(b) / sharpness(a),
        "brightness": float(b.mean() / a.mean()),
        "csim": cosine(*names),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    photos = sorted(p for p in options.pictures.rglob("*") if p.suffix in (".jpg", ".png"))
    photos = photos[:: max(1, len(photos) // (3 * options.count))]
    work, rows, refused = Path(tempfile.mkdtemp()), [], {}
    folder = work / "none"
    for k, photo in enumerate(photos):
        if len(rows) == options.count:
            break
        try:
            rows.append(of_picture(photo, work / str(k)))
            folder = work / str(k)
        except (subprocess.CalledProcessError, TalkersError) as error:
            said = (
                error.stderr.decode() if isinstance(error, subprocess.CalledProcessError) else error
            )
            refused[photo.name] = str(said).strip().splitlines()[-1]
    if not rows:
        parser.exit(
            2, f"no picture in {options.pictures} became an avatar: {refused or 'there is none'}\n"
        )
    figures = {key: round(float(np.nanmedian([r[key] for r in rows])), 3) for key in rows[0]}
    speeds = {
        name: measure_speed(str(where), options.seconds)
        for name, where in (("portrait", folder), ("bundled", "default"))
    }
    report = {
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "pictures": len(rows),
        "refused": refused,
        "median": figures,
        "worst": {"yaw": min(r["yaw"] for r in rows), "yaw_csim": min(r["yaw_csim"] for r in rows)},
        "speed": {n: {k: round(v, 3) for k, v in s.items()} for n, s in speeds.items()},
        "times_as_fast_as_bundled": round(speeds["portrait"]["fps"] / speeds["bundled"]["fps"], 2),
        "drift": {k: round(v, 4) for k, v in drift(folder, options.minutes).items()},
    }
    text = json.dumps(report, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
