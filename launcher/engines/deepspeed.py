"""DeepSpeed's runner: one command; over several nodes it reaches the others itself, through pdsh.

- `--no_local_rank`: it would put `--local_rank=N` before the script's own arguments.
- `--hostfile /dev/null` on one node: a file at /job/hostfile, its default, would turn the job into a multi-node one.
- `-- --` before the script: the runner hands the script's arguments to a second parser of its own, and both would
  refuse one like `--no` as ambiguous.
- The port: neither the runner nor its ranks can pick a free one, so it is the run folder's (MAIN_PORT).
- Devices go through `--include`: the runner deletes CUDA_VISIBLE_DEVICES where a number of devices is given.
- pdsh gives words to the remote shell as they are. Rather than have `$(id)` run there, such a word is refused.

Source: deepspeed@0.19.8 launcher/runner.py:main, launcher/launch.py:main, launcher/multinode_runner.py:PDSHRunner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from launcher.engines.formats.deepspeed_json import deepspeed_text
from launcher.engines.formats.deepspeed_limits import OWNED_KEYS, deepspeed_limits
from launcher.engines.formats.environment import (
    deepspeed_accelerator,
    environment,
    environment_problems,
    visible_devices,
)
from launcher.engines.formats.limits import cannot, common_limits, refuse
from launcher.engines.formats.native import flag_problems, key_problems, unused_problems
from launcher.engines.formats.placeholders import DEEPSPEED_FILE, fill, placeholder_values
from launcher.engines.formats.script_command import (
    argument_problems,
    main_address,
    missing_script,
    script_words,
    tool_words,
)
from launcher.errors import Problem
from launcher.spec.bundle import MAIN_PORT, RUN_DIR, LaunchBundle, NodeCommand
from launcher.spec.plan import RunPlan

__all__ = ["ENGINE", "ENVIRONMENT_FILE", "HOSTFILE", "DeepSpeed"]

HOSTFILE = "hostfile"
ENVIRONMENT_FILE = "deepspeed.env"

_NODES = "write cluster.nodes and cluster.devices_per_node"
_DEVICES = "write cluster.devices"
_NETWORK = "write launch.network"
_SCRIPT = "write launch.script or launch.module"
_OWNED_FLAGS = {
    "hostfile": "write cluster.hostfile",
    "H": "write cluster.hostfile",
    "num_nodes": _NODES,
    "num_gpus": _NODES,
    "num_accelerators": _NODES,
    "include": _DEVICES,
    "i": _DEVICES,
    "exclude": _DEVICES,
    "e": _DEVICES,
    "master_addr": _NETWORK,
    "master_port": _NETWORK,
    "node_rank": _NODES,
    "launcher": "write launch.executor",
    "no_ssh": "write launch.executor",
    "force_multi": "write launch.executor",
    "module": _SCRIPT,
    "no_python": _SCRIPT,
    "no_local_rank": _SCRIPT,
    "autotuning": "write global_batch_size, micro_batch_size or gradient_accumulation_steps",
}
_SHELL_SAFE = re.compile(r"[\w@%+=:,./-]+\Z", re.ASCII)


class DeepSpeed:
    """One command on the first node."""

    name = "deepspeed"
    requirements = ("deepspeed",)

    def check(self, plan: RunPlan) -> Sequence[Problem]:
        """What DeepSpeed cannot do, keys and flags the plan owns, and words that cannot be rendered."""
        launch = plan.launch
        values = placeholder_values(plan, files=(DEEPSPEED_FILE,))
        return (
            *common_limits(plan),
            *deepspeed_limits(plan),
            *argument_problems(launch, values),
            *environment_problems(plan, values),
            *key_problems(launch.native_deepspeed, OWNED_KEYS, path="launch.native.deepspeed"),
            *flag_problems(launch.native_argv, _OWNED_FLAGS),
            *unused_problems({"accelerate": launch.native_accelerate}, engine=self.name),
            *_remote_shell(plan, values),
        )

    def render(self, plan: RunPlan, hosts: Sequence[str]) -> LaunchBundle:
        """The JSON, for several nodes a hostfile and the environment beside it, and one command."""
        refuse((*self.check(plan), *missing_script(plan.launch)))
        assert len(hosts) == plan.layout.num_nodes
        values = placeholder_values(plan, files=(DEEPSPEED_FILE,))
        env = _environment(plan, values)
        files = {DEEPSPEED_FILE: deepspeed_text(plan)}
        if len(hosts) > 1:
            files[HOSTFILE] = "".join(f"{host} slots={_slots(plan)}\n" for host in hosts)
            files[ENVIRONMENT_FILE] = "".join(f"{name}={value}\n" for name, value in env.items())
            env = {**env, "DS_ENV_FILE": f"{RUN_DIR}/{ENVIRONMENT_FILE}"}
        command = NodeCommand(node_rank=0, host=hosts[0], argv=_argv(plan, hosts, values), env=env)
        return LaunchBundle(files=files, commands=(command,))


ENGINE = DeepSpeed()


def _argv(plan: RunPlan, hosts: Sequence[str], values: Mapping[str, str | None]) -> tuple[str, ...]:
    launch = plan.launch
    return (
        *tool_words(launch, console=("deepspeed",), module="deepspeed.launcher.runner"),
        *_where(plan, hosts),
        "--no_local_rank",
        *("--master_addr", main_address(launch, hosts)),
        *("--master_port", MAIN_PORT if launch.main_port is None else str(launch.main_port)),
        *launch.native_argv,
        *("--module", "--", "--"),
        *script_words(launch, values),
    )


def _where(plan: RunPlan, hosts: Sequence[str]) -> tuple[str, ...]:
    """Nodes and devices."""
    layout = plan.layout
    several = len(hosts) > 1
    file = (
        ("--hostfile", f"{RUN_DIR}/{HOSTFILE}", "--launcher", "pdsh")
        if several
        else ("--hostfile", "/dev/null")
    )
    if layout.devices is not None and layout.device_kind != "cpu":
        numbers = ",".join(str(number) for number in layout.devices)
        names = hosts if several else ("localhost",)
        return (*file, "--include", "@".join(f"{name}:{numbers}" for name in names))
    return (*file, "--num_nodes", str(layout.num_nodes), "--num_accelerators", str(layout.devices_per_node))


def _slots(plan: RunPlan) -> int:
    """Slots to announce for a host: enough for the highest device named."""
    layout = plan.layout
    return layout.devices_per_node if layout.devices is None else max(layout.devices) + 1


def _environment(plan: RunPlan, values: Mapping[str, str | None]) -> dict[str, str]:
    hidden = visible_devices(plan.layout) if plan.layout.device_kind == "cpu" else {}
    return environment(plan, values, engine={**deepspeed_accelerator(plan.layout), **hidden})


def _remote_shell(plan: RunPlan, values: Mapping[str, str | None]) -> tuple[Problem, ...]:
    """Words that a remote shell would read as something else."""
    if plan.layout.num_nodes == 1:
        return ()
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
            hint="use letters, digits and @%+=:,./-_ only, or launch.engine: torchrun",
        )
        for path, text in words.items()
        if not _SHELL_SAFE.match(fill(text, values, path=path).text.replace(RUN_DIR, "/"))
    )
