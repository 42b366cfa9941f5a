"""Verify: does a video say that a machine made it?"""

from __future__ import annotations

import gradio as gr

from talkers.media import probe
from talkers.server.work import refuse_longer
from talkers.studio import orders
from talkers.studio.speak_tab import PRIVATE
from talkers.studio.studio import Studio, answering

ABOUT = """<h2>Was it made by a machine?</h2>
<p>Drop a video. Its signed manifest (C2PA) and the mark in its frames are looked for. Nothing is
asked of the network. Where nothing is found, nothing is proven.</p>"""


class VerifyTab:
    """The tab, and what its button does.

    Args:
        studio: whose page.
    """

    def __init__(self, studio: Studio):
        self.studio = studio
        with gr.Tab("Verify", id="verify"):
            gr.HTML(ABOUT)
            video = gr.File(label="Video to verify", height=130)
            button = gr.Button("Verify", variant="primary", elem_id="t-verify")
            answer = gr.HTML(elem_classes="t-answer")
        button.click(answering(self.verify), video, answer, **PRIVATE)

    def verify(self, path: str | None, request: gr.Request) -> str:
        """Begin to look.

        Raises:
            TalkersError: it is no video.
        """
        me, studio = self.studio.visitor(request), self.studio
        title = studio.uploads.there(me.name, path, "video").name
        with studio.service.jobs.admitted("verify", me.name, title=title) as job:
            video = studio.uploads.take(me.name, path, job.folder / "film", "video")
            refuse_longer(float(probe(video).duration or 0), studio.service.limits, "the video")
            job.work = lambda job: orders.verify(job, video)
        return "It is being looked at."
