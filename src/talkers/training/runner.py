"""Drive the stages of a training one after another."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from talkers.errors import UsageError
from talkers.training.contract import Run, Stage
from talkers.training.loop import LoopOptions, fit
from talkers.training.progress import TrainingProgress


def in_order(stages: Sequence[Stage]) -> list[Stage]:
    """Stages in an order in which each finds what it needs, otherwise as they are given.

    Raises:
        UsageError: a stage needs what none of them trains, or two train the same.
    """
    slots = [stage.trains for stage in stages]
    if len(set(slots)) < len(slots):
        twice = next(slot for slot in slots if slots.count(slot) > 1)
        raise UsageError(f"two stages train '{twice}'", todo="Leave one of them out")
    waiting, ordered = list(stages), list[Stage]()
    while waiting:
        done = {stage.trains for stage in ordered}
        ready = next((stage for stage in waiting if done.issuperset(stage.needs)), None)
        if ready is None:
            unmet = [(stage, slot) for stage in waiting for slot in stage.needs if slot not in done]
            stage, slot = next(((s, need) for s, need in unmet if need not in slots), unmet[0])
            raise UsageError(
                f"the stage '{stage.name}' needs '{slot}', which no stage before it trains",
                todo=f"Add a stage that trains '{slot}'",
            )
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def run_stage(stage: Stage, run: Run) -> nn.Module | None:
    """Run a stage to its end, or go on with it.

    Args:
        stage: what is trained.
        run: the training.

    Returns:
        the component with its averaged weights, or None where it sees 0 frames and there is none
        to take from another avatar.
    """
    if not stage.config.frames:
        return stage.reuse(run)
    data = stage.data(run)  # before the budget is asked: what it takes comes off what is left
    seconds = run.budget(stage.name) if run.budget is not None else None
    progress = TrainingProgress(stage.config.frames, seconds)
    module = stage.module(run, data, progress)
    fit(module, stage.name, data, LoopOptions(run.folder, run.report, run.trainer_options))
    stage.finish(run, data, module.model)
    return module.model


def run_stages(stages: Sequence[Stage], run: Run) -> dict[str, nn.Module]:
    """Run all stages in order.

    Args:
        stages: of the recipe.
        run: the training; its components are filled.

    Returns:
        the components, by slot.
    """
    for stage in in_order(stages):
        component = run_stage(stage, run)
        if component is not None:
            run.components[stage.trains] = component
    return run.components
