"""Started on two ranks: every case is a schedule as a plan has compiled it, run to its end by the real stack.

First argument: JSON, list of cases; second: where rank 0 writes the rates that each case used, by its name.
"""

import json
import os
import sys
from pathlib import Path

import deepspeed
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration, DeepSpeedPlugin, DummyOptim, DummyScheduler
from transformers import get_scheduler

# the shared-memory transport would have to be compiled; gloo carries the same sums
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False

ACCUMULATION = 2


def main(cases, path):
    accelerator = Accelerator(gradient_accumulation_steps=ACCUMULATION)
    splitting = Accelerator(
        gradient_accumulation_steps=ACCUMULATION,
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )
    run = {
        "engine": by_engine,
        "script": lambda case: by_script(accelerator, case, prepared=False),
        "prepared": lambda case: by_script(accelerator, case, prepared=True),
        "split": lambda case: by_script(splitting, case, prepared=True),
        # last: these make other Accelerators
        "dummy": by_dummy,
        "prepared beside DeepSpeed": by_prepared_beside_deepspeed,
    }
    cases = json.loads(Path(cases).read_text())
    seen = {}
    for kind, rates in run.items():
        seen |= {case["name"]: rates(case) for case in cases if case["kind"] == kind}
    assert set(seen) == {case["name"] for case in cases}
    if torch.distributed.get_rank() == 0:
        Path(path).write_text(json.dumps(seen))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def by_engine(case):
    """DeepSpeed's engine with the rendered file, as it is."""
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=case["peak"])
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=case["config"])
    assert engine.gradient_accumulation_steps() == ACCUMULATION
    assert engine.dp_world_size == 2
    rates = []
    for number in range(case["steps"] * ACCUMULATION):
        if number % ACCUMULATION == 0:
            rates.append(float(engine.optimizer.param_groups[0]["lr"]))
        engine.backward(engine(torch.ones(1, 2)).sum())
        engine.step()
    return rates


def by_script(accelerator, case, *, prepared):
    """A script that builds the schedule from the placeholders, and steps it once per optimizer step."""
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=case["peak"])
    schedule = schedule_of(case, optimizer)
    model, optimizer = accelerator.prepare(model, optimizer)
    if prepared:
        schedule = accelerator.prepare(schedule)
    return rates_of(accelerator, model, optimizer, schedule, case, every_micro_batch=prepared)


def by_prepared_beside_deepspeed(case):
    """The same where Accelerate makes a DeepSpeed engine and the file has no scheduler."""
    accelerator = with_deepspeed({key: value for key, value in BASE.items() if key != "optimizer"})
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=case["peak"])
    parts = accelerator.prepare(model, optimizer, schedule_of(case, optimizer))
    return rates_of(accelerator, *parts, case, every_micro_batch=True)


def by_dummy(case):
    """A DummyScheduler with the placeholders' numbers, beside the rendered scheduler; `auto`: only its type is there."""
    scheduler = case["config"]["scheduler"]
    if case["auto"]:
        filled = {"warmup_min_lr", "warmup_max_lr", *("warmup_num_steps", "total_num_steps")}
        params = {key: "auto" if key in filled else value for key, value in scheduler["params"].items()}
        scheduler = {**scheduler, "params": params}
    accelerator = with_deepspeed({**BASE, "scheduler": scheduler})
    model = torch.nn.Linear(2, 1)
    optimizer = DummyOptim(model.parameters(), lr=case["peak"], weight_decay=0.0)
    dummy = DummyScheduler(
        optimizer,
        total_num_steps=int(case["scheduler_total_steps"]),
        warmup_num_steps=int(case["scheduler_warmup_steps"]),
    )
    parts = accelerator.prepare(model, optimizer, dummy)
    return rates_of(accelerator, *parts, case, every_micro_batch=True)


BASE = {
    "train_micro_batch_size_per_gpu": 1,
    "gradient_accumulation_steps": ACCUMULATION,
    "gradient_clipping": 0.0,
    "zero_optimization": {"stage": 0},
    "optimizer": {"type": "AdamW", "params": {"lr": "auto", "weight_decay": "auto", "torch_adam": True}},
}


def with_deepspeed(config):
    """An Accelerator of the processes that are there: one that starts with DeepSpeed on CPU would count one."""
    os.environ.update(ACCELERATE_USE_CPU="false", ACCELERATE_USE_DEEPSPEED="true")
    AcceleratorState._reset_state()
    return Accelerator(deepspeed_plugin=DeepSpeedPlugin(hf_ds_config=json.loads(json.dumps(config))))


def schedule_of(case, optimizer):
    return get_scheduler(
        case["scheduler_name"],
        optimizer,
        num_warmup_steps=int(case["scheduler_warmup_steps"]),
        num_training_steps=int(case["scheduler_total_steps"]),
        scheduler_specific_kwargs=json.loads(case["scheduler_arguments"]),
    )


def rates_of(accelerator, model, optimizer, schedule, case, *, every_micro_batch):
    """Accelerate's own loop; a schedule that it has not prepared is stepped where the optimizer is."""
    rates = []
    for number in range(case["steps"] * ACCUMULATION):
        with accelerator.accumulate(model):
            if number % ACCUMULATION == 0:
                rates.append(float(optimizer.param_groups[0]["lr"]))
            accelerator.backward(model(torch.ones(1, 2)).sum())
            optimizer.step()
            if every_micro_batch or accelerator.sync_gradients:
                schedule.step()
            optimizer.zero_grad()
    return rates


if __name__ == "__main__":
    main(*sys.argv[1:])
