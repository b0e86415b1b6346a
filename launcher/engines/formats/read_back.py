"""A rendered bundle, parsed again and compared with the plan number by number.

Double entry: what is expected is written down here a second time, from the plan, not taken from the code that renders.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from launcher.engines.formats.native import leaves
from launcher.engines.formats.script_command import WITNESS, script_words
from launcher.errors import Problem
from launcher.planning.placeholders import ACCELERATE_FILE, DEEPSPEED_FILE, placeholder_values
from launcher.spec.bundle import MAIN_PORT, RUN_DIR, LaunchBundle, NodeCommand
from launcher.spec.plan import RunPlan

__all__ = ["differences", "expected_accelerate", "expected_deepspeed", "started_ranks"]

_ABSENT = "nothing"


class _Difference(NamedTuple):
    """One thing that was read, where, and what the plan says."""

    where: str
    key: str
    found: Any
    planned: Any


def differences(plan: RunPlan, bundle: LaunchBundle) -> tuple[Problem, ...]:
    """Everything in files, commands and environment that is not what the plan says; placed in a folder or not."""
    started = bundle.nodes or bundle.commands
    found = [
        *_json_differences(DEEPSPEED_FILE, bundle, expected_deepspeed(plan), _native_deepspeed(plan)),
        *_json_differences(ACCELERATE_FILE, bundle, expected_accelerate(plan), plan.launch.native_accelerate),
        *(difference for command in started for difference in _command_differences(plan, command, bundle)),
    ]
    meetings = {
        _flags(each.argv).get(_MEETING[tool][1]) for each in started if (tool := _tool(each.argv)) in _MEETING
    }
    if len(meetings) > 1 and plan.layout.num_nodes > 1:
        found.append(
            _Difference("the command line", "main address", sorted(map(str, meetings)), "one for all nodes")
        )
    ranks = started_ranks(bundle)
    if ranks is not None and ranks != plan.layout.world_size:
        found.append(_Difference("the command line", "ranks", ranks, plan.layout.world_size))
    return tuple(
        Problem(
            code="rendered-differs",
            path="launch.engine",
            message=f"{where} says `{key}: {_show(read)}`; the plan says {_show(planned)}",
            hint=f"report it to the authors of {plan.launch.engine}, with the recipe",
        )
        for where, key, read, planned in found
    )


def expected_deepspeed(plan: RunPlan) -> dict[str, Any]:
    """What DeepSpeed's file has to say, by dotted key; None: not there."""
    batch, layout, optimizer = plan.batch, plan.layout, plan.optimizer
    built = optimizer.owner == "engine" and plan.learning_rate is not None
    return {
        "train_batch_size": batch.micro_batch_size
        * batch.gradient_accumulation_steps
        * batch.data_parallel_size,
        "train_micro_batch_size_per_gpu": batch.micro_batch_size,
        "gradient_accumulation_steps": batch.gradient_accumulation_steps,
        "gradient_clipping": optimizer.gradient_clipping or 0.0,
        "prescale_gradients": None,
        "gradient_predivide_factor": None,
        **_expected_scheduler(plan),
        "zero_optimization.stage": layout.zero_stage if layout.data_strategy == "zero" else 0,
        "zero_optimization.offload_optimizer.device": "none" if layout.offload == "none" else "cpu",
        "zero_optimization.offload_param.device": "cpu" if layout.offload == "parameters" else "none",
        "fp16.enabled": plan.precision.compute == "fp16",
        "bf16.enabled": plan.precision.compute == "bf16",
        "optimizer.params.lr": plan.learning_rate.peak_learning_rate
        if built and plan.learning_rate
        else None,
        "optimizer.params.weight_decay": optimizer.weight_decay if built else None,
    }


def _expected_scheduler(plan: RunPlan) -> dict[str, Any]:
    """Every parameter of DeepSpeed's own scheduler, and the shape of its warmup among them."""
    compiled = plan.learning_rate.compiled if plan.learning_rate else None
    if compiled is None or not plan.learning_rate or not plan.learning_rate.owner.startswith("engine:"):
        return {"scheduler": None}
    assert compiled.arguments["warmup_type"] in {"linear", "log"}
    params = {f"scheduler.params.{key}": value for key, value in compiled.arguments.items()}
    return {"scheduler.type": plan.learning_rate.owner.removeprefix("engine:"), **params}


def _native_deepspeed(plan: RunPlan) -> Mapping[str, Any]:
    """Without a scheduler that the plan owns: what was written of it is in the plan, "auto" filled in."""
    native = plan.launch.native_deepspeed
    if "scheduler" not in native or not plan.learning_rate or plan.learning_rate.compiled is None:
        return native
    return {key: value for key, value in native.items() if key != "scheduler"}


def expected_accelerate(plan: RunPlan) -> dict[str, Any]:
    """What Accelerate's file has to say, by dotted key; None: not there."""
    layout = plan.layout
    sharded = {"zero": "DEEPSPEED", "fsdp": "FSDP"}.get(layout.data_strategy)
    plain = "no" if plan.precision.autocast is False else plan.precision.compute.replace("fp32", "no")
    return {
        "num_processes": layout.world_size,
        "num_machines": layout.num_nodes,
        "use_cpu": layout.device_kind == "cpu",
        "distributed_type": sharded or ("MULTI_HPU" if layout.device_kind == "hpu" else "MULTI_GPU"),
        "mixed_precision": None if sharded == "DEEPSPEED" else plain,
        "gradient_accumulation_steps": None,
        "fsdp_config.fsdp_version": (layout.fsdp_version or 2) if sharded == "FSDP" else None,
    }


