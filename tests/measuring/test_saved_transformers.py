"""Saved bytes of transformers: the closed formula against real CPU torch.

What real torch keeps is read from `torch.autograd.graph.saved_tensors_hooks`, unique storages without parameters; the
rows of the ledgers are those for CPU kernels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_transformer_counts import network_of
from transformer_models import adapted_bytes, frozen_bytes, measured_bytes

from launcher.planning.memory.counting import count_parameters
from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Formats, Setting
from launcher.spec.model import Adapter

pytestmark = pytest.mark.torch

FORMATS = {
    "fp32": Formats(compute="fp32"),
    "bf16": Formats(compute="bf16", parameter_bytes=2),
    "autocast": Formats(compute="bf16", autocast=True),
}
WITHIN = {"none": 0.01, "full": 0.02}


def predicted_bytes(network: Network, setting: Setting) -> int:
    """Saved bytes of all parts; of a checkpointed part its input."""
    return sum(
        part.repeat
        * (part.boundary if setting.checkpointing == "full" and part.checkpointable else part.saved)
        for part in KINDS[network.kind](network, setting)
    )


def case(
    name: str,
    precision: str = "fp32",
    attention: Any = "sdpa",
    checkpointing: Any = "none",
    *,
    batch: int = 2,
    length: int = 48,
    target: int = 32,
    **dims: Any,
) -> Any:
    """One configuration, named by what it differs in."""
    network = replace(network_of(name), **dims)
    setting = Setting(
        device_kind="cpu",
        micro_batch_size=batch,
        sequence_length=length,
        target_length=target if network.kind == "encoder-decoder" else None,
        attention=attention,
        checkpointing=checkpointing,
        formats=FORMATS[precision],
    )
    said = [name, precision, attention, checkpointing, f"b{batch}s{length}"]
    return pytest.param(network, setting, id="-".join([*said, *(f"{k}{v}" for k, v in dims.items())]))


WIDE = {"hidden_size": 128, "num_attention_heads": 8, "num_key_value_heads": 8, "num_layers": 2}
DEEP = {"num_layers": 6}
LONG = {"batch": 1, "length": 300}
MANY = {"batch": 7, "length": 40}
CASES = [
    # decoders
    case("llama"),
    case("llama", attention="eager", **LONG),
    case("llama", "bf16", **MANY),
    case("llama", "bf16", "eager", attention_dropout=0.1, dropout=0.1),
    case("llama", "autocast", **LONG),
    case("llama", "autocast", "eager", dropout=0.1, **MANY),
    case("llama", checkpointing="full", **MANY, **DEEP),
    case("llama", "bf16", "eager", "full", **MANY, **DEEP),
    case("llama", **WIDE, vocab_size=1000),
    case("llama", intermediate_size=352, activation="gelu"),
    case("llama", "bf16", activation="relu", num_key_value_heads=1),
    case("gpt2"),
    case("gpt2", attention="eager", dropout=0.1, **LONG, max_positions=512),
    case("gpt2", dropout=0.1, **MANY),
    case("gpt2", "bf16", "eager", activation="gelu"),
    case("gpt2", "bf16", dropout=0.1),
    case("gpt2", "autocast", "eager", dropout=0.1),
    case("gpt2", "autocast", **WIDE, intermediate_size=512),
    case("gpt2", checkpointing="full", dropout=0.1, **DEEP),
    case("gpt2", "autocast", checkpointing="full", **MANY, **DEEP),
    case("gpt_neox", "bf16"),
    case("gpt_neox", attention="eager", dropout=0.1, **MANY),
    case("opt", "autocast", dropout=0.1),
    case("phi", "bf16", dropout=0.1, **LONG, max_positions=512),
    case("phi3", "bf16"),
    case("phi3", attention="eager", dropout=0.1, num_key_value_heads=4),
    case("mistral", "bf16", **LONG),
    case("qwen2", attention="eager", **MANY),
    case("qwen3", "autocast"),
    case("gemma", "bf16", "eager", dropout=0.1),
    case("gemma2", "bf16", "eager", checkpointing="full", **MANY, **DEEP),
    case("gemma3", "autocast", **MANY),
    # encoders
    case("bert"),
    case("bert", attention="eager", dropout=0.1, **MANY),
    case("bert", "bf16", **WIDE, intermediate_size=512),
    case("bert", "bf16", "eager", dropout=0.1),
    case("bert", "autocast", dropout=0.1, **MANY),
    case("bert", activation="relu", vocab_size=2000),
    case("bert", "bf16", checkpointing="full", **DEEP),
    # encoder-decoders
    case("t5"),
    case("t5", attention="eager", dropout=0.1, **MANY),
    case("t5", "bf16", **LONG, target=20),
    case("t5", "bf16", "eager", dropout=0.1, **WIDE),
    case("t5", "autocast", dropout=0.1, length=30, target=90),
    case("t5", "bf16", checkpointing="full", batch=9, length=40, target=24, **DEEP),
    case("t5_v1_1", "bf16"),
    case("t5", "autocast", "eager", "full", dropout=0.1),
    case("t5_v1_1", checkpointing="full", length=100, target=20),
    case("bart", "autocast", "eager", "full", target=90),
    case("gpt2", "autocast", "eager", "full", dropout=0.1),
    case("bart", dropout=0.1),
    case("bart", "bf16", "eager", dropout=0.1, batch=1, length=90, target=60),
    case("bart", "autocast", **WIDE, intermediate_size=512),
    case("bart", checkpointing="full", dropout=0.1, **DEEP),
    # mixtures
    case("mixtral"),
    case("mixtral", attention="eager", dropout=0.1, **MANY),
    case("mixtral", "bf16", num_experts=16, num_experts_per_token=4),
    case("mixtral", "bf16", "eager", **LONG, moe_intermediate_size=104),
    case("mixtral", "autocast", **WIDE),
    case("mixtral", checkpointing="full", **MANY, **DEEP),
    # what no ledger has, by formula: latent attention, shared experts, norms over query and key
    case("deepseek_v3"),
    case("deepseek_v3", "bf16", "eager", dropout=0.1, **MANY),
    case("deepseek_v3", "bf16", dropout=0.1),
    case("deepseek_v3", "autocast", **LONG),
    case("deepseek_v3", q_latent_dim=0, num_shared_experts=2),
    case("qwen2_moe", "bf16"),
    case("qwen2_moe", "autocast", "eager", **MANY),
    case("qwen2_moe", dropout=0.1, shared_intermediate_size=112),
    case("qwen3_moe", "bf16", "eager", dropout=0.1),
    case("olmoe", "autocast"),
]


@pytest.mark.parametrize(("network", "setting"), CASES)
def test_saved_bytes_are_those_of_real_torch(network: Network, setting: Setting) -> None:
    """Within 1 % of what autograd really keeps, within 2 % under full checkpointing."""
    measured = measured_bytes(network, setting)
    assert predicted_bytes(network, setting) == pytest.approx(measured, rel=WITHIN[setting.checkpointing])


ADAPTED = [
    ("llama", ("q_proj", "v_proj")),
    ("llama", ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")),
    ("llama", ("down_proj", "o_proj")),
    ("gpt2", ("c_attn",)),
]


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize(("name", "targets"), ADAPTED)
def test_adapters_beside_a_frozen_model_keep_what_real_torch_keeps(
    name: str, targets: tuple[str, ...], precision: str
) -> None:
    """Within 1 % of LoRA as PEFT computes it, and as many trained parameters to the last one."""
    network = replace(network_of(name), adapter=Adapter(rank=4, targets=targets), num_layers=4)
    setting = Setting(device_kind="cpu", micro_batch_size=2, sequence_length=48, formats=FORMATS[precision])
    measured, trained = adapted_bytes(network, setting)
    assert predicted_bytes(network, setting) == pytest.approx(measured, rel=0.01)
    assert count_parameters(network).trained == trained


FROZEN = [
    ("llama", ("embed_tokens",), ("embed_tokens",)),
    ("llama", ("mlp",), ("mlp",)),
    ("llama", ("self_attn",), ("self_attn",)),
    ("llama", ("layers",), ("model.layers",)),
    ("llama", ("norm",), ("norm",)),
    ("llama", ("lm_head",), ("lm_head",)),
    ("gpt2", ("wte", "wpe"), ("wte", "wpe")),
    ("gpt2", ("layers",), (".h.",)),
    ("gpt2", ("norm",), ("ln_",)),
]


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize(("name", "frozen", "paths"), FROZEN)
def test_frozen_modules_keep_what_real_torch_keeps(
    name: str, frozen: tuple[str, ...], paths: tuple[str, ...], precision: str
) -> None:
    """Within 1 % of the same model with these modules frozen, and as many trained parameters to the last one."""
    network = replace(network_of(name), frozen=frozen, num_layers=4)
    setting = Setting(device_kind="cpu", micro_batch_size=2, sequence_length=48, formats=FORMATS[precision])
    measured, trained = frozen_bytes(network, setting, paths)
    assert predicted_bytes(network, setting) == pytest.approx(measured, rel=0.01)
    assert count_parameters(network).trained == trained
