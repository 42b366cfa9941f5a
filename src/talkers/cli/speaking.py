"""Verbs that make videos, and the one that reads what they say of themselves."""

from __future__ import annotations

import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from talkers.cli.common import (
    Asked,
    Json,
    Out,
    app,
    frame_rate_of,
    partial,
    print_json,
    progress_bar,
    remark,
    some,
    tell,
)
from talkers.controls.request import Controls
from talkers.errors import MediaError, UsageError


@app.command
def demo(output: Out = Path("demo")) -> None:
    """Let the bundled avatar say a sentence that was never filmed: writes hello.mp4 and hello.png.

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
    write_png(
        output / "hello.png", montage([frames[: len(frames) // 2], frames[len(frames) // 2 :]])
    )
    tell(
        f"Wrote {output / 'hello.mp4'} ({talk.frame_count} frames, {talk.seconds:.2f} s) and {output / 'hello.png'}"
    )


@app.command
def speak(
    speech: Positional[Path],
    output: Out,
    avatar: str = "default",
    seed: int = 0,
    steps: int | None = None,
    fps: str | None = None,
    size: int | None = None,
    live: bool = False,
    provenance: bool = True,
    controls: Asked = Controls(),
) -> None:
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
        controls: Of head, eyes and mouth.
    """
    from talkers.runtime.avatar import Avatar

    talk = Avatar.load(avatar).speak(
        speech,
        seed=seed,
        steps=steps,
        controls=controls,
        frame_rate=frame_rate_of(fps) if fps else None,
        size=size,
        live=live,
        provenance=provenance,
    )
    if talk.silent:
        remark(f"note: no speech is heard in {speech}; the mouth rests.")
    with progress_bar() as report:
        talk.save(output, lambda done, total: report("speaking", done, total))
    for note in talk.head.remarks(talk.seconds):
        remark(f"note: {note}")
    tell(f"Wrote {output} ({talk.frame_count} frames, {talk.seconds:.2f} s)")


@app.command
def say(
    text: Positional[str],
    output: Out,
    voice: str = "joe",
    speed: float = 1.0,
    words: Path | None = None,
    avatar: str = "default",
    seed: int = 0,
    steps: int | None = None,
    fps: str | None = None,
    size: int | None = None,
    live: bool = False,
    provenance: bool = True,
    controls: Asked = Controls(),
) -> None:
    """Make an avatar say a text, with a local text-to-speech voice.

    Args:
        text: What to say, or - to read it from standard input.
        output: Video to write (.mp4, .mov or .mkv).
        voice: joe (Piper), or a voice of Kokoro. American English: af_aoede, af_bella, af_heart,
            af_kore, af_nova, af_sarah, am_adam, am_echo, am_eric, am_fenrir, am_liam, am_michael,
            am_onyx, am_puck. British English: bf_alice, bf_emma, bf_isabella, bf_lily, bm_daniel,
            bm_fable, bm_george, bm_lewis. Spanish: ef_dora, em_alex. French: ff_siwis. Italian:
            if_sara, im_nicola. Portuguese: pf_dora, pm_alex. Or the .onnx file of a Piper voice.
        speed: How many times as fast as the voice speaks, 0.5 to 2.
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

    from talkers.artefacts.files import atomic
    from talkers.speech.voices import load_voice, subtitles

    teller = load_voice(voice)
    said = teller.say(sys.stdin.read() if text == "-" else text, speed)
    if words is not None and not said.words:
        raise UsageError(
            "this voice does not tell when it says the words of this text",
            todo="Leave out --words, or use joe and write numbers as words",
        )
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
    from talkers.media.manifest import read_manifest
    from talkers.media.watermark import find

    told: dict[str, Any] = {}
    failures: dict[str, MediaError] = {}
    for path in some(videos):
        try:
            probe(path)
            manifest, mark = read_manifest(path), find(decode_frames(path))
        except MediaError as error:
            failures[str(path)], told[str(path)] = error, {"failed": str(error)}
            continue
        told[str(path)] = {"manifest": manifest._asdict(), "mark": mark._asdict()}
        if not as_json:
            signed = f"manifest {manifest.state}" + (
                f": made by {manifest.made_by}, signed by {manifest.signed_by}"
                if manifest.made_by
                else ""
            )
            signed += f" ({', '.join(manifest.problems)})" if manifest.problems else ""
            tell(
                f"{path}: {signed}; mark in the frames {'found' if mark.there else 'not found'} (score {mark.score:.1f})"
            )
    if as_json:
        print_json(told)
    if len(failures) == len(told):
        *others, last = failures.values()
        for other in others:
            remark(f"failed: {other}")
        raise last
    partial({path: str(failure) for path, failure in failures.items()})


@app.command
def reconstruct(
    clip: Positional[Path],
    output: Out,
    avatar: str = "default",
    seed: int = 0,
    steps: int | None = None,
    provenance: bool = True,
) -> None:
    """Frames to latents and back: shows what the codec alone keeps of a video of the same person.

    Args:
        clip: A video of the avatar's person.
        output: Video to write.
        avatar: Folder of an avatar, or default for the bundled one.
        seed: Of the noise.
        steps: Network passes a frame.
        provenance: Mark and sign the video.
    """
    from talkers.face.source import FaceScale, cropped_clip
    from talkers.media import audio_blocks, probe
    from talkers.media.generated import write_generated
    from talkers.runtime.avatar import Avatar

    loaded = Avatar.load(avatar)
    info = probe(clip)
    with progress_bar() as report:
        count, frames = cropped_clip(
            clip,
            loaded.frame_rate,
            loaded.size,
            lambda done: report("finding the face", done, done),
            scale=FaceScale.from_json(loaded.about.get("crop")),
        )
        sound = audio_blocks(clip, 48_000, 1) if info.audio else None
        made = loaded.reconstruct(frames, seed, steps, mark=provenance)
        digest = loaded.digest if provenance else None
        write_generated(
            output,
            made,
            loaded.frame_rate,
            (sound, 48_000, 1),
            digest,
            lambda done: report("reconstructing", done, count),
        )
    tell(f"Wrote {output}")
