"""Dub: a film says other words."""

from __future__ import annotations

import gradio as gr
from gradio.blocks import Block

from talkers.controls.request import Controls
from talkers.errors import UsageError
from talkers.progress import parse_duration
from talkers.runtime.dubbing import DubTerms
from talkers.server.work import refuse_unusable, refuse_unusable_film, require
from talkers.studio.control_fields import Values
from talkers.studio.orders import DubbingOrder
from talkers.studio.speak_tab import BEGUN, PRIVATE
from talkers.studio.studio import Studio, answering, there

FACES = [
    ("Whose lips go with the sound", "auto"),
    ("The largest", "largest"),
    ("On the left", "left"),
    ("On the right", "right"),
]
LONGER = [
    ("Show the film again", "loop"),
    ("There and back", "bounce"),
    ("Hold its last frame", "freeze"),
    ("Play it slower", "stretch"),
    ("Cut the speech", "cut"),
    ("Refuse", "error"),
]
SHORTER = [
    ("Go on in silence, the mouth at rest", "silence"),
    ("Keep the film and its sound", "keep"),
    ("Cut the film", "cut"),
]
LEARN = [("No", ""), ("2 minutes", "2m"), ("10 minutes", "10m"), ("30 minutes", "30m")]


class DubTab:
    """The tab, and what its button does.

    Args:
        studio: whose page.
    """

    def __init__(self, studio: Studio):
        self.studio = studio
        with gr.Tab("Dub", id="dub"):
            gr.HTML("<h2>The same film, other words</h2><p>Only the lips change.</p>")
            with gr.Row():
                self.film = gr.File(label="Film of a face", height=130, min_width=220)
                self.speech = gr.File(label="Speech that it is to say", height=130, min_width=220)
            self.consent = gr.Textbox(
                label="Who agreed to be shown saying other words",
                placeholder="Ada agreed to be dubbed",
                max_length=500,
            )
            with gr.Accordion("Options", open=False):
                with gr.Row():
                    self.face = gr.Dropdown(FACES, value="auto", label="Which face")
                    self.place = gr.Textbox(
                        label="Or the face at x,y",
                        placeholder="320,200",
                        info="Pixels, in the first frame with faces.",
                    )
                with gr.Row():
                    self.longer = gr.Dropdown(LONGER, value="loop", label="The speech is longer")
                    self.shorter = gr.Dropdown(
                        SHORTER, value="silence", label="The speech is shorter"
                    )
                self.amplitude = gr.Slider(0.5, 1.5, 1, step=0.05, label="How far the mouth moves")
                with gr.Row():
                    self.bed = gr.File(label="Sound under the speech (optional)", height=130)
                    self.gain = gr.Slider(-40, 24, 0, step=1, label="Its loudness, dB")
                self.learn = gr.Dropdown(
                    LEARN if there("pytorch_lightning") else LEARN[:1],
                    value="",
                    label="Learn this person's mouth first",
                    info="A better picture, for the time it takes.",
                )
            button = gr.Button("Dub", variant="primary", elem_id="t-dub")
            answer = gr.HTML(elem_classes="t-answer")
        inputs: set[Block] = {
            *(self.film, self.speech, self.consent, self.face, self.place, self.longer),
            *(self.shorter, self.amplitude, self.bed, self.gain, self.learn),
        }
        button.click(answering(self.dub), inputs, answer, **PRIVATE)

    def dub(self, values: Values, request: gr.Request) -> str:
        """Begin a video.

        Raises:
            TalkersError: what is given does not do.
        """
        me, studio = self.studio.visitor(request), self.studio
        uploads, limits = studio.uploads, studio.service.limits
        film, speech, bed = values[self.film], values[self.speech], values[self.bed]
        title = uploads.there(me.name, film, "film").name
        uploads.there(me.name, speech, "speech file")
        if not (values[self.consent] or "").strip():
            raise UsageError(
                "nobody is said to have agreed to be shown saying other words",
                todo="Say who did, as in: Ada agreed to be dubbed",
            )
        require("mediapipe", "dubbing", "prepare")
        face = (values[self.place] or "").replace(" ", "") or values[self.face]
        Controls(amplitude=values[self.amplitude])  # refuses what is out of range
        learn = parse_duration(values[self.learn]) if values[self.learn] else 0.0
        with studio.service.jobs.admitted("dub", me.name, title=title) as job:
            ground = uploads.take(me.name, bed, job.folder / "bed", "sound") if bed else None
            terms = DubTerms(
                face, values[self.longer], values[self.shorter], ground, values[self.gain]
            )
            path = uploads.take(me.name, film, job.folder / "film", "film")
            sound = uploads.take(me.name, speech, job.folder / "speech", "speech file")
            refuse_unusable_film(path, limits)
            refuse_unusable(sound, limits)
            base = studio.service.base
            order = DubbingOrder(base, terms, values[self.amplitude], learn, limits)
            job.work = lambda job: order.dub(job, path, sound)
        return BEGUN
