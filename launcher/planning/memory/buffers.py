"""What engines hold for communication: buckets, gathered weights, and gradients on their way to the optimizer."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.planning.memory.formats import compute_bytes
from launcher.planning.memory.pipeline import Stretch
from launcher.planning.memory.setting import Setting
from launcher.planning.memory.sharding import Held, Share, data_ranks, stage_of

__all__ = ["Traffic", "Unit", "traffic", "unit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Whole (gathered) weights of one copy on one rank, in numbers."""

    count: int = 0
    trained: int = 0
    largest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes of one stage."""

    always: int = 0
    backward: int = 0
    """From the first operation of the backward pass to its end."""
    backward_end: int = 0
    """At the end of the backward pass only."""
    step: int = 0
    """Gradients flattened and cast for the optimizer."""
    gathered: int = 0
    """Weights whole from the forward pass to the end of the backward pass, root group included."""
    gathered_each: float = 0.0
    """Bytes gathered per parameter of the copy at work; two copies are (one is fetched ahead)."""
    reduce_each: float = 0.0
    """Bytes per trained parameter of a copy whose gradients are being reduced."""
    root_gradients: int = 0
    """Whole gradients of the root group, from the loss to the end of the backward pass."""


def unit(shares: tuple[Share, ...]) -> Unit:
    """Weights of one copy, all together."""
    return Unit(
        count=sum(share.count for share in shares),
        trained=sum(share.trained for share in shares),
        largest=max((share.largest for share in shares if share.trained), default=0),
    )


def traffic(
    stretches: tuple[Stretch, ...], units: tuple[Unit, ...], total: Held, setting: Setting
) -> Traffic:
    """Buffers of one stage whose parts hold `units` per copy and `total` from step to step."""
    layout = setting.layout
    if setting.engine == "megatron":
        return Traffic(always=_megatron(stretches, setting))
    trained = sum(each.trained * stretch.copies for stretch, each in zip(stretches, units, strict=True))
    if layout.strategy == "fsdp":
        return _fsdp(stretches, units, setting) if data_ranks(layout) > 1 else Traffic()
    if setting.engine == "deepspeed":
        count = sum(each.count * stretch.copies for stretch, each in zip(stretches, units, strict=True))
        return _deepspeed(count, trained, total, setting)
    if data_ranks(layout) > 1:
        return Traffic(always=_ddp(trained, setting))
    return Traffic()


def _megatron(stretches: tuple[Stretch, ...], setting: Setting) -> int:
    """Bytes of the buffer that all layers share, and of what passes between pipeline stages.

    Gradients lie in one buffer that is also what is reduced. Beside the inputs that layers save, a stage holds the
    next micro-batch's input, the gradient it just sent back and the one it receives.
    Source: NVIDIA/Megatron-LM@950aa435 megatron/core/distributed/param_and_grad_buffer.py,
    megatron/core/pipeline_parallel/{schedules,p2p_communication}.py; megatron/core/utils.py:GlobalMemoryBuffer.
    Checked: 13.5 MiB more with pipeline stages in golden values, where one input has 4 MiB (tests/functional_tests).
    """
    passed = max((stretch.part.boundary for stretch in stretches), default=0)
    shared = max((stretch.part.buffer for stretch in stretches), default=0)
    return shared + (3 * passed if setting.layout.pipeline > 1 else 0)


def _ddp(trained: int, setting: Setting) -> int:
    """Bytes of DDP's buckets: as much as all gradients, with gradient_as_bucket_view off (the default).

    Source: pytorch@v2.13.0 torch/nn/parallel/distributed.py: with the view "saved memory size will be equal to the
    total gradients size".
    """
    return setting.formats.gradient_bytes * trained


def _fsdp(stretches: tuple[Stretch, ...], units: tuple[Unit, ...], setting: Setting) -> Traffic:
    """Bytes that FSDP gathers and reduces: layers are groups, everything else is the root group.

    The root group stays whole to the end of the backward pass, and so do its gradients.
    Source: pytorch@v2.13.0 torch/distributed/fsdp/_fully_shard/_fsdp_param_group.py, _fsdp_collectives.py.
    """
    formats = setting.formats
    each = min(compute_bytes(formats), formats.parameter_bytes)
    pairs = tuple(zip(stretches, units, strict=True))
    root = sum(one.count * stretch.copies for stretch, one in pairs if stretch.part.place != "body")
    root_trained = sum(one.trained * stretch.copies for stretch, one in pairs if stretch.part.place != "body")
    kept = 0
    if setting.layout.zero_stage == 2:
        kept = sum(one.count * stretch.copies for stretch, one in pairs if stretch.part.place == "body")
    return Traffic(
        gathered=each * (root + kept),
        gathered_each=0.0 if kept else each,
        reduce_each=each + formats.reduce_bytes,
        root_gradients=each * root_trained,
        backward_end=formats.reduce_bytes * root_trained,
    )


def _deepspeed(count: int, trained: int, total: Held, setting: Setting) -> Traffic:
    """Bytes of DeepSpeed's buckets, in the sizes that its configuration gives: they are allocated whole.

    Source: DeepSpeed@0.19.8 deepspeed/runtime/zero/stage_1_and_2.py:setup_buckets, step;
    stage3.py:_setup_for_real_optimizer, _prepare_fp32_grad_for_sub_group; engine.py:buffered_allreduce_fallback;
    config.py: overlap_comm is on at stage 3 only.
    """
    formats, sizes, stage = setting.formats, setting.buffers, stage_of(setting.layout)
    each = formats.gradient_bytes
    flat = (4 if formats.master_bytes else 0) * total.trained
    if stage == 0:
        return Traffic(backward_end=each * min(trained, sizes.reduce_bucket), step=flat)
    if stage < 3:
        overlap = bool(sizes.overlap)
        return Traffic(backward=each * sizes.reduce_bucket * (2 if overlap else 1), step=flat)
    live = min(count, sizes.max_live_parameters)
    return Traffic(
        always=each * sizes.reduce_bucket,
        backward=each * min(trained, sizes.reduce_bucket),
        gathered=compute_bytes(formats) * live,
        step=flat,
    )
