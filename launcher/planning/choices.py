"""Choices that exclude one another, or that say less than they seem to, wherever no other part decides them."""

from __future__ import annotations

from launcher.errors import Problem
from launcher.planning.model import sequence_tokens
from launcher.spec.caller import INSIDE_IMAGES
from launcher.spec.recipe import Recipe

__all__ = ["choice_problems"]


def choice_problems(recipe: Recipe) -> tuple[Problem, ...]:
    """Problems of script, data kind, reference batch, clock and schedule owner."""
    found = []
    launch, owner = recipe.launch, recipe.schedule.owner
    optimizer = recipe.optimizer
    if optimizer.reference_batch_size is not None and optimizer.reference_batch_tokens is not None:
        found.append(
            Problem(
                code="ambiguous-batch",
                path="optimizer.reference_batch_tokens",
                message=f"`optimizer.reference_batch_size: {optimizer.reference_batch_size}` and "
                f"`optimizer.reference_batch_tokens: {optimizer.reference_batch_tokens}` are both written; "
                "expected one of them",
                hint="keep optimizer.reference_batch_size",
            )
        )
    if recipe.schedule.clock == "tokens" and sequence_tokens(recipe) is None:
        found.append(
            Problem(
                code="tokens-need-sequence-length",
                path="schedule.clock",
                message="`schedule.clock: tokens` cannot count: `sequence_length` is absent",
                hint="write sequence_length, or schedule.clock: samples",
            )
        )
    if launch.script is not None and launch.module is not None:
        found.append(
            Problem(
                code="ambiguous-script",
                path="launch.module",
                message=f"`launch.script: {launch.script}` and `launch.module: {launch.module}` are both written; "
                "expected one of them",
                hint="keep launch.script",
            )
        )
    if recipe.data.kind == "stream":
        found.append(
            Problem(
                code="order-unproven",
                severity="note",
                path="data.kind",
                message="`data.kind: stream` has no numbered samples: their order cannot be proven or repeated",
                hint="use data.kind: map where the data allows it",
            )
        )
    if owner not in {"auto", "runtime", "script"} and not owner.startswith(("engine:", "script:")):
        found.append(
            Problem(
                code="bad-choice",
                path="schedule.owner",
                message=f"`schedule.owner: {owner}` is not one of runtime, script, script:NAME, engine:NAME",
                hint="write schedule.owner: runtime, or drop it",
            )
        )
    return (*found, *_of_images(recipe))


def _of_images(recipe: Recipe) -> tuple[Problem, ...]:
    """A folder of this machine where the job sees nothing of it."""
    launch = recipe.launch
    if launch.executor not in INSIDE_IMAGES or launch.workdir.startswith("/"):
        return ()
    problem = Problem(
        code="workdir-not-found",
        severity="warning",
        path="launch.workdir",
        message=f"`launch.workdir: {launch.workdir}` is taken from the recipe's folder, which images do not have",
        hint="write the path inside the image: `workdir: /workspace`",
    )
    return (problem,)
