"""The page: tabs with what can be asked for, and beside them what is made."""

from __future__ import annotations

import gradio as gr

from talkers.studio.compare_tab import CompareTab
from talkers.studio.create_tab import CreateTab
from talkers.studio.dub_tab import DubTab
from talkers.studio.speak_tab import SpeakTab
from talkers.studio.studio import Studio
from talkers.studio.verify_tab import VerifyTab
from talkers.studio.visitors import OWN

SYSTEM_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
THEME = gr.themes.Base(
    primary_hue="teal",
    neutral_hue="slate",
    font=SYSTEM_FONTS,
    font_mono=["ui-monospace", "monospace"],
).set(
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_800",
    button_primary_text_color="white",
    block_label_text_color="*neutral_700",
    block_label_text_color_dark="*neutral_200",
    block_title_text_color="*neutral_800",
    block_title_text_color_dark="*neutral_100",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    link_text_color="*primary_700",
    link_text_color_dark="*primary_300",
    checkbox_label_text_color_selected="*neutral_900",
    checkbox_label_text_color_selected_dark="*neutral_50",
)
HEAD = """
<link rel="stylesheet" href="/studio/files/studio.css">
<script type="module" src="/studio/files/main.js"></script>
"""
HEADER = """
<header class="t-header">
  <h1>talkers studio</h1>
  <p>Speech becomes a talking face, on this machine alone. What is made is signed as made
  by a machine.</p>
</header>
"""
STAGE = """
<section id="t-stage" aria-label="Result" tabindex="-1"></section>
<section id="t-work" aria-label="Your work"><p class="t-quiet">One moment.</p></section>
<p id="t-live" class="t-hidden" role="status" aria-live="polite"></p>
"""


def make_page(studio: Studio) -> gr.Blocks:
    """The page of a studio.

    Args:
        studio: whose.
    """
    with gr.Blocks(title="talkers studio", analytics_enabled=False) as page:
        gr.HTML(HEADER)
        with gr.Row(elem_id="t-columns"):
            with gr.Column(scale=3, min_width=320), gr.Tabs(selected="speak") as tabs:
                speak = SpeakTab(studio)
                CreateTab(studio)
                DubTab(studio)
                CompareTab(studio)
                VerifyTab(studio)
            with gr.Column(scale=2, min_width=320):
                gr.HTML(STAGE)
        # what scripts of the page ask for: another avatar is there, or is to speak
        chosen = gr.Textbox(elem_id="t-open-name", elem_classes="t-hidden", label="Avatar to open")
        opened = gr.Button("Open it", elem_id="t-open", elem_classes="t-hidden")
        opening = _Opening(studio)
        outputs = [tabs, speak.avatar, speak.who]
        # a click while the one before is being answered counts too
        opened.click(
            opening.open, chosen, outputs, api_visibility="private", trigger_mode="multiple"
        )
        page.load(opening.load, None, speak.avatar, api_visibility="private")

    page.queue(default_concurrency_limit=4, max_size=64, api_open=False)
    return page


class _Opening:
    """Which avatars are offered, and which one is chosen.

    Args:
        studio: whose page.
    """

    def __init__(self, studio: Studio):
        self.studio = studio

    def load(self, request: gr.Request) -> object:
        """The avatars of who comes."""
        return gr.Dropdown(choices=self.studio.avatars(self.studio.visitor(request)))

    def open(self, name: str, request: gr.Request) -> tuple[object, object, object]:
        """Show an avatar of the visitor in Speak; or, without a name, only offer it."""
        choices = self.studio.avatars(self.studio.visitor(request))
        value = f"{OWN}{name}"
        if not name or value not in [choice for _, choice in choices]:
            return gr.skip(), gr.Dropdown(choices=choices), gr.skip()
        return (
            gr.Tabs(selected="speak"),
            gr.Dropdown(choices=choices, value=value),
            gr.Radio(value="avatar"),
        )
