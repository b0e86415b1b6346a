"""How ranks share parameters, gradients, master weights and optimizer states."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.memory.part import Part, Weights
from launcher.planning.memory.setting import Formats, Layout, Setting
from launcher.planning.memory.sharding import data_ranks, held, shares, stage_of

MIXED = Formats(parameter_bytes=2, gradient_bytes=2, master_bytes=4)
COUNT = 3 * 2**20


def one(layout, *, formats=MIXED, alone=True, **weights):
    """Bytes for one tensor of COUNT parameters."""
    part = Part(name="layer", weights=(Weights(**{"count": COUNT, "largest": COUNT, **weights}),))
    setting = Setting(engine="deepspeed", formats=formats, layout=layout)
    found = shares(part, layout, alone=alone)
    return held(found[0], setting) if found else None


def in_all(found):
    return found.parameters + found.gradients + found.masters + found.states


def test_full_shard_and_grad_op_rest_alike():
    """FSDP's weights rest in shards, whether or not they are kept whole between forward and backward pass."""
    assert {stage_of(Layout(strategy="fsdp", zero_stage=stage)) for stage in (2, 3)} == {3}
    assert stage_of(Layout(strategy="ddp", zero_stage=3)) == 0


def test_hybrid_shard():
    """Four shards on 16 ranks hold a quarter each, not a sixteenth."""
    whole = in_all(one(Layout(strategy="zero", zero_stage=3, data=16)))
    assert in_all(one(Layout(strategy="zero", zero_stage=3, data=16, shard=4))) == 4 * whole


def test_context_ranks_share_too():
    """Context-parallel ranks have the same weights, so they share states like data-parallel ones."""
    assert data_ranks(Layout(data=4, context=2)) == 8
    assert one(Layout(strategy="zero", zero_stage=1, data=4, context=2)).states == COUNT


@pytest.mark.parametrize(("split", "ranks"), [("none", 1), ("tensor", 4), ("expert", 8)])
def test_split_weights(split, ranks):
    """Tensor ranks divide matrices, expert ranks and their tensor ranks divide experts; norms are whole on each."""
    layout = Layout(data=8, tensor=4, expert=2, expert_tensor=4)
    assert one(layout, split=split).parameters == 2 * COUNT // ranks


def test_experts_are_shared_among_fewer():
    """Ranks with the same experts share their states: expert data parallelism.

    Source: NVIDIA/Megatron-LM@core_r0.12 megatron/core/parallel_state.py: expert_data_parallel_size = world size /
    (expert tensor x expert x pipeline ranks).
    """
    layout = Layout(strategy="zero", zero_stage=1, data=8, tensor=2, expert=4, expert_tensor=1)
    expert, dense = one(layout, split="expert"), one(layout, split="tensor")
    assert expert.states == 8 * (COUNT // 4) / (8 * 2 // 4)
    assert dense.states == 8 * (COUNT // 2) / 8


def test_frozen_weights():
    """Frozen weights have no gradients, master weights or states; LoRA pays for its own only."""
    assert in_all(one(Layout(), trained=0)) == 2 * COUNT
    assert in_all(one(Layout(), trained=1000)) == 2 * COUNT + 14 * 1000


def test_quantized_base():
    """A base in 4 bits takes half a byte per parameter."""
    assert one(Layout(), trained=0, stored_bytes=0.5).parameters == COUNT // 2


def test_tied_weights():
    """Tied weights are held once, and again where the pipeline's other end has none of its own."""
    assert one(Layout(), tied=True, alone=False) is None
    assert one(Layout(), tied=True, alone=True).parameters == 2 * COUNT


def test_offload():
    """The host takes fp32 weights, states and gradients: 16 / n bytes; with parameters 18 / n.

    Source: DeepSpeed@0.19.8 deepspeed/runtime/zero/stage3.py:estimate_zero3_model_states_mem_needs.
    """
    layout = Layout(strategy="zero", zero_stage=3, data=4, offload="optimizer")
    found = one(layout)
    assert (found.masters, found.states, found.gradients, found.trained) == (0, 0, 0, 0)
    assert found.host == 16 * COUNT // 4
    assert found.parameters == 2 * COUNT // 4
    both = one(replace(layout, offload="parameters"))
    assert both.parameters == 0
    assert both.host == 18 * COUNT // 4


@given(
    data=st.integers(1, 64),
    tensor=st.sampled_from([1, 2, 4]),
    count=st.integers(1, 10**9),
    formats=st.sampled_from([MIXED, Formats(), Formats(parameter_bytes=2, gradient_bytes=4, master_bytes=4)]),
    optimizer=st.sampled_from(["sgd", "adamw", "adamw-8bit", "lion"]),
)
def test_states_never_grow_with_the_stage(data, tensor, count, formats, optimizer):
    """Parameters, gradients, master weights and states together never grow with the ZeRO stage."""
    part = Part(name="layer", weights=(Weights(count=count, largest=count, split="tensor"),))
    found = []
    for stage in range(4):
        layout = Layout(strategy="zero", zero_stage=stage, data=data, tensor=tensor)
        setting = Setting(engine="deepspeed", optimizer=optimizer, formats=formats, layout=layout)
        found.append(in_all(held(shares(part, layout, alone=True)[0], setting)))
    assert found == sorted(found, reverse=True)
