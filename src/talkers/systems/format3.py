"""Reading what talkers 0.1 wrote: avatars of format 3, their recipes, their weights' names.

Nobody trains again because a format changed. This is the one place that knows the old names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

STAGES = {  # old group of settings: stage
    "codec_training": "codec",
    "motion_training": "regressor",
    "sampler_training": "flow",
    "listener_training": "streaming_encoder",
}
SETTINGS = {  # old name of a setting, by its group ("": anywhere): new name
    "codec_training": {"noisiest_share": "max_noise_fraction", "shape_weight": "descriptor_weight"},
    "motion": {},
    "sampler": {"shapes": "components"},
    "listener": {"ahead": "look_ahead"},
    "motion_training": {"synthetic": "tts_voices"},
    "sampler_training": {
        "unheard_share": "condition_dropout",
        "turned_share": "suffix_prompt_fraction",
    },
    "": {
        "quiet_share": "silence_weight",
        "wordless_share": "non_speech_weight",
        "voices_share": "augmented_weight",
        "rhythms_share": "time_warp_fraction",
        "readout_weight": "probe_weight",
        "pictures": "basis_images",
    },
}
GROUPS = {  # old group: its place among the slots
    "codec": "renderer",
    "motion": "motion.regressor",
    "sampler": "motion.flow",
    "listener": "streaming_encoder",
    **{group: f"stages.{stage}" for group, stage in STAGES.items()},
}
COMPONENTS = {  # component of format 4: its file in format 3
    "renderer": "codec",
    "motion/regressor": "motion",
    "motion/flow": "sampler",
    "speech/student": "listener",
}
SPACE = re.compile(r"(latent|head|mouth|brows|gaze|look)_(mean|std|read|write|rest|axes|worn)")
_SPACE_NAMES = (
    (r"^latent_(mean|std)$", r"motion_\1"),
    (r"^look_axes$", "appearance_basis"),
    (r"^look_worn$", "appearance_code"),
)
_WEIGHT_NAMES = {
    "renderer": (
        (r"^(unet|encoder)\.enter\.", r"\1.in_proj."),
        (r"^unet\.leave\.", "unet.out_proj."),
        (r"^unet\.appearance\.mean$", "unet.appearance.base_image"),
        (r"^unet\.appearance\.pictures$", "unet.appearance.basis_images"),
        (r"^unet\.appearance\.read\.", "unet.appearance.trunk."),
        (r"^unet\.appearance\.mix\.", "unet.appearance.coefficients."),
        (r"^unet\.appearance\.flow\.", "unet.appearance.displacement."),
    ),
    "motion/regressor": (
        (r"^enter\.", "speech.in_proj."),
        (r"^downsample\.", "speech.downsample."),
        (r"^leave\.", "out_proj."),
    ),
    "motion/flow": (
        (r"^enter\.", "speech.in_proj."),
        (r"^downsample\.", "speech.downsample."),
        (r"^leave\.", "out_proj."),
        (r"^place\.", "state_proj."),
        (r"^unheard$", "null_speech"),
        (r"^shape_axes$", "component_axes"),
        (r"^shape_back$", "component_back"),
    ),
    "speech/student": ((r"^enter\.", "in_proj."), (r"^leave\.", "out_proj.")),
}


def is_format_3(recipe: Mapping[str, Any]) -> bool:
    """Whether a recipe is one of talkers 0.1."""
    return "renderer" not in recipe and any(key in recipe for key in GROUPS if key != "motion")


def _renamed(group: str, settings: Any) -> Any:
    if not isinstance(settings, dict):
        return settings
    known = SETTINGS[""] | SETTINGS.get(group, {})
    return {known.get(key, key): _renamed(group, value) for key, value in settings.items()}


def upgrade_recipe(old: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe of talkers 0.1 in today's slots; what is damaged in it stays so, and is found."""
    new = {key: value for key, value in old.items() if key not in GROUPS}
    types = {"codec": "diffusion_autoencoder", "motion": "regressor", "sampler": "flow"}
    motion: dict[str, Any] = {}
    for group, name in types.items():
        settings = _renamed(group, old.get(group, {}))
        if isinstance(settings, dict):
            settings = {"type": name} | settings
        if group == "codec":
            new["renderer"] = settings
        else:
            motion[name] = settings
    new["motion"] = motion
    if "listener" in old:
        new["streaming_encoder"] = _renamed("listener", old["listener"])
    stages = []
    for group, stage in STAGES.items():
        settings = _renamed(group, old.get(group, {}))
        stages.append({"type": stage} | settings if isinstance(settings, dict) else settings)
    new["stages"] = stages
    return new


def upgrade_setting(path: str) -> str:
    """The path of a setting of talkers 0.1 among today's: codec_training.batch, for example."""
    group, dot, rest = path.partition(".")
    if not dot or group not in GROUPS or path.startswith(("motion.regressor.", "motion.flow.")):
        return path
    known = SETTINGS[""] | SETTINGS.get(group, {})
    return ".".join([GROUPS[group], *(known.get(key, key) for key in rest.split("."))])


def new_name(component: str, name: str) -> str:
    """A weight's name in a file of format 3 -> today's."""
    patterns = _SPACE_NAMES if component == "space" else _WEIGHT_NAMES.get(component, ())
    for pattern, replacement in patterns:
        name = re.sub(pattern, replacement, name)
    return name


_CALIBRATION = ("articulation", "live_articulation", "sampler_articulation", "sampler_pose")


def upgrade_about(old: Mapping[str, Any]) -> dict[str, Any]:
    """avatar.json of format 3 as format 4; what is damaged in it stays so, and is found."""
    recipe = old.get("recipe")
    new = {
        key: value for key, value in old.items() if key not in _CALIBRATION and key != "begun_with"
    }
    new["format_version"] = 4
    if isinstance(recipe, dict):
        new["recipe"] = upgrade_recipe(recipe)
    head = old.get("head")
    if isinstance(head, dict):
        new["head"] = {
            "translation_from_rotation" if key == "follows" else key: value
            for key, value in head.items()
        }
    training = old.get("training")
    if isinstance(training, dict):
        names = {"motion": "regressor", "sampler": "flow", "listener": "streaming_encoder"}
        new["training"] = {names.get(stage, stage): value for stage, value in training.items()}
    new["initialized_from"] = old.get("begun_with")
    new["calibration"] = {
        "motion/regressor": {
            "articulation": old.get("articulation"),
            "live": old.get("live_articulation"),
        },
        "motion/flow": {
            "articulation": old.get("sampler_articulation"),
            "pose": old.get("sampler_pose"),
        },
    }
    new["components"] = {name: f"{file}.safetensors" for name, file in COMPONENTS.items()}
    new["components"]["space"] = f"{COMPONENTS['motion/regressor']}.safetensors"
    return new


def renaming(component: str) -> Callable[[str], str]:
    """How the weights in a component's file of format 3 are named today; those of the motion
    space, which every motion model had a copy of, begin with "space."."""

    def today(name: str) -> str:
        if component.startswith("motion/") and SPACE.fullmatch(name):
            return f"space.{new_name('space', name)}"
        return new_name(component, name)

    return today
