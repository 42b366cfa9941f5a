"""Compare: two videos in step, and how alike they are."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from talkers.media import probe
from talkers.server.work import refuse_longer
from talkers.studio import orders
from talkers.studio.speak_tab import PRIVATE
from talkers.studio.studio import Studio, answering

ABOUT = """<h2>Two videos side by side</h2>
<p>They play in step, by one button. The first is measured against the second, which is taken to be
the real one: two videos of the same words. Up to a minute is measured.</p>"""


class CompareTab:
    """The tab, and what its button does.

    Args:
        studio: whose page.
    """

    def __init__(self, studio: Studio):
        self.studio = studio
        with gr.Tab("Compare", id="compare"):
            gr.HTML(ABOUT)
            with gr.Row():
                first = gr.File(label="First video", height=130, min_width=220)
                second = gr.File(label="Second video", height=130, min_width=220)
            button = gr.Button("Compare", variant="primary", elem_id="t-compare")
            answer = gr.HTML(elem_classes="t-answer")
        button.click(answering(self.compare), [first, second], answer, **PRIVATE)

    def compare(self, first: str | None, second: str | None, request: gr.Request) -> str:
        """Begin to measure.

        Raises:
            TalkersError: one of them is no video.
        """
        me, studio = self.studio.visitor(request), self.studio
        names = [
            studio.uploads.there(me.name, path, what).name
            for path, what in ((first, "first video"), (second, "second video"))
        ]
        title = " and ".join(names)
        with studio.service.jobs.admitted("compare", me.name, title=title) as job:
            files = [
                studio.uploads.take(me.name, path, job.folder / f"{name}{_suffix(path)}", "video")
                for name, path in (("first", first), ("second", second))
            ]
            for file in files:
                seconds = float(probe(file).duration or 0)
                refuse_longer(seconds, studio.service.limits, "the video")
            job.work = lambda job: orders.compare(job, files[0], files[1])
        return "They are being measured."


def _suffix(path: str | None) -> str:
    """By which the browser knows the video's form."""
    return Path(path or "").suffix.lower()[:8]
