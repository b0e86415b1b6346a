"""What can be said against the marks and batches of stages before anything is counted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.errors import Problem
from launcher.planning.model import sequence_tokens
from launcher.planning.stages.timeline import Leg
from launcher.spec.recipe import Recipe

if TYPE_CHECKING:
    from launcher.planning.stages.written import StageRecipe

__all__ = ["mark_problems", "no_end", "whole_everywhere"]


def mark_problems(stages: tuple[StageRecipe, ...]) -> list[Problem]:
    """What is wrong with the marks alone: absent in the middle, without a length to count tokens in, out of order."""
    found: list[Problem] = []
    before: dict[str, StageRecipe] = {}
    for stage in stages:
        if stage.end is None:
            if stage.number < stage.count:
                found.append(_without_end(stage))
            continue
        amount, unit = stage.end
        earlier = before.get(unit)
        if unit == "tokens" and any(sequence_tokens(each.recipe) is None for each in stages):
            found.append(_without_length(stage))
        elif earlier is not None and earlier.end is not None and amount <= earlier.end[0]:
            found.append(_out_of_order(stage, earlier))
        before[unit] = stage
    return found


def no_end(stages: tuple[StageRecipe, ...], place: int, leg: Leg) -> Problem:
    """A stage that holds no step, or none after which the next one can begin."""
    stage, earlier = stages[place], stages[place - 1]
    if leg.steps != 0:
        return _inside_a_sequence(stage, stages[place + 1], leg)
    tokens = "" if leg.tokens_before is None else f" and {leg.tokens_before} tokens"
    return Problem(
        code="stage-holds-no-step",
        path=f"{stage.path}.until",
        message=f"`{stage.path}.until: {stage.written.until}`: stage {stage.number} of {stage.count} holds no step",
        because=(f"stage {earlier.number} ends after {leg.samples_before} samples{tokens}",),
        hint=f"drop stage {stage.number}, or end it later",
    )


def whole_everywhere(
    recipe: Recipe, stages: tuple[StageRecipe, ...], problems: tuple[Problem, ...]
) -> list[Problem]:
    """The run's tokens per step that are whole sequences of every stage, where a stage refuses those written."""
    kept = [
        stage
        for stage in stages
        if stage.written.global_batch_size is None and stage.written.global_batch_tokens is None
    ]
    lengths = [length for stage in kept if (length := sequence_tokens(stage.recipe)) is not None]
    if recipe.global_batch_tokens is None or not lengths:
        return list(problems)
    unit = math.lcm(*lengths)
    below = recipe.global_batch_tokens.number // unit * unit
    exact = " or ".join(str(tokens) for tokens in (below, below + unit) if tokens)
    paths = {stage.path for stage in kept}
    return [
        replace(problem, hint=f"write global_batch_tokens: {exact}, whole in every stage")
        if problem.code == "batch-tokens-not-whole" and problem.path in paths
        else problem
        for problem in problems
    ]


def _without_end(stage: StageRecipe) -> Problem:
    return Problem(
        code="stage-without-end",
        path=f"{stage.path}.until",
        message=f"`{stage.path}.until` is missing: stage {stage.number} of {stage.count} is not the last one",
        hint="write until: 250B tokens, or until: 1M samples, counted from the start of the run",
    )


def _without_length(stage: StageRecipe) -> Problem:
    return Problem(
        code="tokens-need-sequence-length",
        path=f"{stage.path}.until",
        message=f"`{stage.path}.until: {stage.written.until}` cannot become samples: `sequence_length` is absent",
        hint="write sequence_length, or until in samples",
    )


def _out_of_order(stage: StageRecipe, earlier: StageRecipe) -> Problem:
    return Problem(
        code="stages-out-of-order",
        path=f"{stage.path}.until",
        message=f"`{stage.path}.until: {stage.written.until}` is not past `{earlier.path}.until: "
        f"{earlier.written.until}`; expected marks in order, counted from the start of the run",
        hint="put the stages in order, or add what comes before to the mark",
    )


def _inside_a_sequence(stage: StageRecipe, following: StageRecipe, leg: Leg) -> Problem:
    length = sequence_tokens(following.recipe)
    return Problem(
        code="stage-ends-inside-a-sequence",
        path=f"{stage.path}.until",
        message=f"stage {stage.number} of {stage.count} never ends where a sequence of {length} tokens begins",
        because=(
            f"it starts after {leg.tokens_before} tokens and takes {leg.per_step('tokens')} in each step",
        ),
        hint=f"use another batch in stage {stage.number}, or start it at a multiple of {length} tokens",
    )
