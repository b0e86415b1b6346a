"""The words every engine's command ends with: the witness, the script, its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcher.errors import Problem
from launcher.planning.placeholders import PLAN_PATH, fill
from launcher.spec.plan import LaunchPlan

__all__ = ["WITNESS", "argument_problems", "main_address", "missing_script", "script_words", "tool_words"]

WITNESS = "batchwright_witness"


def tool_words(launch: LaunchPlan, *, console: tuple[str, ...], module: str) -> tuple[str, ...]:
    """How the engine's own tool is started: its console script, or as a module of another interpreter."""
    return console if launch.python == "python3" else (launch.python, "-m", module)


def main_address(launch: LaunchPlan, hosts: Sequence[str]) -> str:
    """Where the ranks meet: as written, else the first host."""
    return hosts[0] if launch.main_address == "auto" else launch.main_address


def script_words(launch: LaunchPlan, values: Mapping[str, str | None]) -> tuple[str, ...]:
    """The module that runs the script, with the plan, the script and its arguments filled in."""
    what = ("--module", launch.module) if launch.script is None else (launch.script,)
    words = (fill(text, values, path="").text for text in launch.args)
    return (WITNESS, "--plan", PLAN_PATH, *(word for word in what if word is not None), *words)


def missing_script(launch: LaunchPlan) -> tuple[Problem, ...]:
    """A plan without a script is a plan; there is nothing to render."""
    if launch.script is not None or launch.module is not None:
        return ()
    return (
        Problem(
            code="missing-script",
            path="launch",
            message="`launch` names neither script nor module; expected one of them",
            hint="write launch.script",
        ),
    )


def argument_problems(launch: LaunchPlan, values: Mapping[str, str | None]) -> tuple[Problem, ...]:
    """What is wrong with the placeholders of the arguments."""
    return tuple(
        problem
        for at, text in enumerate(launch.args)
        for problem in fill(text, values, path=f"launch.args.{at}").problems
    )
