"""DeepSpeed's own way to several nodes, on request: its runner, which reaches them through pdsh.

- The runner's hostfile and environment are files of the bundle.
- Devices go through `--include`: the runner deletes CUDA_VISIBLE_DEVICES where a number of devices is given.
- pdsh gives words to the remote shell as they are. Rather than have `$(id)` run there, such a word is refused.

Source: deepspeed@0.19.8 launcher/runner.py:main, launcher/multinode_runner.py:PDSHRunner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from launcher.engines.formats.limits import cannot
from launcher.errors import Problem
from launcher.planning.placeholders import fill
from launcher.spec.bundle import MAIN_ADDRESS, RUN_DIR
from launcher.spec.plan import LayoutPlan, RunPlan

__all__ = [
    "ENVIRONMENT_FILE",
    "HOSTFILE",
    "PDSH",
    "fan_out_files",
    "fan_out_words",
    "included",
    "unnamed_hosts",
    "unquoted_words",
    "wants_pdsh",
]

HOSTFILE = "hostfile"
ENVIRONMENT_FILE = "deepspeed.env"
PDSH = ("--launcher", "pdsh")
"""What launch.native.argv asks for it with."""

_SHELL_SAFE = re.compile(r"[\w@%+=:,./-]+\Z", re.ASCII)


def wants_pdsh(plan: RunPlan) -> bool:
    """Whether several nodes are to be reached by DeepSpeed itself."""
    argv = plan.launch.native_argv
    return plan.layout.num_nodes > 1 and any(
        argv[at : at + 2] == PDSH or argv[at] == "=".join(PDSH) for at in range(len(argv))
    )


def fan_out_files(hosts: Sequence[str], env: Mapping[str, str], layout: LayoutPlan) -> dict[str, str]:
    """The hosts with their slots, and the environment of the other nodes."""
    slots = layout.devices_per_node if layout.devices is None else max(layout.devices) + 1
    return {
        HOSTFILE: "".join(f"{host} slots={slots}\n" for host in hosts),
        ENVIRONMENT_FILE: "".join(f"{name}={value}\n" for name, value in env.items()),
    }


def fan_out_words(hosts: Sequence[str], layout: LayoutPlan) -> tuple[str, ...]:
    """The runner's words for all nodes."""
    return ("--hostfile", f"{RUN_DIR}/{HOSTFILE}", *included(hosts, layout))


def included(names: Sequence[str], layout: LayoutPlan) -> tuple[str, ...]:
    """Nodes and devices: which ones of each where the recipe names them, else how many."""
    if layout.devices is not None and layout.device_kind != "cpu":
        numbers = ",".join(str(number) for number in layout.devices)
        return ("--include", "@".join(f"{name}:{numbers}" for name in names))
    return ("--num_nodes", str(layout.num_nodes), "--num_accelerators", str(layout.devices_per_node))


def unquoted_words(plan: RunPlan, values: Mapping[str, str | None]) -> tuple[Problem, ...]:
    """Words that a remote shell would read as something else."""
    launch = plan.launch
    words = {f"launch.args.{at}": text for at, text in enumerate(launch.args)}
    words |= {f"launch.env.{name}": text for name, text in launch.env.items() if text}
    words |= {
        "launch.script" if launch.module is None else "launch.module": launch.script or launch.module or "-"
    }
    return tuple(
        cannot(
            path,
            f"`{text}` would be read by a shell on the other nodes: DeepSpeed's runner hands words on unquoted",
            hint="drop `--launcher pdsh` from launch.native.argv: each node is then started by itself",
        )
        for path, text in words.items()
        if not _SHELL_SAFE.match(fill(text, values, path=path).text.replace(RUN_DIR, "/"))
    )


def unnamed_hosts(hosts: Sequence[str]) -> tuple[Problem, ...]:
    """The runner reads its hosts from a file that is written before the job knows them."""
    if MAIN_ADDRESS not in hosts:
        return ()
    message = "`--launcher pdsh`: DeepSpeed's runner needs the names of the hosts, and nothing says them"
    return (cannot("launch.native.argv", message, hint="write cluster.hostfile"),)
