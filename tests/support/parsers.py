"""The parsers that damaged files are given to, and what keeps count of how they end: of tests and benchmarks."""

from __future__ import annotations

import faulthandler
import json
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from talkers.artefacts.weights import write_weights
from talkers.controls.request import Controls
from talkers.corpus.store import FORMAT_VERSION as CORPUS_VERSION
from talkers.corpus.store import Corpus
from talkers.corpus.table import Measurements, frames_table
from talkers.errors import TalkersError
from talkers.experts.words import frame_labels, read_alignment
from talkers.face.landmarks import BLENDSHAPES
from talkers.renderers.diffusion_autoencoder.appearance import AppearanceConfig
from talkers.runtime.avatar import Avatar
from talkers.runtime.bundle import FORMAT_VERSION, component_file
from talkers.runtime.components import build_component
from talkers.speech.streaming import StreamingSpeechEncoder
from talkers.systems.dae_talker import tiny
from talkers.systems.recipe import Recipe, from_dict, to_dict, with_settings
from talkers.training.budget import elapsed
from talkers.training.checkpoint import SafetensorsCheckpointIO
from talkers.training.folder import initialized_from, start_folder
from talkers.training.initial import initialise_from

SLOW = 2.0  # seconds of CPU time that an input may take
STUCK = 60.0  # seconds after which a parser is ended
FEATURES = 8  # width of the speech features of the avatar that is damaged


class Parser(NamedTuple):
    """Valid files, and what reads one that was put in the place of one of them."""

    files: dict[str, bytes]
    read: Callable[[Path], object]  # of the folder or file


def small_recipe() -> Recipe:
    """The smallest recipe that has every part."""
    base = tiny()
    unet = replace(
        base.renderer.unet,
        channels=4,
        time_width=4,
        latent_map=2,
        positional=1,
        appearance=AppearanceConfig(2, 2, 4),
    )
    encoder = replace(base.renderer.encoder, channels=4, components=2, small=2, pool=1)
    motion = {
        "regressor": replace(base.motion["regressor"], width=8, kernel=3, pose_hidden=2),
        "flow": replace(base.motion["flow"], width=8, blocks=1, kernel=3, components=2),
    }
    student = replace(base.streaming_encoder, width=8, blocks=2, kernel=3, dilations=(1, 2))
    return replace(
        base,
        renderer=replace(base.renderer, size=32, latent=8, unet=unet, encoder=encoder),
        motion=motion,
        streaming_encoder=student,
    )


def networks(recipe: Recipe, features: int = FEATURES) -> dict[str, torch.nn.Module]:
    """The components of an avatar, untrained, by their names in it."""
    renderer = build_component("renderer", recipe.renderer)
    space = build_component("space", recipe.space, renderer.motion_width)
    motion = {
        f"motion/{key}": build_component("motion_model", config, features, space)
        for key, config in recipe.motion.items()
    }
    student = StreamingSpeechEncoder(recipe.streaming_encoder, features)
    return {"renderer": renderer, "space": space, **motion, "speech/student": student}


