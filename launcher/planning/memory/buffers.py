"""What engines hold for communication: buckets, gathered weights, and gradients on their way to the optimizer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from launcher.planning.memory.formats import compute_bytes
from launcher.planning.memory.pipeline import Stretch
from launcher.planning.memory.setting import Setting
from launcher.planning.memory.sharding import Held, Share, data_ranks, stage_of
from launcher.planning.memory.states import step_of

__all__ = ["Traffic", "Unit", "traffic", "unit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Whole (gathered) weights of one copy on one rank, in numbers."""

    count: int = 0
    trained: int = 0
    largest: int = 0
    resting: float = 0.0
    """Bytes of those that rest in a format of their own (a quantized base), which is also how they are gathered."""
    resting_count: int = 0

    def gathered(self, each: float) -> float:
        """Bytes whole, at `each` bytes per number where no weight has its own format."""
        return each * (self.count - self.resting_count) + self.resting


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes of one stage."""

    always: int = 0
    backward: int = 0
    """From the first operation of the backward pass to its end."""
    inside: int = 0
    """Inside the backward pass, from the first reduction on."""
    backward_end: int = 0
    """At the end of the backward pass only."""
    step: int = 0
    """Gradients flattened and cast for the optimizer, before it starts."""
    step_gradients: int | None = None
    """Gradients while the optimizer works; None: as they are held."""
    gathered: int = 0
    """Weights whole from the forward pass to the end of the backward pass, root group included."""
    gathered_each: float = 0.0
    """Bytes gathered per parameter of the copies at work."""
    turn: int = 0
    """Numbers that stay gathered around the turn from forward to backward pass, and go as it leaves them."""
    ahead: int = 0
    """Numbers fetched ahead."""
    whole_each: int = 0
    """Bytes per trained parameter of the whole gradients of the copy at work."""
    reduce_each: int = 0
    """Bytes per trained parameter of a copy whose gradients are being reduced: of the one before."""
    root_gradients: int = 0
    """Whole gradients of the root group, from the loss to the end of the backward pass."""

    def whole(self, *, each: int, left: int, passed: int, copy: Unit, groups: int) -> int:
        """Bytes of weights gathered when `passed` parameters are behind the backward pass and `left` before it.

        `groups`: copies of `copy` that FSDP holds gathered at once.
        """
        if not self.turn:
            fetched = copy.gathered(self.gathered_each) * groups if self.gathered_each else 0
            return self.gathered + round(fetched)
        return self.gathered + each * min(left, max(self.turn - passed, copy.count + 2 * self.ahead))


def unit(shares: tuple[Share, ...]) -> Unit:
    """Weights of one copy, all together."""
    return Unit(
        count=sum(share.count for share in shares),
        trained=sum(share.trained for share in shares),
        largest=max((share.largest for share in shares if share.trained), default=0),
        resting=sum(share.count * share.stored_bytes for share in shares if share.stored_bytes is not None),
        resting_count=sum(share.count for share in shares if share.stored_bytes is not None),
    )


def traffic(
    stretches: tuple[Stretch, ...], units: tuple[Unit, ...], total: Held, setting: Setting
) -> Traffic:
    """Buffers of one stage whose parts hold `units` per copy and `total` from step to step."""
    layout = setting.layout
    if setting.engine == "megatron":
        sharded = layout.strategy == "fsdp" and data_ranks(layout) > 1
        found = _fsdp(stretches, units, setting) if sharded else Traffic()
        return replace(found, always=_megatron(stretches, setting))
    trained = sum(each.trained * stretch.copies for stretch, each in zip(stretches, units, strict=True))
    if layout.strategy == "fsdp":
        return _fsdp(stretches, units, setting) if data_ranks(layout) > 1 else Traffic()
    if setting.engine == "deepspeed":
        count = sum(each.count * stretch.copies for stretch, each in zip(stretches, units, strict=True))
        found = _deepspeed(count, trained, units, total, setting)
        return replace(found, always=found.always + _pipe_outputs(stretches, setting))
    if data_ranks(layout) > 1 and not setting.buffers.gradient_view:
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


def _pipe_outputs(stretches: tuple[Stretch, ...], setting: Setting) -> int:
    """Bytes of what a stage of DeepSpeed's pipeline put out, kept for every micro-batch in flight.

    Source: DeepSpeed@0.19.8 deepspeed/runtime/pipe/engine.py:_exec_forward_pass (pipe_buffers["outputs"]), set free in
    _exec_backward_pass.
    """
    if setting.layout.pipeline == 1:
        return 0
    return max(
        (
            stretch.part.boundary * ((stretch.waiting + stretch.passing) // stretch.copies)
            for stretch in stretches
            if stretch.part.place == "body"
        ),
        default=0,
    )


def _ddp(trained: int, setting: Setting) -> int:
    """Bytes of DDP's buckets: as much as all gradients, with gradient_as_bucket_view off (the default).

    Source: pytorch@v2.13.0 torch/nn/parallel/distributed.py: with the view "saved memory size will be equal to the
    total gradients size".
    """
    return setting.formats.gradient_bytes * trained


def _fsdp(stretches: tuple[Stretch, ...], units: tuple[Unit, ...], setting: Setting) -> Traffic:
    """Bytes that FSDP gathers and reduces: layers are groups, everything else is the root group unless told apart.

    The root group stays whole to the end of the backward pass, and so do its gradients. Quantized weights are gathered
    as they rest (pytorch/ao@v0.9.0 torchao/dtypes/nf4tensor.py:fsdp_pre_all_gather).
    Source: pytorch@v2.13.0 torch/distributed/fsdp/_fully_shard/_fsdp_param_group.py, _fsdp_collectives.py;
    pytorch/torchtitan@main torchtitan/models/llama3/infra/parallelize.py:apply_fsdp (ends in groups of their own).
    """
    formats, apart = setting.formats, setting.layout.end_groups
    each = min(compute_bytes(formats), formats.parameter_bytes)
    root = body = 0.0
    root_trained = first = 0
    for stretch, one in zip(stretches, units, strict=True):
        if stretch.part.place == "body":
            body += one.gathered(each) * stretch.copies
            continue
        root += one.gathered(each) * stretch.copies
        root_trained += one.trained * stretch.copies
        first += one.trained if stretch.part.place == "first" else 0
    kept = body if setting.layout.zero_stage == 2 else 0.0
    ends = root if kept or not apart else 0.0
    return Traffic(
        gathered=round(ends + kept),
        gathered_each=0.0 if kept else each,
        whole_each=each,
        reduce_each=formats.reduce_bytes,
        root_gradients=0 if apart else each * root_trained,
        backward_end=(each + formats.reduce_bytes) * first if apart else formats.reduce_bytes * root_trained,
    )


def _deepspeed(count: int, trained: int, units: tuple[Unit, ...], total: Held, setting: Setting) -> Traffic:
    """Bytes of DeepSpeed's buckets, in the sizes that its configuration gives: they are allocated whole.

    A bucket is flattened into a copy to be reduced (stage 3: two). At the step gradients are flattened, then cast to
    fp32; then the optimizer works on the flat copy. Stage 3 keeps weights gathered that it will need again within
    max_reuse_distance, so half as many on each side of the turn, and fetches a bucket ahead, copied once.
    Source: DeepSpeed@0.19.8 deepspeed/runtime/zero/stage_1_and_2.py:setup_buckets, allreduce_bucket, step;
    stage3.py:_setup_for_real_optimizer, _prepare_fp32_grad_for_sub_group; partitioned_param_coordinator.py:
    __params_to_release; comm/coalesced_collectives.py; engine.py:buffered_allreduce_fallback; config.py: overlap_comm
    is on at stage 3 only.
    Checked: allocations of DeepSpeed 0.19.8 on two ranks (tests/stacks/test_rank_bytes.py).
    """
    formats, sizes, stage = setting.formats, setting.buffers, stage_of(setting.layout)
    each, sent, bucket = compute_bytes(formats), formats.reduce_bytes, sizes.reduce_bucket
    wide, moved = formats.gradient_bytes > each, min(trained, bucket)
    # what is reduced in another format than the bucket's is cast first
    flush = (each + (sent if sent != each else 0)) * moved
    if stage == 0:
        return _deepspeed_plain(total, setting, flush=flush)
    if stage == 1 and wide and formats.compute == "bf16":
        # the newest gradient is cast to be added to the fp32 one, or all of those are cast to be reduced
        largest = max((one.largest for one in units), default=0)
        same = sent == formats.gradient_bytes
        return Traffic(backward_end=formats.gradient_bytes * largest if same else sent * moved)
    flat = formats.gradient_bytes * total.trained
    wide_each = formats.master_bytes or 4
    cast = wide_each * total.trained if formats.gradient_bytes < wide_each else 0
    if stage == 1:
        # whole gradients make room as their copies come, but not for the copies' cast
        width = formats.gradient_bytes
        return Traffic(
            # between accumulated micro-batches they are there too: the end of the forward pass counts them anyway
            backward=width * bucket * (2 if sizes.overlap else 1),
            backward_end=sent * moved if sent != width else 0,
            step=flat + cast,
            step_gradients=wide_each * total.trained,
        )
    if stage == 2:
        return Traffic(
            backward=each * bucket * (2 if sizes.overlap else 1),
            inside=flush if trained > bucket else 0,
            backward_end=flush if trained <= bucket else 0,
            step=0 if wide else flat + cast,
            step_gradients=wide_each * total.trained,
        )
    copies = 2 * sent * moved
    # stage 3 steps one sub-group after the other
    group = min(total.trained, sizes.sub_group)
    return Traffic(
        always=sent * bucket,
        inside=copies if trained > bucket else 0,
        backward_end=copies if trained <= bucket else 0,
        turn=min(count, sizes.max_live_parameters // 2),
        ahead=min(count, sizes.prefetch_bucket),
        step=(flat + cast) * group // max(1, total.trained),
        step_gradients=flat + wide_each * group,
    )


def _deepspeed_plain(total: Held, setting: Setting, *, flush: int) -> Traffic:
    """Stage 0: in 16 bits gradients become fp32 one by one, and then flat where the optimizer is a fused one."""
    if compute_bytes(setting.formats) == 4:
        return Traffic(backward_end=flush)
    flat = 4 * total.trained
    if step_of(setting).fused:
        return Traffic(backward_end=flush, step=2 * flat, step_gradients=flat)
    return Traffic(backward_end=flush, step=flat, step_gradients=total.gradients + flat)
