"""talkers: minutes of a person's video -> an avatar that says anything.

>>> import talkers
>>> avatar = talkers.Avatar.load()                   # the bundled avatar, or a folder
>>> avatar.speak("speech.wav").save("out.mp4")       # or iterate over the frames
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from talkers.version import __version__

__all__ = [
    "Avatar",
    "Controls",
    "DubTerms",
    "LiveTerms",
    "ReenactTerms",
    "TalkersError",
    "__version__",
]

if TYPE_CHECKING:
    from talkers.controls.request import Controls
    from talkers.errors import TalkersError
    from talkers.runtime.avatar import Avatar
    from talkers.runtime.dubbing import DubTerms
    from talkers.runtime.live_session import LiveTerms
    from talkers.runtime.reenactment import ReenactTerms

_HOMES = {
    "Avatar": "talkers.runtime.avatar",
    "Controls": "talkers.controls.request",
    "DubTerms": "talkers.runtime.dubbing",
    "LiveTerms": "talkers.runtime.live_session",
    "ReenactTerms": "talkers.runtime.reenactment",
    "TalkersError": "talkers.errors",
}


_WAITING = {  # how threads of OpenMP wait, by GNU's, LLVM's and Intel's libraries
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "KMP_BLOCKTIME": "0",
}


def _wait_passively() -> None:
    """Let threads sleep while they wait for each other.

    By default they spin, and where another process needs the cores too each spin costs a turn:
    speech took four times as long beside one busy process. The library reads this when torch loads
    it; what the user has set is left alone.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in _WAITING):
        os.environ.update(_WAITING)


_wait_passively()


def __getattr__(name: str) -> Any:
    """Public names are imported on first use, so that `import talkers` costs nothing."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'talkers' has no attribute '{name}'")
