"""Every registered stage says what it trains and what it needs, and keeps to its settings."""

from __future__ import annotations

import re

import pytest

from talkers import registry
from talkers.systems.stages import StageConfig
from talkers.training.contract import Stage
from talkers.training.runner import in_order

NAMES = registry.names("stage")
SLOT = re.compile(r"renderer|motion/.+|speech/student")


def made(name: str) -> Stage:
    entry = registry.component("stage", name)
    stage: Stage = entry.load()(entry.config_class())
    return stage


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_is_what_its_settings_say(name: str) -> None:
    stage = made(name)
    assert isinstance(stage, Stage)
    assert isinstance(stage.config, StageConfig)
    assert stage.config.type == name
    assert stage.share == stage.config.share > 0
    assert SLOT.fullmatch(stage.trains)
    assert all(SLOT.fullmatch(slot) for slot in stage.needs)
    assert stage.trains not in stage.needs


def test_stages_run_after_what_they_need() -> None:
    stages = [made(name) for name in ("streaming_encoder", "flow", "regressor", "codec")]
    done: set[str] = set()
    for stage in in_order(stages):
        assert set(stage.needs) <= done
        done.add(stage.trains)
    assert "renderer" in done
