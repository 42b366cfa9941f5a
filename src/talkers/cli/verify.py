"""talkers verify: what videos say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tyro.conf import Positional

from talkers.cli.app import app
from talkers.cli.console import partial, print_json, remark, tell
from talkers.cli.options import Json, some
from talkers.errors import MediaError


@app.command
def verify(videos: Positional[tuple[Path, ...]], as_json: Json = False) -> None:
    """Say whether videos tell that a machine made them: by a signed manifest, a mark in frames.

    For example: talkers verify out.mp4

    Args:
        videos: Video files.
        as_json: Print one JSON object.
    """
    from talkers.media import decode_frames, probe
    from talkers.media.manifest import read_manifest
    from talkers.media.watermark import find

    results: dict[str, Any] = {}
    failures: dict[str, MediaError] = {}
    for path in some(videos, "video"):
        try:
            probe(path)
            manifest, mark = read_manifest(path), find(decode_frames(path))
        except MediaError as error:
            failures[str(path)], results[str(path)] = error, {"failed": str(error)}
            continue
        results[str(path)] = {"manifest": manifest._asdict(), "mark": mark._asdict()}
        if not as_json:
            signed = f"manifest {manifest.state}" + (
                f": made by {manifest.made_by}, signed by {manifest.signed_by}"
                if manifest.made_by
                else ""
            )
            signed += f" ({', '.join(manifest.problems)})" if manifest.problems else ""
            tell(
                f"{path}: {signed}; mark in the frames {'found' if mark.there else 'not found'} "
                f"(score {mark.score:.1f})"
            )
    if as_json:
        print_json(results)
    if len(failures) == len(results):
        *others, last = failures.values()
        for other in others:
            remark(f"failed: {other}")
        raise last
    partial({path: str(failure) for path, failure in failures.items()})
