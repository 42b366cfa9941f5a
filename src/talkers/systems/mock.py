"""The mock avatar: a drawn face that needs no weights and no training.

It is made of components like any other avatar, so that whoever builds on talkers can try a
pipeline out, with the same interface, in a fraction of the time. `python -m talkers.systems.mock`
writes its avatar.json.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from talkers.artefacts.documents import write_json
from talkers.motion.loudness import REST, TRANSLATION_FROM_ROTATION, LoudnessConfig
from talkers.renderers.drawn import DrawnConfig
from talkers.space.face_state import FaceStateConfig
from talkers.speech import SpeechConfig
from talkers.systems.recipe import Recipe, to_dict

RANGE = (15.0, 12.0, 10.0, 0.04, 0.03, 0.02)  # of the head, to either side of its rest


def mock() -> Recipe:
    """Log-mel features -> loudness -> face states -> a drawn face of 256 px."""
    return Recipe(
        name="mock",
        steps=1,
        renderer=DrawnConfig(),
        space=FaceStateConfig(),
        speech=SpeechConfig(encoder="log-mel", layers=()),
        motion={"loudness": LoudnessConfig()},
    )


def about() -> dict[str, Any]:
    """What its avatar.json says."""
    spread = [round(width / 3, 4) for width in RANGE]
    return {
        "format_version": 4,
        "recipe": to_dict(mock()),
        "components": {
            "renderer": "renderer.safetensors",
            "space": "space.safetensors",
            "motion/loudness": "motion-loudness.safetensors",
        },
        "speech": {"width": 160},
        "head": {
            "mean": list(REST),
            "std": [*spread, 0.1],
            "low": [*(a - w for a, w in zip(REST, RANGE, strict=False)), 0.0],
            "high": [*(a + w for a, w in zip(REST, RANGE, strict=False)), 1.0],
            "translation_from_rotation": [list(row) for row in TRANSLATION_FROM_ROTATION],
        },
        "consent": "nobody is shown: the face is drawn",
        "data": {"licence": "Apache-2.0"},
    }


if __name__ == "__main__":
    write_json(Path(str(files("talkers") / "avatars" / "mock" / "avatar.json")), about())
