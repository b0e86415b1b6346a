"""DeepSpeed's runner on one node; over several, its per-node launcher on each of them.

- `--no_local_rank`: it would put `--local_rank=N` before the script's own arguments.
- `--hostfile /dev/null` on one node: a file at /job/hostfile, its default, would turn the job into a multi-node one.
- `-- --` before the script: the runner hands the script's arguments to a second parser of its own, and both would
  refuse one like `--no` as ambiguous. The per-node launcher has the one parser.
- The port: neither the runner nor its ranks can pick a free one, so it is the run folder's (MAIN_PORT).
- Devices go through `--include`, over several nodes through `--world_info`: both overrule CUDA_VISIBLE_DEVICES.
- The runner's own way to other nodes quotes nothing, exports what nobody asked it to and ends other jobs on Ctrl-C;
  `launch.native.argv: [--launcher, pdsh]` asks for it (formats/deepspeed_pdsh.py).

Source: deepspeed@0.19.8 launcher/runner.py:main, launcher/launch.py:main.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

from launcher.engines.formats.deepspeed_json import deepspeed_text
from launcher.engines.formats.deepspeed_limits import OWNED_KEYS, deepspeed_limits
from launcher.engines.formats.deepspeed_pdsh import (
    ENVIRONMENT_FILE,
    fan_out_files,
    fan_out_words,
    included,
    unnamed_hosts,
    unquoted_words,
    wants_pdsh,
)
from launcher.engines.formats.deepspeed_scheduler import owned_keys
from launcher.engines.formats.environment import (
    deepspeed_accelerator,
    environment,
    environment_problems,
    visible_devices,
)
from launcher.engines.formats.limits import common_limits, refuse
from launcher.engines.formats.native import flag_problems, key_problems, unused_problems
from launcher.engines.formats.script_command import (
    argument_problems,
    main_address,
    missing_script,
    script_words,
    tool_words,
)
from launcher.errors import Problem
from launcher.planning.placeholders import DEEPSPEED_FILE, placeholder_values
from launcher.spec.bundle import MAIN_PORT, PYTHON, RUN_DIR, LaunchBundle, NodeCommand
from launcher.spec.plan import LayoutPlan, RunPlan

__all__ = ["ENGINE", "DeepSpeed"]

_LAUNCHER = "deepspeed.launcher.launch"

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
# flags that only the runner has: over several nodes it is not there
_RUNNERS_FLAGS = dict.fromkeys(
    ("launcher_args", "no_ssh_check", "save_pid", "ssh_port", "venv_script"),
    "drop it: it is a flag of DeepSpeed's runner, which several nodes do without",
)


class DeepSpeed:
    """One command per node."""

    name = "deepspeed"
    requirements = ("deepspeed",)

    def check(self, plan: RunPlan) -> Sequence[Problem]:
        """What DeepSpeed cannot do, keys and flags the plan owns, and words that cannot be rendered."""
        launch = plan.launch
        values = placeholder_values(plan, files=(DEEPSPEED_FILE,))
        itself = wants_pdsh(plan)
        several = plan.layout.num_nodes > 1
        owned = {flag: cure for flag, cure in _OWNED_FLAGS.items() if not (itself and flag == "launcher")}
        return (
            *common_limits(plan),
            *deepspeed_limits(plan),
            *argument_problems(launch, values),
            *environment_problems(plan, values),
            *key_problems(
                launch.native_deepspeed, owned_keys(plan, OWNED_KEYS), path="launch.native.deepspeed"
            ),
            *flag_problems(launch.native_argv, owned | (_RUNNERS_FLAGS if several and not itself else {})),
            *unused_problems({"accelerate": launch.native_accelerate}, engine=self.name),
            *(unquoted_words(plan, values) if itself else ()),
        )

    def render(self, plan: RunPlan, hosts: Sequence[str]) -> LaunchBundle:
        """The JSON, and one command per host; one for all of them where DeepSpeed is to reach the others itself."""
        itself = wants_pdsh(plan)
        refuse((*self.check(plan), *missing_script(plan.launch), *(unnamed_hosts(hosts) if itself else ())))
        assert len(hosts) == plan.layout.num_nodes
        values = placeholder_values(plan, files=(DEEPSPEED_FILE,))
        env = _environment(plan, values)
        files = {DEEPSPEED_FILE: deepspeed_text(plan)}
        if len(hosts) > 1 and not itself:
            commands = tuple(
                NodeCommand(node_rank=rank, host=host, argv=_node_argv(plan, hosts, rank, values), env=env)
                for rank, host in enumerate(hosts)
            )
            return LaunchBundle(files=files, commands=commands)
        if itself:
            files |= fan_out_files(hosts, env, plan.layout)
            env = {**env, "DS_ENV_FILE": f"{RUN_DIR}/{ENVIRONMENT_FILE}"}
        command = NodeCommand(node_rank=0, host=hosts[0], argv=_runner_argv(plan, hosts, values), env=env)
        return LaunchBundle(files=files, commands=(command,))


ENGINE = DeepSpeed()


def _runner_argv(plan: RunPlan, hosts: Sequence[str], values: Mapping[str, str | None]) -> tuple[str, ...]:
    launch, layout = plan.launch, plan.layout
    alone = ("--hostfile", "/dev/null", *included(("localhost",), layout))
    return (
        *tool_words(launch, console=("deepspeed",), module="deepspeed.launcher.runner"),
        *(fan_out_words(hosts, layout) if len(hosts) > 1 else alone),
        "--no_local_rank",
        *_meeting(plan, hosts),
        *launch.native_argv,
        *("--module", "--", "--"),
        *script_words(launch, values),
    )


def _node_argv(
    plan: RunPlan, hosts: Sequence[str], node_rank: int, values: Mapping[str, str | None]
) -> tuple[str, ...]:
    launch = plan.launch
    return (
        *tool_words(launch, console=(PYTHON, "-m", _LAUNCHER), module=_LAUNCHER),
        *("--world_info", _world_info(plan.layout)),
        *("--node_rank", str(node_rank)),
        "--no_local_rank",
        *_meeting(plan, hosts),
        *launch.native_argv,
        *("--module", "--"),
        *script_words(launch, values),
    )


def _meeting(plan: RunPlan, hosts: Sequence[str]) -> tuple[str, ...]:
    launch = plan.launch
    port = MAIN_PORT if launch.main_port is None else str(launch.main_port)
    return ("--master_addr", main_address(launch, hosts), "--master_port", port)


def _world_info(layout: LayoutPlan) -> str:
    """Devices of each node, as the per-node launcher reads them; by number, as names may come late or stand twice.

    Source: deepspeed@0.19.8 launcher/runner.py:encode_world_info, launcher/launch.py:main
    """
    named = layout.devices if layout.devices is not None and layout.device_kind != "cpu" else None
    devices = list(range(layout.devices_per_node) if named is None else named)
    world = {f"node-{rank}": devices for rank in range(layout.num_nodes)}
    return base64.urlsafe_b64encode(json.dumps(world).encode()).decode()


def _environment(plan: RunPlan, values: Mapping[str, str | None]) -> dict[str, str]:
    hidden = visible_devices(plan.layout) if plan.layout.device_kind == "cpu" else {}
    return environment(plan, values, engine={**deepspeed_accelerator(plan.layout), **hidden})
