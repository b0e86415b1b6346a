"""torchrun: starts the processes and lets them find each other; the script does all else.

Where nobody chose a port, a single node meets on one that torchrun picks itself (`--standalone`); its own default is
29500 for every job. `--local_addr` keeps that meeting off the network: a host name that does not resolve would
break it. `--` before the script: argparse reads on in the script's arguments, and one named `--log` would be
refused as ambiguous.

Source: torch@2.13.0 torch/distributed/run.py:run, config_from_args.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcher.engines.formats.environment import environment, environment_problems, visible_devices
from launcher.engines.formats.limits import common_limits, needs_deepspeed, refuse
from launcher.engines.formats.native import flag_problems, unused_problems
from launcher.engines.formats.script_command import (
    argument_problems,
    main_address,
    missing_script,
    script_words,
    tool_words,
)
from launcher.errors import Problem
from launcher.planning.placeholders import placeholder_values
from launcher.spec.bundle import MAIN_PORT, LaunchBundle, NodeCommand
from launcher.spec.plan import RunPlan

__all__ = ["ENGINE", "Torchrun"]

_NODES = "write cluster.nodes and cluster.devices_per_node"
_NETWORK = "write launch.network"
_SCRIPT = "write launch.script or launch.module"
_OWNED_FLAGS = {
    "nnodes": _NODES,
    "nproc_per_node": _NODES,
    "node_rank": _NODES,
    "master_addr": _NETWORK,
    "master_port": _NETWORK,
    "local_addr": _NETWORK,
    "standalone": _NETWORK,
    "rdzv_backend": _NETWORK,
    "rdzv_endpoint": _NETWORK,
    "rdzv_id": _NETWORK,
    "rdzv_conf": _NETWORK,
    "max_restarts": "write launch.restarts",
    "module": _SCRIPT,
    "m": _SCRIPT,
    "no_python": _SCRIPT,
    "run_path": _SCRIPT,
    "virtual_local_rank": "write cluster.devices",
}


class Torchrun:
    """One command per node."""

    name = "torchrun"
    requirements = ("torchrun",)

    def check(self, plan: RunPlan) -> Sequence[Problem]:
        """Flags the plan owns, and words that cannot be rendered; planning has made sure who shards."""
        values = placeholder_values(plan, files=())
        native = {"deepspeed": plan.launch.native_deepspeed, "accelerate": plan.launch.native_accelerate}
        return (
            *common_limits(plan),
            *needs_deepspeed(plan, engine=self.name),
            *argument_problems(plan.launch, values),
            *environment_problems(plan, values),
            *flag_problems(plan.launch.native_argv, _OWNED_FLAGS),
            *unused_problems(native, engine=self.name),
        )

    def render(self, plan: RunPlan, hosts: Sequence[str]) -> LaunchBundle:
        """No file but the plan is needed: one command per host."""
        refuse((*self.check(plan), *missing_script(plan.launch)))
        assert len(hosts) == plan.layout.num_nodes
        values = placeholder_values(plan, files=())
        env = environment(plan, values, engine=visible_devices(plan.layout))
        commands = tuple(
            NodeCommand(node_rank=rank, host=host, argv=_argv(plan, hosts, rank, values), env=env)
            for rank, host in enumerate(hosts)
        )
        return LaunchBundle(files={}, commands=commands)


ENGINE = Torchrun()


def _argv(
    plan: RunPlan, hosts: Sequence[str], node_rank: int, values: Mapping[str, str | None]
) -> tuple[str, ...]:
    launch, layout = plan.launch, plan.layout
    return (
        *tool_words(launch, console=("torchrun",), module="torch.distributed.run"),
        *("--nnodes", str(layout.num_nodes)),
        *("--nproc_per_node", str(layout.devices_per_node)),
        *_meeting(plan, hosts, node_rank),
        *("--max_restarts", "0"),
        *launch.native_argv,
        *("-m", "--"),
        *script_words(launch, values),
    )


def _meeting(plan: RunPlan, hosts: Sequence[str], node_rank: int) -> tuple[str, ...]:
    """Where the ranks meet."""
    launch = plan.launch
    if plan.layout.num_nodes == 1 and launch.main_port is None:
        return ("--standalone", "--local_addr", "127.0.0.1")
    port = MAIN_PORT if launch.main_port is None else str(launch.main_port)
    address = main_address(launch, hosts)
    return ("--node_rank", str(node_rank), "--master_addr", address, "--master_port", port)
