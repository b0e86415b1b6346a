"""This machine: the commands of a bundle, after launch.setup and inside launch.container."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from launcher.errors import Problem
from launcher.executors.formats.site import container_problems, wrapped
from launcher.spec.bundle import MAIN_ADDRESS, LaunchBundle
from launcher.spec.plan import RunPlan

__all__ = ["EXECUTOR", "Local"]


class Local:
    """Starts what the engine renders, here."""

    name = "local"

    def check(self, plan: RunPlan) -> Sequence[Problem]:
        """Several nodes can be planned and rendered from here, not started: a warning, so that planning goes on."""
        nodes = plan.layout.num_nodes
        found = container_problems(plan.launch.container, executor=self.name)
        if nodes == 1:
            return found
        return (
            *found,
            Problem(
                code="not-yet-supported",
                severity="warning",
                path="launch.executor",
                message=f"`launch.executor: local` starts processes on this machine; the plan has {nodes} nodes",
                hint="write launch.executor: ssh, slurm or kubernetes",
            ),
        )

    def render(self, plan: RunPlan, bundle: LaunchBundle) -> LaunchBundle:
        """The bundle as it is for one node, where the site wants nothing around its command."""
        launch = plan.launch
        if plan.layout.num_nodes == 1 and not launch.setup and launch.container is None:
            return bundle
        return replace(
            bundle,
            commands=tuple(
                replace(each, host=_named(each.host), argv=wrapped(plan, tuple(map(_named, each.argv))))
                for each in bundle.commands
            ),
        )


EXECUTOR = Local()


def _named(word: str) -> str:
    """With a name for a main node that nobody named: a person who types the commands has to know which one it is."""
    return word.replace(MAIN_ADDRESS, "node-0")
