"""When gradients exist: fresh in one backward pass, kept over micro-batches, or in a buffer of the engine's."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.planning.memory.formats import compute_bytes
from launcher.planning.memory.setting import Setting
from launcher.planning.memory.sharding import Held, data_ranks, stage_of

__all__ = ["Gradients", "gradients_of", "torch_steps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradients:
    """Bytes of gradients on one rank, by moment."""

    base: int = 0
    """There in every phase."""
    fresh: bool = True
    """Whether each copy's own are added as the backward pass leaves it."""
    fresh_each: int = 0
    """Their bytes per trained parameter; 0: as they are held."""
    newest_each: int = 0
    """Bytes per parameter of the largest tensor, whose gradient is made before it is put where it belongs."""
    newest_end: bool = True
    """Whether the last one is still apart at the end of the backward pass: not where it went into a bucket."""
    inside: int = 0
    """Buffers that the first reduction inside the backward pass makes."""
    end: int
    """At the end of the backward pass."""
    step: int
    """At the optimizer's step."""


def torch_steps(setting: Setting) -> bool:
    """Whether nobody but torch looks after gradients: no DeepSpeed, no Megatron."""
    return setting.engine not in ("deepspeed", "megatron")


def gradients_of(setting: Setting, total: Held, *, count: int, trained: int, bucketed: bool) -> Gradients:
    """Gradients of one stage with `count` whole parameters on this rank, `trained` of them trained.

    `bucketed`: all of them fit into one bucket, so that nothing is reduced before the end of the backward pass.
    """
    whole = total.gradients
    accumulated = setting.gradient_accumulation_steps > 1
    if setting.engine == "megatron":
        return Gradients(base=whole, fresh=False, end=whole, step=whole + total.main_gradients)
    if setting.engine == "deepspeed" and setting.layout.strategy != "fsdp":
        return _deepspeed(setting, total, trained=trained, accumulated=accumulated, bucketed=bucketed)
    # FSDP's whole gradients are priced with what is being reduced
    each = 0 if setting.layout.strategy == "fsdp" else setting.formats.gradient_bytes
    if accumulated and _keeps_whole(setting):
        kept = _whole_fsdp(setting, count=count, trained=trained)
        return Gradients(base=kept, fresh=False, end=whole, step=whole)
    if accumulated:
        return Gradients(base=whole, fresh=False, newest_each=each, end=whole, step=whole)
    return Gradients(end=whole, step=whole)


def _keeps_whole(setting: Setting) -> bool:
    if setting.layout.strategy != "fsdp" or data_ranks(setting.layout) == 1:
        return False
    told = setting.layout.whole_gradients
    return setting.engine == "accelerate" if told is None else told


def _whole_fsdp(setting: Setting, *, count: int, trained: int) -> int:
    """Bytes of whole gradients that FSDP keeps between micro-batches where it does not reduce them.

    FSDP2 adds them up in the format they are reduced in. FSDP1 has them in the format of the computation, for all of a
    flat parameter where any of it is trained.
    Source: pytorch@v2.13.0 torch/distributed/fsdp/_fully_shard/_fsdp_param.py:to_accumulated_grad_if_needed,
    torch/distributed/fsdp/_runtime_utils.py:_post_backward_hook; accelerate@1.15.0 accelerator.py:no_sync.
    """
    formats = setting.formats
    if setting.layout.fsdp_version == 1:
        return min(compute_bytes(formats), formats.parameter_bytes) * (count if trained else 0)
    return formats.reduce_bytes * trained


def _deepspeed(
    setting: Setting, total: Held, *, trained: int, accumulated: bool, bucketed: bool
) -> Gradients:
    """What DeepSpeed's optimizers keep.

    Stage 1 has whole gradients until the step, stage 2 a partition made by the first reduction (and a second one
    where micro-batches are accumulated), stage 3 a partition from the start. bf16 with fp32 gradients at stage 1 is
    another optimizer: whole gradients in fp32, always, beside the fresh ones.
    Source: DeepSpeed@0.19.8 deepspeed/runtime/zero/stage_1_and_2.py:copy_grads_in_partition, get_flat_partition;
    stage3.py:_setup_for_real_optimizer; runtime/bf16_optimizer.py; runtime/engine.py:_do_optimizer_sanity_check.
    Checked: allocations of DeepSpeed 0.19.8 on two ranks (tests/stacks/test_rank_bytes.py).
    """
    formats, stage, whole = setting.formats, stage_of(setting.layout), total.gradients
    each = compute_bytes(formats)
    wide = formats.gradient_bytes > each
    if stage == 3:
        return Gradients(base=whole, fresh=False, newest_each=each, newest_end=False, end=whole, step=whole)
    if stage == 2:
        kept = whole if accumulated else 0
        again = 0 if wide else whole
        # a wide partition is there when the first bucket is reduced, a narrow one after it
        inside = whole if wide and not accumulated else 0 if bucketed else again if accumulated else whole
        return Gradients(
            base=kept,
            fresh=False,
            newest_each=each,
            newest_end=False,
            inside=0 if bucketed else inside,
            end=kept + inside,
            step=whole,
        )
    if stage == 1 and wide and formats.compute == "bf16":
        both = whole + each * trained
        return Gradients(base=whole, fresh_each=each, end=both, step=both)
    if stage == 1:
        part = formats.gradient_bytes * total.trained
        if wide:
            return Gradients(base=whole if accumulated else 0, fresh_each=each, end=whole, step=part)
        if accumulated:
            return Gradients(base=whole, fresh=False, newest_each=each, end=whole, step=part)
        return Gradients(end=whole, step=part)
    if accumulated:
        return Gradients(base=whole, fresh=False, newest_each=each, end=whole, step=whole)
    return Gradients(end=whole, step=whole)
