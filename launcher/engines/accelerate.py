"""`accelerate launch` with a configuration file in which nothing is left to be asked or guessed.

On CPU, ranks that see each other come from the MULTI_GPU launch path together with ACCELERATE_USE_CPU in the
environment, and from nothing else: distributed_type MULTI_CPU starts one process, `--cpu` over machines starts one
training per machine, and both exit 0. With DeepSpeed or FSDP on CPU each rank believes to be alone, or the sharding
is dropped without a word; such a plan is refused.

Accumulation is not rendered: ACCELERATE_GRADIENT_ACCUMULATION_STEPS would overrule what the script passes to
Accelerator() and divide the loss once more in a script that accumulates by itself. The runtime and `{...}`
placeholders carry it; a script that uses accelerator.accumulate() with a bare Accelerator() can take
`launch.env: {ACCELERATE_GRADIENT_ACCUMULATION_STEPS: "{gradient_accumulation_steps}"}`. With DeepSpeed it stands in
DeepSpeed's own file, whose number Accelerate takes over.

Port 0 lets Accelerate pick a free one (single node only). Over several nodes address and port stand on each command
line and not in the file: only the job may know them.

Source: accelerate@1.15.0 commands/launch.py, utils/launch.py, state.py:PartialState, utils/dataclasses.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcher.engines.formats.accelerate_json import (
    OWNED_KEYS,
    accelerate_text,
    mixed_precision,
    uses_deepspeed,
)
from launcher.engines.formats.deepspeed_json import deepspeed_text
from launcher.engines.formats.deepspeed_limits import OWNED_KEYS as OWNED_DEEPSPEED_KEYS
from launcher.engines.formats.deepspeed_limits import deepspeed_limits
from launcher.engines.formats.deepspeed_scheduler import owned_keys
from launcher.engines.formats.environment import (
    deepspeed_accelerator,
    environment,
    environment_problems,
    visible_devices,
)
from launcher.engines.formats.limits import cannot, common_limits, needs_deepspeed, refuse
from launcher.engines.formats.native import flag_problems, key_problems, unused_problems
from launcher.engines.formats.script_command import (
    argument_problems,
    main_address,
    missing_script,
    script_words,
    tool_words,
)
from launcher.errors import Problem
from launcher.planning.placeholders import ACCELERATE_FILE, DEEPSPEED_FILE, placeholder_values
from launcher.spec.bundle import MAIN_PORT, RUN_DIR, LaunchBundle, NodeCommand
from launcher.spec.plan import RunPlan

__all__ = ["ENGINE", "Accelerate"]

_CLUSTER = "write cluster"
_NETWORK = "write launch.network"
_STRATEGY = "write parallel.data"
_SCRIPT = "write launch.script or launch.module"
_OWNED_FLAGS = {
    "config_file": "write launch.native.accelerate",
    "cpu": _CLUSTER,
    "multi_gpu": _CLUSTER,
    "tpu": _CLUSTER,
    "gpu_ids": "write cluster.devices",
    "num_processes": _CLUSTER,
    "num_machines": _CLUSTER,
    "machine_rank": _CLUSTER,
    "main_process_ip": _NETWORK,
    "main_process_port": _NETWORK,
    "same_network": _NETWORK,
    "rdzv_backend": _NETWORK,
    "rdzv_conf": _NETWORK,
    "max_restarts": "write launch.restarts",
    "mixed_precision": "write precision",
    "use_deepspeed": _STRATEGY,
    "deepspeed_config_file": _STRATEGY,
    "zero_stage": _STRATEGY,
    "offload_optimizer_device": _STRATEGY,
    "offload_param_device": _STRATEGY,
    "deepspeed_multinode_launcher": _STRATEGY,
    "use_fsdp": _STRATEGY,
    "fsdp_version": _STRATEGY,
    "fsdp_sharding_strategy": _STRATEGY,
    "fsdp_reshard_after_forward": _STRATEGY,
    "fsdp_offload_params": _STRATEGY,
    "use_parallelism_config": "write parallel",
    "use_megatron_lm": "write parallel",
    "gradient_accumulation_steps": "write gradient_accumulation_steps",
    "gradient_clipping": "write optimizer.gradient_clipping",
    "module": _SCRIPT,
    "m": _SCRIPT,
    "no_python": _SCRIPT,
}


class Accelerate:
    """One command per node."""

    name = "accelerate"
    requirements = ("accelerate",)

    def check(self, plan: RunPlan) -> Sequence[Problem]:
        """What Accelerate cannot do, keys and flags the plan owns, and words that cannot be rendered."""
        launch = plan.launch
        values = placeholder_values(plan, files=_files(plan))
        if uses_deepspeed(plan):
            deepspeed = (
                *deepspeed_limits(plan),
                *key_problems(
                    launch.native_deepspeed,
                    owned_keys(plan, OWNED_DEEPSPEED_KEYS),
                    path="launch.native.deepspeed",
                ),
            )
        else:
            deepspeed = (
                *needs_deepspeed(plan, engine=self.name),
                *unused_problems({"deepspeed": launch.native_deepspeed}, engine=self.name),
            )
        return (
            *common_limits(plan),
            *_limits(plan),
            *deepspeed,
            *argument_problems(launch, values),
            *environment_problems(plan, values),
            *key_problems(launch.native_accelerate, OWNED_KEYS, path="launch.native.accelerate"),
            *flag_problems(launch.native_argv, _OWNED_FLAGS),
        )

    def render(self, plan: RunPlan, hosts: Sequence[str]) -> LaunchBundle:
        """The configuration file, DeepSpeed's beside it for ZeRO, and one command per host."""
        refuse((*self.check(plan), *missing_script(plan.launch)))
        assert len(hosts) == plan.layout.num_nodes
        values = placeholder_values(plan, files=_files(plan))
        files = {ACCELERATE_FILE: accelerate_text(plan)}
        if uses_deepspeed(plan):
            files[DEEPSPEED_FILE] = deepspeed_text(plan)
        env = environment(plan, values, engine=_environment(plan))
        commands = tuple(
            NodeCommand(node_rank=rank, host=host, argv=_argv(plan, hosts, rank, values), env=env)
            for rank, host in enumerate(hosts)
        )
        return LaunchBundle(files=files, commands=commands)


