"""The two things another package may bring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from launcher.errors import Problem
from launcher.spec.bundle import LaunchBundle
from launcher.spec.plan import RunPlan

__all__ = ["Engine", "Executor"]


class Engine(Protocol):
    """Turns a plan into native files and commands. Pure: the same plan gives the same bytes on any machine."""

    name: str
    requirements: tuple[str, ...]
    """Executables that must be on every node."""

    def check(self, plan: RunPlan) -> Sequence[Problem]:
        """What this engine cannot express of the plan."""

    def render(self, plan: RunPlan, hosts: Sequence[str]) -> LaunchBundle:
        """Files and commands; one command per host, or one for the first."""


class Executor(Protocol):
    """Wraps the commands of a bundle for the place where they run. Pure."""

    name: str

    def check(self, plan: RunPlan) -> Sequence[Problem]:
        """What this executor cannot do for the plan."""

    def render(self, plan: RunPlan, bundle: LaunchBundle) -> LaunchBundle:
        """The bundle with what the executor adds.

        An executor that only reaches the nodes keeps the engine's commands in `nodes` and puts its own into
        `commands`, the words that end the job into `stop`, and into `log` the file that a scheduler writes. Each node
        then runs `PYTHON -m batchwright_node RUN_DIR`. Whatever depends on the machine has to stand in the plan.
        """
