"""Trains every case of a list under one launch, through launcher.runtime, and leaves parameters and traces behind.

Started by the tests; its argument is a JSON file: [{plan, folder, engine, optimizer, stop, save, resume}, ...].
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from exactness_model import build_model, build_optimizer, collate, dataset, stream_of_tokens

from launcher import runtime
from launcher.planning.stages.ledger import stages_of


def wrap(model, optimizer, plan, folder):
    if plan.launch.engine == "deepspeed":
        import deepspeed

        config = str(folder / "deepspeed.json")
        engine, optimizer, _, _ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
        return engine, engine, optimizer
    if plan.launch.engine == "accelerate":
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState, GradientState

        GradientState._reset_state()  # one process, many cases
        AcceleratorState._reset_state()
        steps = stages_of(plan)[0].batch.gradient_accumulation_steps
        accelerator = Accelerator(gradient_accumulation_steps=steps)
        model, optimizer = accelerator.prepare(model, optimizer)
        return accelerator, model, optimizer
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    if plan.layout.data_strategy == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (plan.layout.world_size,))
        fully_shard(model.hidden, mesh=mesh)
        fully_shard(model, mesh=mesh)
        optimizer.param_groups[0]["params"] = list(
            model.parameters()
        )  # the shards replace what it was built with
        return model, model, optimizer
    model = torch.nn.parallel.DistributedDataParallel(model)
    return model, model, optimizer


def parameters(model):
    if hasattr(model, "unshard"):
        return {name: value.full_tensor().detach() for name, value in model.named_parameters()}
    if not hasattr(model, "zero_optimization_stage"):
        return {name.removeprefix("module."): value.detach() for name, value in model.named_parameters()}
    import deepspeed

    with deepspeed.zero.GatheredParameters(list(model.module.parameters())):
        return {name: value.detach().clone() for name, value in model.module.named_parameters()}


def train(case):
    folder = Path(case["folder"])
    environ = {**os.environ, "LAUNCHER_PLAN": str(folder / "plan.json"), "BATCHWRIGHT_RUN": str(folder)}
    environ.pop("BATCHWRIGHT_PLAN_HASH", None)  # the launch is that of the first case
    plan = runtime.read_plan(environ)
    model = build_model()
    kept = Path(case["resume"] or "")
    resumed = torch.load(kept) if kept.suffix == ".pt" else None
    if resumed:
        model.load_state_dict(resumed["model"])
    optimizer = build_optimizer(case["optimizer"], model.parameters(), plan.learning_rate.peak_learning_rate)
    if resumed:
        optimizer.load_state_dict(resumed["optimizer"])
    carrier, model, optimizer = wrap(model, optimizer, plan, folder)
    run = runtime.start(carrier, environ=environ)
    if resumed:
        run.load_state_dict(resumed["run"])
    elif case["resume"]:
        _, client = carrier.load_checkpoint(str(kept.parent), tag=kept.name)
        run.load_state_dict(client["run"])
    order = []
    lengths = {stage.batch.sequence_length for stage in stages_of(plan)}
    for step in run.steps(stream_of_tokens if len(lengths) > 1 else dataset(), collate=collate):
        order.append([])
        for micro in step:
            order[-1].append(micro.indices)
            losses = model(micro.batch)
            scalar = case["scalar"]  # the other form that backward takes
            run.backward((losses * micro.weight).sum() if scalar else losses, micro)
        run.apply(optimizer)
        if case["save"] == step.number and plan.launch.engine == "deepspeed":
            carrier.save_checkpoint(str(folder), tag="kept", client_state={"run": run.state_dict()})
        elif case["save"] == step.number and run.rank == 0:
            state = {"model": model.module.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "run": run.state_dict()}, folder / "state.pt")
    (folder / f"order-{run.rank}.json").write_text(json.dumps(order))
    trained = parameters(model)
    if run.rank == 0:
        torch.save(trained, folder / "trained.pt")


if __name__ == "__main__":
    for each in json.loads(Path(sys.argv[1]).read_text()):
        train(each)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
