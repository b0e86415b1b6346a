"""Saved bytes of transformer layers: published formulas, parallelism, loss, and what must never fall."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part
from launcher.planning.memory.setting import Formats, Layout, Setting

GPT = Network(
    kind="decoder", implementation="fused", hidden_size=1024, num_layers=4, num_attention_heads=16, head_dim=64,
    intermediate_size=4096, vocab_size=50257, max_positions=2048, dropout=0.1,
)  # fmt: skip
LLAMA = Network(
    kind="decoder", hidden_size=1024, num_layers=4, num_attention_heads=16, num_key_value_heads=4, head_dim=64,
    intermediate_size=2816, vocab_size=32000, gated_mlp=True, activation="silu", norm="rmsnorm",
    position="rotary", tie_word_embeddings=False,
)  # fmt: skip
MIXTRAL = replace(
    LLAMA,
    kind="moe",
    num_experts=8,
    num_experts_per_token=2,
    moe_intermediate_size=1408,
    intermediate_size=1408,
)
BERT = replace(GPT, kind="encoder", implementation="transformers", dropout=0.0)
T5 = replace(
    LLAMA, kind="encoder-decoder", gated_mlp=False, activation="relu", position="none", num_key_value_heads=16
)
EAGER = Setting(micro_batch_size=3, sequence_length=512, attention="eager")
TOKENS = 3 * 512
NETWORKS = {"gpt": GPT, "llama": LLAMA, "mixtral": MIXTRAL, "bert": BERT, "t5": T5}


def parts(network: Network, setting: Setting) -> tuple[Part, ...]:
    return KINDS[network.kind](network, setting)


def layer(network: Network, setting: Setting) -> Part:
    return next(part for part in parts(network, setting) if part.place == "body")


def saved(network: Network, setting: Setting) -> int:
    return sum(part.repeat * part.saved for part in parts(network, setting))


def sharded(**given: Any) -> Setting:
    return replace(EAGER, layout=Layout(**given))


# --- Korthikanti et al. 2022, arXiv:2205.05198, table 2; a layer norm's mean and rstd (16 bytes a token) are left out there


def korthikanti(setting: Setting) -> float:
    part = layer(GPT, setting)
    layout = setting.layout
    statistics = 16 * TOKENS / (layout.tensor if layout.sequence_parallel else 1)
    return (part.saved - statistics) / (TOKENS * GPT.hidden_size)


SCORES = 5 * GPT.num_attention_heads * 512 / GPT.hidden_size


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (EAGER, 34 + SCORES),
        (sharded(tensor=8), 10 + (24 + SCORES) / 8),
        (sharded(tensor=8, sequence_parallel=True), (34 + SCORES) / 8),
    ],
    ids=["alone", "tensor", "tensor and sequence"],
)
def test_table_2_of_the_activation_paper(setting: Setting, expected: float) -> None:
    """A fused GPT layer keeps sbh(34 + 5as/h), divided as the paper divides it."""
    assert korthikanti(setting) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("tensor", [1, 8])
def test_selective_and_full_checkpointing_of_the_activation_paper(tensor: int) -> None:
    """Selective recomputation leaves out 5as/h, full recomputation keeps 2sbh of every layer."""
    part = layer(GPT, sharded(tensor=tensor))
    assert part.core == pytest.approx(SCORES * TOKENS * 1024 / tensor)
    assert part.boundary == 2 * TOKENS * 1024


def test_hugging_faces_llama_keeps_a_third_more_than_34() -> None:
    """45.5 bytes per token and width at LLaMA-7B's dimensions with SDPA, as real torch saves."""
    network = replace(
        LLAMA, hidden_size=4096, num_attention_heads=32, num_key_value_heads=32, head_dim=128,
        intermediate_size=11008,
    )  # fmt: skip
    part = layer(network, Setting(micro_batch_size=1, sequence_length=4096))
    assert part.saved / (4096 * 4096) == pytest.approx(45.5, abs=0.1)


# --- parallelism


def test_context_parallel_ranks_share_tokens_but_see_every_key() -> None:
    """Tokens are divided, and the scores of a token still reach over the whole length."""
    alone, shared = layer(LLAMA, EAGER), layer(LLAMA, sharded(context=4))
    assert shared.saved == pytest.approx(alone.saved / 4, rel=1e-6)