ENGINE = Accelerate()


def _files(plan: RunPlan) -> tuple[str, ...]:
    return (ACCELERATE_FILE, DEEPSPEED_FILE) if uses_deepspeed(plan) else (ACCELERATE_FILE,)


def _argv(
    plan: RunPlan, hosts: Sequence[str], node_rank: int, values: Mapping[str, str | None]
) -> tuple[str, ...]:
    launch = plan.launch
    # beside a DeepSpeed file the configuration may not name a precision, only the command line may
    precision = ("--mixed_precision", mixed_precision(plan)) if uses_deepspeed(plan) else ()
    return (
        *tool_words(launch, console=("accelerate", "launch"), module="accelerate.commands.launch"),
        *("--config_file", f"{RUN_DIR}/{ACCELERATE_FILE}"),
        *precision,
        *(_meeting(plan, hosts, node_rank) if plan.layout.num_nodes > 1 else ()),
        *("--max_restarts", "0"),
        *launch.native_argv,
        *("-m", "--"),
        *script_words(launch, values),
    )


def _meeting(plan: RunPlan, hosts: Sequence[str], node_rank: int) -> tuple[str, ...]:
    launch = plan.launch
    port = MAIN_PORT if launch.main_port is None else str(launch.main_port)
    return (
        *("--machine_rank", str(node_rank)),
        *("--main_process_ip", main_address(launch, hosts)),
        *("--main_process_port", port),
    )


def _environment(plan: RunPlan) -> dict[str, str]:
    on_cpu = {"ACCELERATE_USE_CPU": "true"} if plan.layout.device_kind == "cpu" else {}
    deepspeed = deepspeed_accelerator(plan.layout) if uses_deepspeed(plan) else {}
    return {**on_cpu, **deepspeed, **visible_devices(plan.layout)}


def _limits(plan: RunPlan) -> tuple[Problem, ...]:
    layout, precision = plan.layout, plan.precision.compute
    strategy, on_cpu = layout.data_strategy, layout.device_kind == "cpu"
    found = []
    if strategy != "ddp" and on_cpu:
        found.append(
            cannot(
                "parallel.data.strategy",
                f"`parallel.data.strategy: {strategy}` on CPU: Accelerate would start {layout.world_size} lone "
                "trainings, or drop the sharding, and say nothing",
                hint="use launch.engine: deepspeed" if strategy == "zero" else "write strategy: ddp",
            )
        )
    if precision == "fp8" and strategy != "zero" and not on_cpu:
        found.append(
            cannot(
                "precision", "`precision: fp8` is not rendered for Accelerate", hint="write precision: bf16"
            )
        )
    if precision == "fp16" and strategy != "zero" and on_cpu:
        message = "`precision: fp16`: Accelerate leaves the model in fp32 on CPU and says nothing"
        found.append(cannot("precision", message, hint="write precision: bf16, or fp32"))
    if strategy == "fsdp" and layout.offload == "optimizer":
        message = (
            "`parallel.data.offload: optimizer`: fsdp offloads parameters with the optimizer, or nothing"
        )
        found.append(cannot("parallel.data.offload", message, hint="write parallel.data.offload: parameters"))
    return tuple(found)
