"""Make the guide's pictures: controls from the bundled avatar, footage from synthetic portraits.

    python docs/_tools/pictures.py controls
    python docs/_tools/pictures.py footage FOLDER_WITH_SFHQ_PORTRAITS
    python docs/_tools/pictures.py portraits FOLDER_WITH_SFHQ_PORTRAITS

The portraits are of SFHQ and SFHQ-T2I (David Beniaguev, MIT): nobody in them exists.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

PICTURES = Path(__file__).parent.parent / "pictures"
TILE = 200  # pixels
CAPTION = 26
GOOD, BAD, PLAIN = (46, 125, 50), (198, 40, 40), (70, 70, 70)
Picture = Image.Image


@dataclass(frozen=True)
class Tile:
    """A picture with what is written under it."""

    picture: Picture
    caption: str
    colour: tuple[int, int, int] = PLAIN


def sheet(rows: list[list[Tile]]) -> Picture:
    """Tiles in rows, each with its caption below."""
    width = max(map(len, rows)) * (TILE + 6) + 6
    page = Image.new("RGB", (width, len(rows) * (TILE + CAPTION + 6) + 6), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            left, top = 6 + x * (TILE + 6), 6 + y * (TILE + CAPTION + 6)
            page.paste(ImageOps.fit(tile.picture.convert("RGB"), (TILE, TILE)), (left, top))
            pen.rectangle(
                (left, top + TILE, left + TILE - 1, top + TILE + CAPTION - 1), fill=tile.colour
            )
            middle = (left + TILE / 2, top + TILE + CAPTION / 2)
            pen.text(middle, tile.caption, font=font, fill="white", anchor="mm")
    return page


def controls() -> Picture:
    """The same moment of the same sentence under different controls."""
    import talkers

    avatar = talkers.Avatar.load()
    speech = str(files("talkers") / "avatars" / "hello.flac")
    still = talkers.Controls(pose="still", blinks=0)

    def at(frame: int, **asked: object) -> Picture:
        frames: Iterator[NDArray[np.uint8]] = iter(
            avatar.speak(speech, controls=replace(still, **asked), provenance=False)
        )  # type: ignore[arg-type]
        return Image.fromarray(next(islice(frames, frame, None)))

    wide, rest = 62, 2  # frames of hello.flac: an open mouth, and before the first word
    eyes = (85, 75, 185, 175)  # pixels
    return sheet(
        [
            [
                Tile(at(rest, pose=p), f"--pose {p}")
                for p in ("still", "yaw=2", "yaw=9", "pitch=-3", "pitch=3")
            ],
            [Tile(at(rest, pose=p), f"--pose {p}") for p in ("roll=-2", "roll=3")]
            + [Tile(at(wide, amplitude=a), f"--amplitude {a}") for a in (0.5, 1.0, 1.5)],
            [Tile(at(14, blink_times=(0.5,)).crop(eyes), "--blink-times 0.5")]
            + [
                Tile(at(rest, gaze=g).crop(eyes), f"--gaze {g[0]:g} {g[1]:g}")
                for g in ((1, 0), (-1, 0), (0, 1), (0, -1))
            ],
        ]
    )


def footage(faces: Path) -> Picture:
    """What a camera should see, and what it should not."""

    def face(name: str) -> Picture:
        return Image.open(next(faces.rglob(f"{name}.jpg"))).convert("RGB")

    def small(picture: Picture) -> Picture:
        wall = picture.crop((0, 0, picture.width // 5, picture.height // 5)).resize(picture.size)
        wall = wall.filter(ImageFilter.GaussianBlur(30))
        wall.paste(
            picture.resize((picture.width // 6, picture.height // 6)),
            (picture.width // 2, picture.height // 2),
        )
        return wall

    def microphone(picture: Picture) -> Picture:
        w, h = picture.size
        pen = ImageDraw.Draw(picture)
        pen.polygon(
            [(0.5 * w, 0.78 * h), (0.6 * w, 0.78 * h), (0.68 * w, h), (0.54 * w, h)],
            fill=(25, 25, 28),
        )
        pen.ellipse(
            (0.4 * w, 0.62 * h, 0.64 * w, 0.86 * h),
            fill=(48, 48, 52),
            outline=(20, 20, 22),
            width=3,
        )
        return picture

    def pair(left: Picture, right: Picture) -> Picture:
        wall = Image.new("RGB", left.size, (150, 150, 150))
        for k, one in enumerate((left, right)):
            part = ImageOps.fit(one, (left.width // 2, left.height))
            wall.paste(part, (k * left.width // 2, 0))
        return wall

    def moved(picture: Picture) -> Picture:
        pixels = np.asarray(picture, np.float32)
        return Image.fromarray(
            np.mean([np.roll(pixels, k, 1) for k in range(-8, 9)], 0).astype(np.uint8)
        )

    man, woman, other = (
        face("SFHQ_sample_2x4_r1_c1"),
        face("SFHQ_sample_4x8_r1_c1"),
        face("SFHQ_sample_2x4_r1_c0"),
    )
    return sheet(
        [
            [
                Tile(p, "good", GOOD)
                for p in (
                    man,
                    woman,
                    other,
                    face("SFHQ_sample_1x2_r0_c0"),
                    face("SFHQ_sample_4x8_r3_c4"),
                )
            ],
            [
                Tile(ImageEnhance.Brightness(man).enhance(0.22), "too dark", BAD),
                Tile(face("SFHQ_sample_3x6_r1_c5"), "light from one side", BAD),
                Tile(small(woman), "too far away", BAD),
                Tile(moved(other), "moves during exposure", BAD),
                Tile(woman.filter(ImageFilter.GaussianBlur(5)), "out of focus", BAD),
            ],
            [
                Tile(microphone(face("SFHQ_sample_2x4_r1_c0")), "mouth hidden", BAD),
                Tile(face("all_model_images_r2_c7"), "turned away", BAD),
                Tile(pair(man, other), "two people", BAD),
                Tile(man.crop((0, 0, man.width, int(0.72 * man.height))), "chin cut off", BAD),
                Tile(woman.rotate(90), "lies on its side", BAD),
            ],
        ]
    )


PORTRAITS = (  # which no training has seen
    "SFHQ_sample_2x4_r0_c2",
    "search_2_Age_x_Ethnicity-x-Sex-2_r4_c7",
    "search_2_Age_x_Ethnicity-x-Sex-1_r5_c6",
    "search_1_hair_color_r3_c3",
    "search_2_Facial-Features_r4_c0",
    "search_2_Age_x_Ethnicity-x-Sex-2_r5_c7",
)


def portraits(faces: Path) -> Picture:
    """Six pictures say the same sentence: the picture, and moments of what is made of it."""
    from talkers.controls import Controls
    from talkers.runtime.portrait import PortraitTerms, make_portrait

    speech, rows = str(files("talkers") / "avatars" / "hello.flac"), []
    with TemporaryDirectory() as folder:
        for name in PORTRAITS:
            path = next(faces.rglob(f"{name}.jpg"))
            avatar, _ = make_portrait([path], Path(folder) / name, PortraitTerms())
            talk = avatar.speak(speech, controls=Controls(blink_times=(1.2,)), provenance=False)
            frames = list(talk)
            shown = [Tile(Image.open(avatar.folder / "preview.png"), "the picture, at rest")]
            for at in (18, 31, 48, 62):
                shown.append(Tile(Image.fromarray(frames[at]), f"{at / 25:.2f} s"))
            rows.append(shown)
    return sheet(rows)


def main() -> None:
    """Write the picture that the first argument names."""
    makers: dict[str, Callable[[], Picture]] = {
        "controls": controls,
        "footage": lambda: footage(Path(sys.argv[2])),
        "portraits": lambda: portraits(Path(sys.argv[2])),
    }
    makers[sys.argv[1]]().save(PICTURES / f"{sys.argv[1]}.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main()
