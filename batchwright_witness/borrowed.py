"""What the witness borrows from `launcher`: taken from beside this package, kept by reference, gone from sys.modules.

By file location and not through sys.path: `python -m` puts the current folder first, where a repository may keep a
`launcher.py` of its own, and that one is the script's.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launcher.errors import Problem
    from launcher.spec.plan import RunPlan

__all__ = ["HOME", "Borrowed", "borrow", "load_ours"]

HOME = Path(__file__).resolve().parent.parent / "launcher"
"""Our `launcher` package: installed or editable, it lies beside this one."""


class Borrowed:
    """The functions and types that the witness uses."""

    def __init__(self, load: Any) -> None:
        self._plan_type = load("spec.plan").RunPlan
        self._from_plain = load("spec.plain").from_plain
        self._problem = load("errors").Problem
        rates = load("planning.learning_rate")
        self.rate_at: Callable[..., float] = rates.learning_rate_at
        self._rate_of_step = rates.learning_rate_of_step
        self.draw: Callable[..., float] = load("planning.schedulers.drawing").compiled_rate

    def problem(self, code: str, message: str, *because: str, hint: str = "") -> Problem:
        """A complaint in the words every other part uses."""
        problem: Problem = self._problem(code=code, message=message, because=because, hint=hint)
        return problem

    def rate_of_step(self, plan: RunPlan, step: int, *, skipped: int = 0) -> float | None:
        """The learning rate planned for an optimizer step; its number, from 1, is without those skipped before it."""
        if (
            plan.learning_rate is None or plan.stages
        ):  # of a stage, the number of a step does not tell its samples
            return None
        if plan.learning_rate.compiled is not None:
            peak = plan.learning_rate.peak_learning_rate
            return self.draw(plan.learning_rate.compiled, peak=peak, step=step)
        batch = plan.batch.global_batch_size
        rate: float = self._rate_of_step(
            schedule=plan.learning_rate.schedule,
            samples_after=(step + skipped) * batch,
            global_batch_size=batch,
        )
        return rate

    def read_plan(self, path: str) -> RunPlan:
        """The plan; OSError, ValueError, KeyError or TypeError when it cannot be read."""
        plan: RunPlan = self._from_plain(self._plan_type, json.loads(Path(path).read_text(encoding="utf-8")))
        return plan


def borrow(plan: str) -> tuple[Borrowed, RunPlan | str]:
    """What we use of `launcher`, and the plan (or why it cannot be read); sys.modules is left as it was found."""
    before = {name: module for name, module in sys.modules.items() if _is_launcher(name)}
    for name in before:
        del sys.modules[name]
    try:
        borrowed = Borrowed(load_ours)
        try:
            return borrowed, borrowed.read_plan(plan)
        except (OSError, ValueError, KeyError, TypeError) as error:
            return borrowed, f"{type(error).__name__}: {error}"
    finally:
        for name in [name for name in sys.modules if _is_launcher(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def load_ours(name: str) -> Any:
    """A module of our `launcher`, whatever else has that name on sys.path; one that is loaded already stays."""
    if "launcher" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "launcher", HOME / "__init__.py", submodule_search_locations=[str(HOME)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules["launcher"] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"launcher.{name}")


def _is_launcher(name: str) -> bool:
    return name == "launcher" or name.startswith("launcher.")
