"""A talk: answers are said, barge-in stops them, and the history holds what was heard."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
import pytest

from talkers import Controls
from talkers.dialogue import Conversation, ConversationTerms, Delivery, Sentence, Turn
from talkers.dialogue.conversation import delivered
from talkers.dialogue.ears import Ears
from talkers.dialogue.film import Film
from talkers.errors import UsageError
from talks import Hum, Says

LONG = Says("One two three four five six seven eight nine ten.")
Begin = Callable[..., Conversation]


class Understands:
    """Speech recognition that always understands the same."""

    def __init__(self, text: str = "Stop it."):
        self.said, self.heard = text, list[float]()

    def text(self, samples: np.ndarray) -> str:
        self.heard.append(len(samples) / 16_000)
        return self.said


def voiced(seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * 16_000))
    return (0.2 * np.sin(t * 2 * np.pi * 150 / 16_000)).astype(np.float32)


def test_an_answer_is_said_and_remembered(talk: Begin) -> None:
    conversation = talk(Says("Good day.", "How are you?"))
    conversation.push_text("Hello.")
    conversation.work()
    frames = list(islice(conversation.frames(), 20))
    spoken = np.concatenate([f.sound for f in frames if f.state == "speaking"])
    assert abs(len(spoken) / 48_000 - 0.5) < 0.05
    conversation.push_text("Fine.")
    conversation.work()
    assert conversation.history == [
        Turn("user", "Hello."),
        Turn("avatar", "Good day. How are you?"),
        Turn("user", "Fine."),
    ]


@pytest.mark.parametrize("tells", [True, False])
def test_the_history_holds_what_was_heard_before_an_interruption(talk: Begin, tells: bool) -> None:
    conversation = talk(LONG, Hum(tells))
    conversation.push_text("Count.")
    conversation.work()
    for frame in conversation.frames():
        if frame.pts > 0.5:
            break
    conversation.interrupt()
    said = conversation.history[-1].text.split()
    assert said == LONG.sentences[0].text.split()[: len(said)]
    assert 3 <= len(said) <= 6
    assert not conversation.answering
    assert next(conversation.frames()).state == "idle"


def test_a_reply_in_the_making_is_dropped_when_the_user_goes_on(talk: Begin) -> None:
    class Interrupted:
        """Its user interrupts it after the first sentence."""

        def reply(self, turns: Sequence[Turn], seed: int = 0) -> Iterator[Sentence]:
            yield Sentence("Never heard.")
            conversation.interrupt()
            yield Sentence("Not even said.")

    told: list[Turn] = []
    conversation = talk(Interrupted(), on_turn=told.append)
    conversation.push_text("Well?")
    conversation.work()
    assert [t.text for t in told] == ["Well?", "Never heard."]
    assert conversation.session.queued == 0
    assert conversation.history == [Turn("user", "Well?")]


def test_two_turns_before_an_answer_are_both_answered(talk: Begin) -> None:
    dialogue = Says("Yes.")
    conversation = talk(dialogue)
    conversation.push_text("One.")
    conversation.push_text("Two.")
    conversation.work()
    assert dialogue.turns == [Turn("user", "One. Two.")]


def test_speech_interrupts_and_is_answered(talk: Begin) -> None:
    """Into a long answer the user speaks: it falls silent while they do, and answers them after."""
    recogniser = Understands()
    ears = Ears(recogniser)
    conversation = talk(Says("word " * 60 + "."), ears=ears)
    sound = np.concatenate([np.zeros(8_000), voiced(0.8), np.zeros(24_000), voiced(1.0)])
    film = Film(conversation, sound=sound.astype(np.float32), sound_rate=16_000)
    frames = list(film._made)
    states = [f.state for f in frames]
    assert max(abs(frames[25].sound)) > 0.1  # the user is heard in the film too
    first, second = round(1.32 * 25), round(2.8 * 25)  # ends, and begins again
    assert "speaking" not in states[:first]
    assert "speaking" in states[first + 15 : second]
    # the interruption comes 0.2 s after the second turn's beginning
    assert "speaking" not in states[second + 9 : second + 25]
    assert "speaking" in states[second + 45 :]
    assert [t.speaker for t in conversation.history] == ["user", "avatar", "user", "avatar"]
    assert len(conversation.history[1].text.split()) < 25
    assert all(abs(a - b) < 0.8 for a, b in zip(recogniser.heard, (1.9, 2.1), strict=True))


def test_delivery_sets_speed_and_face(talk: Begin) -> None:
    voice = Hum()
    sad = Delivery(speed=0.8, brow_amplitude=2.0, amplitude=0.5)
    conversation = talk(Says(Sentence("Oh.", sad)), voice)
    conversation.push_text("He is gone.")
    conversation.work()
    assert voice.speeds == [0.8]
    resolved = conversation.session._playlist.behaviour.resolved
    assert resolved.edit.brow_amplitude == 2.0


def test_who_can_smile_does_so_with_good_news(talk: Begin) -> None:
    glad = Delivery(smile=0.5)
    assert delivered(Controls(smile=0.2), glad, smiles=True).smile == pytest.approx(0.7)
    assert delivered(Controls(smile=0.8), glad, smiles=True).smile == 1.0
    conversation = talk(Says(Sentence("How lovely!", glad)))  # a face that cannot
    conversation.push_text("I won.")
    conversation.work()
    assert conversation.history[-1].text == "How lovely!" or conversation.session.queued > 0
    assert conversation.session._playlist.behaviour.resolved.edit.smile == 0


def test_a_thread_answers_and_its_errors_come_out(talk: Begin) -> None:
    class Fails:
        def reply(self, turns: Sequence[Turn], seed: int = 0) -> Iterator[Sentence]:
            done.set()
            raise UsageError("nobody knows an answer")
            yield

    done = threading.Event()
    conversation = talk(Fails(), terms=ConversationTerms())
    conversation.push_text("Hello.")
    assert done.wait(10)
    with pytest.raises(UsageError, match="nobody knows"):
        for _ in islice(conversation.frames(), 2_000):
            pass
    conversation.close()
    assert not any(t.name == "conversation" for t in threading.enumerate())


def test_noise_of_a_room_is_no_speech() -> None:
    ears = Ears(Understands())
    noise = np.random.default_rng(0).normal(0, 0.01, 5 * 16_000).astype(np.float32)
    assert ears.push(noise, 16_000) == []
    assert [h.kind for h in ears.push(voiced(0.5), 16_000)] == ["begins"]
    assert [h.kind for h in ears.push(noise[:32_000], 16_000)] == ["said"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("", "nothing in this"), ("\x00\x1b[2J", None), ("x" * 10_000_000, "10,000,000 characters")],
)
def test_turns_that_cannot_be_answered(talk: Begin, text: str, complaint: str | None) -> None:
    conversation = talk(Says("Yes."))
    if complaint is None:
        conversation.push_text(text)
        conversation.work()
        assert conversation.history[0].text.isprintable()
    else:
        with pytest.raises(UsageError, match=complaint):
            conversation.push_text(text)


def test_noise_while_it_thinks_costs_no_answer(talk: Begin) -> None:
    class Noisy:
        """Somebody coughs while it writes the first reply."""

        replies = 0

        def reply(self, turns: Sequence[Turn], seed: int = 0) -> Iterator[Sentence]:
            self.replies += 1
            if self.replies == 1:
                conversation.push_audio(voiced(0.5), 16_000)
                conversation.push_audio(np.zeros(16_000, np.float32), 16_000)
            yield Sentence(f"Reply {self.replies}.")

    told: list[Turn] = []
    conversation = talk(Noisy(), ears=Ears(Understands("- ...")), on_turn=told.append)
    conversation.push_audio(np.zeros(16_000, np.float32), 16_000)
    conversation.push_text("What now?")
    conversation.work()
    assert told == [Turn("user", "What now?"), Turn("avatar", "Reply 2.")]
    conversation.interrupt()
    assert [turn.speaker for turn in conversation.history] == ["user"]


def test_who_stops_it_wants_no_answer(talk: Begin) -> None:
    told: list[Turn] = []
    conversation = talk(Says("Yes."), ears=Ears(Understands()), on_turn=told.append)
    conversation.push_audio(np.zeros(16_000, np.float32), 16_000)
    conversation.push_text("Are you there?")
    conversation.push_audio(voiced(0.5), 16_000)
    assert conversation.attending
    conversation.stop()
    conversation.end_audio()
    assert not conversation.attending
    conversation.work()
    # the text is forgotten; what they were saying is not
    assert told == [Turn("user", "Stop it."), Turn("avatar", "Yes.")]
    assert not conversation.thinking


def test_a_text_is_taken_though_the_reply_before_failed(talk: Begin) -> None:
    conversation = talk(Says("Yes."))
    conversation.error = UsageError("it failed")
    with pytest.raises(UsageError, match="it failed"):
        conversation.push_text("And now?")
    conversation.work()
    assert conversation.history == [Turn("user", "And now?")]


def test_what_is_understood_too_late_is_not_answered(talk: Begin) -> None:
    class Slow:
        """The user stops it while their speech is being understood."""

        def text(self, samples: np.ndarray) -> str:
            conversation.stop()
            return "Answer me."

    told: list[Turn] = []
    conversation = talk(Says("Yes."), ears=Ears(Slow()), on_turn=told.append)
    conversation.push_audio(np.zeros(16_000, np.float32), 16_000)
    conversation.push_audio(voiced(0.5), 16_000)
    conversation.push_audio(np.zeros(16_000, np.float32), 16_000)
    conversation.work()
    assert not told
    assert not conversation.attending


def test_a_reply_counts_from_its_own_beginning(talk: Begin) -> None:
    """Though the one before was interrupted between two sentences, when nothing of it waited."""

    class Late:
        """Its second sentence is late, and its user does not wait for it."""

        replies = 0

        def reply(self, turns: Sequence[Turn], seed: int = 0) -> Iterator[Sentence]:
            self.replies += 1
            yield Sentence("One two three four five six.")  # 0.6 s
            if self.replies == 1:
                play(40)  # all was said, and the session has given it up
                conversation.interrupt()

    def play(count: int) -> None:
        for _ in islice(conversation.frames(), count):
            pass

    conversation = talk(Late())
    for text in ("Count.", "Count again."):
        conversation.push_text(text)
        conversation.work()
    play(10)
    assert 0.1 < conversation.interrupt() < 0.45