def started_ranks(bundle: LaunchBundle) -> int | None:
    """Processes that the commands start, as their words and files say; None for a tool that is not known here."""
    counts = [_ranks_of(command, bundle) for command in bundle.nodes or bundle.commands]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _ranks_of(command: NodeCommand, bundle: LaunchBundle) -> int | None:
    tool, flags = _tool(command.argv), _flags(command.argv)
    if tool == "accelerate":
        config = _parsed(bundle.files[ACCELERATE_FILE])
        return int(config["num_processes"]) // int(config["num_machines"])
    if tool == "deepspeed.launcher.launch":
        return sum(map(len, _world_info(flags)[int(flags["--node_rank"]) :][:1]))
    if tool == "deepspeed":
        if "--include" in flags:
            return sum(len(node.partition(":")[2].split(",")) for node in flags["--include"].split("@"))
        return int(flags["--num_nodes"]) * int(flags["--num_accelerators"])
    if tool == "torchrun":
        return int(flags["--nproc_per_node"])
    return None


_MODULES = {
    "accelerate.commands.launch": "accelerate",
    "deepspeed.launcher.launch": "deepspeed.launcher.launch",
    "deepspeed.launcher.runner": "deepspeed",
    "torch.distributed.run": "torchrun",
}


def _tool(argv: tuple[str, ...]) -> str | None:
    """The engine's tool, behind whatever an executor has put before it; None for one that is not known here."""
    for at, word in enumerate(argv[: argv.index(WITNESS)] if WITNESS in argv else argv):
        if word == "-m" and argv[at + 1] in _MODULES:
            return _MODULES[argv[at + 1]]
        if (name := word.rpartition("/")[2]) in _MODULES.values():
            return name
    return None


def _world_info(flags: Mapping[str, str]) -> list[list[int]]:
    """Devices of each node, by its number."""
    return list(json.loads(base64.urlsafe_b64decode(flags["--world_info"])).values())


def _flags(argv: tuple[str, ...]) -> dict[str, str]:
    """Flag to the word after it, up to the script; the last of several wins, as it does for argparse."""
    end = argv.index(WITNESS) if WITNESS in argv else len(argv)
    return {word: argv[at + 1] for at, word in enumerate(argv[: end - 1]) if word.startswith("--")}


def _meeting_differences(plan: RunPlan, command: NodeCommand, where: str) -> Iterator[_Difference]:
    """Of several nodes: each one's number, how many there are, and that all meet at one place."""
    tool, flags, nodes = _tool(command.argv), _flags(command.argv), plan.layout.num_nodes
    if nodes == 1 or tool not in _MEETING:
        return
    rank, address, port = _MEETING[tool]
    expected = {rank: str(command.node_rank)}
    if plan.launch.main_address != "auto":
        expected[address] = plan.launch.main_address
    if plan.launch.main_port is not None:
        expected[port] = str(plan.launch.main_port)
    for flag, value in expected.items():
        if flags.get(flag, _ABSENT) != value:
            yield _Difference(where, flag, flags.get(flag, _ABSENT), value)
    count = len(_world_info(flags)) if "--world_info" in flags else flags.get("--nnodes", nodes)
    if str(count) != str(nodes):
        yield _Difference(where, "nodes", count, nodes)


# by tool: the flags of the node's number, the address and the port
_MEETING = {
    "accelerate": ("--machine_rank", "--main_process_ip", "--main_process_port"),
    "deepspeed.launcher.launch": ("--node_rank", "--master_addr", "--master_port"),
    "torchrun": ("--node_rank", "--master_addr", "--master_port"),
}


def _json_differences(
    name: str, bundle: LaunchBundle, expected: Mapping[str, Any], native: Mapping[str, Any]
) -> Iterator[_Difference]:
    if name not in bundle.files:
        return
    read = leaves(_parsed(bundle.files[name]))
    for key, value in {**expected, **leaves(native)}.items():
        inside = [path for path in read if path.startswith(f"{key}.")]
        found = read.get(key, inside or _ABSENT)
        if found != (_ABSENT if value is None and key in expected else value):
            yield _Difference(name, key, found, _ABSENT if value is None else value)
    for key, value in read.items():
        if value == "auto":
            yield _Difference(name, key, value, "a number")


def _parsed(text: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs), "a key stands twice"
        return dict(pairs)

    parsed = json.loads(text, object_pairs_hook=once)
    assert isinstance(parsed, dict)
    return parsed


def _command_differences(plan: RunPlan, command: NodeCommand, bundle: LaunchBundle) -> Iterator[_Difference]:
    """Environment, and everything from the witness on; the folder is the one the environment names."""
    where = f"the command of node {command.node_rank}"
    folder = command.env.get("BATCHWRIGHT_RUN", RUN_DIR)
    values = {
        name: value and value.replace(RUN_DIR, folder)
        for name, value in placeholder_values(plan, files=tuple(bundle.files)).items()
    }
    expected = {
        "LAUNCHER_PLAN": f"{folder}/plan.json",
        "BATCHWRIGHT_PLAN_HASH": plan.plan_hash,
        "OMP_NUM_THREADS": plan.launch.env.get("OMP_NUM_THREADS", str(plan.launch.threads_per_process)),
    }
    for name, value in expected.items():
        if command.env.get(name, _ABSENT) != value:
            yield _Difference(where, name, command.env.get(name, _ABSENT), value)
    planned = tuple(word.replace(RUN_DIR, folder) for word in script_words(plan.launch, values))
    yield from _meeting_differences(plan, command, where)
    tail = command.argv[command.argv.index(WITNESS) :] if WITNESS in command.argv else ()
    if tail != planned:
        yield _Difference(where, "script", " ".join(tail) or _ABSENT, " ".join(planned))


def _show(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace(RUN_DIR, "RUN").replace(MAIN_PORT, "PORT")
