"""Ranks along every axis, and the devices they run on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from launcher.catalog.devices import DEVICES, devices_with
from launcher.errors import Problem
from launcher.planning.origins import default, derived, written_or
from launcher.planning.solved import Solved
from launcher.planning.words import as_yaml, counted
from launcher.spec.catalog import Device
from launcher.spec.cluster import Cluster
from launcher.spec.marks import Origin
from launcher.spec.parallel import Context, Parallel
from launcher.spec.plan import LayoutPlan
from launcher.spec.recipe import Recipe

__all__ = ["Axes", "axes_of", "device_of", "machines_of", "solve_layout"]

# ROCm's RCCL answers to the name nccl in torch.distributed
_BACKENDS = {"cpu": "gloo", "cuda": "nccl", "rocm": "nccl", "hpu": "hccl"}
_RUNS_ON = {"nccl": ("cuda", "rocm"), "rccl": ("rocm",), "hccl": ("hpu",)}
_DEFAULT_STAGE = {"ddp": None, "zero": 2, "fsdp": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """Sizes of the axes that take ranks away from data parallelism."""

    tensor: int
    pipeline: int
    context: int
    expert: int

    @property
    def ranks_per_replica(self) -> int:
        """Ranks that train on the same sequences."""
        return self.tensor * self.pipeline * self.context

    def __str__(self) -> str:
        """The sizes above 1, as a divisor reads in a formula."""
        sizes = {"tensor": self.tensor, "pipeline": self.pipeline, "context": self.context}
        named = [f"{name} {size}" for name, size in sizes.items() if size > 1]
        return f"({' x '.join(named)})" if len(named) > 1 else "".join(named)


def axes_of(parallel: Parallel | str) -> Axes:
    """Axis sizes of a recipe; auto is 1 until there is a search."""
    if isinstance(parallel, str):
        return Axes(tensor=1, pipeline=1, context=1, expert=1)

    def size(value: int | str | Context) -> int:
        if isinstance(value, Context):
            return value.size
        return 1 if isinstance(value, str) else value

    return Axes(
        tensor=size(parallel.tensor),
        pipeline=size(parallel.pipeline),
        context=size(parallel.context),
        expert=size(parallel.expert),
    )


def machines_of(cluster: Cluster) -> tuple[int, int]:
    """Nodes and devices of each that the plan counts on.

    A range `6..8` counts as its upper end. Groups count as all their nodes, each with the devices of the smallest.
    """
    if cluster.groups:
        return sum(group.nodes for group in cluster.groups), min(g.devices_per_node for g in cluster.groups)
    nodes = cluster.nodes if isinstance(cluster.nodes, int) else int(cluster.nodes.partition("..")[2])
    if cluster.devices_per_node is not None:
        return nodes, cluster.devices_per_node
    return nodes, len(cluster.devices) if cluster.devices else 1


def device_of(layout: LayoutPlan) -> Device:
    """The catalog's row of the plan's device, the user's own where it is one."""
    return layout.own_device or DEVICES[layout.device]


def solve_layout(*, recipe: Recipe, cluster: Cluster, cluster_origin: Origin) -> Solved[LayoutPlan]:
    """World size, axes, data strategy and device of the job."""
    nodes, per_node = machines_of(cluster)
    axes = axes_of(recipe.parallel)
    device, device_problems = _device(cluster, devices_with(recipe.devices))
    problems = (*_count_problems(cluster), *device_problems, *_axis_problems(axes, nodes * per_node, recipe))
    origins = _origins(recipe=recipe, cluster=cluster, cluster_origin=cluster_origin)
    if device is None or any(problem.severity == "error" for problem in problems):
        return Solved(value=None, problems=problems, origins=origins)
    data = recipe.parallel.data if isinstance(recipe.parallel, Parallel) else Parallel().data
    layout = LayoutPlan(
        world_size=nodes * per_node,
        num_nodes=nodes,
        devices_per_node=per_node,
        tensor_parallel_size=axes.tensor,
        pipeline_parallel_size=axes.pipeline,
        context_parallel_size=axes.context,
        expert_parallel_size=axes.expert,
        data_strategy=data.strategy,
        zero_stage=None
        if data.strategy == "ddp"
        else _DEFAULT_STAGE[data.strategy]
        if data.stage is None
        else data.stage,
        offload=data.offload if data.strategy == "zero" else "none",
        device=device.name,
        own_device=None if device.mark is None else device,
        device_kind=device.kind,
        backend=cluster.backend or _BACKENDS[device.kind],
        devices=cluster.devices,
        fsdp_version=(data.version or 2) if data.strategy == "fsdp" else None,
    )
    return Solved(value=layout, problems=problems, origins=origins)


def _count_problems(cluster: Cluster) -> tuple[Problem, ...]:
    """Two places that count the same devices and differ."""
    found = []
    listed = cluster.devices
    if listed is not None and len(set(listed)) < len(listed):
        twice = next(number for number in listed if listed.count(number) > 1)
        found.append(
            Problem(
                code="ambiguous-devices",
                path="cluster.devices",
                message=f"`cluster.devices: {as_yaml(listed)}` names device {twice} twice; expected each device once",
                hint=f"write cluster.devices: {as_yaml(sorted(set(listed)))}",
            )
        )
    if listed is not None and cluster.devices_per_node not in {None, len(listed)}:
        found.append(
            Problem(
                code="ambiguous-devices",
                path="cluster.devices_per_node",
                message=f"`cluster.devices_per_node: {cluster.devices_per_node}` and "
                f"`cluster.devices: {as_yaml(listed)}` say different numbers",
                because=(f"cluster.devices lists {len(listed)}",),
                hint="keep one of the two",
            )
        )
    return tuple(found)


