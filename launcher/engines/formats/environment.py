"""The environment of a job's processes, as far as it is written down; what goes by name only is not here."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.errors import Problem
from launcher.planning.placeholders import PLAN_PATH, fill
from launcher.spec.bundle import RUN_DIR
from launcher.spec.plan import LayoutPlan, RunPlan

__all__ = [
    "OWNED",
    "OWNED_PREFIXES",
    "VISIBLE_DEVICES",
    "deepspeed_accelerator",
    "environment",
    "environment_problems",
    "visible_devices",
]

VISIBLE_DEVICES = {
    "cpu": "CUDA_VISIBLE_DEVICES",
    "cuda": "CUDA_VISIBLE_DEVICES",
    "rocm": "HIP_VISIBLE_DEVICES",
    "hpu": "HABANA_VISIBLE_MODULES",
}

_RANKS = "write cluster.nodes and cluster.devices_per_node"
_DEVICES = "write cluster.devices"
# variables the plan owns -> what to write instead
OWNED = {
    "LAUNCHER_PLAN": "leave it out",
    "BATCHWRIGHT_RUN": "leave it out",
    "BATCHWRIGHT_PLAN_HASH": "leave it out",
    "RANK": _RANKS,
    "LOCAL_RANK": _RANKS,
    "NODE_RANK": _RANKS,
    "WORLD_SIZE": _RANKS,
    "LOCAL_WORLD_SIZE": _RANKS,
    "LOCAL_SIZE": _RANKS,
    "MASTER_ADDR": "write launch.network.main_address",
    "MASTER_PORT": "write launch.network.port",
    "CUDA_VISIBLE_DEVICES": _DEVICES,
    "HIP_VISIBLE_DEVICES": _DEVICES,
    "HABANA_VISIBLE_MODULES": _DEVICES,
    "ACCELERATE_USE_CPU": "write cluster.device",
    "ACCELERATE_TORCH_DEVICE": "write cluster.device",
    "ACCELERATE_MIXED_PRECISION": "write precision",
    "ACCELERATE_USE_DEEPSPEED": "write parallel.data.strategy",
    "ACCELERATE_DEEPSPEED_CONFIG_FILE": "write launch.native.deepspeed",
    "ACCELERATE_USE_FSDP": "write parallel.data.strategy",
    "DS_ACCELERATOR": "write cluster.device",
    "DS_ENV_FILE": "write launch.env",
}
# torchrun reads each of its options from PET_OPTION, Accelerate's FSDP plugin from FSDP_KEY
OWNED_PREFIXES = {"PET_": "write launch.native.argv", "FSDP_": "write launch.native.accelerate"}


def environment(
    plan: RunPlan, values: Mapping[str, str | None], *, engine: Mapping[str, str]
) -> dict[str, str]:
    """Variables of every process; the recipe's own last. engine: what this engine needs besides."""
    ours = {
        "BATCHWRIGHT_PLAN_HASH": plan.plan_hash,
        "BATCHWRIGHT_RUN": RUN_DIR,
        "LAUNCHER_PLAN": PLAN_PATH,
        "OMP_NUM_THREADS": str(plan.launch.threads_per_process),
        **engine,
    }
    written = {name: fill(text, values, path="").text for name, text in plan.launch.env.items()}
    return {**ours, **written}


def visible_devices(layout: LayoutPlan) -> dict[str, str]:
    """Which devices of a node the job may see: those the recipe names; none on CPU, whatever the node has."""
    if layout.device_kind == "cpu":
        return {VISIBLE_DEVICES["cpu"]: ""}
    if layout.devices is None:
        return {}
    return {VISIBLE_DEVICES[layout.device_kind]: ",".join(str(number) for number in layout.devices)}


def deepspeed_accelerator(layout: LayoutPlan) -> dict[str, str]:
    """DeepSpeed's word for the device: it would choose by what is installed, not by what is planned."""
    return {"DS_ACCELERATOR": {"rocm": "cuda"}.get(layout.device_kind, layout.device_kind)}


def environment_problems(plan: RunPlan, values: Mapping[str, str | None]) -> tuple[Problem, ...]:
    """Variables the plan owns, and placeholders that cannot be filled."""
    found: list[Problem] = []
    for name, text in plan.launch.env.items():
        path = f"launch.env.{name}"
        cure = OWNED.get(name) or next((c for p, c in OWNED_PREFIXES.items() if name.startswith(p)), "")
        if cure:
            found.append(
                Problem(
                    code="native-owns-key",
                    path=path,
                    message=f"`{path}: {text}` sets what the plan owns",
                    hint=cure,
                )
            )
        found.extend(fill(text, values, path=path).problems)
    return tuple(found)
