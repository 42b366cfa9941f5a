"""Speak: a recording or a text, and a face that says it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import gradio as gr
from gradio.blocks import Block

from talkers.errors import UsageError
from talkers.runtime.avatar import Avatar
from talkers.server.forms import SayForm
from talkers.server.jobs import Job
from talkers.server.work import refuse_unusable, require
from talkers.speech.voices import VOICES
from talkers.studio.control_fields import ControlFields, OneOf, Values
from talkers.studio.orders import PORTRAIT_SHARE, Photo, Speaking
from talkers.studio.photo_fields import PhotoFields
from talkers.studio.studio import Studio, answering
from talkers.studio.visitors import Visitor

OWN_FORM = "The avatar's own"
RATES = [(OWN_FORM, ""), *((r, r) for r in ("23.976", "24", "25", "29.97", "30", "50", "60"))]
SIZES = [(OWN_FORM, 0), ("128", 128), ("256", 256), ("512", 512)]
NTSC = {"23.976": Fraction(24_000, 1001), "29.97": Fraction(30_000, 1001)}
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
BEGUN = "It has begun, and stands in your work."


class SpeakTab:
    """The tab, and what its button does.

    Args:
        studio: whose page.
    """

    def __init__(self, studio: Studio):
        self.studio = studio
        with gr.Tab("Speak", id="speak"):
            gr.HTML("<h2>What is said</h2>")
            self.source = gr.Radio(
                [("A file", "file"), ("My microphone", "microphone"), ("A text", "text")],
                value="file",
                label="Speech",
            )
            with gr.Column() as by_file:
                self.file = gr.File(label="Speech file: any sound or video", height=130)
            with gr.Column(visible=False) as by_voice:
                self.recording = gr.Audio(
                    sources=["microphone"], type="filepath", label="Recording", editable=False
                )
            with gr.Column(visible=False) as by_text:
                self.text = gr.Textbox(
                    label="Text", lines=3, max_length=studio.service.limits.characters
                )
                with gr.Row():
                    self.voice = gr.Dropdown(sorted(VOICES), value="joe", label="Voice")
                    self.speed = gr.Slider(0.5, 2, 1, step=0.05, label="Speed")
            gr.HTML("<h2>Who says it</h2>")
            self.who = gr.Radio(
                [("An avatar", "avatar"), ("A photo of mine", "photo")],
                value="avatar",
                label="Face",
            )
            with gr.Column() as by_avatar:
                names = list(studio.service.avatars)
                self.avatar = gr.Dropdown(names, value=names[0], label="Avatar")
            with gr.Column(visible=False) as by_photo:
                self.photo = PhotoFields(studio)
            self.fields = ControlFields()
            with gr.Accordion("Form of the video", open=False), gr.Row():
                self.rate = gr.Dropdown(RATES, value="", label="Frames a second")
                self.size = gr.Dropdown(SIZES, value=0, label="Side in pixels")
            button = gr.Button("Speak", variant="primary", elem_id="t-speak")
            answer = gr.HTML(elem_classes="t-answer")
        places = [by_file, by_voice, by_text]
        self.source.change(OneOf("file", "microphone", "text"), self.source, places, **PRIVATE)
        self.who.change(OneOf("avatar", "photo"), self.who, [by_avatar, by_photo], **PRIVATE)
        inputs: set[Block] = {
            *(self.source, self.file, self.recording, self.text, self.voice, self.speed),
            *(self.who, self.avatar, *self.photo.inputs, *self.fields.inputs),
            *(self.rate, self.size),
        }
        button.click(answering(self.speak), inputs, answer, **PRIVATE)

    def speak(self, values: Values, request: gr.Request) -> str:
        """Begin a video.

        Raises:
            TalkersError: what is given does not do.
        """
        me, studio = self.studio.visitor(request), self.studio
        source, limits = values[self.source], studio.service.limits
        form = self._text(values) if source == "text" else None
        given = values[self.file] if source == "file" else values[self.recording]
        with studio.service.jobs.admitted("speak", me.name, title=self._title(values)) as job:
            order = self._order(values, me, job)
            if form is not None:
                job.work = lambda job: order.say(job, form)
                return BEGUN
            what = "speech file" if source == "file" else "recording"
            path = studio.uploads.take(me.name, given, job.folder / "speech", what)
            refuse_unusable(path, limits)
            job.work = lambda job: order.speak(job, path)
        return BEGUN

    def _title(self, values: Values) -> str:
        """What the job is called."""
        if values[self.who] == "photo":
            return str(values[self.photo.name] or "A photo")[:40]
        return str(values[self.avatar]).partition(":")[2] or str(values[self.avatar])

    def _text(self, values: Values) -> SayForm:
        """The text to be said.

        Raises:
            MissingComponent: there are no voices. UsageError: it is empty or too long.
        """
        require("piper", "saying text", "say")
        text, most = (values[self.text] or "").strip(), self.studio.service.limits.characters
        if not 0 < len(text) <= most:
            raise UsageError(
                f"a text of {len(text)} characters was given" if text else "there is no text yet",
                todo=f"Write 1 to {most} characters",
            )
        return SayForm(text=text, voice=values[self.voice], speed=values[self.speed])

    def _order(self, values: Values, me: Visitor, job: Job) -> Speaking:
        """Who says it, and how.

        Raises:
            TalkersError: a field does not do.
        """
        studio, seed = self.studio, self.fields.chosen_seed(values)
        photo = values[self.who] == "photo"
        chosen: Avatar | None = None
        if not photo:
            chosen = studio.avatar(me, values[self.avatar] or "")
        models = ["regressor"] if chosen is None else list(chosen.engine.motion)
        controls = self.fields.controls(values, job.folder, studio.uploads, me.name, models)
        rate = NTSC.get(values[self.rate]) or (Fraction(values[self.rate] or 0) or None)
        how = (controls, seed, rate, values[self.size] or None, studio.service.limits)
        if chosen is None:
            order: Photo = self.photo.order(values, me, job)
            return Speaking(lambda job: order.avatar(job, PORTRAIT_SHARE), PORTRAIT_SHARE, *how)
        studio.service.checked(chosen, controls, seed)
        avatar = chosen
        return Speaking(lambda job: avatar, 0.0, *how)
