"""What every estimate owes: parts that add up, and bytes that grow with what is asked for."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stacked import stack

from launcher.planning.memory.estimate import estimate_memory, estimate_parts
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Layout, Setting

FORMATS = st.sampled_from(
    [
        Formats(),
        Formats(compute="bf16", autocast=True),
        Formats(compute="bf16", parameter_bytes=2, gradient_bytes=2, master_bytes=4),
        Formats(compute="bf16", parameter_bytes=2, gradient_bytes=4, master_bytes=4),
    ]
)
STRATEGIES = st.sampled_from(
    [
        ("torchrun", "ddp", 0),
        ("accelerate", "fsdp", 2),
        ("torchrun", "fsdp", 3),
        *(("deepspeed", "zero", stage) for stage in range(4)),
        ("megatron", "ddp", 0),
        ("megatron", "zero", 1),
    ]
)


@st.composite
def settings(draw):
    engine, strategy, stage = draw(STRATEGIES)
    pipeline = draw(st.sampled_from([1, 1, 2, 4]))
    layout = Layout(
        data=draw(st.sampled_from([1, 2, 8])),
        tensor=draw(st.sampled_from([1, 2])),
        pipeline=pipeline,
        virtual_pipeline=draw(st.sampled_from([1, 2])) if pipeline > 1 else 1,
        strategy=strategy,
        zero_stage=stage,
        offload=draw(st.sampled_from(["none", "optimizer"])) if strategy == "zero" and stage else "none",
    )
    return Setting(
        device_kind=draw(st.sampled_from(["cpu", "cuda", "rocm"])),
        engine=engine,
        gradient_accumulation_steps=draw(st.sampled_from([1, 2, 8])),
        optimizer=draw(st.sampled_from(["sgd", "adamw", "adamw-8bit", "lion", "muon"])),
        optimizer_implementation=draw(st.sampled_from(["auto", "foreach", "fused", "for-loop"])),
        checkpointing=draw(st.sampled_from(["none", "selective", "full"])),
        first_step=draw(st.booleans()),
        formats=draw(FORMATS),
        layout=layout,
    )


@given(setting=settings(), tied=st.booleans(), layers=st.integers(1, 20))
def test_components_add_up(setting, tied, layers):
    """Components are whole bytes, none negative, and add up to device memory; a stage's to what is allocated."""
    estimate = estimate_parts(parts=stack(layers=layers, tied=tied), setting=setting)
    assert sum(estimate.components.values()) == estimate.device.expected
    assert all(isinstance(value, int) and value >= 0 for value in estimate.components.values())
    for stage in estimate.stages:
        assert sum(stage.components.values()) == stage.allocated == max(stage.phases.values())
        assert stage.phases[stage.phase] == stage.allocated
    worst = max(estimate.stages, key=lambda stage: stage.allocated)
    assert (estimate.stage, estimate.phase) == (worst.stage, worst.phase)
    assert estimate.allocated.expected == worst.allocated


@given(setting=settings())
def test_bands_are_in_order(setting):
    """Low, expected and high are in order, and the device holds at least what is reserved, that what is allocated."""
    found = estimate_parts(parts=stack(), setting=setting)
    for band in (found.allocated, found.reserved, found.device):
        assert band.low <= band.expected <= band.high
    for name in ("low", "expected", "high"):
        allocated, reserved, device = (
            getattr(b, name) for b in (found.allocated, found.reserved, found.device)
        )
        assert allocated <= reserved <= device


@given(
    setting=settings(), name=st.sampled_from(["layers", "width", "words", "tokens"]), size=st.integers(1, 64)
)
def test_more_of_anything_never_needs_less(setting, name, size):
    """Memory never falls with depth, width, vocabulary or tokens."""
    small = estimate_parts(parts=stack(**{name: 8 * size}), setting=setting)
    large = estimate_parts(parts=stack(**{name: 8 * (size + 1)}), setting=setting)
    assert large.device.expected >= small.device.expected
    assert large.allocated.expected >= small.allocated.expected


