"""`batchwright sharpness`: has a child process of the person's own interpreter measure a checkpoint. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.errors import HandoffError, PlanError, Problem
from launcher.measuring.child import Answer, ask, interpreter
from launcher.planning.memory.setting import Setting
from launcher.planning.memory.trace_choice import offered_arguments
from launcher.spec.plan import RunPlan
from launcher.spec.recipe import Recipe

__all__ = ["sharpness_of"]

_CHILD = "launcher.measuring.sharpness_child"


def sharpness_of(
    *,
    recipe: Recipe,
    plan: RunPlan,
    setting: Setting,
    checkpoint: Path,
    batch: Path | None,
    iterations: int,
    environ: Mapping[str, str],
    beside: Path,
    timeout_seconds: float,
) -> Mapping[str, Any]:
    """What was measured; JSON values.

    beside: folder of our own interpreter, where `launch.python` is looked for first.
    Raises PlanError where recipe, module or checkpoint are not to be measured, HandoffError where the child is lost.
    """
    if recipe.model.kind != "module" or recipe.model.module is None:
        raise PlanError([_no_module(recipe)])
    python = interpreter(recipe, environ=environ, beside=beside)
    if python is None:
        message = f"`launch.python: {recipe.launch.python}` is not an interpreter that is found here"
        raise HandoffError([_unmeasured(message, path="launch.python")])
    request = {
        "module": recipe.model.module,
        "directory": str(Path(recipe.directory).resolve()),
        "frozen": list(recipe.model.frozen),
        # what has a second derivative, and what needs none of its activations computed again
        "offered": {
            **offered_arguments(recipe, setting),
            "attention": "eager",
            "activation_checkpointing": "none",
        },
        "plan": plan.to_dict(),
        "checkpoint": str(checkpoint.absolute()),
        "batch": None if batch is None else str(batch.absolute()),
        "iterations": iterations,
        "tolerance": 0.01,
    }
    answer = ask(_CHILD, request, python=python, environ=environ, timeout_seconds=timeout_seconds)
    if answer.content is None:
        raise HandoffError([_lost(recipe.model.module, python, answer, timeout_seconds)])
    if "problem" in answer.content:
        found = answer.content["problem"]
        path = "launch.python" if "has no torch" in found["message"] else "model.module"
        raise PlanError([Problem(path=path, **{**found, "because": tuple(found["because"])})])
    content: Mapping[str, Any] = answer.content["sharpness"]
    return content


def _no_module(recipe: Recipe) -> Problem:
    return Problem(
        code="missing-key",
        path="model.module" if recipe.model.kind == "module" else "model.kind",
        message=f"there is no module to measure: `model.kind: {recipe.model.kind}`"
        f"{'' if recipe.model.module else ' without model.module'}",
        hint="write model.kind: module and model.module: package.file:function, "
        "or call launcher.measuring.sharpness from your own script",
    )


def _lost(module: str, python: Path, answer: Answer, seconds: float) -> Problem:
    if answer.code is None:
        message = f"`model.module: {module}` was not measured within {seconds:g} s"
        return _unmeasured(message, hint="give it longer with --timeout, or fewer products with --iterations")
    if answer.code > 0 and answer.printed and "No module named 'launcher" in answer.printed[-1]:
        message = f"{python} cannot import batchwright: {answer.printed[-1]}"
        return _unmeasured(message, path="launch.python")
    message = f"`model.module: {module}`: the process that measures it ended with {answer.ending}"
    hint = "a smaller batch needs less memory: --batch, or micro_batch_size"
    return _unmeasured(message, hint=hint, because=answer.printed)


def _unmeasured(
    message: str, *, path: str = "model.module", hint: str = "", because: tuple[str, ...] = ()
) -> Problem:
    hint = hint or "write launch.python: the interpreter of the environment that trains"
    return Problem(code="sharpness-unmeasured", path=path, message=message, because=because, hint=hint)
