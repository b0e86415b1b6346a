"""The moments of a step that can be its peak, on networks made by hand."""

from dataclasses import replace

import pytest
from stacked import stack

from launcher.planning.memory.estimate import estimate_parts
from launcher.planning.memory.part import Part, Weights
from launcher.planning.memory.setting import Buffers, Formats, Layout, Setting

GIB = 2**30
PLAIN = Setting(device_kind="cpu", optimizer_implementation="for-loop")
LAYER = Part(name="layer", repeat=4, weights=(Weights(count=1000, largest=800),), saved=10_000)
LAST = Part(
    name="head", place="last", weights=(Weights(count=500, largest=500),), saved=6000, logits=5000, loss=9000
)


def found(parts, setting=PLAIN, **changes):
    return estimate_parts(parts=parts, setting=replace(setting, **changes)).stages[0]


def test_end_of_forward():
    """At the end of the forward pass there are states, all that was saved, and the loss at work; no gradients."""
    assert found((LAYER, LAST)).phases["forward-end"] == 4500 * 12 + 4 * 10_000 + 6000 + 9000


def test_optimizer_step():
    """At the step there are states, gradients and twice the largest tensor; no activations."""
    assert found((LAYER, LAST)).phases["optimizer-step"] == 4500 * 16 + 2 * 4 * 800


def test_inside_backward():
    """In the last layer's backward pass the head's gradients are there, what the head saved is not."""
    busy = replace(LAYER, backward=50_000)
    assert found((busy, LAST)).phases["backward"] == 4500 * 12 + 4 * 10_000 + 50_000 + 4 * 500


def test_end_of_backward():
    """With nothing saved the end of the backward pass is its peak: all gradients."""
    assert found((replace(LAYER, saved=0),)).phases["backward"] == 4000 * 16


def test_first_step():
    """Before the first step the optimizer has no state; the step makes it."""
    first = found((LAYER, LAST), first_step=True)
    later = found((LAYER, LAST))
    assert later.phases["forward-end"] - first.phases["forward-end"] == 4500 * 8
    assert later.phases["optimizer-step"] == first.phases["optimizer-step"]


def test_accumulated_gradients_stay():
    """With accumulation gradients of earlier micro-batches are there all the time, and the newest one beside them."""
    once, often = found((LAYER, LAST)), found((LAYER, LAST), gradient_accumulation_steps=2)
    assert often.phases["forward-end"] - once.phases["forward-end"] == 4 * 4500
    assert often.phases["backward"] - once.phases["backward"] == 4 * 4500 + 4 * 500


def test_ddp_buckets():
    """DDP's buckets hold every gradient once more.

    Source: pytorch@v2.13.0 torch/nn/parallel/distributed.py on gradient_as_bucket_view: "saved memory size will be
    equal to the total gradients size".
    """
    alone, pair = found((LAYER,)), found((LAYER,), layout=Layout(data=2))
    assert pair.phases["optimizer-step"] - alone.phases["optimizer-step"] == 4 * 4000


def test_tied_gradients_meet():
    """Two gradients of a tied table are added into a third at the end of the backward pass."""
    tied = stack(tied=True, tokens=1)
    table = 500 * 64
    numbers = sum(part.repeat * weights.count for part in tied for weights in part.weights) - table
    assert found(tied).phases["backward"] == 16 * numbers + 8 * table


def test_full_checkpointing():
    """Each layer keeps its input; one at a time is computed again."""
    layer = replace(LAYER, boundary=1000, backward=3000, forward=4000)
    kept = found((layer, LAST), checkpointing="full")
    assert kept.phases["forward-end"] == 4500 * 12 + 4 * 1000 + 6000 + 9000
    # in the first layer: its input, the rest of it computed again, the larger transient, gradients of all later ones
    assert kept.phases["backward"] == 4500 * 12 + 1000 + 9000 + 4000 + 4 * (3 * 1000 + 500)


def test_some_layers_checkpointed():
    """Only as many layers as asked keep just their input."""
    layer = replace(LAYER, boundary=1000)
    some = found((layer, LAST), checkpointing="full", checkpointed_layers=1)
    assert some.phases["forward-end"] == 4500 * 12 + 1000 + 3 * 10_000 + 6000 + 9000


