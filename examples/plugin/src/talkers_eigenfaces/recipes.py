"""A system of this package's components: log-mel -> GRU -> linear space -> eigenfaces."""

from __future__ import annotations

from talkers.speech import SpeechConfig
from talkers.systems.recipe import Recipe
from talkers.systems.stages import MotionModelTraining, RendererTraining
from talkers_eigenfaces.motion import RecurrentConfig
from talkers_eigenfaces.renderer import EigenfacesConfig


def tiny() -> Recipe:
    """64 px, trained in about a minute on a CPU. It streams too: log-mel features do."""
    return Recipe(
        name="eigenfaces",
        steps=1,
        renderer=EigenfacesConfig(),
        speech=SpeechConfig(encoder="log-mel", layers=()),
        motion={"recurrent": RecurrentConfig()},
        stages=(
            RendererTraining(frames=8_000, batch=16, learning_rate=3e-3, ema=0.9),
            MotionModelTraining(
                key="recurrent", frames=60_000, batch=8, window=50, learning_rate=3e-3, ema=0.95
            ),
        ),
    )