@given(setting=settings(), tokens=st.integers(1, 4096))
def test_checkpointing_never_saves_more(setting, tokens):
    """At the end of the forward pass full checkpointing keeps no more than selective, and that no more than none."""
    parts = stack(tokens=tokens)
    found = [
        estimate_parts(parts=parts, setting=replace(setting, checkpointing=how)).stages
        for how in ("none", "selective", "full")
    ]
    for none, selective, full in zip(*found, strict=True):
        ends = [each.phases["forward-end"] for each in (none, selective, full)]
        assert ends == sorted(ends, reverse=True)


@given(setting=settings(), data=st.sampled_from([2, 4, 8]))
def test_more_ranks_never_need_more_states(setting, data):
    """Where ranks share states, the optimizer's step never grows with their number."""
    layout = replace(setting.layout, strategy="zero", zero_stage=3)
    one, many = (
        estimate_parts(
            parts=stack(), setting=replace(setting, engine="deepspeed", layout=replace(layout, data=number))
        )
        for number in (data, 2 * data)
    )
    for few, more in zip(one.stages, many.stages, strict=True):
        assert more.phases["optimizer-step"] <= few.phases["optimizer-step"] + 64


def test_a_cpu_caches_nothing():
    """On CPU the allocator keeps nothing back and there are no communicators; the process itself is the context."""
    setting = Setting(device_kind="cpu", layout=Layout(data=8, tensor=2))
    found = estimate_parts(parts=stack(), setting=setting)
    assert found.reserved.expected == found.allocated.expected
    assert found.components["communicators"] == found.components["fragmentation"] == 0
    assert found.device.expected == found.allocated.expected + found.components["context"]


def test_every_contract_name_is_there():
    """The contract's names of components are always there, used or not."""
    names = estimate_parts(parts=stack(), setting=Setting()).components
    assert {
        "parameters", "gradients", "optimizer_states", "activations", "logits", "communication_buffers",
        "fragmentation", "context",
    } <= set(names)  # fmt: skip


def test_offload_moves_states_to_the_host():
    """Offloaded states leave the device and are held, with staging buffers, on the host."""
    layout = Layout(strategy="zero", zero_stage=2, data=4)
    setting = Setting(
        engine="deepspeed", formats=Formats(parameter_bytes=2, gradient_bytes=2, master_bytes=4)
    )
    here = estimate_parts(parts=stack(), setting=replace(setting, layout=layout))
    there = estimate_parts(
        parts=stack(), setting=replace(setting, layout=replace(layout, offload="optimizer"))
    )
    numbers = sum(part.repeat * weights.count for part in stack() for weights in part.weights)
    assert here.host_bytes == 0
    assert there.host_bytes == pytest.approx(1.5 * 16 * numbers / 4, rel=0.001)
    assert there.allocated.expected < here.allocated.expected


DECODER = Network(
    kind="decoder", family="llama", hidden_size=256, num_layers=4, num_attention_heads=4, num_key_value_heads=4,
    head_dim=64, intermediate_size=688, vocab_size=1000, gated_mlp=True, activation="silu", norm="rmsnorm",
    position="rotary", tie_word_embeddings=False,
)  # fmt: skip


@given(
    setting=settings(),
    batch=st.integers(1, 8),
    length=st.sampled_from([64, 128, 512]),
    attention=st.sampled_from(["eager", "sdpa", "flash"]),
)
def test_a_decoder_grows_too(setting, batch, length, attention):
    """A real kind keeps the rules: memory grows with batch, length, width and depth."""
    setting = replace(setting, micro_batch_size=batch, sequence_length=length, attention=attention)
    base = estimate_memory(network=DECODER, setting=setting).device.expected
    more = [
        (DECODER, replace(setting, micro_batch_size=batch + 1)),
        (DECODER, replace(setting, sequence_length=2 * length)),
        (replace(DECODER, num_layers=8), setting),
        (replace(DECODER, hidden_size=512, num_attention_heads=8, num_key_value_heads=8), setting),
    ]
    assert all(estimate_memory(network=network, setting=one).device.expected >= base for network, one in more)


def test_unknown_kind():
    """A kind that nobody registered is a KeyError."""
    with pytest.raises(KeyError):
        estimate_memory(network=Network(kind="hopfield"), setting=Setting())