def test_selective_checkpointing():
    """The attention core is computed again, one layer at a time."""
    layer = replace(LAYER, core=4000)
    kept = found((layer, LAST), checkpointing="selective")
    assert kept.phases["forward-end"] == 4500 * 12 + 4 * 6000 + 6000 + 9000


def test_pipeline_stages_differ():
    """The first stage peaks on activations, the last one on logits: the worst of them is the answer."""
    few = stack(layers=8, words=50, tokens=4096)
    many = stack(layers=8, words=50_000, tokens=4096)
    setting = replace(PLAIN, gradient_accumulation_steps=8, layout=Layout(pipeline=4))
    assert estimate_parts(parts=few, setting=setting).stage == 0
    assert estimate_parts(parts=many, setting=setting).stage == 3


def test_waiting_micro_batches_share_casts():
    """Autocast's copies of weights are there once, however many micro-batches are in flight."""
    layer = replace(LAYER, casts=4000)
    setting = replace(PLAIN, gradient_accumulation_steps=8, layout=Layout(pipeline=2))
    stage = estimate_parts(parts=(layer, LAST), setting=setting).stages[0]
    assert stage.components["activations"] == 2 * 10_000 + 2 * 6000


BIG = (
    Part(name="embeddings", place="first", weights=(Weights(count=GIB, largest=GIB),)),
    Part(name="layer", repeat=8, weights=(Weights(count=GIB, largest=GIB // 2),)),
    Part(name="head", place="last", weights=(Weights(count=GIB, largest=GIB),)),
)
MIXED = Formats(compute="bf16", parameter_bytes=2, gradient_bytes=2, master_bytes=4, reduce_bytes=2)


def big(strategy, stage, **options):
    formats = Formats(compute="bf16") if strategy == "fsdp" else MIXED
    setting = replace(
        PLAIN,
        device_kind="cuda",
        engine="torchrun" if strategy == "fsdp" else "deepspeed",
        optimizer_implementation="fused",
        workspace_bytes=0,
        formats=formats,
        layout=Layout(strategy=strategy, zero_stage=stage, data=8),
        **options,
    )
    return found(BIG, setting)


def test_deepspeed_step():
    """At DeepSpeed's step a partition of gradients is flattened and cast: 2 + 2 + 4 bytes of it at once.

    Source: DeepSpeed@0.19.8 deepspeed/runtime/zero/stage_1_and_2.py:step.
    """
    for stage in (1, 2):
        assert big("zero", stage).phases["optimizer-step"] == 10 * GIB * (2 + (12 + 8) / 8)


def test_reduce_buckets():
    """Stages 1 and 2 hold one bucket in the backward pass, two where communication overlaps.

    Source: DeepSpeed@0.19.8 deepspeed/runtime/zero/stage_1_and_2.py:setup_buckets.
    """
    one = big("zero", 2, buffers=Buffers(reduce_bucket=1000)).phases["forward-end"]
    two = big("zero", 2, buffers=Buffers(reduce_bucket=1000, overlap=True)).phases["forward-end"]
    assert two - one == 2 * 1000
    assert one == 10 * GIB * (2 + 12 / 8) + 2 * 1000


def test_stage_3_gathers_around_the_turn():
    """Stage 3 keeps whole what it needs again within max_reuse_distance: half of it before the turn."""
    small = big("zero", 3, buffers=Buffers(reduce_bucket=1, prefetch_bucket=1, max_live_parameters=8 * GIB))
    assert small.phases["forward-end"] == 10 * GIB * 16 / 8 + 2 * 1 + 2 * 4 * GIB


def test_fsdp_gathers():
    """FSDP holds the root group whole, and a layer fetched ahead; grad-op every layer."""
    full, kept = big("fsdp", 3), big("fsdp", 2)
    assert full.phases["forward-end"] == 10 * GIB * 12 / 8 + 2 * 2 * GIB + 2 * GIB
    assert kept.phases["forward-end"] == 10 * GIB * 12 / 8 + 2 * 2 * GIB + 2 * 8 * GIB
    assert full.phases["optimizer-step"] == 10 * GIB * 16 / 8
    assert kept.phases["optimizer-step"] == full.phases["optimizer-step"]


def test_fsdp_backward():
    """In a layer's backward pass two layers are whole, with gradients in bf16 and their sum on its way in fp32."""
    root = 2 * 2 * GIB + 2 * 2 * GIB
    inside = 10 * GIB * 12 / 8 + root + 2 * 2 * GIB + (2 + 4) * GIB
    assert big("fsdp", 3).phases["backward"] >= inside


def test_megatron_gradients_are_always_there():
    """Megatron's gradient buffer exists in every phase: 18 bytes per parameter."""
    parts = (replace(LAYER, saved=0),)
    setting = replace(
        PLAIN, engine="megatron", optimizer_implementation="fused",
        formats=Formats(compute="bf16", parameter_bytes=2, master_bytes=4),
    )  # fmt: skip
    assert set(found(parts, setting).phases.values()) == {18 * 4000}


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_one_rank_needs_no_buffers(strategy):
    """A single rank has nobody to talk to."""
    layout = Layout(strategy=strategy, zero_stage=3)
    assert found((LAYER,), layout=layout).phases == found((LAYER,)).phases


def test_fsdp_may_keep_whole_gradients():
    """Where micro-batches are not reduced one by one, whole gradients wait: in fp32, or a flat parameter's in bf16.

    Source: pytorch@v2.13.0 torch/distributed/fsdp/_fully_shard/_fsdp_param.py:to_accumulated_grad_if_needed;
    accelerate@1.15.0 accelerator.py:accumulate (no_sync).
    """
    setting = replace(
        PLAIN,
        formats=Formats(compute="bf16"),
        gradient_accumulation_steps=2,
        layout=Layout(data=2, strategy="fsdp", zero_stage=3),
    )
    layer = replace(LAYER, repeat=1)
    each, whole = found((layer,), setting), found((layer,), setting, engine="accelerate")
    assert whole.phases["forward-end"] - each.phases["forward-end"] == 4 * 1000 - 4 * 500
    frozen = replace(layer, weights=(Weights(count=1000, trained=10),))
    flat = replace(setting, engine="accelerate", layout=replace(setting.layout, fsdp_version=1))
    assert found((frozen,), flat).components["gradients"] == 2 * 1000


def test_groups_of_their_own():
    """Ends that are FSDP groups of their own are not whole while a layer is at work."""
    apart = Layout(strategy="fsdp", zero_stage=3, data=8, end_groups=True)
    setting = replace(PLAIN, formats=Formats(compute="bf16"), layout=apart)
    root = replace(setting, layout=replace(apart, end_groups=False))
    busy = (replace(LAYER, backward=10**9), LAST)
    assert found(busy, setting).phases["backward"] < found(busy, root).phases["backward"]


def test_overlapping_buckets_of_stage_1():
    """Stage 1 has two buckets too where communication overlaps with the backward pass."""
    one = big("zero", 1, buffers=Buffers(reduce_bucket=1000)).phases["forward-end"]
    two = big("zero", 1, buffers=Buffers(reduce_bucket=1000, overlap=True)).phases["forward-end"]
    assert (one, two) == (10 * GIB * (2 + 12 / 8) + 2 * 1000, 10 * GIB * (2 + 12 / 8) + 4 * 1000)


def test_accumulated_gradients_inside_backward():
    """Gradients of earlier micro-batches stand beside the newest one in every layer's backward pass."""
    busy = replace(LAYER, backward=10**6)
    often = found((busy, LAST), gradient_accumulation_steps=2)
    assert often.phases["backward"] == 4500 * 16 + 4 * 10_000 + 10**6 + 4 * 800


def test_other_optimizers_step_in_a_loop():
    """RMSprop holds one copy of its largest tensor, Lion and LAMB two, SGD none."""
    steps = {
        name: found((replace(LAYER, saved=0),), optimizer=name).components["optimizer_transient"]
        for name in ("sgd", "rmsprop", "lion", "lamb")
    }
    assert steps == {"sgd": 0, "rmsprop": 4 * 800, "lion": 8 * 800, "lamb": 8 * 800}


def test_tied_but_frozen_weights_have_no_gradients():
    """A frozen table that both ends share costs its bytes once and no gradients."""
    first = Part(name="embeddings", place="first", weights=(Weights(count=700, largest=700, trained=0),))
    last = Part(name="head", place="last", weights=(Weights(count=700, largest=700, trained=0, tied=True),))
    assert found((first, replace(LAYER, saved=0), last)).phases["backward"] == 4000 * 16 + 4 * 700