def test_expert_ranks_plan_for_a_fuller_share() -> None:
    """Without dropped tokens the fullest expert rank gets more than its even share, and the part says how much."""
    even, spread = layer(MIXTRAL, EAGER), layer(MIXTRAL, sharded(expert=8))
    assert even.saved < spread.saved < 1.25 * even.saved
    assert "fullest rank takes 1.25" in spread.source


def test_a_capacity_factor_decides_the_slots_of_experts() -> None:
    """Slots are kept whether tokens fill them or not, on one rank and on many."""
    padded = replace(MIXTRAL, capacity_factor=1.25)
    assert layer(padded, EAGER).saved == layer(MIXTRAL, sharded(expert=8)).saved
    assert layer(padded, EAGER).saved == layer(padded, sharded(expert=8)).saved


def test_an_implementation_without_experts_takes_those_of_transformers() -> None:
    """Fused kernels are known for dense layers only: experts are Mixtral's, the rest is fused, the source says so."""
    fused = replace(MIXTRAL, implementation="fused")
    part = layer(fused, EAGER)
    assert "experts of transformers/mixtral" in part.source
    assert layer(replace(fused, num_experts_per_token=4), EAGER).saved > part.saved
    assert part.saved < layer(MIXTRAL, EAGER).saved


def test_experts_without_a_gate_keep_half() -> None:
    """Two matrices each: what goes into the activation and what comes out, without a gate and its product."""
    gated, plain = layer(MIXTRAL, EAGER), layer(replace(MIXTRAL, gated_mlp=False), EAGER)
    assert gated.saved - plain.saved == TOKENS * 2 * 1408 * 2 * 2
    assert "experts without a gate" in plain.source


def test_first_dense_layers_stand_before_the_experts() -> None:
    """Of four layers with one dense, three have experts."""
    named = {part.name: part.repeat for part in parts(replace(MIXTRAL, first_dense_layers=1), EAGER)}
    assert named == {"embeddings": 1, "dense layer": 1, "layer": 3, "head": 1}


# --- loss


def test_fused_and_chunked_logits_are_not_kept() -> None:
    """Whole logits are most of the head; made in chunks or fused there is a dozen bytes of each token."""
    full, chunked, fused = (
        parts(LLAMA, replace(EAGER, logits=logits))[-1] for logits in ("full", "chunked", "fused")
    )
    assert full.logits == 4 * TOKENS * 32000
    assert chunked.logits == fused.logits == 12 * TOKENS
    assert full.saved - full.logits == chunked.saved - chunked.logits == fused.saved - fused.logits
    # 1536 tokens in pieces of 2^6: at least 1536 / (32000 / 1024) of them
    assert chunked.loss == 64 * 32000 * 2 + 32000 * 1024 * 2 + fused.loss
    assert fused.loss == 2 * TOKENS * 1024
    assert full.loss > chunked.loss > fused.loss


def test_tensor_ranks_share_the_logits() -> None:
    """A vocabulary-parallel loss keeps its share of the logits on each rank."""
    whole, shared = (parts(LLAMA, setting)[-1] for setting in (EAGER, sharded(tensor=8)))
    assert shared.logits == pytest.approx(whole.logits / 8, rel=1e-3)


# --- rows that no ledger has


def test_a_mixed_network_borrows_parts_and_says_so() -> None:
    """RMSNorm, a plain feed-forward layer and rotary positions are GPT-NeoX with LLaMA's norms."""
    mixed = replace(LLAMA, gated_mlp=False, activation="gelu")
    part = layer(mixed, EAGER)
    assert part.source.startswith("transformers/gpt_neox")
    assert part.source.endswith("norm of llama")
    whole = layer(replace(mixed, norm="layernorm"), EAGER)
    # RMSNorm in Python keeps its input in fp32 and the normalised values beside it, LayerNorm its input, both norms the same
    assert part.core == whole.core
    assert part.saved - whole.saved == TOKENS * (2 * 6 * 1024 + 2 * 4) - TOKENS * (2 * 1024 + 2 * 8)


def test_an_unknown_activation_is_reckoned_from_what_it_keeps() -> None:
    """A fused implementation knows silu; relu keeps one copy less, gelu_new three more, and the source says so."""
    fused = replace(LLAMA, implementation="fused")
    silu, relu, python = (
        layer(replace(fused, activation=activation), EAGER) for activation in ("silu", "relu", "gelu_new")
    )
    assert silu.saved - relu.saved == 2 * TOKENS * 2816
    assert python.saved - silu.saved == 3 * 2 * TOKENS * 2816
    assert "relu in place of silu by formula" in relu.source


