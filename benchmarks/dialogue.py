"""Does a persona help, do critics choose well, is an emotion seen, does a listener follow the sound?

    python benchmarks/dialogue.py [--parts speed persona critics empathy listening live]
    [--dialogues 40] [--replies 24] [--data /path/to/Synthetic-Persona-Chat] [-o dialogue.json]

`speed`: tokens per processor second of the embedded model, on one thread.
`persona`: true replies of Synthetic-Persona-Chat (Jandaghi et al. 2023, test part; --data names its
folder), given the speaker's persona, none, and another speaker's: perplexity, and how often the
true reply is the likeliest of five (the others are replies of other dialogues; chance: 20 %).
`critics`: the model's own replies to these dialogues, with the persona, without and with another's,
the first of four and the one that critics choose: how often a reply takes up what the speaker's own
persona says and nothing of the talk did, how often it denies it or that it is a person, and what
share of its phrases repeats the talk. The counts use the same rules as two of the critics, so they
tell whether the choice works, not whether people would agree.
`empathy`: the emotion of 42 sentences that were written for this (six of each), beside chance.
`listening`: how fast the head of a listener nods in the second after the speaker pauses, as a
multiple of its mean, beside the same with the sound shifted against the picture, for each attitude.
The motion is what is shown, with the sway of an idle head. The same of its smile, in the second that
begins 0.4 s after the pause.
`live`: a talk by the clock, as `talkers chat --live` leads it: the bundled avatar, the embedded model,
joe, Whisper. The user's sound comes as it is spoken. Seconds from its end to the answer's first
sound, of which 0.7 s tell that the user has ended; and pictures a second before, meanwhile and while
it answers. Run it with all cores, on an idle machine.
Give one thread to it: OMP_NUM_THREADS=1 nice -n 15 python benchmarks/dialogue.py
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import resource
import statistics
import threading
import time
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soxr
import torch

import talkers
from talkers.dialogue import Conversation, ConversationTerms, DialogueParts, make_dialogue
from talkers.dialogue.contract import Message, Sampling, Turn
from talkers.dialogue.critics import CriticPanel, Situation, contradiction_critic, parroting_critic
from talkers.dialogue.ears import Ears
from talkers.dialogue.embedded import load_embedded
from talkers.dialogue.empathy import Empathy
from talkers.dialogue.film import FilmClock
from talkers.dialogue.persona import NOBODY, Persona, content_words
from talkers.dialogue.prompts import prompt
from talkers.dialogue.recognition import load_recogniser
from talkers.dialogue.sentences import spoken_sentences
from talkers.hardware import machine
from talkers.media import AUDIO_RATE
from talkers.runtime.listening import STYLES, Bearing, Listening
from talkers.runtime.live_session import LiveFrame, LiveTerms
from talkers.runtime.threads import one_core_left
from talkers.speech.activity import loudness
from talkers.speech.text import sentences
from talkers.speech.voices import load_voice

PERSONA_DATA = "Synthetic-Persona-Chat_test.csv"
EMOTIONS = {
    "happy": [
        "I got the job I wanted!",
        "My sister just had a healthy baby.",
        "We won the final yesterday.",
        "I finally passed my driving test.",
        "My best friend is coming to visit me.",
        "The doctor says that I am well again.",
    ],
    "sad": [
        "My dog died last night.",
        "She left me after ten years.",
        "I have nobody to talk to these days.",
        "We had to sell my grandmother's house.",
        "I did not get into the school.",
        "I still cry when I hear that song.",
    ],
    "angry": [
        "My boss took the credit for my work again.",
        "Somebody scratched my car and drove off.",
        "He lied to my face.",
        "The neighbours play loud music every night and do not care.",
        "They charged me twice and refuse to pay it back.",
        "My brother read my diary.",
    ],
    "afraid": [
        "There is somebody outside my window.",
        "I have to go to hospital for surgery on Monday.",
        "The plane shook and I thought we would crash.",
        "I hear steps in the cellar at night.",
        "What if I lose my home?",
        "I am about to speak in front of a thousand people.",
    ],
    "surprised": [
        "I opened the door and all my friends were there!",
        "You will not believe who called me today.",
        "My cat just opened the fridge by itself.",
        "I found a hundred pounds in an old coat.",
        "It snowed here in June.",
        "They told me that I have a twin.",
    ],
    "disgusted": [
        "There was a hair in my soup.",
        "The milk had lumps in it.",
        "Somebody was sick on the seat next to me.",
        "The bathroom had not been cleaned for weeks.",
        "I stepped into something soft, and it smelled.",
        "He chews with his mouth open.",
    ],
    "calm": [
        "I am going to the shop later.",
        "The meeting is at three.",
        "My car is blue.",
        "I usually take the bus to work.",
        "There are two chairs in the room.",
        "The library closes at six.",
    ],
}
MONOLOGUE = (
    "So, last week I went to see my parents. They live by the sea, in a small town, you know. "
    "We walked along the beach every morning. And then, on the third day, it started to rain. "
    "I did not mind at all. We played cards and talked about old times. My father told us how he "
    "met my mother, on a train, many years ago. She had lost her ticket. He paid for a new one. "
    "Well, you can imagine the rest. On Sunday I took the train home. I was a little sad, of course. "
    "But I will go back in the spring. What about you? When did you last see your family?"
)


class Example(NamedTuple):
    """A reply that was really given."""

    persona: Persona
    turns: list[Turn]
    reply: str


def examples(folder: Path, count: int, seed: int = 0) -> list[Example]:
    """A reply from the middle of each of so many dialogues."""
    with (folder / PERSONA_DATA).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found, chance = [], random.Random(seed)
    chance.shuffle(rows)
    for row in rows:
        lines = [
            line.split(": ", 1)
            for line in row["Best Generated Conversation"].splitlines()
            if ": " in line
        ]
        second = [
            k
            for k, (who, text) in enumerate(lines)
            if who == "User 2" and 4 <= k <= 14 and len(text.split()) >= 5
        ]
        if not second:
            continue
        at = chance.choice(second)
        roles = {"User 1": "user", "User 2": "avatar"}
        turns = [Turn(roles[who], text) for who, text in lines[:at] if who in roles]
        if not turns or turns[-1].speaker != "user":
            continue
        facts = tuple(fact.strip() for fact in row["user 2 personas"].splitlines() if fact.strip())
        found.append(Example(Persona(facts=facts), turns, lines[at][1]))
        if len(found) == count:
            break
    return found


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def variants(all_of_them: list[Example], k: int) -> dict[str, Persona]:
    """The personas that an example is given."""
    other = all_of_them[(k + len(all_of_them) // 2) % len(all_of_them)].persona
    return {"own": all_of_them[k].persona, "none": NOBODY, "another's": other}


def speed(_: argparse.Namespace) -> dict[str, Any]:
    model = load_embedded()
    ask = [Message("system", "You are Ada, a baker."), Message("user", "Tell me of your day.")]
    list(model.write(ask, Sampling(max_tokens=4)))
    begun = processor_seconds()
    count = sum(1 for _ in model.write(ask, Sampling(temperature=1.0, max_tokens=60)))
    writing = count / (processor_seconds() - begun)
    begun = processor_seconds()
    drawn = model.candidates(ask, Sampling(temperature=1.0, max_tokens=40), 4)
    tokens = sum(len(model._tokens(text)) for text in drawn)
    beside = tokens / (processor_seconds() - begun)
    text = " ".join(["The bread is in the oven and the dog sleeps."] * 20)
    begun = processor_seconds()
    list(model.write([Message("user", text)], Sampling(max_tokens=1)))
    reading = len(model._tokens(text)) / (processor_seconds() - begun)
    return {
        "threads": torch.get_num_threads(),
        "tokens_written_per_cpu_s": round(writing, 1),
        "tokens_written_four_answers_per_cpu_s": round(beside, 1),
        "tokens_read_per_cpu_s": round(reading, 1),
    }


def persona(options: argparse.Namespace) -> dict[str, Any]:
    model, found = load_embedded(), examples(options.data, options.dialogues)
    chance = random.Random(1)
    nats = {name: [] for name in variants(found, 0)}
    hits, tokens = {name: 0 for name in nats}, 0
    better = {"none": 0, "another's": 0}
    for k, example in enumerate(found):
        others = chance.sample([e.reply for e in found if e is not example], 4)
        means = {}
        for name, who in variants(found, k).items():
            scores = model.likelihoods(prompt(who, example.turns), [example.reply, *others])
            nats[name].append((scores[0].total, scores[0].tokens))
            hits[name] += scores[0].mean == max(score.mean for score in scores)
            means[name] = scores[0].mean
        tokens += scores[0].tokens
        for name in better:
            better[name] += means["own"] > means[name]
    return {
        "replies": len(found),
        "tokens": tokens,
        "perplexity": {
            name: round(math.exp(-sum(a for a, _ in values) / sum(n for _, n in values)), 2)
            for name, values in nats.items()
        },
        "hits_at_1_of_5": {name: round(count / len(found), 3) for name, count in hits.items()},
        "likelier_with_own_persona_than_with": {
            name: round(count / len(found), 3) for name, count in better.items()
        },
    }


def critics(options: argparse.Namespace) -> dict[str, Any]:
    model, found = load_embedded(), examples(options.data, options.replies, seed=2)
    counts: dict[str, dict[str, list[float]]] = {}
    for k, example in enumerate(found):
        heard = content_words(" ".join(turn.text for turn in example.turns))
        fresh = content_words(example.persona.text) - heard
        judged = Situation(example.turns, example.persona, model)
        for name, who in variants(found, k).items():
            sampling = Sampling(max_tokens=40, seed=k)
            drawn = model.candidates(prompt(who, example.turns), sampling, 4)
            answers = [" ".join(spoken_sentences([text])) for text in drawn]
            answers = [answer for answer in answers if answer] or ["Well."]
            best = CriticPanel(who, model).best(answers, example.turns).text
            for how, answer in (("first", answers[0]), ("chosen", best)):
                rows = counts.setdefault(f"{name}, {how}", {})
                told = bool(content_words(answer) & fresh)
                rows.setdefault("takes_up_its_own_persona", []).append(told)
                denied = 1 - contradiction_critic([answer], judged)[0]
                rows.setdefault("denies_it_or_that_it_is_a_person", []).append(denied)
                again = 1 - parroting_critic([answer], judged)[0]
                rows.setdefault("repeats_the_talk", []).append(again)
    return {
        "replies": len(found),
        **{
            name: {what: round(statistics.mean(values), 3) for what, values in rows.items()}
            for name, rows in counts.items()
        },
    }


def empathy(_: argparse.Namespace) -> dict[str, Any]:
    feels = Empathy(load_embedded())
    right = {
        emotion: sum(feels.emotion(text) == emotion for text in texts)
        for emotion, texts in EMOTIONS.items()
    }
    count = sum(map(len, EMOTIONS.values()))
    return {
        "sentences": count,
        "right": round(sum(right.values()) / count, 3),
        "chance": round(1 / len(EMOTIONS), 3),
        "right_of_each": right,
    }


def listening(_: argparse.Namespace) -> dict[str, Any]:
    voice = load_voice("joe")
    parts = [np.zeros(AUDIO_RATE, np.float32)]
    for sentence in sentences(MONOLOGUE):  # with a pause after each, as people make
        said = soxr.resample(voice.say(sentence).samples, voice.rate, AUDIO_RATE)
        parts += [said.astype(np.float32), np.zeros(AUDIO_RATE * 6 // 10, np.float32)]
    sound = np.concatenate(parts)
    avatar = talkers.Avatar.load("mock")
    results: dict[str, Any] = {"seconds": round(len(sound) / AUDIO_RATE, 1)}
    for attitude in STYLES:
        pitch, smile = _listened(avatar, sound, attitude)
        movement = np.abs(np.diff(pitch, prepend=pitch[0])) * 25  # degrees a second
        results[attitude] = _coupling(sound, movement)
        # it begins where a pause is one, 0.28 s after the last sound
        results[attitude]["smile"] = _coupling(sound, np.abs(smile), late=10)
    pitch, _ = _listened(avatar, np.zeros_like(sound), "positive")
    movement = np.abs(np.diff(pitch, prepend=pitch[0])) * 25
    results["nothing is heard"] = _coupling(sound, movement)
    return results


def _coupling(sound: np.ndarray, movement: np.ndarray, late: int = 0) -> dict[str, Any]:
    """How much more a face moves in the second after a speaker pauses than it does on the whole;
    `late`: frames after the pause at which that second begins."""
    speaks = loudness(sound, AUDIO_RATE, 25, len(movement)) > -45
    speaks = np.convolve(speaks, np.ones(7), "same") > 0  # gaps within words are none
    paused = np.flatnonzero(speaks[:-1] & ~speaks[1:])

    def after(shift: int) -> float:
        places = (paused[:, None] + np.arange(late, late + 25) + shift) % len(movement)
        return float(movement[places].mean() / movement.mean())

    others = [after(shift) for shift in range(50, len(movement) - 50, 7)]
    return {
        "after_pauses": round(after(0), 2),
        "after_pauses_of_shifted_sound": round(statistics.mean(others), 2),
        "of_shifted_sound_95_percent": round(float(np.percentile(others, 95)), 2),
        "mean": round(float(movement.mean()), 2),
    }


def _listened(
    avatar: talkers.Avatar, sound: np.ndarray, attitude: str
) -> tuple[np.ndarray, np.ndarray]:
    """Of each frame of an avatar that hears a sound: pitch of the head, in degrees, and smile."""
    session = avatar.session(terms=LiveTerms(sound_rate=AUDIO_RATE), clock=FilmClock())
    session.listener = Listening(float(avatar.frame_rate), attitude)
    rows, smiles = list[float](), list[float]()
    blend, listener = session._maker._blend, session.listener
    shown, bears = blend.row, listener.bearing

    def row(*given: Any) -> torch.Tensor:
        motion = shown(*given)
        rows.append(float(given[3].read(motion).pose[1]))
        return motion

    def bearing(frame: int) -> Bearing:
        found = bears(frame)
        smiles.append(found.smile)
        return found

    blend.row = row  # type: ignore[method-assign]
    listener.bearing = bearing  # type: ignore[method-assign]
    count = AUDIO_RATE // 25
    for k, _ in enumerate(islice(session, len(sound) // count)):
        session.hear(sound[k * count : (k + 1) * count], AUDIO_RATE)
    return np.array(rows), np.array(smiles)


QUESTIONS = ("What do you do all day?", "Do you have a dog?", "Which films do you like?")


def live(_: argparse.Namespace) -> dict[str, Any]:
    """See above."""
    voice, ada = load_voice("joe"), Persona(name="Ada", facts=("I am a baker in London.",))
    dialogue = make_dialogue("plain", DialogueParts(load_embedded, ada))
    ears, terms = Ears(load_recogniser()), ConversationTerms()
    asker = load_voice("af_heart")
    list(dialogue.reply([Turn("user", "Hello.")]))  # loaded, as it is before anybody comes
    waits: list[float] = []
    shown: dict[str, list[float]] = {"idle": [], "listening": [], "thinking": [], "speaking": []}
    with Conversation(
        talkers.Avatar.load(), dialogue, voice, ears=ears, terms=terms
    ) as conversation:
        frames, last = conversation.frames(), time.monotonic()
        next(frames)

        def show(state: str) -> LiveFrame:
            nonlocal last
            frame, before = next(frames), last
            last = time.monotonic()
            shown[state].append(last - before)
            return frame

        for question in QUESTIONS:
            for _ in range(50):
                show("idle")
            said = asker.say(question)
            hearing = threading.Thread(
                target=_spoken_to, args=(conversation, said.samples, asker.rate)
            )
            hearing.start()
            ends = time.monotonic() + len(said.samples) / asker.rate
            while show("listening" if time.monotonic() < ends else "thinking").state != "speaking":
                pass
            waits.append(time.monotonic() - ends)
            while show("speaking").state == "speaking" or conversation.answering:
                pass
            hearing.join()
        turns = [f"{turn.speaker}: {turn.text}" for turn in conversation.history]
    return {
        "seconds to the answer": [round(w, 2) for w in waits],
        "pictures a second": {k: round(len(v) / sum(v), 1) for k, v in shown.items() if v},
        "turns": turns,
    }


def _spoken_to(conversation: Conversation, samples: np.ndarray, rate: int) -> None:
    """Let it hear a voice as it speaks, and two seconds of silence."""
    sound = np.concatenate([samples, np.zeros(2 * rate, np.float32)])
    begun, step = time.monotonic(), rate // 50
    for k in range(0, len(sound), step):
        time.sleep(max(0.0, begun + (k + step) / rate - time.monotonic()))
        with one_core_left():
            conversation.push_audio(sound[k : k + step], rate)


PARTS = {
    "speed": speed,
    "persona": persona,
    "critics": critics,
    "empathy": empathy,
    "listening": listening,
    "live": live,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--dialogues", type=int, default=100)
    parser.add_argument("--replies", type=int, default=24)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("TALKERS_PERSONA", "persona"))
    )
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": machine()}
    for name in options.parts:
        if name in ("persona", "critics") and not (options.data / PERSONA_DATA).is_file():
            print(
                f"{name}: left out, {options.data / PERSONA_DATA} is not there; name its folder with --data"
            )
            continue
        begun = processor_seconds()
        results[name] = PARTS[name](options)
        results[name]["processor_seconds"] = round(processor_seconds() - begun, 1)
        print(name, json.dumps(results[name], indent=1), flush=True)
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
