"""What DeepSpeed's engine does to its schedule when a gradient is not finite: as in fp16, whose overflow is that."""

import torch
from gradients import ACCUMULATION, WIDTH, deepspeed_engine

ENGINES = {
    "no zero, fp32": {},
    "zero 1, bf16": {"zero_optimization": {"stage": 1}, "bf16": {"enabled": True}},
    "zero 2, fp32": {"zero_optimization": {"stage": 2}},
    "zero 3, bf16": {"zero_optimization": {"stage": 3}, "bf16": {"enabled": True}},
}
OVERFLOWS, STEPS = (1, 2, 5), 10


def skipped_steps(accelerator, schedule):
    """Engine -> the rate of each step, and its counts, when one micro-batch of one rank overflows in some steps."""
    found = {name: skipping(accelerator, schedule, config) for name, config in ENGINES.items()}
    return {"overflows": OVERFLOWS, "steps": STEPS, "engines": found}


def skipping(accelerator, schedule, config):
    model = torch.nn.Linear(WIDTH, 2, bias=False)
    engine = deepspeed_engine(model, scheduler=schedule, **config)
    inputs = torch.ones(1, WIDTH, dtype=torch.bfloat16 if "bf16" in config else torch.float32)
    rates = []
    for step in range(1, STEPS + 1):
        rates.append(engine.optimizer.param_groups[0]["lr"])
        for micro in range(ACCUMULATION):
            bad = step in OVERFLOWS and micro == 0 and accelerator.process_index == 1
            engine.backward(engine(inputs).sum() * (float("inf") if bad else 1.0))
            engine.step()
    return {
        "rates": rates,
        "skipped_steps": engine.skipped_steps,
        "global_steps": engine.global_steps,
        "global_samples": engine.global_samples,
        "train_batch_size": engine.train_batch_size(),
    }
