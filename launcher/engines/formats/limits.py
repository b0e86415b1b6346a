"""What no engine, or not this one, can do for a plan: said when planning, not found out when training."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.errors import EngineError, Problem
from launcher.spec.plan import RunPlan

__all__ = ["cannot", "common_limits", "needs_deepspeed", "refuse"]


def cannot(path: str, message: str, *because: str, hint: str) -> Problem:
    """A problem [engine-cannot]."""
    return Problem(code="engine-cannot", path=path, message=message, because=because, hint=hint)


def refuse(problems: Iterable[Problem]) -> None:
    """Raise EngineError with every error among the problems."""
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise EngineError(errors)


def common_limits(plan: RunPlan) -> tuple[Problem, ...]:
    """What none of the built-in engines can do."""
    found = []
    if plan.precision.compute == "fp8" and plan.layout.device_kind == "cpu":
        found.append(
            cannot("precision", "`precision: fp8` does not exist on CPU", hint="write precision: bf16")
        )
    return tuple(found)


def needs_deepspeed(plan: RunPlan, *, engine: str) -> tuple[Problem, ...]:
    """What only DeepSpeed carries out, for a plan in which it takes no part."""
    if plan.optimizer.owner != "engine":
        return ()
    return (
        cannot(
            "optimizer.owner",
            f"`optimizer.owner: engine`: {engine} renders no optimizer",
            hint="write optimizer.owner: script, or use launch.engine: deepspeed",
        ),
    )
