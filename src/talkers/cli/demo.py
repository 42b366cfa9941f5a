"""talkers demo: the bundled avatar says a sentence."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from talkers.cli.app import app
from talkers.cli.console import progress_bar, tell
from talkers.cli.options import Out


@app.command
def demo(output: Out = Path("demo")) -> None:
    """Let the bundled avatar say a sentence that was never filmed: writes hello.mp4 and hello.png.

    For example: talkers demo -o demo/

    Args:
        output: Folder for the video and the montage.
    """
    from talkers.media import decode_frames, write_png
    from talkers.media.montage import montage
    from talkers.runtime.avatar import Avatar

    avatar = Avatar.load()
    talk = avatar.speak(str(files("talkers") / "avatars" / "hello.flac"))
    with progress_bar() as report:
        video = talk.save(output / "hello.mp4", lambda done, total: report("speaking", done, total))
    frames = list(decode_frames(video))
    half = len(frames) // 2
    write_png(output / "hello.png", montage([frames[:half], frames[half:]]))
    tell(
        f"Wrote {output / 'hello.mp4'} ({talk.frame_count} frames, {talk.seconds:.2f} s) "
        f"and {output / 'hello.png'}"
    )
