"""What is started and where, and what the script is handed: launch, data, evaluation and checkpoint blocks."""

from __future__ import annotations

import math
import posixpath
from pathlib import PurePosixPath
from typing import Any

from launcher.planning.schedule import Timeline, samples_of
from launcher.spec.cluster import Cluster
from launcher.spec.launch import Launch
from launcher.spec.place import ContainerPlan, SlurmPlan
from launcher.spec.plan import LaunchPlan, LayoutPlan
from launcher.spec.recipe import Recipe
from launcher.units import Amount

__all__ = ["checkpoint_block", "data_block", "evaluation_block", "launch_plan", "recipe_name"]


def recipe_name(recipe: Recipe) -> str:
    """The recipe's name, else its file's."""
    if recipe.name is not None:
        return recipe.name
    files = (mark.file for mark in recipe.marks.values() if mark.origin == "recipe" and mark.file)
    return PurePosixPath(next(files, "recipe")).stem


def launch_plan(*, recipe: Recipe, cluster: Cluster, layout: LayoutPlan) -> LaunchPlan:
    """How the job is started; argument and environment values keep their placeholders."""
    launch, network = recipe.launch, recipe.launch.network
    alone = layout.num_nodes == 1
    address = network.main_address
    if address == "auto" and alone:
        address = "127.0.0.1"
    return LaunchPlan(
        engine=launch.engine,
        executor=launch.executor,
        script=launch.script,
        module=launch.module,
        args=launch.args,
        env=launch.env,
        pass_env=launch.pass_env,
        python=launch.python,
        workdir=posixpath.normpath(posixpath.join(recipe.directory, launch.workdir)),
        runtime=launch.runtime,
        main_address=address,
        main_port=None if network.port == "auto" else network.port,
        native_deepspeed=launch.native.deepspeed,
        native_accelerate=launch.native.accelerate,
        native_argv=launch.native.argv,
        threads_per_process=_threads(cluster, layout),
        handshake_seconds=float(launch.timeouts.handshake.number),
        stall_seconds=float(launch.timeouts.stall.number),
        grace_seconds=float(launch.timeouts.grace.number),
        hosts=recipe.hosts[: layout.num_nodes],
        interface=network.interface,
        setup=launch.setup,
        container=_container(launch),
        slurm=_slurm(launch),
        allocation=recipe.allocation,
        template=recipe.template,
        resume_args=recipe.resume.args if recipe.resume else (),
    )


def _container(launch: Launch) -> ContainerPlan | None:
    given = launch.container
    if given is None:
        return None
    return ContainerPlan(image=given.image, mounts=given.mounts, runtime=given.runtime)


def _slurm(launch: Launch) -> SlurmPlan | None:
    given = launch.slurm
    if given is None:
        return None
    return SlurmPlan(
        partition=given.partition,
        account=given.account,
        constraint=given.constraint,
        time_seconds=None if given.time is None else float(given.time.number),
        signal=given.signal,
        requeue=given.requeue,
        array=given.array,
        extra=given.extra,
    )


def data_block(*, recipe: Recipe, timeline: Timeline) -> dict[str, Any]:
    """Size of the data and of the run, known to the runtime even where no learning rate is planned."""
    data = recipe.data
    return {
        "kind": data.kind,
        "packing": data.packing,
        "drop_last": data.drop_last,
        "mean_length": data.mean_length,
        "loss_token_fraction": data.loss_token_fraction,
        "num_samples": timeline.num_samples,
        "total_samples": None if timeline.total_samples is None else math.floor(timeline.total_samples),
        "total_steps": timeline.total_steps,
        "last_step_samples": timeline.last_step_samples,
        "ended_by_data": timeline.ended_by_data,
        "warmup_samples": math.floor(timeline.warmup_samples),
        "warmup_steps": timeline.warmup_steps,
        "paths": list(data.paths),
    }


def evaluation_block(*, recipe: Recipe, global_batch_size: int) -> dict[str, Any] | None:
    """When the script evaluates, in optimizer steps."""
    if recipe.evaluation is None:
        return None
    every = _steps(recipe.evaluation.every, recipe, global_batch_size)
    return {"every_steps": every, "batch_size": recipe.evaluation.batch_size}


def checkpoint_block(*, recipe: Recipe, global_batch_size: int) -> dict[str, Any] | None:
    """When the script saves, in optimizer steps, and where."""
    if recipe.checkpoint is None:
        return None
    written = recipe.checkpoint
    every = _steps(written.every, recipe, global_batch_size)
    return {"every_steps": every, "directory": written.directory, "keep": written.keep}


def _steps(every: Amount | None, recipe: Recipe, global_batch_size: int) -> int | None:
    """A mark ends after the first step at or past it."""
    if every is None:
        return None
    samples = samples_of(every, recipe=recipe, global_batch_size=global_batch_size)
    return None if samples is None else max(1, math.ceil(samples / global_batch_size))


def _threads(cluster: Cluster, layout: LayoutPlan) -> int:
    """OMP_NUM_THREADS of each process: its share of the node's cores, 1 where they are not known, as torchrun does."""
    if cluster.cpus_per_node is None:
        return 1
    return max(1, cluster.cpus_per_node // layout.devices_per_node)