def test_a_setting_without_a_row_takes_the_nearest_and_names_it() -> None:
    """The catalog has no fused kernels for CPUs: the row for CUDA stands in, and the source says so."""
    part = layer(replace(LLAMA, implementation="fused"), replace(EAGER, device_kind="cpu"))
    assert "device cuda for cpu" in part.source
    assert part.saved == layer(replace(LLAMA, implementation="fused"), EAGER).saved


def test_an_implementation_of_which_nothing_is_known_stands_as_transformers() -> None:
    """The source names the ledger that stood in."""
    part = layer(replace(LLAMA, implementation="unheard-of"), EAGER)
    assert part.source.startswith("transformers/llama")
    assert part.saved == layer(LLAMA, EAGER).saved


def test_flash_attention_keeps_what_sdpa_keeps_on_cuda() -> None:
    """PyTorch's SDPA runs the same kernel."""
    assert layer(LLAMA, replace(EAGER, attention="flash")) == layer(LLAMA, replace(EAGER, attention="sdpa"))


def test_autocast_keeps_copies_of_weights_apart() -> None:
    """Two bytes of every number of a layer's matrices, which do not grow with the batch."""
    autocast = replace(EAGER, formats=Formats(compute="bf16", autocast=True))
    one, two = layer(LLAMA, autocast), layer(LLAMA, replace(autocast, micro_batch_size=6))
    matrices = 2 * 1024 * 1024 + 2 * 1024 * 256 + 3 * 1024 * 2816
    assert one.casts == two.casts == 2 * matrices
    assert two.saved - two.casts == pytest.approx(2 * (one.saved - one.casts), rel=1e-6)


# --- what must never fall

_GROWING = [
    "micro_batch_size",
    "sequence_length",
    "hidden_size",
    "num_layers",
    "intermediate_size",
    "vocab_size",
]


_SETTINGS = st.builds(
    Setting,
    device_kind=st.sampled_from(["cpu", "cuda"]),
    micro_batch_size=st.integers(1, 16),
    sequence_length=st.integers(1, 4096),
    attention=st.sampled_from(["eager", "sdpa", "flash"]),
    formats=st.builds(Formats, compute=st.sampled_from(["fp32", "bf16"]), autocast=st.booleans()),
)


@given(
    name=st.sampled_from(sorted(NETWORKS)),
    grown=st.sampled_from(_GROWING),
    setting=_SETTINGS,
    heads=st.integers(1, 32),
    layers=st.integers(1, 48),
)
def test_more_of_anything_never_saves_less(
    *, name: str, grown: str, setting: Setting, heads: int, layers: int
) -> None:
    """Saved bytes grow with batch, length, width, depth, feed-forward width and vocabulary, for every kind."""
    network = replace(
        NETWORKS[name], num_layers=layers, num_attention_heads=heads, num_key_value_heads=heads,
        hidden_size=64 * heads,
    )  # fmt: skip
    before = saved(network, setting)
    if grown in ("micro_batch_size", "sequence_length"):
        after = saved(network, replace(setting, **{grown: getattr(setting, grown) + 1}))
    else:
        after = saved(replace(network, **{grown: getattr(network, grown) + 64}), setting)
    assert after > before or (grown == "intermediate_size" and name == "mixtral")


@given(
    name=st.sampled_from(sorted(NETWORKS)),
    tensor=st.sampled_from([2, 4, 8]),
    sequence=st.booleans(),
    attention=st.sampled_from(["eager", "sdpa"]),
)
def test_sharing_a_layer_never_saves_more(name: str, tensor: int, sequence: bool, attention: Any) -> None:
    """Tensor ranks save no more than one rank alone, and with sequence parallelism no more than without."""
    base = replace(EAGER, attention=attention)
    split = Layout(tensor=tensor)
    alone, shared, both = (
        saved(NETWORKS[name], replace(base, layout=layout))
        for layout in (Layout(), split, replace(split, sequence_parallel=True))
    )
    assert alone > shared > both


@given(name=st.sampled_from(sorted(NETWORKS)), attention=st.sampled_from(["eager", "sdpa"]))
def test_a_checkpoint_keeps_less_than_the_layer(name: str, attention: Any) -> None:
    """The input and the core of a layer are parts of what it saves."""
    for part in parts(NETWORKS[name], replace(EAGER, attention=attention)):
        assert 0 <= part.core <= part.saved
        assert not part.checkpointable or 0 < part.boundary < part.saved
