"""Footage -> corpus: resumable, idempotent, parallel over files; what fails is reported and the rest is done."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from talkers.artefacts.documents import write_json
from talkers.artefacts.files import file_digest, unfinished
from talkers.corpus.clips import analyse_to, render
from talkers.corpus.footage import footage_files
from talkers.corpus.store import FORMAT_VERSION, ClipRecord, Corpus, read_tables, write_table
from talkers.errors import (
    ArtefactError,
    FaceError,
    MediaError,
    ResourceError,
    TalkersError,
    UsageError,
)
from talkers.face.analysis import Analysis
from talkers.face.crop import Crop, choose_crop, face_height
from talkers.parallel import parallel
from talkers.version import __version__


@dataclass(frozen=True)
class Prepared:
    """Outcome of `prepare`: the corpus, sources that failed with their reasons, and remarks."""

    corpus: Corpus
    added: int
    failures: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


LONGEST_TRANSCRIPT = 5_000  # characters


def _unique_names(files: Sequence[Path], taken: set[str]) -> dict[Path, str]:
    names: dict[Path, str] = {}
    for path in files:
        stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in path.stem)[:80] or "clip"
        name, k = stem, 2
        while name in taken:
            name, k = f"{stem}-{k}", k + 1
        taken.add(name)
        names[path] = name
    return names


def prepare(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    size: int = 256,
    rate: Fraction = Fraction(25),
    jobs: int | None = None,
    consent: str | None = None,
    licence: str | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Prepared:
    """Turn footage into a corpus, or add footage to one.

    Sources already in the corpus are recognised by their digest and skipped; an interrupted preparation goes on
    where it was. The scale of the crop is chosen once for each picture size in the footage, its place for each file.

    Args:
        paths: video files, or folders of them.
        out: the corpus folder.
        size: side of the frames in pixels, a multiple of 32.
        rate: frames a second of the corpus.
        jobs: child processes (default: one a core).
        consent, licence: statements kept with the corpus and handed on to the avatars made of it.
        progress: called with stage, done and total.

    Returns:
        the corpus, and which sources failed and why.

    Raises:
        TalkersError: nothing at all could be prepared, or `out` holds something else.
    """
    folder = Path(out)
    if size % 32 or not 32 <= size <= 2048:
        raise UsageError(
            f"the frame size {size} is not a multiple of 32 up to 2048",
            todo="Use for example 128, 256 or 512",
        )
    if folder.exists() and not folder.is_dir():
        raise ArtefactError(
            "this is a file, not a folder for a corpus", where=folder, todo="Name a folder"
        )
    existing = Corpus(folder) if (folder / "corpus.json").exists() else None
    if existing and (existing.size, existing.rate) != (size, rate):
        raise ArtefactError(
            f"this corpus has {existing.size} px at {existing.rate} fps, not {size} px at {rate} fps",
            where=folder,
            todo="Choose another folder",
        )
    left = [*unfinished(folder), *unfinished(folder / "clips")]
    known_names = {".work", "clips", "frames.parquet", *(p.name for p in left)}
    if (
        existing is None
        and folder.is_dir()
        and any(p.name not in known_names for p in folder.iterdir())
    ):
        raise ArtefactError(
            "this folder is not empty and is no corpus", where=folder, todo="Choose a new folder"
        )
    failures: dict[str, str] = {}
    remarks: list[str] = []
    files = footage_files(paths, folder, remarks.append)
    known = {clip.sha256: clip for clip in existing.clips} if existing else {}
    fresh: dict[str, Path] = {}
    for path in files:
        try:
            if path.exists() and not path.is_file():  # a pipe or a device would be read without end
                failures[str(path)] = str(
                    MediaError(
                        "this is no regular file",
                        where=path,
                        todo="Copy what it gives into a file, and name that",
                    )
                )
                continue
            digest = file_digest(path)
        except OSError as error:
            failures[str(path)] = str(
                MediaError(
                    "the file cannot be read", where=path, why=error.strerror, todo="Check the path"
                )
            )
            continue
        if digest not in known and fresh.setdefault(digest, path) != path:
            remarks.append(f"{path}: the same content as {fresh[digest]}; taken once.")
    work, clips = folder / ".work", folder / "clips"
    try:
        work.mkdir(parents=True, exist_ok=True)
        clips.mkdir(exist_ok=True)
        for path in left:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ResourceError(
            "the corpus folder cannot be made",
            where=folder,
            why=error.strerror,
            todo="Choose a folder that can be written",
        ) from error
    workers = jobs if jobs is not None else os.cpu_count() or 1

    analysed: dict[str, str] = {}

    def note(results: dict[str, Any], stage: str, total: int) -> Callable[[str, Any], None]:
        def done(digest: str, result: Any) -> None:
            if isinstance(result, ResourceError):
                raise result
            if isinstance(result, TalkersError):
                failures[str(fresh[digest])] = str(result)
                nonlocal_failed[0] += 1
            else:
                results[digest] = result
            progress(stage, len(results) + nonlocal_failed[0], total)

        nonlocal_failed = [0]
        return done

    tasks: dict[str, tuple[Any, ...]]
    tasks = {
        d: (str(p), str(rate), str(work / f"{d}-{rate.numerator}-{rate.denominator}.analysis"))
        for d, p in fresh.items()
    }
    parallel(analyse_to, tasks, workers, note(analysed, "finding faces", len(tasks)))

    by_size: dict[str, list[str]] = defaultdict(list)
    loaded = {d: Analysis.load(Path(analysed[d])) for d in fresh if d in analysed}
    for digest, analysis in loaded.items():
        by_size[f"{analysis.width}x{analysis.height}"].append(digest)
        many = int((analysis.faces > 1).sum())
        if many:
            remarks.append(
                f"{analysis.source}: {many} frames show several faces; the tracked one was kept."
            )
        remarks += analysis.notes
    faces: dict[str, float] = dict(existing.about["face_heights"]) if existing else {}
    for key, digests in by_size.items():
        faces.setdefault(key, float(np.median([face_height(loaded[d].boxes) for d in digests])))
    crops: dict[str, Crop] = {}
    for digest, a in loaded.items():
        try:
            crops[digest] = choose_crop(
                a.boxes[a.found], a.width, a.height, size, faces[f"{a.width}x{a.height}"]
            )
        except FaceError as error:
            failures[str(fresh[digest])] = str(
                FaceError(error.what, where=fresh[digest], todo=error.todo)
            )
    names = _unique_names([fresh[d] for d in crops], {c.name for c in known.values()})
    rendered: dict[str, list[ClipRecord]] = {}
    tasks = {}
    for digest, crop in crops.items():
        name = names[fresh[digest]]
        made = sha256(f"{digest} {crop} {rate} {name}".encode()).hexdigest()[
            :32
        ]  # a clip made otherwise is made again
        tasks[digest] = (
            str(fresh[digest]),
            analysed[digest],
            crop,
            str(rate),
            name,
            str(clips),
            str(work / f"{made}.parquet"),
        )
    rows = {digest: Path(arguments[-1]) for digest, arguments in tasks.items()}
    parallel(render, tasks, workers, note(rendered, "writing clips", len(tasks)))

    if not rendered and not existing:
        shutil.rmtree(work, ignore_errors=True)
        for leftover in (clips, folder):
            if leftover.is_dir() and not any(leftover.iterdir()):
                leftover.rmdir()
        reason = next(iter(failures.values()), "no files were given.")
        raise FaceError(
            "none of the footage could be prepared",
            why=f"of {len(files)} files, {len(failures)} failed, the first: {reason.rstrip('.')}",
            todo="See `talkers check`",
        )
    added = [
        clip
        for d in fresh
        if d in rendered
        for clip in with_transcript(rendered[d], fresh[d], remarks)
    ]
    if added or (
        existing
        and ((consent or existing.about.get("consent")), (licence or existing.about.get("licence")))
        != (existing.about.get("consent"), existing.about.get("licence"))
    ):
        _finish(
            folder,
            existing,
            added,
            [rows[d] for d in fresh if d in rendered],
            faces,
            size,
            rate,
            consent,
            licence,
        )
    shutil.rmtree(work, ignore_errors=True)
    return Prepared(Corpus(folder), len(added), failures, remarks)


def with_transcript(clips: list[ClipRecord], source: Path, remarks: list[str]) -> list[ClipRecord]:
    """Clips of a video with what is said in it, if a text file of its name lies beside it and it was not cut up."""
    path = source.with_suffix(".txt")
    if not path.is_file():
        return clips
    try:
        text = " ".join(path.read_bytes()[: LONGEST_TRANSCRIPT + 1].decode("utf-8-sig").split())
    except (OSError, UnicodeDecodeError) as error:
        remarks.append(f"{path}: the transcript cannot be read ({error}); left out.")
        return clips
    if len(clips) != 1 or not 0 < len(text) <= LONGEST_TRANSCRIPT:
        remarks.append(
            f"{path}: the transcript is left out: it has {len(text)} characters, and the video became {len(clips)} clips."
        )
        return clips
    return [replace(clips[0], transcript=text)]


def _finish(
    folder: Path,
    existing: Corpus | None,
    added: list[ClipRecord],
    rows: list[Path],
    faces: dict[str, float],
    size: int,
    rate: Fraction,
    consent: str | None,
    licence: str | None,
) -> None:
    """Join the clips' rows into one table and write corpus.json last, which makes the corpus complete."""
    old = existing.clips if existing else []
    table = folder / "frames.parquet"
    held = (
        read_tables(table, sum(clip.frames for clip in old)) if existing else ()
    )  # rows beyond those of corpus.json are of an interrupted preparation
    write_table(table, chain(held, *map(read_tables, rows)))
    clips = [*old, *added]
    about = {
        "format_version": FORMAT_VERSION,
        "talkers": __version__,
        "size": size,
        "rate": str(rate),
        "frames": sum(clip.frames for clip in clips),
        "seconds": round(float(sum(clip.frames for clip in clips) / rate), 3),
        "consent": consent or (existing.about.get("consent") if existing else None),
        "licence": licence or (existing.about.get("licence") if existing else None),
        "face_heights": faces,
        "clips": [
            {
                "name": c.name,
                "frames": c.frames,
                "source": c.source,
                "sha256": c.sha256,
                "crop": c.crop.as_dict(),
                "gaps": c.gaps,
                "transcript": c.transcript,
            }
            for c in clips
        ],
    }
    write_json(folder / "corpus.json", about)
