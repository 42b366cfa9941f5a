"""talkers chat: talk with an avatar, in a terminal, a film or a browser."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.avatars import speaking_avatar
from talkers.cli.console import remark, tell
from talkers.cli.live import PageOptions, show_page
from talkers.cli.say import voices_help
from talkers.cli.serve import names_of
from talkers.cli.videos import refuse_output
from talkers.controls.request import Controls
from talkers.errors import TalkersError, UsageError, shown

if TYPE_CHECKING:
    from talkers.dialogue import ConversationTerms, Dialogue, LanguageModel, Turn
    from talkers.runtime.avatar import Avatar
    from talkers.server.rtc_forms import Offer
    from talkers.server.talking import TalkMaker
    from talkers.speech.voices import Voice

LINE = 64_000  # bytes of a line that are read at once


@dataclass(frozen=True)
class DialogueOptions:
    """Who answers, and what."""

    persona: Path | None = None
    """A .toml file that says whom the avatar plays: name, facts, style, gender, description."""
    dialogue: str = "plain"
    """plain (the model's first answer), critics (the best of several, as critics see it), empathy
    (an answer to what the user feels), empathy-critics, echo (says again what was said), or a
    plug-in's."""
    llm: str | None = None
    """Address of an OpenAI-compatible language model, such as http://localhost:11434/v1; its key is
    read from TALKERS_LLM_KEY (default: a small model of our own, which speaks English)."""
    model: str = "smollm2-135m-instruct"
    """Name of the model at that address, or of one of talkers' own or a plug-in's."""
    candidates: int = 4
    """Answers among which critics choose, 1 to 16."""

    def __post_init__(self) -> None:
        """Raises UsageError: a number out of range."""
        if not 1 <= self.candidates <= 16:
            raise UsageError(f"{self.candidates} candidates were asked for", todo="Use 1 to 16")


@dataclass(frozen=True)
class FaceOptions:
    """Who is shown, and how."""

    avatar: str = "default"
    """Folder of an avatar, a photo, default for the bundled one, or mock for a drawn face."""
    faces: Path | None = None
    """A folder of portraits, of which the one that suits the persona is shown; what NAME.jpg shows
    is said by NAME.txt beside it, or by its name."""
    consent: str | None = None
    """Who agreed to be shown, where the avatar is a photo."""
    seed: int = 0
    """Of answers, noise and blinks."""
    steps: int | None = None
    """Network passes a frame (default: what the avatar was made for)."""
    provenance: bool = True
    """Mark the frames and sign the video as made by a machine (see talkers verify)."""
    attitude: Literal["positive", "neutral", "negative"] = "neutral"
    """How the avatar listens to sound."""


@dataclass(frozen=True)
class TalkPageOptions(PageOptions):
    """A page on which people talk with the avatar."""

    live: bool = False
    """Talk in a browser, by microphone or keyboard."""


@app.command
def chat(
    output: Annotated[Path | None, arg(aliases=["-o"])] = None,
    input: Path | None = None,
    voice: Annotated[
        str | None, arg(help=voices_help() + " auto: the best for the persona.")
    ] = None,
    speed: float = 1.0,
    talk: Annotated[DialogueOptions, arg(name="")] = DialogueOptions(),
    face: Annotated[FaceOptions, arg(name="")] = FaceOptions(),
    controls: Annotated[Controls, arg(name="")] = Controls(),
    page: Annotated[TalkPageOptions, arg(name="")] = TalkPageOptions(),
) -> None:
    """Talk with an avatar: it answers what you write, say, or said in a sound file.

    For example: talkers chat --live --persona ada.toml, for a page where you speak with it; or
    talkers chat --input questions.wav -o talk.mp4

    Args:
        output: Video of the talk to write (default: answers are only printed).
        input: Sound file of what the user says, as a microphone would hear it (default: lines of
            standard input).
        voice: Who says the answers.
        speed: How many times as fast as the voice speaks, 0.5 to 2.
        talk: What is answered.
        face: Who is shown, and how.
        controls: Of head, eyes and mouth.
        page: Of a talk in a browser.
    """
    from talkers.dialogue import (
        ConversationTerms,
        DialogueParts,
        Persona,
        make_dialogue,
        read_persona,
    )
    from talkers.dialogue.casting import cast_face, cast_voice
    from talkers.runtime.live_session import LiveTerms
    from talkers.speech.voices import load_voice

    if page.live and (output is not None or input is not None):
        raise UsageError(
            "a talk in a browser reads no file and writes none",
            todo="Leave out --live, or --input and -o",
        )
    if not page.live and page != TalkPageOptions():
        raise UsageError(
            "a page was described, and none was asked for",
            todo="Add --live, or leave out --host, --port, --sessions, --ice-server, --certificate "
            "and --key",
        )
    if output is not None:
        refuse_output(output)
        refuse_same_file([output], [path for path in (input, talk.persona) if path])
    elif input is not None:
        raise UsageError("there is no video to write", todo="Name one with -o")
    persona = read_persona(talk.persona) if talk.persona else Persona()
    parts = DialogueParts(partial(language_model, talk), persona, count=talk.candidates)
    dialogue = make_dialogue(talk.dialogue, parts)
    if output is None and not page.live:
        _answer_lines(dialogue, face.seed, persona.name)
        return
    name, avatar = voice or "joe", face.avatar
    if voice == "auto":
        name, why = cast_voice(persona)
        remark(f"note: the voice is {name}: {why}.")
    if face.faces is not None:
        chosen, why = cast_face(persona, face.faces)
        remark(f"note: the face is {chosen.name}: {why}.")
        avatar = str(chosen)
    terms = ConversationTerms(
        speed=speed,
        seed=face.seed,
        steps=face.steps,
        controls=controls,
        live=LiveTerms(latency="quality", provenance=face.provenance),
        threaded=page.live,
        attitude=face.attitude,
    )

    def avatars() -> dict[str, Avatar]:
        (own,) = names_of((avatar,))
        return {persona.name or own: speaking_avatar(avatar, face.consent)}

    if output is None:
        show_page(
            avatars,
            page,
            partial(
                _talker, terms, partial(make_dialogue, talk.dialogue, parts), name, persona.name
            ),
        )
        return
    (shown_as,) = avatars().values()
    _write_film(output, input, terms, dialogue, load_voice(name), shown_as, persona.name)


def _talker(
    terms: ConversationTerms,
    dialogue: Callable[[], Dialogue],
    voice: str,
    name: str,
    avatars: Mapping[str, Avatar],
) -> TalkMaker:
    """What lets avatars of a page answer. All that it needs is loaded, and tried with one answer.

    Raises:
        TalkersError: the voice or the language model cannot be had, or the terms mean nothing to
            an avatar.
    """
    from talkers.dialogue import Conversation, Turn
    from talkers.dialogue.ears import Ears
    from talkers.dialogue.recognition import load_recogniser
    from talkers.server.talking import TalkMaker
    from talkers.speech.voices import load_voice

    said_by, recogniser = load_voice(voice), None
    try:
        recogniser = load_recogniser()
    except TalkersError as error:
        remark(f"note: it understands no speech, only text: {shown(error)}")
    for avatar in avatars.values():
        Conversation(avatar, dialogue(), said_by, terms=terms).close()
    next(iter(dialogue().reply([Turn("user", "Hello.")])), None)

    def begin(avatar: Avatar, offer: Offer, on_turn: Callable[[Turn], None]) -> Conversation:
        of_viewer = replace(
            terms,
            controls=offer.controls.over(terms.controls),
            live=replace(offer.terms(), provenance=terms.live.provenance),
        )
        ears = Ears(recogniser) if recogniser else None
        return Conversation(
            avatar, dialogue(), said_by, ears=ears, terms=of_viewer, on_turn=on_turn
        )

    return TalkMaker(begin, name, recogniser is not None, terms.controls)


def language_model(options: DialogueOptions) -> LanguageModel:
    """The language model that options name.

    Raises:
        MissingComponent: there is none, or it cannot be had. UsageError: the address is none.
    """
    from talkers.dialogue.endpoint import Endpoint
    from talkers.registry import component

    if options.llm is not None:
        return Endpoint(options.llm, options.model)
    model: LanguageModel = component("language_model", options.model).load()()
    return model


def _answer_lines(dialogue: Dialogue, seed: int, name: str) -> None:
    """Print answers to lines; whoever has a name is named before the first sentence of each."""
    from talkers.dialogue import Turn

    turns: list[Turn] = []
    for text in _turns():
        turns.append(Turn("user", text))
        answer: list[str] = []
        for sentence in dialogue.reply(turns, seed + len(turns)):
            tell(sentence.text if answer or not name else f"{name}: {sentence.text}")
            answer.append(sentence.text)
        turns.append(Turn("avatar", " ".join(answer)))


def _write_film(
    output: Path,
    input: Path | None,
    terms: ConversationTerms,
    dialogue: Dialogue,
    voice: Voice,
    avatar: Avatar,
    name: str,
) -> None:
    """Write the video of a talk, and print what is said."""
    from talkers.dialogue import Conversation
    from talkers.dialogue.ears import Ears
    from talkers.dialogue.film import Film, FilmClock
    from talkers.media import AUDIO_RATE, read_audio
    from talkers.media.generated import write_generated

    sound, ears = None, None
    if input is not None:
        from talkers.dialogue.recognition import load_recogniser

        sound, ears = read_audio(input), Ears(load_recogniser())

    def on_turn(turn: Turn) -> None:
        if turn.speaker == "avatar" or input is not None:
            tell(
                f"{name or 'avatar'}: {turn.text}"
                if turn.speaker == "avatar"
                else f"you: {turn.text}"
            )

    clock = FilmClock()
    with Conversation(
        avatar, dialogue, voice, ears=ears, terms=terms, clock=clock, on_turn=on_turn
    ) as conversation:
        film = Film(conversation, _turns(), sound, AUDIO_RATE)
        write_generated(
            output,
            film.frames(),
            avatar.frame_rate,
            (film.sound(), film.rate, 1),
            avatar.digest if terms.live.provenance else None,
            lambda done: None,
        )
    seconds = film.count / avatar.frame_rate
    tell(f"Wrote {output} ({film.count} frames, {float(seconds):.2f} s)")


def _turns() -> Iterator[str]:
    """Lines of standard input, until it ends or says /quit.

    What is no text, or too long, is told of and left out.
    """
    from talkers.dialogue.sentences import checked_turn
    from talkers.speech.text import decode

    stream = getattr(sys.stdin, "buffer", None)
    while True:
        if sys.stdin.isatty():
            sys.stderr.write("> ")
            sys.stderr.flush()
        content = stream.readline(LINE) if stream else sys.stdin.readline(LINE).encode()
        if not content:
            return
        while len(content) == LINE and not content.endswith(b"\n"):  # the rest of a long line
            more = stream.readline(LINE) if stream else b""
            if not more or more.endswith(b"\n"):
                break
        try:
            line, _ = decode(content, "the line")
        except TalkersError as error:
            remark(shown(error))
            continue
        if line.strip() in ("/quit", "/exit"):
            return
        if not line.strip():
            continue
        try:
            yield checked_turn(line)
        except UsageError as error:
            remark(shown(error))
