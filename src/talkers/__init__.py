"""talkers: minutes of a person's video -> an avatar that says anything.

>>> import talkers
>>> avatar = talkers.Avatar.load()                   # the bundled avatar, or a folder
>>> avatar.speak("speech.wav").save("out.mp4")       # or iterate over the frames
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from talkers.version import __version__

__all__ = ["Avatar", "Controls", "TalkersError", "__version__"]

if TYPE_CHECKING:
    from talkers.controls.request import Controls
    from talkers.errors import TalkersError
    from talkers.runtime.avatar import Avatar

_HOMES = {
    "Avatar": "talkers.runtime.avatar",
    "Controls": "talkers.controls.request",
    "TalkersError": "talkers.errors",
}


def __getattr__(name: str) -> Any:
    """Public names are imported on first use, so that `import talkers` costs nothing."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'talkers' has no attribute '{name}'")
