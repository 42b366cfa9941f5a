"""Make the studio's pictures of what each control does: src/talkers/studio/files/controls/*.jpg.

    python docs/_tools/studio_controls.py FOLDER_WITH_SFHQ_PORTRAITS

The portrait is of SFHQ (David Beniaguev, MIT): nobody in it exists.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from talkers.controls import Controls
from talkers.runtime.avatar import Avatar
from talkers.runtime.portrait import PortraitTerms, make_portrait

FOLDER = Path(__file__).parents[2] / "src" / "talkers" / "studio" / "files" / "controls"
FACE = "SFHQ_sample_4x8_r1_c1.jpg"
SPEECH = str(files("talkers") / "avatars" / "hello.flac")
TILE = 120  # pixels
WHOLE, EYES, MOUTH = (16, 8, 240, 232), (60, 66, 196, 134), (68, 132, 188, 204)  # of 256
OPEN, REST = 62, 2  # frames of hello.flac: a wide mouth, and before the first word
STILL = {"pose": "still", "blinks": 0}
STRIPS = {
    "yaw": (WHOLE, REST, [{"pose": f"yaw={a}"} for a in (-10, 0, 10)]),
    "pitch": (WHOLE, REST, [{"pose": f"pitch={a}"} for a in (-12, 0, 12)]),
    "roll": (WHOLE, REST, [{"pose": f"roll={a}"} for a in (-12, 0, 12)]),
    "amplitude": (MOUTH, OPEN, [STILL | {"amplitude": a} for a in (0.5, 1.0, 1.5)]),
    "brow_amplitude": (EYES, 40, [STILL | {"brow_amplitude": a} for a in (0.0, 1.0, 3.0)]),
    "blinks": (EYES, 14, [STILL | {"blink_times": t} for t in ((), (0.48,), (0.54,))]),
    "smile": (MOUTH, REST, [STILL | {"smile": s} for s in (-1.0, 0.0, 1.0)]),
    "gaze_left": (EYES, REST, [STILL | {"gaze": (g, 0)} for g in (-0.6, 0, 0.6)]),
    "gaze_up": (EYES, REST, [STILL | {"gaze": (0, g)} for g in (-0.6, 0, 0.6)]),
}


def frame(avatar: Avatar, number: int, asked: dict[str, object]) -> Image.Image:
    """A frame of the sentence under controls."""
    talk = avatar.speak(SPEECH, controls=Controls(**asked), provenance=False)  # type: ignore[arg-type]
    return Image.fromarray(next(islice(iter(talk), number, None)))


def moved(avatar: Avatar, scale: float) -> Image.Image:
    """The sentence's frames over each other: how far the head moves."""
    talk = avatar.speak(SPEECH, controls=Controls(pose_scale=scale, blinks=0), provenance=False)
    frames = [picture.astype(np.float32) for picture in islice(iter(talk), 0, None, 4)]
    return Image.fromarray(np.mean(frames, 0).astype(np.uint8))


def main() -> None:
    """Write all strips."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    photo = next(Path(sys.argv[1]).rglob(FACE))
    with TemporaryDirectory() as folder:
        avatar, _ = make_portrait([photo], Path(folder) / "ada", PortraitTerms())
        rows = {
            name: (box, [frame(avatar, number, asked) for asked in each])
            for name, (box, number, each) in STRIPS.items()
        }
        rows["pose_scale"] = (WHOLE, [moved(avatar, scale) for scale in (0.0, 1.0, 2.0)])
    for name, (box, pictures) in rows.items():
        height = round(TILE * (box[3] - box[1]) / (box[2] - box[0]))
        tiles = [np.asarray(p.crop(box).resize((TILE, height))) for p in pictures]
        strip = Image.fromarray(np.concatenate(tiles, 1))
        strip.save(FOLDER / f"{name}.jpg", quality=82, optimize=True)


if __name__ == "__main__":
    main()