def written(folder: Path) -> dict[str, bytes]:
    """The files of a folder by their paths within it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def avatar_parser(folder: Path) -> Parser:
    """An avatar with every component; all of it is read and its controls are resolved."""
    recipe = small_recipe()
    head = {key: np.ones(7).tolist() for key in ("mean", "std", "low", "high")}
    torch.manual_seed(0)
    components = networks(recipe)
    for name, network in components.items():
        form = "int8" if name == "renderer" else "float16"
        write_weights(folder / component_file(name), network.state_dict(), form)
    about = {
        "format_version": FORMAT_VERSION,
        "talkers": "0.1.0",
        "recipe": to_dict(recipe),
        "components": {name: component_file(name) for name in components},
        "speech": {"encoder": "log-mel", "width": FEATURES},
        "head": head | {"translation_from_rotation": np.ones((3, 3)).tolist()},
        "calibration": {
            "motion/regressor": {"articulation": [0.4, 1.1, 1.9]},
            "motion/flow": {"articulation": 1.0, "pose": 1.0},
        },
        "data": {"digest": "0", "clips": 1, "held_out": ["a"]},
        "consent": "drawn",
        "metrics": {"codec": {"psnr": 30.0}},
    }
    (folder / "avatar.json").write_text(json.dumps(about))

    def read(path: Path) -> object:
        avatar = Avatar.load(path, "cpu")
        for key in avatar.engine.motion:
            kind: Any = "sampler" if key == "flow" else "regressor"
            avatar.resolve_controls(0, Controls(motion=kind))
        return avatar.inspect(), avatar.frame_rate, initialized_from(path)

    return Parser(written(folder), read)


def corpus_parser(folder: Path) -> Parser:
    frames, clips = 3, []
    tables = []
    for name in ("a", "b"):
        marks, shapes = (
            np.ones((frames, 478, 2), np.float32),
            np.zeros((frames, len(BLENDSHAPES)), np.float32),
        )
        seen = np.ones(frames, np.int8)
        tables.append(
            frames_table(
                name,
                Measurements(np.zeros((frames, 3), np.float32), marks, shapes, seen, seen > 0),
                64,
                25,
            )
        )
        clips.append(
            {
                "name": name,
                "frames": frames,
                "source": "a.mp4",
                "sha256": "0" * 64,
                "gaps": [[0, 1]],
                "crop": {"left": 0, "top": 0, "side": 64, "size": 64},
                "transcript": "hello",
            }
        )
    pq.write_table(pa.concat_tables(tables).unify_dictionaries(), folder / "frames.parquet")
    about = {
        "format_version": CORPUS_VERSION,
        "talkers": "0.1.0",
        "size": 64,
        "rate": "25",
        "frames": 2 * frames,
        "seconds": 0.24,
        "consent": None,
        "licence": None,
        "face_heights": {"64x64": 30.0},
        "clips": clips,
    }
    (folder / "corpus.json").write_text(json.dumps(about))

    def read(path: Path) -> object:
        corpus = Corpus(path)
        for clip in corpus.clips:
            (
                path / "clips" / f"{clip.name}.mp4",
                (clip.transcript or "").split(),
                clip.frames / corpus.rate,
            )
            (
                corpus.pose(clip.name),
                corpus.column("landmarks", clip.name),
                corpus.column("blendshapes", clip.name),
                corpus.column("speech", clip.name).mean(),
            )
        return corpus.digest()

    return Parser(written(folder), read)


def recipe_parser(folder: Path) -> Parser:
    """Settings as `--set` takes them, one a line, a recipe as avatar.json holds it, and the one of a training that has begun:
    what is not refused can be built."""
    plain, corpus = to_dict(tiny()), Corpus.__new__(Corpus)
    corpus.size, corpus.rate, corpus.clips = 64, 25, []
    (folder / "training").mkdir()
    (folder / "recipe.json").write_text(json.dumps(plain))
    (folder / "training" / "recipe.json").write_text(
        json.dumps({**plain, "data": corpus.digest(), "budget": None})
    )
    (folder / "settings.txt").write_text(
        "renderer.size=64\nmotion.regressor.width=64\nrenderer.unet.multipliers=[1, 2]\n"
        "streaming_encoder.dilations=[1, 2]\nname=a"
    )

    def read(path: Path) -> object:
        recipes = [
            with_settings(
                tiny(),
                (path / "settings.txt").read_bytes().decode("utf-8", "surrogateescape").split("\n"),
            )
        ]
        try:
            values = json.loads((path / "recipe.json").read_bytes())
        except (ValueError, RecursionError):
            values = None  # read with the avatar.json around it
        recipes.append(from_dict(values))
        with torch.device("meta"):
            for recipe in recipes:
                networks(recipe)
        return start_folder(path, tiny(), corpus, None, True), initialized_from(path)

    return Parser(written(folder), read)


def pose_parser(folder: Path) -> Parser:
    (folder / "pose.csv").write_text("time,yaw,pitch,roll\n0,1,2,3\n0.5,-1,-2.5,3e1\n")
    (folder / "pose.json").write_text(
        json.dumps([{"time": 0, "yaw": 1.5}, {"time": 0.5, "yaw": -2}])
    )
    (folder / "constant.txt").write_text("yaw=5,pitch=-2")

    def read(path: Path) -> object:
        constant = (path / "constant.txt").read_bytes().decode("utf-8", "surrogateescape")
        return [
            Controls(pose=str(pose)).curves()
            for pose in (path / "pose.csv", path / "pose.json", constant)
        ]

    return Parser(written(folder), read)


def alignment_parser(folder: Path) -> Parser:
    (folder / "a.align").write_text(
        "0 12000 sil\n12000 18000 bin\n18000 25000 blue\n25000 30000 at\n30000 31000 sp\n31000 74500 sil\n"
    )
    return Parser(written(folder), lambda path: frame_labels(read_alignment(path / "a.align"), 75))


def checkpoint_parser(folder: Path) -> Parser:
    (folder / "training").mkdir()
    torch.manual_seed(0)
    network = torch.nn.Conv2d(2, 2, 1)
    pace = {"frames": 10, "budget": None, "seen": 5, "spent": 1.5}
    state = {
        "epoch": 0,
        "global_step": 5,
        "state_dict": {f"codec.{k}": v for k, v in network.state_dict().items()},
        "callbacks": {"TrainingProgress": pace},
        "optimizer_states": [
            {
                "state": {0: {"step": 5.0, "exp_avg": torch.zeros(2, 2, 1, 1)}},
                "param_groups": [{"betas": (0.9, 0.99)}],
            }
        ],
    }
    SafetensorsCheckpointIO().save_checkpoint(state, folder / "training" / "codec-000000005.ckpt")

    def read(path: Path) -> object:
        initialise_from(path, "codec", "renderer", network)
        return elapsed(path / "training")

    return Parser(written(folder), read)


PARSERS: dict[str, Callable[[Path], Parser]] = {
    "avatar": avatar_parser,
    "corpus": corpus_parser,
    "recipe": recipe_parser,
    "pose": pose_parser,
    "alignment": alignment_parser,
    "checkpoint": checkpoint_parser,
}


class Trial:
    """Tries inputs and keeps count.

    Args:
        folder: holds the parser's valid files. keep: folder for inputs that ended badly.
    """

    def __init__(self, parser: Parser, folder: Path, keep: Path | None = None):
        self.parser, self.folder, self.keep = parser, folder, keep
        self.ends, self.bad = Counter[str](), dict[str, dict[str, Any]]()
        self.slowest = 0.0

    def ends_as(self, name: str, content: bytes) -> None:
        """Put content in the place of a valid file and read all.

        Raises:
            TalkersError, and whatever else the parser does.
        """
        path = self.folder / name
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                str(self.parser.read(self.folder))
        finally:
            path.write_bytes(self.parser.files[name])

    def one(self, name: str, content: bytes) -> None:
        """Try an input."""
        begin = time.process_time()
        (self.folder.parent / "last").write_bytes(content)
        faulthandler.dump_traceback_later(STUCK, exit=True)
        try:
            self.ends_as(name, content)
            self.ends["read"] += 1
        except TalkersError:
            self.ends["told"] += 1
        except (Exception, RecursionError) as error:
            self.ends["bad"] += 1
            frame = traceback.extract_tb(error.__traceback__)[-1]
            ours = [
                f for f in traceback.extract_tb(error.__traceback__) if "talkers" in f.filename
            ] or [frame]
            self._found(
                type(error).__name__,
                f"{Path(ours[-1].filename).name}:{ours[-1].lineno}",
                str(error).split("\n")[0][:200],
                name,
                content,
            )
        finally:
            faulthandler.cancel_dump_traceback_later()
        took = time.process_time() - begin
        self.slowest = max(self.slowest, took)
        if took > SLOW:
            self._found("slow", "", f"{took:.1f} s", name, content)

    def _found(self, kind: str, where: str, line: str, name: str, content: bytes) -> None:
        entry = self.bad.setdefault(
            f"{kind} {where} {name if kind == 'slow' else ''}",
            {"kind": kind, "where": where, "line": line, "times": 0},
        )
        entry["times"] += 1
        if self.keep is not None and "input" not in entry:
            self.keep.mkdir(parents=True, exist_ok=True)
            kept = self.keep / f"{len(self.bad)}-{name.replace('/', '-')}"
            kept.write_bytes(content)
            entry["input"] = str(kept)
