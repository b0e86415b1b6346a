"""What must hold of every kind of network, on every device, layout and format: order, growth and what never grows."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from launcher.planning.memory.estimate import Estimate, estimate_memory
from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Layout, Setting

LANGUAGE = {
    "decoder": ("gpt2", "opt", "bloom", "phi", "llama", "qwen3", "gemma2", None),
    "encoder": ("bert", "roberta", None),
    "encoder-decoder": ("t5", "t5_v1_1", "bart", None),
    "moe": ("mixtral", "olmoe", "qwen2_moe", None),
}
PLAIN = ("bag", "gru", "lstm", "mlp", "resnet", "rnn", "vit")
FORMATS = (
    Formats(compute="fp32"),
    Formats(compute="bf16", parameter_bytes=2, gradient_bytes=2, state_bytes=2),
    Formats(compute="bf16", autocast=True),
    Formats(compute="bf16", parameter_bytes=2, gradient_bytes=2, master_bytes=4),
)
STATES = ("parameters", "master_weights", "optimizer_states")


@st.composite
def networks(draw: Any, kinds: tuple[str, ...] = (*LANGUAGE, *PLAIN)) -> Network:
    """A network of any kind, with the dimensions that its kind has."""
    kind, pick = draw(st.sampled_from(kinds)), st.sampled_from
    heads, width = draw(pick((2, 4, 16))), draw(pick((8, 64, 128)))
    common: dict[str, Any] = {
        "kind": kind,
        "hidden_size": heads * width,
        "num_layers": draw(pick((1, 2, 8, 32))),
        "vocab_size": draw(pick((100, 1000, 32000))),
        "activation": draw(pick(("gelu", "gelu_new", "relu", "silu", "tanh"))),
        "dropout": draw(pick((0.0, 0.1))),
    }
    if kind in LANGUAGE or kind == "vit":
        common |= {
            "num_attention_heads": heads,
            "num_key_value_heads": draw(pick((2, heads))),
            "head_dim": width,
            "intermediate_size": heads * width * draw(pick((1, 4))),
        }
    if kind in LANGUAGE:
        common |= {
            "family": draw(pick(LANGUAGE[kind])),
            "gated_mlp": draw(st.booleans()),
            "norm": draw(pick(("layernorm", "rmsnorm"))),
            "position": draw(pick(("rotary", "learned", "none"))),
            "max_positions": 1024,
            "tie_word_embeddings": draw(st.booleans()),
        }
    else:
        common["implementation"] = "torch"
        common["norm"] = draw(pick(("none", "layernorm", "batchnorm")))
    if kind == "moe":
        common |= {"num_experts": 8, "num_experts_per_token": 2, "moe_intermediate_size": 8 * width}
    if kind in ("resnet", "vit"):
        common |= {"image_size": draw(pick((32, 64))), "patch_size": 16, "num_classes": 10}
    return Network(**common)


@st.composite
def trainings(draw: Any) -> Setting:
    """A way to train it on one device kind, data-parallel by any strategy."""
    pick = st.sampled_from
    strategy = draw(pick(("ddp", "zero", "fsdp")))
    stage = {"ddp": 0, "zero": draw(pick((0, 1, 2, 3))), "fsdp": draw(pick((2, 3)))}[strategy]
    return Setting(
        device_kind=draw(pick(("cpu", "cuda"))),
        engine="deepspeed" if strategy == "zero" else draw(pick(("torchrun", "accelerate", "deepspeed"))),
        micro_batch_size=draw(pick((1, 2, 5))),
        sequence_length=draw(pick((16, 128, 1024))),
        gradient_accumulation_steps=draw(pick((1, 4))),
        optimizer=draw(pick(("adamw", "sgd", "adafactor", "adamw-8bit", "lion", "muon"))),
        optimizer_implementation=draw(pick(("auto", "foreach", "for-loop"))),
        attention=draw(pick(("eager", "sdpa", "flash"))),
        checkpointing=draw(pick(("none", "selective", "full"))),
        logits=draw(pick(("full", "chunked", "fused"))),
        formats=draw(pick(FORMATS)),
        layout=Layout(data=draw(pick((1, 2, 8))), strategy=strategy, zero_stage=stage),
    )


def estimated(network: Network, setting: Setting) -> Estimate:
    return estimate_memory(network=network, setting=setting)


def total(network: Network, setting: Setting) -> int:
    return estimated(network, setting).device.expected


def saved(network: Network, setting: Setting) -> int:
    """Bytes between forward and backward pass, after checkpointing."""
    found = 0
    for part in KINDS[network.kind](network, setting):
        kept = part.saved - (part.core if setting.checkpointing == "selective" else 0)
        whole = setting.checkpointing == "full" and part.checkpointable and part.place == "body"
        found += part.repeat * (part.boundary if whole else kept)
    return found


def states(network: Network, setting: Setting) -> int:
    """Bytes of parameters, master weights and optimizer states on the rank that holds most."""
    stages = estimated(network, setting).stages
    return max(sum(stage.components[name] for name in STATES) for stage in stages)


def laid_out(setting: Setting, **axes: Any) -> Setting:
    return replace(setting, layout=replace(setting.layout, **axes))


def never_more(sizes: list[int]) -> bool:
    """Whether each size is at most the one before; two bytes of rounding are forgiven."""
    return all(after <= before + 2 for before, after in pairwise(sizes))


@settings(max_examples=120)
@given(network=networks(), setting=trainings())
def test_an_estimate_adds_up_and_is_in_order(network: Network, setting: Setting) -> None:
    """Components are never negative and add up; every band holds its figure; a device holds what it allocates."""
    found = estimated(network, setting)
    assert sum(found.components.values()) == found.device.expected
    assert min(found.components.values()) >= 0
    for band in (found.allocated, found.reserved, found.device):
        assert 0 < band.low <= band.expected <= band.high
    assert found.allocated.expected <= found.reserved.expected
    assert found.allocated.expected <= found.device.expected
    for stage in found.stages:
        assert sum(stage.components.values()) == stage.allocated
        assert min(stage.components.values()) >= 0


@given(network=networks(), setting=trainings())
def test_memory_grows_with_batch_length_and_depth(network: Network, setting: Setting) -> None:
    """Twice the micro-batch, the length or the layers never take less."""
    larger = [(network, replace(setting, micro_batch_size=2 * setting.micro_batch_size))]
    if network.kind not in ("mlp", "resnet", "vit"):
        larger.append((network, replace(setting, sequence_length=2 * setting.sequence_length)))
    if network.kind != "resnet":
        larger.append((replace(network, num_layers=2 * network.num_layers), setting))
    for wider, how in larger:
        assert never_more([saved(wider, how), saved(network, setting)])
        assert never_more([total(wider, how), total(network, setting)])


@given(network=networks(), setting=trainings())
def test_memory_grows_with_width(network: Network, setting: Setting) -> None:
    """A network twice as wide everywhere never takes less."""
    wider = replace(
        network,
        **{
            name: 2 * getattr(network, name)
            for name in ("hidden_size", "num_attention_heads", "num_key_value_heads", "intermediate_size")
        },
    )
    assert never_more([saved(wider, setting), saved(network, setting)])
    assert never_more([total(wider, setting), total(network, setting)])


@given(network=networks(), setting=trainings())
def test_saved_bytes_fall_with_checkpointing(network: Network, setting: Setting) -> None:
    """None, selective, full: each keeps at most what the one before does.

    T5 under autocast aside: computing attention again needs a wide bias, which short sequences do not pay back.
    """
    assume(not (network.family in ("t5", "t5_v1_1") and setting.formats.autocast))
    levels = [replace(setting, checkpointing=level) for level in ("none", "selective", "full")]
    assert never_more([saved(network, level) for level in levels])


@given(network=networks(tuple(LANGUAGE)), setting=trainings())
def test_logits_in_pieces_or_never_made_take_less(network: Network, setting: Setting) -> None:
    """Full, chunked, fused: each takes at most what the one before does, where there are many tokens and words.

    Chunks make the gradient of the whole head's weight with the first of them, which few tokens or words do not pay back.
    """
    assume(network.vocab_size >= 4 * network.hidden_size)
    long = replace(setting, sequence_length=4096)
    kinds = [replace(long, logits=logits) for logits in ("full", "chunked", "fused")]
    assert never_more([total(network, kind) for kind in kinds])


@given(network=networks(), setting=trainings())
def test_two_bytes_take_less_than_four(network: Network, setting: Setting) -> None:
    """Everything in bf16 takes at most what fp32 does; autocast may not, for its copies of weights.

    Nor may eager attention, where it makes the softmax in fp32 and keeps it beside a copy in bf16.
    """
    assume(setting.attention != "eager")
    # CPU's convolutions sum in fp32 beside both maps, and DeepSpeed keeps gradients in fp32
    on_gpu = laid_out(replace(setting, device_kind="cuda", engine="torchrun"), strategy="ddp", zero_stage=0)
    wide, narrow = replace(on_gpu, formats=FORMATS[0]), replace(on_gpu, formats=FORMATS[1])
    assert never_more([saved(network, wide), saved(network, narrow)])
    assert never_more([total(network, wide), total(network, narrow)])


@given(network=networks(("decoder", "encoder", "moe")), setting=trainings())
def test_flash_keeps_less_than_scores(network: Network, setting: Setting) -> None:
    """Over a long sequence on a GPU, attention without scores keeps at most what eager attention does.

    T5 aside, whose table of positions is added to the scores.
    """
    long = replace(setting, device_kind="cuda", sequence_length=2048, checkpointing="none")
    kinds = [replace(long, attention=attention) for attention in ("eager", "flash")]
    assert never_more([saved(network, kind) for kind in kinds])


@given(network=networks(), setting=trainings())
def test_states_fall_with_the_stage_of_zero(network: Network, setting: Setting) -> None:
    """Stages 0 to 3 hold less and less of parameters, master weights and optimizer states."""
    zero = laid_out(replace(setting, engine="deepspeed"), strategy="zero", data=8)
    assert never_more([states(network, laid_out(zero, zero_stage=stage)) for stage in range(4)])


@given(network=networks(), setting=trainings())
def test_states_fall_with_the_ranks_that_share_them(network: Network, setting: Setting) -> None:
    """More data-parallel ranks never hold more each, whatever the strategy."""
    sizes = [states(network, laid_out(setting, data=ranks)) for ranks in (1, 2, 8, 64)]
    sharded = setting.layout.strategy != "ddp"
    assert never_more(sizes[1:] if sharded else sizes)


@given(
    network=networks(tuple(LANGUAGE)),
    setting=trainings(),
    axis=st.sampled_from(("tensor", "context", "pipeline", "expert")),
)
def test_states_fall_along_every_other_axis(network: Network, setting: Setting, axis: str) -> None:
    """Twice the ranks along tensor, context, pipeline or expert never hold more each."""
    assume(axis != "expert" or network.kind == "moe")
    assume(axis != "pipeline" or network.num_layers >= 2)
    fixed = laid_out(setting, data=8)
    assert never_more([states(network, laid_out(fixed, **{axis: ranks})) for ranks in (1, 2)])


@given(network=networks(), setting=trainings(), stage=st.sampled_from((2, 3)))
def test_offload_takes_memory_off_the_device(network: Network, setting: Setting, stage: int) -> None:
    """States in host memory never make the device's peak larger."""
    zero = laid_out(replace(setting, engine="deepspeed"), strategy="zero", zero_stage=stage, data=8)
    levels = ("none", "optimizer", "parameters")[:stage]
    assert never_more([total(network, laid_out(zero, offload=level)) for level in levels])
