"""Footage -> corpus: resumable, idempotent, parallel; what fails is reported and the rest is
done."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkers.artefacts.documents import write_json
from talkers.artefacts.files import file_digest, unfinished
from talkers.corpus.clips import Rendering, analyse_to, render
from talkers.corpus.footage import footage_files
from talkers.corpus.naming import unique_names, with_transcript
from talkers.corpus.prepared import Prepared as Prepared
from talkers.corpus.prepared import Statement as Statement
from talkers.corpus.store import FORMAT_VERSION, ClipRecord, Corpus
from talkers.corpus.table import read_tables, write_table
from talkers.errors import (
    ArtefactError,
    FaceError,
    MediaError,
    ResourceError,
    TalkersError,
    UsageError,
)
from talkers.face.analysis import Analysis
from talkers.face.check import check_footage
from talkers.face.crop import Crop, choose_crop, face_height
from talkers.face.usable import MIN_USABLE, usable_frames
from talkers.parallel import parallel
from talkers.version import __version__

Progress = Callable[[str, int, int], None]
ANALYSIS_VERSION = 2  # of what an interrupted preparation left in .work
MAX_REMARKS = 20  # findings that are also told; all of them are in corpus.json


def prepare(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    size: int = 256,
    rate: Fraction = Fraction(25),
    jobs: int | None = None,
    statement: Statement | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Prepared:
    """Turn footage into a corpus, or add footage to one.

    Sources already in the corpus are recognised by their digest and skipped; an interrupted
    preparation goes on where it was. The scale of the crop is chosen once for each picture size in
    the footage, its place for each file. Frames of no use are gaps, and what is wrong with the
    footage is kept in corpus.json.

    Args:
        paths: video files, or folders of them.
        out: the corpus folder.
        size: side of the frames in pixels, a multiple of 32.
        rate: frames a second of the corpus.
        jobs: child processes (default: one a core).
        statement: kept with the corpus and handed on to the avatars made of it.
        progress: called with stage, done and total.

    Returns:
        the corpus, and which sources failed and why.

    Raises:
        TalkersError: nothing at all could be prepared, or `out` holds something else.
    """
    workers = jobs if jobs is not None else os.cpu_count() or 1
    work = _Preparation(Path(out), size, rate, workers, progress)
    said = statement or Statement()
    work.speaker = said.speaker
    files = footage_files(paths, out, work.remarks.append)
    fresh = work.fresh(files)
    work.make_folders()
    analyses = work.analyses(fresh)
    crops = work.crops(analyses)
    tasks = work.tasks(fresh, crops)
    rendered = work.rendered(tasks, fresh)
    if not rendered and not work.existing:
        work.remove_folders()
        reason = next(iter(work.failures.values()), "no files were given.")
        raise FaceError(
            "none of the footage could be prepared",
            why=f"of {len(files)} files, {len(work.failures)} failed, the first: "
            f"{reason.rstrip('.')}",
            todo="See `talkers check`",
        )
    added = [
        replace(clip, speaker=said.speaker)
        for digest in rendered
        for clip in with_transcript(rendered[digest], fresh[digest], work.remarks)
    ]
    known = Statement().or_that_of(work.existing)
    kept = said.or_that_of(work.existing)
    if added or (work.existing and kept != known):
        findings = work.findings({d: analyses[d] for d in rendered}, crops)
        rows = [tasks[digest].rows for digest in rendered]
        _finish(work, _Addition(added, rows, findings), kept)
    shutil.rmtree(work.work, ignore_errors=True)
    return Prepared(Corpus(work.folder), len(added), work.failures, work.remarks)


@dataclass(frozen=True)
class _Addition:
    """What is added to a corpus: clips, files with their rows, and findings."""

    clips: list[ClipRecord]
    rows: list[Path]
    findings: list[dict[str, Any]]


class _Preparation:
    """The steps of one `prepare`. Sources go by their digests.

    Raises:
        UsageError: no such size. ArtefactError: the folder holds something else.
    """

    def __init__(self, folder: Path, size: int, rate: Fraction, jobs: int, progress: Progress):
        if size % 32 or not 32 <= size <= 2048:
            raise UsageError(
                f"the frame size {size} is not a multiple of 32 up to 2048",
                todo="Use for example 128, 256 or 512",
            )
        self.folder, self.size, self.rate = folder, size, rate
        self.jobs, self.progress = jobs, progress
        self.speaker: str | None = None
        self.work, self.clips = folder / ".work", folder / "clips"
        self.failures: dict[str, str] = {}
        self.remarks: list[str] = []
        if folder.exists() and not folder.is_dir():
            raise ArtefactError(
                "this is a file, not a folder for a corpus", where=folder, todo="Name a folder"
            )
        self.existing = Corpus(folder) if (folder / "corpus.json").exists() else None
        if self.existing and (self.existing.size, self.existing.rate) != (size, rate):
            raise ArtefactError(
                f"this corpus has {self.existing.size} px at {self.existing.rate} fps, "
                f"not {size} px at {rate} fps",
                where=folder,
                todo="Choose another folder",
            )
        self._left = [*unfinished(folder), *unfinished(self.clips)]
        own = {".work", "clips", "frames.parquet", *(p.name for p in self._left)}
        if (
            self.existing is None
            and folder.is_dir()
            and any(p.name not in own for p in folder.iterdir())
        ):
            raise ArtefactError(
                "this folder is not empty and is no corpus",
                where=folder,
                todo="Choose a new folder",
            )
        about = self.existing.about if self.existing else {}
        self.heights: dict[str, float] = dict(about.get("face_heights", {}))

    def fresh(self, files: Sequence[Path]) -> dict[str, Path]:
        """The sources that are not in the corpus yet, each content once."""
        known = {clip.sha256 for clip in self.existing.clips} if self.existing else set()
        found: dict[str, Path] = {}
        for path in files:
            try:
                if path.exists() and not path.is_file():  # would be read without end
                    todo = "Copy what it gives into a file, and name that"
                    raise MediaError("this is no regular file", where=path, todo=todo)
                digest = file_digest(path)
            except MediaError as error:
                self.failures[str(path)] = str(error)
                continue
            except OSError as error:
                failure = MediaError(
                    "the file cannot be read", where=path, why=error.strerror, todo="Check the path"
                )
                self.failures[str(path)] = str(failure)
                continue
            if digest not in known and found.setdefault(digest, path) != path:
                self.remarks.append(f"{path}: the same content as {found[digest]}; taken once.")
        return found

    def make_folders(self) -> None:
        """Make the corpus's folders, and remove what a killed preparation was writing.

        Raises:
            ResourceError: they cannot be made.
        """
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            self.clips.mkdir(exist_ok=True)
            for path in self._left:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise ResourceError(
                "the corpus folder cannot be made",
                where=self.folder,
                why=error.strerror,
                todo="Choose a folder that can be written",
            ) from error

    def remove_folders(self) -> None:
        """Remove the folders, as far as nothing is in them."""
        shutil.rmtree(self.work, ignore_errors=True)
        for leftover in (self.clips, self.folder):
            if leftover.is_dir() and not any(leftover.iterdir()):
                leftover.rmdir()

    def _parallel(
        self,
        stage: str,
        work: Callable[..., Any],
        tasks: dict[str, tuple[Any, ...]],
        fresh: dict[str, Path],
    ) -> dict[str, Any]:
        """Results of the tasks that do not fail, in the order of the tasks.

        Raises:
            ResourceError: disk or memory are used up: the other tasks would meet the same.
        """
        results: dict[str, Any] = {}

        def done(digest: str, result: Any) -> None:
            if isinstance(result, ResourceError):
                raise result
            if isinstance(result, TalkersError):
                self.failures[str(fresh[digest])] = str(result)
            results[digest] = result
            self.progress(stage, len(results), len(tasks))

        parallel(work, tasks, self.jobs, done)
        return {d: results[d] for d in tasks if not isinstance(results[d], TalkersError)}

    def _analysis(self, digest: str) -> Path:
        rate = f"{self.rate.numerator}-{self.rate.denominator}"
        return self.work / f"{digest}-{rate}.{ANALYSIS_VERSION}.analysis"

    def analyses(self, fresh: dict[str, Path]) -> dict[str, Analysis]:
        """Measure all fresh sources."""
        tasks: dict[str, tuple[Any, ...]] = {
            d: (str(path), str(self.rate), str(self._analysis(d))) for d, path in fresh.items()
        }
        made = self._parallel("finding faces", analyse_to, tasks, fresh)
        loaded = {digest: Analysis.load(Path(file)) for digest, file in made.items()}
        for a in loaded.values():
            self.remarks += [note for note in a.notes if note not in self.remarks]
        return loaded

    def crops(self, analyses: dict[str, Analysis]) -> dict[str, Crop]:
        """Choose the crops; sources with too few usable frames, or too small a face, fail."""
        usable = {digest: usable_frames(a) for digest, a in analyses.items()}
        by_size: dict[str, list[float]] = defaultdict(list)
        for digest, a in analyses.items():
            if usable[digest].any():
                height = face_height(a.boxes[usable[digest]])
                by_size[self._scale_key(a)].append(height)
        for key, heights in by_size.items():
            self.heights.setdefault(key, float(np.median(heights)))
        crops: dict[str, Crop] = {}
        for digest, a in analyses.items():
            scale = self.heights.get(self._scale_key(a))
            try:
                crops[digest] = self._crop(a, usable[digest], scale)
            except FaceError as error:
                failure = FaceError(error.what, where=a.source, todo=error.todo)
                self.failures[a.source] = str(failure)
        return crops

    def _scale_key(self, a: Analysis) -> str:
        """Under which name the scale of a source is kept."""
        size = f"{a.width}x{a.height}"
        return size if self.speaker is None else f"{self.speaker}:{size}"

    def _crop(self, a: Analysis, usable: NDArray[np.bool_], scale: float | None) -> Crop:
        """The crop of a source with these usable frames.

        Raises:
            FaceError: the face is too small, or too few frames can be used.
        """
        least = min(MIN_USABLE, len(a.faces))
        if usable.sum() >= least:
            crop = choose_crop(a.boxes[usable], a.width, a.height, self.size, scale)
            if usable_frames(a, crop).sum() >= least:
                return crop
        todo = "See `talkers check` for what is wrong with it"
        raise FaceError("none of its frames can be used", todo=todo)

    def tasks(self, fresh: dict[str, Path], crops: dict[str, Crop]) -> dict[str, Rendering]:
        """What is to be rendered, under names that are not taken."""
        taken = {clip.name for clip in self.existing.clips} if self.existing else set()
        names = unique_names([fresh[digest] for digest in crops], taken)
        tasks = {}
        for digest, crop in crops.items():
            name = names[fresh[digest]]
            # a clip that was made otherwise is made again
            made = sha256(f"{digest} {crop} {self.rate} {name}".encode()).hexdigest()[:32]
            tasks[digest] = Rendering(
                path=str(fresh[digest]),
                analysis=str(self._analysis(digest)),
                crop=crop,
                rate=self.rate,
                name=name,
                clips=self.clips,
                rows=self.work / f"{made}.parquet",
            )
        return tasks

    def rendered(
        self, tasks: dict[str, Rendering], fresh: dict[str, Path]
    ) -> dict[str, list[ClipRecord]]:
        """Write all clips; their records by source."""
        arguments = {digest: (task,) for digest, task in tasks.items()}
        return self._parallel("writing clips", render, arguments, fresh)

    def findings(
        self, analyses: dict[str, Analysis], crops: dict[str, Crop]
    ) -> list[dict[str, Any]]:
        """What is wrong with the footage, by the names of its files; the first are told as well."""
        report = check_footage(
            {a.source: a for a in analyses.values()},
            {a.source: crops[digest] for digest, a in analyses.items()},
        )
        findings = [f for f in report["findings"] if f["kind"] != "too-short"]
        for finding in findings[:MAX_REMARKS]:
            at = "" if finding["at"] is None else f" at {finding['at']:.2f} s"
            self.remarks.append(f"{finding['file']}{at}: {finding['what']}.")
        if len(findings) > MAX_REMARKS:
            more = len(findings) - MAX_REMARKS
            self.remarks.append(f"{more} more findings are in {self.folder / 'corpus.json'}.")
        return [f | {"file": Path(f["file"]).name} for f in findings]


def _finish(work: _Preparation, addition: _Addition, statement: Statement) -> None:
    """Join the clips' rows into one table, and write corpus.json last: it completes the corpus."""
    old = work.existing.clips if work.existing else []
    table = work.folder / "frames.parquet"
    # rows beyond those of corpus.json are of an interrupted preparation
    held = read_tables(table, sum(clip.frames for clip in old)) if work.existing else ()
    write_table(table, chain(held, *map(read_tables, addition.rows)))
    clips = [*old, *addition.clips]
    frames = sum(clip.frames for clip in clips)
    earlier = work.existing.about.get("findings", []) if work.existing else []
    about = {
        "format_version": FORMAT_VERSION,
        "talkers": __version__,
        "size": work.size,
        "rate": str(work.rate),
        "frames": frames,
        "seconds": round(float(frames / work.rate), 3),
        "consent": statement.consent,
        "licence": statement.licence,
        "face_heights": work.heights,
        "findings": [*earlier, *addition.findings],
        "clips": [
            {
                "name": c.name,
                "frames": c.frames,
                "source": c.source,
                "sha256": c.sha256,
                "crop": c.crop.as_dict(),
                "gaps": c.gaps,
                "transcript": c.transcript,
                **({} if c.speaker is None else {"speaker": c.speaker}),
            }
            for c in clips
        ],
    }
    write_json(work.folder / "corpus.json", about)
