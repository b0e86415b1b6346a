"""The lengths that Accelerate writes into DeepSpeed's schedule for a DummyScheduler, and a loss shared by ranks."""

import os
from types import SimpleNamespace

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration, DeepSpeedPlugin, DummyOptim, DummyScheduler
from torch.distributed.device_mesh import init_device_mesh

LENGTHS = [(12, 4), (13, 4), (12, 0), (3, 2)]
"""total_num_steps, warmup_num_steps as a script gives them."""
AUTO = ("warmup_min_lr", "warmup_max_lr", "warmup_num_steps", "total_num_steps")


def dummy_schedules():
    """One row for each length, with and without split_batches; leaves an Accelerator for DeepSpeed behind.

    The processes are those that this job started with: on a machine without a GPU an Accelerator that starts with
    DeepSpeed would count one.
    """
    os.environ.update(ACCELERATE_USE_CPU="false", ACCELERATE_USE_DEEPSPEED="true")
    return [
        row_of(total_steps=total, warmup_steps=warmup, split_batches=split)
        for total, warmup in LENGTHS
        for split in (False, True)
    ]


def row_of(*, total_steps, warmup_steps, split_batches):
    AcceleratorState._reset_state()
    config = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": 0.0,
        "zero_optimization": {"stage": 0},
        "optimizer": {"type": "AdamW", "params": {"lr": "auto", "weight_decay": "auto", "torch_adam": True}},
        "scheduler": {"type": "WarmupDecayLR", "params": dict.fromkeys(AUTO, "auto")},
    }
    accelerator = Accelerator(
        deepspeed_plugin=DeepSpeedPlugin(hf_ds_config=config),
        dataloader_config=DataLoaderConfiguration(split_batches=split_batches),
    )
    model = torch.nn.Linear(1, 1)
    optimizer = DummyOptim(model.parameters(), lr=0.5)
    dummy = DummyScheduler(optimizer, total_num_steps=total_steps, warmup_num_steps=warmup_steps)
    engine, _, _ = accelerator.prepare(model, optimizer, dummy)
    return {
        "total_steps": total_steps,
        "warmup_steps": warmup_steps,
        "split_batches": split_batches,
        "num_processes": accelerator.num_processes,
        "written": accelerator.deepspeed_config["scheduler"]["params"],
        "built": [engine.lr_scheduler.total_num_steps, engine.lr_scheduler.warmup_num_steps],
    }


def loss_over_sequence_ranks(accelerator):
    """The loss that Trainer gives every rank of a group that shares sequences, each with another number of tokens."""
    from transformers.integrations.deepspeed import deepspeed_sp_compute_loss

    mesh = init_device_mesh("cpu", (accelerator.num_processes,), mesh_dim_names=("sp",))
    held = [[1.0, 2.0, 4.0], [16.0]]  # losses of each rank's tokens; the rest of the labels is masked
    own = torch.tensor(held[accelerator.process_index])
    labels = torch.full((1, 4), -100)
    labels[0, : len(own)] = 1
    shared = deepspeed_sp_compute_loss(
        SimpleNamespace(torch_device_mesh=mesh),
        lambda shift_labels, labels: SimpleNamespace(loss=own.mean()),
        {"shift_labels": labels},
        return_outputs=False,
        pc=SimpleNamespace(sp_backend="mesh", sp_size=accelerator.num_processes),
    )
    return {"held": held, "loss": float(shared)}
