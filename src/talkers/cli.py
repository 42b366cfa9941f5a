"""The verbs. Each is a function whose docstring is its help; what a user can mend is told in one sentence."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from tyro.conf import Positional, UseAppendAction, arg

from talkers.controls import Controls
from talkers.errors import PartialFailure, TalkersError, UsageError, shown

out, err = Console(), Console(stderr=True)
app = tyro.extras.SubcommandApp()

Out = Annotated[Path, arg(aliases=["-o"])]
Settings = UseAppendAction[tuple[tuple[str, ...], ...]]  # as often as one likes, several at once
Json = Annotated[bool, arg(name="json")]
Asked = Annotated[Controls, arg(name="")]


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar a stage; gives a function to call with stage, done, total."""
    columns = (TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=not err.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def _say(text: str) -> None:
    err.print(escape(shown(text)), highlight=False, soft_wrap=True)


def _tell(text: str) -> None:
    out.print(escape(shown(text)), highlight=False, soft_wrap=True)


def _print_json(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")


@app.command
def demo(output: Out = Path("demo")) -> None:
    """Let the bundled avatar say a sentence that was never filmed: writes hello.mp4 and hello.png.

    Args:
        output: Folder for the video and the montage.
    """
    from talkers.avatar import Avatar
    from talkers.media import decode_frames, write_png
    from talkers.montage import montage

    avatar = Avatar.load()
    talk = avatar.speak(str(files("talkers") / "avatars" / "hello.flac"))
    with progress_bar() as report:
        video = talk.save(output / "hello.mp4", lambda done, total: report("speaking", done, total))
    frames = list(decode_frames(video))
    write_png(output / "hello.png", montage([frames[: len(frames) // 2], frames[len(frames) // 2 :]]))
    _tell(f"Wrote {output / 'hello.mp4'} ({talk.frame_count} frames, {talk.seconds:.2f} s) and {output / 'hello.png'}")


@app.command
def check(footage: Positional[tuple[Path, ...]], as_json: Json = False, jobs: int | None = None) -> None:
    """Say what is wrong with footage, at which time, and what to do about it.

    Args:
        footage: Video files, or folders of them.
        as_json: Print one JSON object.
        jobs: Files looked at at once (default: one a core).
    """
    from talkers.corpus.parallel import parallel
    from talkers.corpus.prepare import footage_files
    from talkers.errors import MediaError
    from talkers.face.analysis import analyse
    from talkers.face.check import check_footage

    paths = footage_files(_some(footage))
    results: dict[str, Any] = {}
    with progress_bar() as report:

        def done(key: str, result: Any) -> None:
            results[key] = result
            report("looking", len(results), len(paths))

        parallel(analyse, {str(p): (str(p),) for p in paths}, jobs if jobs is not None else os.cpu_count() or 1, done)
    told = check_footage({str(p): results[str(p)] for p in paths})
    if as_json:
        _print_json(told)
    else:
        table = Table("", "file", "at", "what", "what to do", title=f"{len(paths)} files, {told['seconds']:.1f} s usable")
        for f in told["findings"]:
            at = "" if f["at"] is None else f"{int(f['at'] // 60)}:{f['at'] % 60:05.2f}"
            table.add_row(
                "[red]error[/]" if f["severity"] == "error" else "[yellow]warning[/]",
                escape(shown(Path(f["file"]).name)),
                at,
                escape(f["what"]),
                escape(f["todo"]),
            )
        out.print(table if told["findings"] else f"{len(paths)} files, {told['seconds']:.1f} s usable, nothing wrong.")
    if not told["usable"]:
        raise MediaError("none of this footage can be used", todo="See the findings above")
    if any(f["severity"] == "error" for f in told["findings"]):
        raise PartialFailure("some of this footage cannot be used", todo="See the findings above; the rest is good")


@app.command
def prepare(footage: Positional[tuple[Path, ...]], output: Out, size: int = 256, rate: str = "25", jobs: int | None = None,
            consent: str | None = None, licence: str | None = None) -> None:  # fmt: skip
    """Turn footage of one person into a corpus. Interrupted, it goes on where it was; run again, it adds what is new.

    Args:
        footage: Video files, or folders of them.
        output: Folder of the corpus.
        size: Side of the frames in pixels.
        rate: Frames a second.
        jobs: Files worked on at once (default: one a core).
        consent: Who agreed to what, kept with the corpus and its avatars.
        licence: Licence of the footage, kept likewise.
    """
    from talkers.corpus.prepare import prepare as run

    with progress_bar() as report:
        done = run(_some(footage), output, size, _rate(rate), jobs, consent, licence, report)
    for remark in done.remarks:
        _say(f"note: {remark}")
    about = done.corpus.about
    _tell(f"{output}: {done.added} clips added, {len(about['clips'])} in all, {about['frames']} frames, {about['seconds']:.1f} s")
    _partial(done.failures)


@app.command
def train(corpus: Positional[Path], output: Out, recipe: str = "compact", set: Settings = (), budget: str | None = None, resume: bool = False, start: Path | None = None,
          devices: str = "auto", strategy: str = "auto", precision: str = "bf16-mixed") -> None:  # fmt: skip
    """Train an avatar from a corpus: the codec, then the motion model, then the listener.

    Args:
        corpus: Folder made by `talkers prepare`.
        output: Folder of the avatar; its training/ holds checkpoints, montages and metrics.jsonl.
        recipe: compact, compact_512, dae_talker, dae_talker_128 or tiny.
        set: Settings to change, as key=value, several at once or one by one (see the recipe in avatar.json for the keys).
        budget: Time for all stages together, such as 30m or 1h30m; the learning rate is fitted to it.
        resume: Go on with the training in the output folder.
        start: Avatar or training folder of the same recipe whose codec and motion model to begin with.
        devices: Number of devices, or auto (all GPUs, else the CPU).
        strategy: Lightning's strategy for several devices: auto, ddp, fsdp, ...
        precision: Lightning's precision: bf16-mixed, 32-true, ...
    """
    try:
        from talkers.training.train import train as run
    except ImportError as error:
        raise _missing("training", "train", error) from error
    from talkers.corpus import Corpus
    from talkers.recipes import recipe_named, with_settings
    from talkers.training.progress import parse_duration

    options: dict[str, Any] = {"precision": precision, "strategy": strategy}
    if devices != "auto":
        if not devices.isdigit() or not int(devices):
            raise UsageError(f"'{devices}' is not a number of devices", todo="Use a number, or auto")
        options["devices"] = int(devices)
    seconds = parse_duration(budget) if budget else None
    chosen = with_settings(recipe_named(recipe), [setting for group in set for setting in group])
    command = "talkers " + shlex.join(sys.argv[1:])
    with progress_bar() as report:
        avatar = run(Corpus(corpus), output, chosen, seconds, resume, report, command, options, start)
    if avatar is None:
        return
    _tell(f"{output}: an avatar of {avatar.size} px at {avatar.frame_rate} fps")
    for kind, figures in avatar.about.get("metrics", {}).items():
        if isinstance(figures, dict):
            out.print(f"  {kind:>18}: " + ", ".join(f"{k} {v:.2f}" for k, v in figures.items()))
    _tell(f"Hear it: talkers speak speech.wav --avatar {output} -o out.mp4")


@app.command
def speak(speech: Positional[Path], output: Out, avatar: str = "default", seed: int = 0, steps: int | None = None, fps: str | None = None,
          size: int | None = None, live: bool = False, provenance: bool = True, controls: Asked = Controls()) -> None:  # fmt: skip
    """Make an avatar say what a sound file says.

    Args:
        speech: Any file with speech in it.
        output: Video to write (.mp4, .mov or .mkv).
        avatar: Folder of an avatar, or default for the bundled one.
        seed: Of the noise and the blinks; the same seed gives the same frames.
        steps: Network passes a frame (default: what the avatar was made for).
        fps: Frames a second (default: the avatar's own), such as 30 or 30000/1001.
        size: Side of the video in pixels (default: the avatar's own).
        live: Hear with the avatar's own listener, as a stream does, instead of the pretrained speech model.
        provenance: Mark the frames and sign the video as made by a machine (see talkers verify).
        controls: Of head, eyes and mouth. The pose may also be a video, whose head is followed.
    """
    from talkers.avatar import Avatar
    from talkers.media import VIDEO_SUFFIXES

    with tempfile.TemporaryDirectory() as folder:
        if Path(controls.pose).suffix.lower() in VIDEO_SUFFIXES:
            from talkers.face.analysis import write_pose_file

            controls = replace(controls, pose=str(write_pose_file(Path(controls.pose), Path(folder) / "pose.csv")))
        talk = Avatar.load(avatar).speak(speech, seed=seed, steps=steps, controls=controls, frame_rate=_rate(fps) if fps else None, size=size, live=live,
                                          provenance=provenance)  # fmt: skip
    if talk.silent:
        _say(f"note: no speech is heard in {speech}; the mouth rests.")
    with progress_bar() as report:
        talk.save(output, lambda done, total: report("speaking", done, total))
    if talk.head.clamped:
        _say("note: some of the poses asked for lie beyond what the footage shows; they were limited to it.")
    _tell(f"Wrote {output} ({talk.frame_count} frames, {talk.seconds:.2f} s)")


@app.command
def say(text: Positional[str], output: Out, voice: str = "joe", words: Path | None = None, avatar: str = "default", seed: int = 0, steps: int | None = None,
        fps: str | None = None, size: int | None = None, live: bool = False, provenance: bool = True, controls: Asked = Controls()) -> None:  # fmt: skip
    """Make an avatar say a text, with a local text-to-speech voice.

    Args:
        text: What to say, or - to read it from standard input.
        output: Video to write (.mp4, .mov or .mkv).
        voice: joe (Piper), af_heart, am_michael, bf_emma, bm_george (Kokoro, English), ef_dora, em_alex (Spanish), ff_siwis (French), if_sara, im_nicola (Italian), pf_dora, pm_alex (Portuguese), or the .onnx file of a Piper voice.
        words: Write when each word is said as WebVTT subtitles, where the voice tells it (Piper does).
        avatar: As in speak, and so is all that follows.
        seed: Of the noise and the blinks.
        steps: Network passes a frame.
        fps: Frames a second.
        size: Side of the video in pixels.
        live: Hear with the avatar's own listener.
        provenance: Mark and sign the video.
        controls: Of head, eyes and mouth.
    """
    import soundfile

    from talkers.media.encode import atomic
    from talkers.voice import load_voice, subtitles

    teller = load_voice(voice)
    said = teller.say(sys.stdin.read() if text == "-" else text)
    if words is not None and not said.words:
        raise UsageError("this voice does not tell when it says the words of this text", todo="Leave out --words, or use joe and write numbers as words")
    with tempfile.TemporaryDirectory() as folder:
        speech = Path(folder) / "speech.wav"
        soundfile.write(speech, said.samples, teller.rate)
        speak(speech, output, avatar, seed, steps, fps, size, live, provenance, controls)
    if words is not None:
        with atomic(words) as temporary:
            temporary.write_text(subtitles(said.words), "utf-8")


@app.command
def verify(videos: Positional[tuple[Path, ...]], as_json: Json = False) -> None:
    """Say whether videos tell that a machine made them: their signed manifest, and the mark in their frames.

    Args:
        videos: Video files.
        as_json: Print one JSON object.
    """
    from talkers.media import decode_frames, probe
    from talkers.provenance import read_manifest
    from talkers.watermark import find

    told: dict[str, Any] = {}
    for path in _some(videos):
        probe(path)
        manifest, mark = read_manifest(path), find(decode_frames(path))
        told[str(path)] = {"manifest": manifest._asdict(), "mark": mark._asdict()}
        if not as_json:
            signed = f"manifest {manifest.state}" + (f": made by {manifest.made_by}, signed by {manifest.signed_by}" if manifest.state != "none" else "")
            _tell(f"{path}: {signed}; mark in the frames {'found' if mark.there else 'not found'} (score {mark.score:.1f})")
    if as_json:
        _print_json(told)


@app.command
def reconstruct(clip: Positional[Path], output: Out, avatar: str = "default", seed: int = 0, steps: int | None = None) -> None:
    """Frames to latents and back: shows what the codec alone keeps of a video of the same person.

    Args:
        clip: A video of the avatar's person.
        output: Video to write.
        avatar: Folder of an avatar, or default for the bundled one.
        seed: Of the noise.
        steps: Network passes a frame.
    """
    from talkers.avatar import Avatar
    from talkers.face.source import cropped_clip
    from talkers.media import VideoWriter, audio_blocks, probe

    loaded = Avatar.load(avatar)
    info = probe(clip)
    with progress_bar() as report:
        count, frames = cropped_clip(clip, loaded.frame_rate, loaded.size, lambda done: report("finding the face", done, done))
        sound = audio_blocks(clip, 48_000, 1) if info.audio else None
        with VideoWriter(output, loaded.frame_rate, sound, 48_000, 1) as writer:
            for done, frame in enumerate(loaded.reconstruct(frames, seed, steps)):
                writer.write(frame)
                report("reconstructing", done + 1, count)
    _tell(f"Wrote {output}")


@app.command
def evaluate(avatar: Positional[str], clips: Positional[tuple[Path, ...]], output: Out, pairs: bool = False, seeds: int = 1, jobs: int | None = None,
             limit: int | None = None, every: bool = False, speed: float = 60.0, experts: Path | None = None, as_json: Json = False) -> None:  # fmt: skip
    """Score an avatar on real clips of its person, beside controls: writes metrics.json and index.html.

    Interrupted, it goes on where it was when it is run again.

    Args:
        avatar: Folder of an avatar, or default; with --pairs the folder of made videos.
        clips: Footage that the avatar was not trained on, or a corpus; with --pairs the folder of real videos.
        output: Folder of the report.
        pairs: Score made videos of any system against the real ones of the same names.
        seeds: How often everything random is repeated.
        jobs: Clips scored at once (default: one a core).
        limit: At most so many clips.
        every: Score also the clips of its corpus that the avatar was trained on.
        speed: Seconds of speech for the speed figures; 0 leaves them out.
        experts: Folder of judges made by train-expert, in place of the bundled ones.
        as_json: Print metrics.json instead of a table.
    """
    try:
        from talkers.evaluation.evaluate import evaluate as run
        from talkers.evaluation.evaluate import evaluate_pairs
        from talkers.evaluation.report import tables
    except ImportError as error:
        raise _missing("evaluating", "evaluate", error) from error

    if seeds < 1 or (limit is not None and limit < 1) or (jobs is not None and jobs < 1) or speed < 0:
        raise UsageError("seeds, limit, jobs and speed count from 1, 1, 1 and 0", todo="Correct the number")
    command = "talkers " + shlex.join(sys.argv[1:])
    with progress_bar() as report:
        if pairs:
            if len(clips) != 1:
                raise UsageError(f"{len(clips)} folders of real videos were named", todo="Write: talkers evaluate --pairs MADE REAL -o REPORT")
            outcome = evaluate_pairs(Path(avatar), clips[0], output, jobs, limit, experts, command, report)
        else:
            outcome = run(avatar, _some(clips), output, seeds, jobs, limit, every, speed, experts, command, report)
    if as_json:
        _print_json(outcome.metrics)
    else:
        out.print(*tables(outcome.metrics))
        for name, figure in outcome.metrics.get("speed", {}).items():
            if "mean" in figure:
                out.print(f"  {name}: {figure['mean']:g}")
        for name, why in outcome.metrics["about"]["skipped"].items():
            _say(f"left out: {name}: {why}")
        _tell(f"Wrote {output / 'metrics.json'} and {output / 'index.html'}")
    _partial(outcome.failures)


@app.command
def train_expert(corpus: Positional[Path], output: Out, task: Literal["lips", "sync"] = "sync", sees: Literal["pixels", "points"] = "pixels",
                 alignments: Path | None = None, frames: int | None = None, budget: str | None = None, seed: int = 0, resume: bool = False) -> None:  # fmt: skip
    """Train a judge on real clips: does the mouth go with the sound, or which words do the lips say?

    Args:
        corpus: Folder made by `talkers prepare`, at 25 fps.
        output: Folder for the expert.
        task: sync (mouth against sound) or lips (reads GRID sentences).
        sees: pixels of the mouth, or points (its landmarks).
        alignments: Folder of GRID .align files; a lip reader needs them.
        frames: Frames to see in training (default: the recipe's).
        budget: Time for training, such as 20m.
        seed: Of the training; another seed gives a second judge.
        resume: Go on with the training in the output folder.
    """
    try:
        from talkers.training.expert_stage import train_expert as run
        from talkers.training.expert_stage import training_of
    except ImportError as error:
        raise _missing("training", "train", error) from error
    from talkers.corpus import Corpus
    from talkers.experts import ExpertConfig
    from talkers.training.progress import parse_duration

    config = ExpertConfig(task, sees)
    settings = replace(training_of(config), seed=seed, **({} if frames is None else {"frames": frames}))
    seconds = parse_duration(budget) if budget else None
    command = "talkers " + shlex.join(sys.argv[1:])
    with progress_bar() as report:
        expert = run(Corpus(corpus), output, config, settings, alignments, seconds, resume, report, command)
    for name, value in expert.about["metrics"].items():
        out.print(f"  {name}: {value}")


@app.command
def inspect(avatar: Positional[str] = "default", as_json: Json = False) -> None:
    """Say what an avatar is: whose, made how, of what, and how good.

    Args:
        avatar: Folder of an avatar, or default for the bundled one.
        as_json: Print one JSON object.
    """
    from talkers.avatar import Avatar

    about = Avatar.load(avatar).inspect()
    if as_json:
        _print_json(about)
        return
    table = Table(title=escape(about["folder"]), show_header=False)
    for key in ("talkers", "consent", "data", "command", "seed", "machine", "speech", "parameters", "files", "metrics"):
        if about.get(key) is not None:
            table.add_row(key, escape(about[key] if isinstance(about[key], str) else json.dumps(about[key], indent=1, ensure_ascii=False)))
    out.print(table)


@app.command
def doctor(as_json: Json = False) -> None:
    """Say what is installed, what is missing, what it is needed for, and how to get it.

    Args:
        as_json: Print one JSON object.
    """
    from talkers.doctor import examine

    found = examine()
    if as_json:
        _print_json({"checks": found})
    else:
        table = Table("", "what", "state", "needed for", "how to get it")
        for c in found:
            table.add_row("[green]ok[/]" if c["ok"] else "[red]--[/]", c["what"], escape(c["state"]), c["needed_for"], escape("" if c["ok"] else c["todo"]))
        out.print(table)


def _some(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    if not paths:
        raise UsageError("no footage was named", todo="Name video files, or a folder of them")
    return paths


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text).limit_denominator(1001)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"'{text}' is not a frame rate", todo="Write it as 25, 29.97 or 30000/1001") from error
    if not 1 <= rate <= 240:
        raise UsageError(f"{text} frames a second were asked for", todo="Use 1 to 240")
    return rate


def _partial(failures: dict[str, str]) -> None:
    for reason in failures.values():
        _say(f"failed: {reason}")
    if failures:
        raise PartialFailure(f"{len(failures)} files failed", todo="They are listed above; everything else is done")


def _missing(what: str, extra: str, error: ImportError) -> TalkersError:
    from talkers.errors import MissingComponent

    return MissingComponent(f"{what} needs the package {error.name}", todo=f"Install it: `pip install 'talkers[{extra}]'`")


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; returns the exit code (see talkers.errors)."""
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        app.cli(prog="talkers", description="Minutes of a person's video -> an avatar that says anything.", args=arguments)
        return 0
    except TalkersError as error:
        err.print(f"[bold red]{'partly done' if isinstance(error, PartialFailure) else 'error'}:[/] {escape(shown(error))}", highlight=False, soft_wrap=True)
        return error.exit_code
    except KeyboardInterrupt:
        err.print("[bold]interrupted:[/] nothing half-written was left; finished parts are kept.", highlight=False)
        return 130
    except BrokenPipeError:
        return 0
    except MemoryError:
        err.print("[bold red]error:[/] the memory of this machine is used up. Close other programs, or use a smaller --size.", highlight=False)
        return 6
    except ImportError as error:
        if os.environ.get("TALKERS_DEBUG"):
            raise
        err.print(f"[bold red]error:[/] the package {error.name} is missing. See `talkers doctor`.", highlight=False)
        return 5
    except Exception as error:
        if os.environ.get("TALKERS_DEBUG"):
            raise
        err.print(
            f"[bold red]internal fault:[/] {type(error).__name__}: {escape(shown(error))}. Please report it with the output of TALKERS_DEBUG=1.",
            highlight=False,
            soft_wrap=True,
        )
        return 1


def entry() -> None:
    """The console script."""
    sys.exit(main())
