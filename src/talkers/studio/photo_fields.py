"""The page's fields of a photo that becomes an avatar: it is looked at as soon as it is there."""

from __future__ import annotations

import base64
import html
import io

import gradio as gr
from PIL import Image

from talkers.errors import TalkersError, UsageError
from talkers.face.portrait import portrait_of
from talkers.server.jobs import Job
from talkers.server.problem import problem_of, without_paths
from talkers.server.work import require
from talkers.studio.control_fields import Values
from talkers.studio.orders import Photo
from talkers.studio.studio import Studio, problem_html
from talkers.studio.visitors import Visitor

SHOWN_SIDE = 160  # pixels of the preview
SIZE = 256  # of the frames that portraits make
CONSENT = "I, Ada, agree to be shown"


class PhotoFields:
    """The fields. `inputs` are the components whose values `order` wants.

    Args:
        studio: whose page.
    """

    def __init__(self, studio: Studio):
        self.studio = studio
        with gr.Row():
            self.file = gr.File(label="Photo: one face, mouth closed", height=150, min_width=240)
            seen = gr.HTML(min_height=SHOWN_SIDE, elem_classes="t-answer")
        with gr.Row():
            self.name = gr.Textbox(label="Name of the avatar", placeholder="Ada", max_length=40)
            self.face = gr.Dropdown(
                [
                    ("The largest", "largest"),
                    ("On the picture's left", "left"),
                    ("On the picture's right", "right"),
                ],
                value="largest",
                label="Which face",
            )
        self.consent = gr.Textbox(
            label="Who agreed to be shown",
            placeholder=CONSENT,
            info="It is kept with the avatar. Show only people who agreed.",
            max_length=500,
        )
        self.inputs = [self.file, self.name, self.face, self.consent]
        for event in (self.file.change, self.face.change):
            event(
                self.look,
                [self.file, self.face],
                seen,
                api_visibility="private",
                show_progress="minimal",
            )

    def look(self, path: str | None, face: str, request: gr.Request) -> str:
        """What is found in a photo: the face, or what is wrong."""
        if not path:
            return ""
        try:
            require("mediapipe", "making an avatar of a photo", "prepare")
            me = self.studio.visitor(request)
            found = portrait_of(self.studio.uploads.there(me.name, path, "photo"), SIZE, face)
        except TalkersError as error:
            return problem_html(problem_of(error))
        picture, file = Image.fromarray(found.picture), io.BytesIO()
        picture.resize((SHOWN_SIDE, SHOWN_SIDE)).save(file, "JPEG", quality=85)
        data = base64.b64encode(file.getvalue()).decode()
        notes = "".join(f"<p>{html.escape(without_paths(n))}.</p>" for n in found.notes)
        return (
            f'<div role="status"><img class="t-face" alt="The face that was found" '
            f'src="data:image/jpeg;base64,{data}">{notes}</div>'
        )

    def order(self, values: Values, me: Visitor, job: Job) -> Photo:
        """The avatar that is to be made.

        Args:
            values: of the fields.
            me: whose it is.
            job: that makes it; takes the photo.

        Raises:
            TalkersError: a field, or the photo, does not do.
        """
        require("mediapipe", "making an avatar of a photo", "prepare")
        consent = (values[self.consent] or "").strip()
        path = self.studio.uploads.take(me.name, values[self.file], job.folder / "photo", "photo")
        if not consent:
            raise UsageError(
                "nobody is said to have agreed to be shown", todo=f"Say who did, as in: {CONSENT}"
            )
        out = me.new_avatar(values[self.name] or "")
        portrait_of(path, SIZE, values[self.face])  # says now what is wrong with it
        return Photo(path, out, consent, values[self.face])
