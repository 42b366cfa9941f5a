"""Contract tests that every component must pass, also those of other packages.

A package that brings components inherits them in its own tests; it needs pytest:

>>> class TestMySystem(SystemContract):
...     recipe = staticmethod(my_package.recipes.tiny)
"""

from talkers.testing.avatars import as_avatar, bfloat16, random_avatar
from talkers.testing.experts import ExpertContract
from talkers.testing.motion import MotionModelContract, SpaceContract
from talkers.testing.recipes import RecipeContract, SettingsContract
from talkers.testing.renderers import RendererContract
from talkers.testing.speech import SpeechEncoderContract
from talkers.testing.systems import SystemContract

__all__ = [
    "ExpertContract",
    "MotionModelContract",
    "RecipeContract",
    "RendererContract",
    "SettingsContract",
    "SpaceContract",
    "SpeechEncoderContract",
    "SystemContract",
    "as_avatar",
    "bfloat16",
    "random_avatar",
]
