"""Started on two ranks: what the real stacks do to a schedule and to a gradient.

Rank 0 writes everything it saw into the JSON file that the first argument names; the tests compare.
"""

import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from averaging import averages
from batch_norms import batch_norms
from documented_example import documented_example
from dummies import dummy_schedules, loss_over_sequence_ranks
from gradients import ACCUMULATION, gradients, rates_of_engine
from skipping import skipped_steps
from transformers import get_linear_schedule_with_warmup

WARMUP_STEPS, TOTAL_STEPS = 4, 12
ENGINE_SCHEDULE = {
    "warmup_max_lr": 0.5,
    "warmup_num_steps": WARMUP_STEPS,
    "total_num_steps": TOTAL_STEPS,
    "warmup_type": "linear",
}


def main(path):
    accelerator = Accelerator(gradient_accumulation_steps=ACCUMULATION)
    splitting = Accelerator(
        gradient_accumulation_steps=ACCUMULATION,
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )
    engine_schedule = {"type": "WarmupDecayLR", "params": ENGINE_SCHEDULE}
    seen = {
        "num_processes": accelerator.num_processes,
        "world_size": torch.distributed.get_world_size(),
        "schedule": {"warmup_steps": WARMUP_STEPS, "total_steps": TOTAL_STEPS},
        "rates": rates_used(accelerator),
        "rates with split_batches": rates_used(splitting),
        "documented": documented_example(
            accelerator, micro_batch_size=4, gradient_accumulation_steps=ACCUMULATION
        ),
        "gradients": gradients(accelerator),
        "engine": rates_of_engine(engine_schedule, steps=TOTAL_STEPS),
        "engine schedule": ENGINE_SCHEDULE,
        "skipping": skipped_steps(accelerator, engine_schedule),
        "averages": averages(accelerator),
        "batch norms": batch_norms(),
        "sequence-parallel loss": loss_over_sequence_ranks(accelerator),
        "dummies": dummy_schedules(),  # last: it makes another Accelerator
    }
    if accelerator.is_main_process:
        Path(path).write_text(json.dumps(seen))
    accelerator.wait_for_everyone()
    torch.distributed.destroy_process_group()


def rates_used(accelerator):
    """The rate of each optimizer step, where the prepared schedule was made for TOTAL_STEPS of them."""
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, WARMUP_STEPS, TOTAL_STEPS)
    model, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    rates = []
    for _ in range(TOTAL_STEPS * ACCUMULATION):
        with accelerator.accumulate(model):
            accelerator.backward(model(torch.ones(1, 1)).sum())
            if accelerator.sync_gradients:
                rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return rates


if __name__ == "__main__":
    main(sys.argv[1])
