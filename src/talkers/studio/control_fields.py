"""The page's fields of `Controls`, each with a picture of what it does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from talkers.controls.request import Controls
from talkers.errors import UsageError
from talkers.studio.uploads import Uploads

PICTURE = '<img class="t-strip" src="/studio/files/controls/{name}.jpg" alt="{alt}" loading="lazy">'
STYLE_FORMS = "A video of the same person. How far mouth, brows and head move is taken from it."
Values = Mapping[Any, Any]  # of components


class ControlFields:
    """The fields. `inputs` are the components whose values `controls` wants."""

    def __init__(self) -> None:
        with gr.Accordion("Controls", open=False):
            self._head()
            self._mouth_and_eyes()
            self._take()
        self.inputs = [
            *(self.pose, self.yaw, self.pitch, self.roll, self.pose_file, self.pose_scale),
            *(self.offset_yaw, self.offset_pitch, self.offset_roll),
            *(self.amplitude, self.blinks, self.blink_times, self.brows, self.left, self.up),
            self.smile,
            *(self.motion, self.seed, self.style),
        ]

    def _head(self) -> None:
        gr.HTML("<h3>Head</h3>")
        self.pose = gr.Radio(
            [
                ("From the speech", "predicted"),
                ("Still", "still"),
                ("Fixed angles", "angles"),
                ("From a file", "file"),
            ],
            value="predicted",
            label="Pose",
        )
        with gr.Column(visible=False) as angles, gr.Row():
            self.yaw = _strip("yaw", "Yaw, degrees", -30, 30, 0, "To the picture's right")
            self.pitch = _strip("pitch", "Pitch, degrees", -30, 30, 0, "Up")
            self.roll = _strip("roll", "Roll, degrees", -30, 30, 0, "Leaning to its right")
        with gr.Column(visible=False) as from_file:
            self.pose_file = gr.File(
                label="Pose file: CSV or JSON of angles, or a video", height=130
            )
        shown = OneOf("angles", "file")
        self.pose.change(shown, self.pose, [angles, from_file], api_visibility="private")
        with gr.Row():
            self.pose_scale = _strip(
                "pose_scale", "How far the head moves", 0, 2, 1, "Times as far as predicted", 0.1
            )
            with gr.Column(min_width=200):
                self.offset_yaw = gr.Slider(-30, 30, 0, step=1, label="Turned by, degrees")
                self.offset_pitch = gr.Slider(-30, 30, 0, step=1, label="Raised by, degrees")
                self.offset_roll = gr.Slider(-30, 30, 0, step=1, label="Leaning by, degrees")

    def _mouth_and_eyes(self) -> None:
        gr.HTML("<h3>Mouth, eyes and brows</h3>")
        with gr.Row():
            self.amplitude = _strip("amplitude", "How far the mouth opens", 0.5, 1.5, 1, "", 0.05)
            self.brows = _strip("brow_amplitude", "How far the brows move", 0, 3, 1, "", 0.1)
        self.smile = _strip("smile", "Smile", -1, 1, 0, "Portraits alone smile", 0.05)
        with gr.Row():
            self.left = _strip("gaze_left", "Gaze to the person's left", -1, 1, 0, "", 0.05)
            self.up = _strip("gaze_up", "Gaze up", -1, 1, 0, "", 0.05)
        with gr.Row():
            self.blinks = _strip("blinks", "Blinks a minute", 0, 60, 15, "At irregular times")
            self.blink_times = gr.Textbox(
                label="Blink at these seconds",
                placeholder="0.5 2 3.7",
                info="Given any, there are no other blinks.",
                min_width=200,
            )

    def _take(self) -> None:
        gr.HTML("<h3>Another take</h3>")
        with gr.Row():
            self.motion = gr.Dropdown(
                [("Average motion", "regressor"), ("One of many takes", "sampler")],
                value="regressor",
                label="Motion",
                info="Takes need an avatar that was trained for them.",
                min_width=200,
            )
            self.seed = gr.Number(
                0, label="Seed", precision=0, minimum=0, info="Another seed, another take."
            )
        self.style = gr.File(label="Style clip (optional)", height=130)
        gr.HTML(f'<p class="t-quiet">{STYLE_FORMS}</p>')

    def controls(
        self, values: Values, folder: Path, uploads: Uploads, visitor: str, models: list[str]
    ) -> Controls:
        """What was asked for.

        Args:
            values: of the fields.
            folder: files that controls read are copied there.
            uploads, visitor: whose files they are.
            models: keys of the avatar's motion models.

        Raises:
            UsageError: a value that does not do.
        """
        pose = values[self.pose]
        if pose == "angles":
            angles = {name: values[getattr(self, name)] for name in ("yaw", "pitch", "roll")}
            pose = ",".join(f"{name}={value:g}" for name, value in angles.items())
        elif pose == "file":
            given = values[self.pose_file]
            suffix = Path(given).suffix.lower() if given else ""
            pose = str(uploads.take(visitor, given, folder / f"pose{suffix}", "pose file"))
        style = values[self.style]
        if style:
            style = str(uploads.take(visitor, style, folder / "style", "style clip"))
        motion = values[self.motion]
        return Controls(
            pose=pose,
            pose_scale=values[self.pose_scale],
            pose_offset=tuple(
                values[field] for field in (self.offset_yaw, self.offset_pitch, self.offset_roll)
            ),
            blinks=values[self.blinks],
            blink_times=_times(values[self.blink_times]),
            amplitude=values[self.amplitude],
            brow_amplitude=values[self.brows],
            gaze=(values[self.left], values[self.up]),
            smile=values[self.smile],
            style=style or "",
            motion=models[0] if motion == "regressor" and motion not in models else motion,
        )

    def chosen_seed(self, values: Values) -> int:
        """The seed.

        Raises:
            UsageError: it is none.
        """
        seed = values[self.seed]
        if seed is None or not 0 <= seed < 2**32:
            raise UsageError("the seed is no number from 0 on", todo="Use 0, 1, 2 or the like")
        return int(seed)


class OneOf:
    """A handler that shows that one of some columns whose name is chosen.

    Args:
        names: of the columns.
    """

    __name__ = "shown"  # gradio asks for it

    def __init__(self, *names: str):
        self.names = names

    def __call__(self, chosen: str) -> list[object]:
        """Which columns are shown."""
        return [gr.Column(visible=chosen == name) for name in self.names]


def _strip(
    name: str, label: str, low: float, high: float, value: float, info: str, step: float = 1
) -> gr.Slider:
    """A slider under pictures of its least, usual and greatest value."""
    with gr.Column(min_width=200):
        gr.HTML(PICTURE.format(name=name, alt=f"{label}: little, usual, much"))
        return gr.Slider(low, high, value, step=step, label=label, info=info or None)


def _times(text: str) -> tuple[float, ...]:
    """Seconds in a text.

    Raises:
        UsageError: there is something else.
    """
    try:
        return tuple(float(part) for part in (text or "").replace(",", " ").split())
    except ValueError as error:
        raise UsageError(
            f"the blinks' seconds {text[:40]!r} are no numbers", todo="Write them as 0.5 2 3.7"
        ) from error
