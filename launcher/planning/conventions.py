"""What other stacks do with a warmup or a batch, as published in their code; for comparing, never for planning.

Factors are shares of the peak learning rate at a 1-based optimizer step k with a warmup of W steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = [
    "accelerate_dummy_lengths",
    "accelerate_scheduler_steps",
    "deepspeed_linear_warmup",
    "deepspeed_log_warmup",
    "gpt_neox_warmup",
    "hugging_face_warmup",
    "hugging_face_warmup_steps",
    "megatron_samples_counted",
    "megatron_warmup",
    "megatron_warmup_samples",
    "nanogpt_mup_warmup",
    "nanogpt_warmup",
    "olmo_core_scale",
]


def hugging_face_warmup(*, step: int, warmup_steps: int) -> float:
    """Share of the peak at step k, (k - 1) / W: the first step trains at 0, the peak comes at k = W + 1.

    Source: transformers@5.23.0 optimization.py:_get_linear_schedule_with_warmup_lr_lambda.
    """
    return (step - 1) / warmup_steps if step <= warmup_steps else 1.0


def deepspeed_linear_warmup(*, step: int, warmup_steps: int) -> float:
    """Share of the peak at step k, max(0, k - 2) / W: two steps at 0, the peak at k = W + 2; W is at least 2.

    The scheduler is built at iteration -1 and steps after the optimizer, so the first call leaves iteration 0.
    Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupLR._get_gamma.
    """
    return min(1.0, max(0, step - 2) / max(2, warmup_steps))


def deepspeed_log_warmup(*, step: int, warmup_steps: int) -> float:
    """Share of the peak at step k, ln(max(0, k - 2) + 1) / ln W: two steps at 0, the peak at k = W + 1.

    What DeepSpeed does when no warmup_type is written.
    Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupLR._get_gamma.
    """
    iteration, length = max(0, step - 2), max(2, warmup_steps)
    return 1.0 if iteration >= length else math.log(iteration + 1) / math.log(length)


def megatron_warmup(*, samples_before: int, warmup_samples: int, initial_share: float = 0.0) -> float:
    """Share of the peak, init + (1 - init) s / W, with s samples before the step.

    initial_share: lr_warmup_init over the peak.
    Source: NVIDIA/Megatron-LM@d98e8a64 megatron/core/optimizer_param_scheduler.py:OptimizerParamScheduler.get_lr.
    Checked: equal to that class run at that commit, 30 steps of 4 to 8 samples, init 0 to 0.5.
    """
    if samples_before > warmup_samples or warmup_samples == 0:
        return 1.0
    return initial_share + (1.0 - initial_share) * samples_before / warmup_samples


def megatron_warmup_samples(
    *,
    global_batch_size: int,
    decay_samples: int,
    warmup_steps: int = 0,
    warmup_samples: int | None = None,
    warmup_share: float | None = None,
) -> float:
    """Length of the warmup in samples, whichever way it was written: a share of the decay's length goes before steps.

    warmup_steps: lr_warmup_iters, times the batch at its full size. A run counted in samples takes lr_warmup_samples.
    Raises ValueError where the warmup is not shorter than the decay's length, which Megatron asserts.
    Source: NVIDIA/Megatron-LM@d98e8a64 megatron/training/training.py:get_optimizer_param_scheduler,
    megatron/core/optimizer_param_scheduler.py:OptimizerParamScheduler.__init__.
    """
    written = warmup_steps * global_batch_size if warmup_samples is None else warmup_samples
    length = written if warmup_share is None else warmup_share * decay_samples
    if length >= decay_samples:
        raise ValueError(f"a warmup of {length} samples is not shorter than {decay_samples}")
    return length


def megatron_samples_counted(
    *, successful: Iterable[bool], num_microbatches: int, micro_batch_size: int, data_parallel_size: int
) -> int:
    """Samples that the schedule has counted after these steps: one that was skipped, as by fp16, counts for nothing.

    Source: NVIDIA/Megatron-LM@d98e8a64 megatron/training/training.py:train_step.
    """
    return sum(successful) * num_microbatches * micro_batch_size * data_parallel_size


def gpt_neox_warmup(*, step: int, warmup_steps: float) -> float:
    """Share of the peak at step k, max(1, k - 1) / W: never 0, the first two steps alike.

    W is a share of the run and need not be whole.
    Source: EleutherAI/gpt-neox@ea7aefd8 megatron/learning_rates.py:AnnealingLR.get_lr.
    """
    iteration = step - 1
    return max(1, iteration) / warmup_steps if warmup_steps > 0 and iteration <= warmup_steps else 1.0


def nanogpt_warmup(*, step: int, warmup_steps: int) -> float:
    """Share of the peak at step k, k / (W + 1): no step at 0, the peak at k = W + 1.

    Source: karpathy/nanoGPT@3adf61e train.py:get_lr.
    """
    return step / (warmup_steps + 1) if step - 1 < warmup_steps else 1.0


def nanogpt_mup_warmup(*, step: int, warmup_steps: int) -> float:
    """Share of the peak at step k, (k - 1) / W: the first step trains at 0, the peak at k = W + 1.

    Source: EleutherAI/nanoGPT-mup@b2a5e60 train.py:get_lr.
    """
    return (step - 1) / warmup_steps if step - 1 < warmup_steps else 1.0


def hugging_face_warmup_steps(*, warmup: float, total_steps: int) -> int:
    """Steps of warmup that a Trainer takes: below 1 a share of the run, rounded up.

    Source: transformers@5.23.0 training_args.py:TrainingArguments.get_warmup_steps.
    """
    return int(warmup) if warmup >= 1 else math.ceil(total_steps * warmup)


def accelerate_scheduler_steps(
    *, optimizer_steps: int, num_processes: int, split_batches: bool = False
) -> int:
    """Steps a prepared scheduler has taken after a number of optimizer steps: once per process unless split_batches.

    Source: accelerate@1.15.0 scheduler.py:AcceleratedScheduler.step.
    """
    return optimizer_steps if split_batches else optimizer_steps * num_processes


def accelerate_dummy_lengths(
    *, total_steps: int, warmup_steps: int, num_processes: int, split_batches: bool = False
) -> tuple[int, int]:
    """total_num_steps and warmup_num_steps that DeepSpeed gets from a DummyScheduler: one is divided, one is not.

    Source: accelerate@1.15.0 accelerator.py:Accelerator._prepare_deepspeed.
    """
    total = total_steps if split_batches else math.ceil(total_steps / num_processes)
    return total, max(1, warmup_steps)


def olmo_core_scale(*, batch: int, current_batch: int, optimizer: str) -> float:
    """Factor on the base learning rate when the batch changes: sqrt(batch / current), Adam's family only.

    Raises ValueError for other optimizers, and where neither batch divides the other.
    Source: allenai/OLMo-core@fa6c5014 train/callbacks/batch_size_scheduler.py:BatchSizeSchedulerCallback.
    """
    if optimizer not in {"adam", "adamw"}:
        raise ValueError(f"no rule for {optimizer}")
    if max(batch, current_batch) % min(batch, current_batch):
        raise ValueError(f"{current_batch} to {batch} is no integer factor")
    return math.sqrt(batch / current_batch)
