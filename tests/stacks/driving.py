"""Drives real schedulers as their stacks do, and writes down the rate that every optimizer step used."""

from fractions import Fraction

from launcher.planning.learning_rate import learning_rate_at, learning_rate_of_step
from launcher.spec.plan import SchedulePlan

__all__ = ["BATCH", "curve", "lagging", "plan_of_lengths", "rates_used", "schedule"]

BATCH = 48
"""Sequences per step. Curves are functions of samples; any batch gives the same rates."""


def rates_used(make, *, steps, peak):
    """Rate of steps 1, 2 ... when the optimizer steps first and its scheduler after, as Trainer and DeepSpeed do.

    make: optimizer -> scheduler.
    """
    import torch

    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    optimizer = torch.optim.SGD([parameter], lr=peak)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


def schedule(*, peak, warmup_steps, total_steps, decay, start=0.0, final=0.0, first_step="zero"):
    """The plan's schedule with lengths in steps of BATCH sequences."""
    return SchedulePlan(
        peak_learning_rate=peak,
        start_learning_rate=start,
        final_learning_rate=peak if decay == "constant" else final,
        warmup_samples=Fraction(warmup_steps * BATCH),
        decay=decay,
        decay_samples=None,
        decay_shape="linear",
        total_samples=Fraction(total_steps * BATCH),
        first_step=first_step,
    )


def curve(planned, *, steps):
    """The plan's rate of steps 1, 2 ..."""
    return [
        learning_rate_of_step(schedule=planned, samples_after=step * BATCH, global_batch_size=BATCH)
        for step in range(1, steps + 1)
    ]


def lagging(planned, *, steps, lag):
    """The plan's curve read `lag` steps late: step k uses f at max(0, k - lag) steps of samples."""
    return [
        learning_rate_at(schedule=planned, samples=max(0, step - lag) * BATCH) for step in range(1, steps + 1)
    ]


def plan_of_lengths(*, warmup, length, batch=BATCH, peak=1e-3, **schedule):
    """The plan of a recipe with a learning rate and these lengths, on one CPU."""
    from launcher.api import load_recipe, plan

    return plan(
        load_recipe(
            {
                "global_batch_size": batch,
                "sequence_length": 128,
                "hidden_size": 64,
                "optimizer": {"learning_rate": peak},
                "schedule": {"warmup": warmup, "length": length, **schedule},
                "cluster": {"nodes": 1, "devices_per_node": 1, "device": "cpu"},
            }
        )
    )
