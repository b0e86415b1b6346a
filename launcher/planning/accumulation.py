"""Which sequence of a step goes where, and the factor that makes accumulated gradients the global weighted mean."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Reducer", "Slot", "loss_scale", "micro_batch_slots", "slot_of"]

Reducer = Literal["ddp", "accelerate", "deepspeed", "deepspeed-unscaled", "sum", "megatron-per-token"]
"""Who averages gradients, and what else it divides by.

ddp: mean over ranks (DDP, FSDP) and nothing else. accelerate: the same, and `Accelerator.backward` divides by its
accumulation steps. deepspeed: mean over ranks, and `engine.backward` divides by its accumulation steps.
deepspeed-unscaled: `engine.backward(loss, scale_wrt_gas=False)`. sum: a sum over ranks (FSDP2 with divide factor 1,
DeepSpeed's gradient_allreduce_op sum with scale_wrt_gas=False). megatron-per-token: calculate_per_token_loss, which
divides by the all-reduced number of tokens itself.
"""


class Slot(NamedTuple):
    """Place of one sequence inside an optimizer step."""

    micro_step: int
    rank: int
    position: int


def slot_of(*, index: int, micro_batch_size: int, data_parallel_size: int) -> Slot:
    """Where the sequence `index` of a step goes: slots fill in order, so idle slots are the last ones."""
    return Slot(
        micro_step=index // (data_parallel_size * micro_batch_size),
        rank=index // micro_batch_size % data_parallel_size,
        position=index % micro_batch_size,
    )


def micro_batch_slots(
    *, micro_step: int, rank: int, micro_batch_size: int, data_parallel_size: int, samples_in_step: int
) -> range:
    """Sequences of the step, counted from 0, that one data-parallel rank holds in one micro step.

    Shorter than the micro-batch, or empty, where slots idle; the inverse of slot_of.
    """
    start = (micro_step * data_parallel_size + rank) * micro_batch_size
    return range(min(start, samples_in_step), min(start + micro_batch_size, samples_in_step))


def loss_scale(
    *, reducer: Reducer, data_parallel_size: int, gradient_accumulation_steps: int, total_weight: float
) -> float:
    """Factor on a rank's summed loss that makes the gradient the weighted mean over the whole global batch.

    total_weight: sum of all weights of the step, over ranks and micro-batches; above zero.
    Source: torch DistributedDataParallel averages over ranks; accelerate@1.15.0 accelerator.py:Accelerator.backward
    and deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine.backward divide by their accumulation steps;
    pytorch/torchtitan#2206 for the sum.
    """
    factors = {
        "ddp": data_parallel_size,
        "accelerate": data_parallel_size * gradient_accumulation_steps,
        "deepspeed": data_parallel_size * gradient_accumulation_steps,
        "deepspeed-unscaled": data_parallel_size,
        "sum": 1,
    }
    if reducer == "megatron-per-token":
        return 1.0
    return factors[reducer] / total_weight