def _device(cluster: Cluster, devices: Mapping[str, Device]) -> tuple[Device | None, tuple[Problem, ...]]:
    name = cluster.groups[0].device if cluster.groups else cluster.device or "cpu"
    device = devices.get(name)
    if device is None:
        near = _near(name, devices)
        known = near or sorted(devices)
        return None, (
            Problem(
                code="unknown-device",
                path="cluster.groups.0.device" if cluster.groups else "cluster.device",
                message=f"`cluster.device: {name}` is not in the catalog",
                hint=f"{'did you mean' if near else 'write one of'} {_one_of(known)}",
            ),
        )
    runs_on = _RUNS_ON.get(cluster.backend or "")
    if runs_on and device.kind not in runs_on:
        return None, (
            Problem(
                code="bad-choice",
                path="cluster.backend",
                message=f"`cluster.backend: {cluster.backend}` does not run on {device.name}; "
                f"expected {_BACKENDS[device.kind]}",
                hint="drop cluster.backend"
                if cluster.device
                else "write cluster.device, which is cpu when absent",
            ),
        )
    return device, ()


def _near(name: str, devices: Mapping[str, Device]) -> list[str]:
    """Catalog names that a person may have meant: those with the same words first, then similar spellings."""
    from difflib import get_close_matches

    words = name.lower().replace("_", "-").split("-")
    same = [known for known in devices if all(word in known.split("-") for word in words)]
    part = [known for known in devices if words[0] in known.split("-")]
    return (same or part or get_close_matches(name.lower(), devices, n=3, cutoff=0.6))[:3]


def _one_of(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return " or ".join(quoted) if len(quoted) < 3 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _axis_problems(axes: Axes, world_size: int, recipe: Recipe) -> tuple[Problem, ...]:
    found = []
    per_replica = axes.ranks_per_replica
    if world_size % per_replica:
        found.append(
            Problem(
                code="parallel-not-dividing",
                path="parallel",
                message=f"`parallel`: {str(axes).strip('()')} = {per_replica} ranks for each copy of the model "
                f"do not divide the {world_size} ranks of the job",
                because=(f"{world_size} / {per_replica} is not whole",),
                hint=f"use a number of ranks that {per_replica} divides, or smaller axes",
            )
        )
    elif (world_size // per_replica * axes.context) % axes.expert:
        ranks = world_size // per_replica * axes.context
        found.append(
            Problem(
                code="parallel-not-dividing",
                path="parallel.expert",
                message=f"`parallel.expert: {axes.expert}` does not divide the {ranks} ranks of data x context",
                because=(
                    f"{ranks} = world_size {world_size} / (tensor {axes.tensor} x pipeline {axes.pipeline})",
                ),
                hint=f"use a divisor of {ranks}",
            )
        )
    return (*found, *_stage_problems(recipe))


def _stage_problems(recipe: Recipe) -> tuple[Problem, ...]:
    if not isinstance(recipe.parallel, Parallel):
        return ()
    data = recipe.parallel.data
    if data.strategy == "fsdp" and data.stage in {0, 1}:
        return (
            Problem(
                code="bad-choice",
                path="parallel.data.stage",
                message=f"`parallel.data.stage: {data.stage}` is no stage of fsdp; expected 2 or 3",
                hint="write stage: 3 to shard parameters too, 2 to shard gradients and optimizer states",
            ),
        )
    return ()


def _origins(*, recipe: Recipe, cluster: Cluster, cluster_origin: Origin) -> dict[str, Origin]:
    nodes, per_node = machines_of(cluster)
    measured = cluster_origin if recipe.cluster is None else default()
    marks = recipe.marks
    listed = cluster.devices is not None and cluster.devices_per_node is None
    found = {
        "layout.world_size": derived(f"{counted(nodes, 'node')} x {counted(per_node, 'device')}"),
        "layout.num_nodes": written_or(marks, "cluster.nodes", measured),
        "layout.devices_per_node": derived(f"{per_node} listed in cluster.devices")
        if listed
        else written_or(marks, "cluster.devices_per_node", measured),
        "layout.device": written_or(marks, "cluster.device", measured),
        "layout.backend": written_or(
            marks, "cluster.backend", default("gloo on CPU, nccl on GPUs, hccl on Gaudi")
        ),
        "layout.data_strategy": written_or(marks, "parallel.data.strategy", default()),
        "layout.zero_stage": written_or(marks, "parallel.data.stage", default("2 with zero, 3 with fsdp")),
    }
    for axis in ("tensor", "pipeline", "context", "expert"):
        path = "parallel.context.size" if f"parallel.{axis}.size" in marks else f"parallel.{axis}"
        found[f"layout.{axis}_parallel_size"] = written_or(marks, path, default())
    return found
