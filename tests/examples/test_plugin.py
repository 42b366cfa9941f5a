"""The example plug-in: installed, found, trained from the command line, and speaking."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from talkers.corpus import Corpus
from talkers.media import decode_frames

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "examples" / "plugin"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the plug-in is installed, in a folder of its own."""
    target = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    install = [sys.executable, "-m", "pip", "install", *options, "--target", str(target)]
    subprocess.run([*install, str(PLUGIN)], check=True)
    paths = [str(target), str(ROOT / "src"), str(ROOT / "tests" / "support")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def run(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, in that environment."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_components_are_found_by_their_entry_point(environment: dict[str, str]) -> None:
    code = (
        "import json, sys; from talkers.registry import names;"
        "found = {k: names(k) for k in ('renderer', 'motion_model', 'expert', 'recipe')};"
        "found['imported'] = 'talkers_eigenfaces.renderer' in sys.modules;"
        "print(json.dumps(found))"
    )
    done = run(environment, "-c", code)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "eigenfaces" in found["renderer"]
    assert "recurrent" in found["motion_model"]
    assert "loudness_agreement" in found["expert"]
    assert "eigenfaces" in found["recipe"]
    assert not found["imported"]  # only when it is used


def test_its_expert_judges(environment: dict[str, str]) -> None:
    code = (
        "import numpy as np; from talkers.registry import component;"
        "from talkers.experts.contract import ExpertClip; from talkers.experts.mouths import Mouths;"
        "opening = np.clip(np.sin(np.arange(100) / 4), 0, 1).astype(np.float32);"
        "points = np.tile(opening[:, None], 81);"
        "mouths = Mouths(np.zeros((100, 48, 48), np.uint8), points);"
        "noise = np.random.default_rng(0).normal(size=64_000);"
        "sound = (noise * np.repeat(opening, 640)).astype(np.float32);"
        "speech = opening > 0; judge = component('expert', 'loudness_agreement').load();"
        "expert = judge('loudness_agreement');"
        "good = expert.scores(ExpertClip(mouths, 1.0, sound, speech))['loudness_agreement'];"
        "bad = expert.scores(ExpertClip(mouths, 1.0, sound[::-1].copy(), speech));"
        "assert good > 0.9 and bad['loudness_agreement'] < 0.5"
    )
    done = run(environment, "-c", code)
    assert done.returncode == 0, done.stderr


def test_it_passes_the_contract(environment: dict[str, str]) -> None:
    tests = PLUGIN / "tests"
    done = run(environment, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests)
    assert done.returncode == 0, done.stdout


@pytest.mark.long
def test_an_avatar_is_trained_by_it_and_speaks(
    environment: dict[str, str], corpus: Corpus, tmp_path: Path
) -> None:
    avatar, video = tmp_path / "avatar", tmp_path / "speech.mp4"
    recipe = "talkers_eigenfaces.recipes:tiny"
    fewer = ["--set", "stages.renderer.frames=4000", "stages.motion_model.frames=30000"]
    train = ["train", corpus.folder, "-o", avatar, "--recipe", recipe, *fewer]
    trained = run(environment, "-m", "talkers", *train)
    assert trained.returncode == 0, trained.stderr
    speech = corpus.folder / "clips" / "clip0.flac"
    spoken = run(environment, "-m", "talkers", "speak", speech, "--avatar", avatar, "-o", video)
    assert spoken.returncode == 0, spoken.stderr
    frames = np.stack(list(decode_frames(video)))
    assert frames.shape == (75, 64, 64, 3)
    # On held-out clips the mouth is what speech says; a still picture explains nothing.
    metrics = json.loads((avatar / "avatar.json").read_text())["metrics"]
    assert metrics["speech_given_pose"]["mouth_r2"] > 0.2 > metrics["mean_frame"]["mouth_r2"]
    # Where the plug-in is not installed, the avatar says what is missing.
    without = {**environment, "PYTHONPATH": str(ROOT / "src")}
    refused = run(without, "-m", "talkers", "inspect", avatar)
    assert refused.returncode == 5
    assert "eigenfaces" in refused.stderr
