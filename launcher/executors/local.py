"""This machine: the commands of a bundle as they are."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.errors import Problem
from launcher.spec.bundle import LaunchBundle
from launcher.spec.plan import RunPlan

__all__ = ["EXECUTOR", "Local"]


class Local:
    """Starts what the engine renders, here."""

    name = "local"

    def check(self, plan: RunPlan) -> Sequence[Problem]:
        """Several nodes can be planned and rendered from here, not started: a warning, so that planning goes on."""
        nodes = plan.layout.num_nodes
        if nodes == 1:
            return ()
        return (
            Problem(
                code="not-yet-supported",
                severity="warning",
                path="launch.executor",
                message=f"`launch.executor: local` starts processes on this machine; the plan has {nodes} nodes",
                hint="start on each node what `batchwright render` prints for it",
            ),
        )

    def render(self, plan: RunPlan, bundle: LaunchBundle) -> LaunchBundle:  # noqa: ARG002 - the protocol's
        """The bundle as it is."""
        return bundle


EXECUTOR = Local()
