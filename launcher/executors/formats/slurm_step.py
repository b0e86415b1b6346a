"""srun: one task per node, each of them our node program, which ends the others itself.

`--kill-on-bad-exit=0`, and `--wait` beyond the grace: a node that ends does not take the others' grace away. Nodes end
together, so whoever has not by then is on a host that is gone, for which srun would wait until Slurm gives it up
(SlurmdTimeout, 5 minutes and more). `--cpu-bind=none`: one task starts all processes of a node, on all its processors.
`--mpi=none`: no process of ours is MPI's.

Source: slurm@22.05 doc/man/man1/srun.1; pyxis@v0.20 README.md, "Usage".
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from launcher.executors.formats.site import wrapped
from launcher.spec.bundle import PYTHON, RUN_DIR
from launcher.spec.plan import RunPlan

__all__ = ["node_program", "step_words"]

_SLACK = 30
"""Seconds that nodes may end apart: each notices a silent host by itself, and waits as long for SIGKILL to work."""


def step_words(plan: RunPlan) -> tuple[str, ...]:
    """`srun` and its options for all nodes of the plan."""
    nodes = plan.layout.num_nodes
    return (
        "srun",
        f"--nodes={nodes}",
        f"--ntasks={nodes}",
        "--ntasks-per-node=1",
        "--kill-on-bad-exit=0",
        f"--wait={ceil(plan.launch.grace_seconds) + _SLACK}",
        "--cpu-bind=none",
        "--mpi=none",
        "--input=none",
        *_image(plan),
    )


def node_program(plan: RunPlan, *options: str) -> tuple[str, ...]:
    """The program of each node, after launch.setup and in launch.container."""
    container = plan.launch.container
    if container is not None and container.runtime == "pyxis":
        # srun has entered the image: what is set up is set up inside
        plan = replace(plan, launch=replace(plan.launch, container=None))
    return wrapped(plan, (PYTHON, "-m", "batchwright_node", RUN_DIR, *options))


def _image(plan: RunPlan) -> tuple[str, ...]:
    """Where pyxis enters the image: the run folder and the folder of the script are seen inside at the same place."""
    container = plan.launch.container
    if container is None or container.runtime != "pyxis":
        return ()
    mounts = (*container.mounts, f"{RUN_DIR}:{RUN_DIR}", f"{plan.launch.workdir}:{plan.launch.workdir}")
    return (f"--container-image={container.image}", f"--container-mounts={','.join(mounts)}")
