"""Create: a photo or footage becomes an avatar."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.blocks import Block

from talkers.errors import UsageError
from talkers.media import probe
from talkers.progress import parse_duration
from talkers.server.work import refuse_longer, require
from talkers.studio import footage, training
from talkers.studio.control_fields import Values
from talkers.studio.photo_fields import CONSENT, PhotoFields
from talkers.studio.speak_tab import BEGUN, PRIVATE
from talkers.studio.studio import Studio, answering, there

BUDGETS = [
    ("10 minutes: a first look", "10m"),
    ("30 minutes: the mouth stays blurred", "30m"),
    ("90 minutes: as the bundled avatar", "90m"),
    ("5 hours", "5h"),
]
RECIPES = [("compact, 256 pixels", "compact"), ("tiny, 64 pixels: to try it out", "tiny")]
PHOTO = """<h2>Of one photo</h2><p>It takes some seconds. The face is moved as most people's
faces move.</p>"""
FOOTAGE = """<h2>Of footage</h2><p>Minutes of one person who speaks, from the front. The avatar
learns this person's face and way to speak. Check the footage first: the check says what is wrong
with it, and where.</p>"""
NO_TRAINING = """<p class="t-quiet">Training needs more packages on the server:
<code>pip install 'talkers[train]'</code>.</p>"""


class CreateTab:
    """The tab, and what its buttons do.

    Args:
        studio: whose page.
    """

    def __init__(self, studio: Studio):
        self.studio = studio
        with gr.Tab("Create", id="create"):
            gr.HTML(PHOTO)
            self.photo = PhotoFields(studio)
            portrait = gr.Button("Make the avatar", variant="primary", elem_id="t-portrait")
            made = gr.HTML(elem_classes="t-answer")
            gr.HTML(FOOTAGE)
            self.footage = gr.File(label="Footage", file_count="multiple", height=150)
            check = gr.Button("Check the footage", elem_id="t-check")
            checked = gr.HTML(elem_classes="t-answer")
            gr.HTML("<h3>Train</h3>" + ("" if there("pytorch_lightning") else NO_TRAINING))
            self.name = gr.Textbox(label="Name of the new avatar", max_length=40)
            with gr.Row():
                self.budget = gr.Dropdown(
                    BUDGETS, value="90m", label="Time for training", min_width=240
                )
                self.recipe = gr.Dropdown(
                    RECIPES, value="compact", label="Kind of avatar", min_width=240
                )
            self.consent = gr.Textbox(
                label="Who agreed to be shown as an avatar",
                placeholder=CONSENT,
                info="It is kept with the avatar.",
                max_length=500,
            )
            train = gr.Button("Prepare and train", variant="primary", elem_id="t-train")
            begun = gr.HTML(elem_classes="t-answer")
        portrait.click(answering(self.portrait), {*self.photo.inputs}, made, **PRIVATE)
        check.click(answering(self.check), self.footage, checked, **PRIVATE)
        inputs: set[Block] = {self.footage, self.name, self.budget, self.recipe, self.consent}
        train.click(answering(self.train), inputs, begun, **PRIVATE)

    def portrait(self, values: Values, request: gr.Request) -> str:
        """Begin an avatar of a photo.

        Raises:
            TalkersError: what is given does not do.
        """
        me, studio = self.studio.visitor(request), self.studio
        title = str(values[self.photo.name] or "")[:40]
        with studio.service.jobs.admitted("portrait", me.name, title=title) as job:
            job.work = self.photo.order(values, me, job).make
        return BEGUN

    def check(self, paths: list[str] | None, request: gr.Request) -> str:
        """Begin to look at footage.

        Raises:
            TalkersError: there is none.
        """
        me, studio = self.studio.visitor(request), self.studio
        require("mediapipe", "checking footage", "prepare")
        if not paths:
            raise UsageError("there is no footage yet", todo="Choose one or more videos first")
        title = Path(paths[0]).name + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
        with studio.service.jobs.admitted("check", me.name, title=title) as job:
            files = {}
            for k, path in enumerate(paths):
                to = job.folder / f"{k}{Path(path).suffix[:8]}"
                files[Path(path).name] = studio.uploads.take(me.name, path, to, "footage")
            job.work = lambda job: footage.check(job, files)
        return "It is being looked at."

    def train(self, values: Values, request: gr.Request) -> str:
        """Begin to prepare and train.

        Raises:
            TalkersError: what is given does not do.
        """
        me = self.studio.visitor(request)
        require("pytorch_lightning", "training", "train")
        paths = values[self.footage] or []
        consent = (values[self.consent] or "").strip()
        if paths and not consent:
            raise UsageError(
                "nobody is said to have agreed to this avatar",
                todo=f"Say who did, as in: {CONSENT}",
            )
        limits = self.studio.service.limits
        for path in paths:
            seconds = float(
                probe(self.studio.uploads.there(me.name, path, "footage")).duration or 0
            )
            refuse_longer(seconds, limits, "one of the videos")
        budget = parse_duration(values[self.budget])
        about = {"consent": consent, "recipe": values[self.recipe], "budget": budget}
        training.begin(self.studio, me, paths, values[self.name] or "", about)
        return "It has begun. You may close the page: it goes on."
