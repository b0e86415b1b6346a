"""Any transformer that a recipe can write has parts: nothing raises, nothing is negative."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.memory.counting import count_parameters
from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.kinds.families import FAMILIES
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part
from launcher.planning.memory.setting import Formats, Layout, Setting
from launcher.spec.model import Adapter

_TARGETS = [
    "q_proj",
    "v_proj",
    "qkv_proj",
    "c_attn",
    "o_proj",
    "gate_proj",
    "down_proj",
    "all-linear",
    "dense",
]
_MODULES = [
    "embed_tokens",
    "lm_head",
    "mlp",
    "self_attn",
    "layers",
    "encoder",
    "decoder",
    "norm",
    "all",
    "q_proj",
]
_COUNTED = [item.name for item in fields(Part) if item.name not in ("name", "place", "weights", "source")]


@st.composite
def networks(draw: Any) -> Network:
    """Networks of every transformer kind; dimensions fit each other, styles are mixed as they come."""
    kind = draw(st.sampled_from(["decoder", "encoder", "encoder-decoder", "moe"]))
    heads, groups = draw(st.sampled_from([(4, 4), (4, 2), (4, 1), (8, 2)]))
    latent = kind in ("decoder", "moe") and draw(st.booleans())
    moe = kind == "moe"
    return Network(
        kind=kind,
        implementation=draw(
            st.sampled_from(["transformers", "torch", "fused", "compiled", "litgpt", "torchtitan"])
        ),
        family=draw(st.sampled_from([None, *FAMILIES])),
        hidden_size=draw(st.sampled_from([64, 96])),
        num_layers=draw(st.integers(1, 4)),
        num_encoder_layers=draw(st.sampled_from([None, 2])),
        num_attention_heads=heads,
        num_key_value_heads=groups,
        head_dim=16,
        intermediate_size=draw(st.sampled_from([160, 256])),
        vocab_size=300,
        max_positions=draw(st.sampled_from([0, 128])),
        gated_mlp=draw(st.booleans()),
        activation=draw(st.sampled_from(["silu", "gelu", "gelu_new", "relu", "tanh"])),
        norm=draw(st.sampled_from(["rmsnorm", "layernorm", "batchnorm", "groupnorm"])),
        position=draw(st.sampled_from(["rotary", "learned", "none"])),
        tie_word_embeddings=draw(st.booleans()),
        bias=draw(st.sampled_from([None, True, False])),
        dropout=draw(st.sampled_from([0.0, 0.1])),
        attention_dropout=draw(st.sampled_from([None, 0.0, 0.1])),
        num_experts=8 if moe else 0,
        num_experts_per_token=2 if moe else 0,
        moe_intermediate_size=48 if moe else 0,
        num_shared_experts=draw(st.integers(0, 2)) if moe else 0,
        first_dense_layers=draw(st.integers(0, 1)) if moe else 0,
        capacity_factor=draw(st.sampled_from([None, 1.5])) if moe else None,
        kv_latent_dim=24 if latent else 0,
        q_latent_dim=draw(st.sampled_from([0, 40])) if latent else 0,
        rotary_dim=8 if latent else 0,
        value_dim=draw(st.sampled_from([0, 12])) if latent else 0,
        num_classes=draw(st.sampled_from([0, 3])),
        adapter=draw(
            st.none()
            | st.builds(
                Adapter,
                rank=st.just(4),
                targets=st.lists(st.sampled_from(_TARGETS), max_size=3).map(tuple),
                quantization=st.sampled_from(["none", "int8", "nf4"]),
            )
        ),
        frozen=tuple(draw(st.lists(st.sampled_from(_MODULES), max_size=2))),
    )


SETTINGS = st.builds(
    Setting,
    device_kind=st.sampled_from(["cpu", "cuda", "rocm", "hpu"]),
    micro_batch_size=st.integers(1, 5),
    sequence_length=st.sampled_from([1, 7, 128]),
    target_length=st.sampled_from([None, 32]),
    attention=st.sampled_from(["eager", "sdpa", "flash"]),
    checkpointing=st.sampled_from(["none", "selective", "full"]),
    compile=st.booleans(),
    logits=st.sampled_from(["full", "chunked", "fused"]),
    formats=st.builds(
        Formats, compute=st.sampled_from(["fp32", "fp16", "bf16", "fp8"]), autocast=st.booleans()
    ),
    layout=st.builds(
        Layout,
        tensor=st.sampled_from([1, 2]),
        context=st.sampled_from([1, 2]),
        expert=st.sampled_from([1, 4]),
        sequence_parallel=st.booleans(),
    ),
)


@given(network=networks(), setting=SETTINGS)
def test_every_transformer_has_parts(network: Network, setting: Setting) -> None:
    """All bytes are whole and not negative, what is a share is no more than the whole, and each part names its source."""
    for part in KINDS[network.kind](network, setting):
        counted = [getattr(part, name) for name in _COUNTED]
        assert all(value is None or (isinstance(value, int) and value >= 0) for value in counted), part
        assert part.core <= part.saved
        assert part.casts <= part.saved
        assert part.logits <= part.saved
        assert part.repeat >= 1
        assert part.source


@given(network=networks())
def test_parameters_do_not_depend_on_what_trains_them(network: Network) -> None:
    """Freezing moves parameters out of the trained ones, and leaves the total as it is."""
    plain = replace(network, adapter=None, frozen=())
    frozen = replace(network, adapter=None)
    total, active, trained = count_parameters(plain)
    assert total == trained >= active > 0
    assert count_parameters(frozen)[:2] == (total, active)
    assert count_parameters(frozen).trained <= trained


@given(network=networks(), setting=SETTINGS)
def test_training_less_never_keeps_more(network: Network, setting: Setting) -> None:
    """A frozen module keeps at most what it kept before; adapters are another matter, they bring their own."""
    plain, frozen = replace(network, adapter=None, frozen=()), replace(network, adapter=None)
    one, other = (
        sum(part.repeat * part.saved for part in KINDS[network.kind](each, setting))
        for each in (plain, frozen)
    )
    assert other <= one
