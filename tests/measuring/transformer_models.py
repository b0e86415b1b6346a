"""Real Hugging Face models of the memory model's networks, and the bytes they save; for tests, imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import transformers

from launcher.planning.memory.kinds.families import FAMILIES
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting

__all__ = ["adapted_bytes", "built", "frozen_bytes", "measured_bytes"]


def built(network: Network, setting: Setting | None = None) -> Any:
    """A Hugging Face model with the dimensions of a network, in training mode."""
    assert network.family is not None
    types = {"t5_v1_1": "t5", "gemma3": "gemma3_text"}
    config = transformers.AutoConfig.for_model(types.get(network.family, network.family), **_names(network))
    config._attn_implementation = setting.attention if setting else "eager"
    config.use_cache = False
    kind = FAMILIES[network.family].kind
    chosen = {
        "encoder": transformers.AutoModelForMaskedLM,
        "encoder-decoder": transformers.AutoModelForSeq2SeqLM,
    }.get(kind, transformers.AutoModelForCausalLM)
    return chosen.from_config(config).train()


def measured_bytes(network: Network, setting: Setting) -> int:
    """Bytes of unique storages that a real forward pass on CPU keeps for its backward pass, without parameters."""
    model = _in_format(built(network, setting), setting)
    if setting.checkpointing == "full":
        model.activation_checkpointing_enable({"use_reentrant": False})
    return _kept(model, network, setting)


def adapted_bytes(network: Network, setting: Setting) -> tuple[int, int]:
    """The same of a frozen model with low-rank adapters beside the targets, and the number of trained parameters."""
    assert network.adapter is not None
    model = _in_format(built(network, setting), setting).requires_grad_(False)
    for path, module in list(model.named_modules()):
        before, _, name = path.rpartition(".")
        if name in network.adapter.targets:
            setattr(model.get_submodule(before), name, _Adapted(module, network.adapter.rank))
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    return _kept(model.train(), network, setting), trained


def frozen_bytes(network: Network, setting: Setting, paths: tuple[str, ...]) -> tuple[int, int]:
    """The same of a model whose parameters with one of these in their path are frozen, and the number of the others."""
    model = _in_format(built(network, setting), setting)
    for path, parameter in model.named_parameters():
        if any(part in path for part in paths):
            parameter.requires_grad_(False)
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    return _kept(model, network, setting), trained


class _Adapted(torch.nn.Module):
    """A linear layer with a low-rank update beside it, computed as PEFT's lora.Linear computes it: fp32 factors."""

    def __init__(self, base: torch.nn.Module, rank: int) -> None:
        super().__init__()
        rows, columns = base.weight.shape
        into, out = (rows, columns) if hasattr(base, "nx") else (columns, rows)
        self.base = base
        self.first = torch.nn.Linear(into, rank, bias=False)
        self.second = torch.nn.Linear(rank, out, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result = self.base(x)
        update = self.second(self.first(x.to(self.first.weight.dtype))) * 0.5
        return (result + update).to(result.dtype)


def _in_format(model: Any, setting: Setting) -> Any:
    torch.manual_seed(0)
    formats = setting.formats
    return model.to(torch.bfloat16) if formats.compute == "bf16" and not formats.autocast else model


def _kept(model: Any, network: Network, setting: Setting) -> int:
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    call = _call(model, network, setting)
    cast = torch.autocast("cpu", torch.bfloat16) if setting.formats.autocast else nullcontext()
    with saved_storages() as storages, cast:
        loss = call()
    found = sum(size for where, size in storages.items() if where not in own)
    del loss
    return found


@contextmanager
def saved_storages() -> Iterator[dict[int, int]]:
    """Storages that autograd saves inside, by address, with their bytes."""
    storages: dict[int, int] = {}
    kept: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield storages


def _call(model: Any, network: Network, setting: Setting) -> Callable[[], Any]:
    batch, length = setting.micro_batch_size, setting.sequence_length
    ids = torch.randint(5, network.vocab_size, (batch, length))
    if network.kind != "encoder-decoder":
        return lambda: model(input_ids=ids, labels=ids.clone(), use_cache=False).loss
    labels = torch.randint(5, network.vocab_size, (batch, setting.target_length or length))
    return lambda: model(input_ids=ids, labels=labels, use_cache=False).loss


def _names(network: Network) -> dict[str, Any]:
    family, rate = str(network.family), network.dropout
    inner = {
        "gpt2": {"n_inner": network.intermediate_size},
        "opt": {"ffn_dim": network.intermediate_size},
        "t5": {"d_ff": network.intermediate_size, "d_kv": network.head_dim},
        "t5_v1_1": {"d_ff": network.intermediate_size, "d_kv": network.head_dim},
        "bart": {
            "decoder_start_token_id": 2,
            "encoder_ffn_dim": network.intermediate_size,
            "decoder_ffn_dim": network.intermediate_size,
        },
    }.get(family, {"intermediate_size": network.intermediate_size})
    common: dict[str, Any] = {
        "hidden_size": network.hidden_size,
        "num_hidden_layers": network.num_layers,
        "num_attention_heads": network.num_attention_heads,
        "vocab_size": network.vocab_size,
        "tie_word_embeddings": network.tie_word_embeddings,
        "hidden_act": network.activation,
        **inner,
    }
    if network.max_positions:
        common["max_position_embeddings"] = network.max_positions
    return {**common, **_dropout(family, rate), **_special(network, family)}


def _dropout(family: str, rate: float) -> dict[str, float]:
    names = {
        "gpt2": ("attn_pdrop", "embd_pdrop", "resid_pdrop"),
        "bert": ("attention_probs_dropout_prob", "hidden_dropout_prob"),
        "roberta": ("attention_probs_dropout_prob", "hidden_dropout_prob"),
        "gpt_neox": ("attention_dropout", "hidden_dropout"),
        "phi": ("attention_dropout", "embd_pdrop", "resid_pdrop"),
        "phi3": ("attention_dropout", "resid_pdrop"),
        "opt": ("attention_dropout", "dropout"),
        "t5": ("dropout_rate",),
        "t5_v1_1": ("dropout_rate",),
        "bart": ("attention_dropout", "dropout"),
    }.get(family, ("attention_dropout",))
    return dict.fromkeys(names, rate)


def _special(network: Network, family: str) -> dict[str, Any]:
    """Settings that only some families have."""
    key_heads = {"num_key_value_heads": network.num_key_value_heads or network.num_attention_heads}
    experts = {"num_experts_per_tok": network.num_experts_per_token, "output_router_logits": False}
    shared = {
        "moe_intermediate_size": network.moe_intermediate_size,
        "first_k_dense_replace": network.first_dense_layers,
        "kv_lora_rank": network.kv_latent_dim,
        "q_lora_rank": network.q_latent_dim or None,
        "qk_rope_head_dim": network.rotary_dim,
        "v_head_dim": network.value_dim,
        "qk_nope_head_dim": network.head_dim,
        "n_routed_experts": network.num_experts,
        "n_shared_experts": network.num_shared_experts,
        "n_group": 1,
        "topk_group": 1,
    }
    wide = {**key_heads, "head_dim": network.head_dim}
    names: dict[str, dict[str, Any]] = {
        "llama": wide,
        "mistral": {**wide, "sliding_window": network.sliding_window},
        "qwen2": wide,
        "qwen3": wide,
        "gemma": wide,
        "gemma2": wide,
        "gemma3": wide,
        "phi3": {**key_heads, "pad_token_id": 0},
        "phi": {**key_heads, "hidden_act": network.activation},
        "gpt2": {"activation_function": network.activation},
        "opt": {"activation_function": network.activation, "word_embed_proj_dim": network.hidden_size},
        "gpt_neox": {"use_parallel_residual": True, "rotary_pct": 0.25},
        "roberta": {"type_vocab_size": 1},
        "bloom": {"n_layer": network.num_layers, "n_head": network.num_attention_heads},
        "t5": {
            "num_decoder_layers": network.num_layers,
            "feed_forward_proj": network.activation,
            "decoder_start_token_id": 0,
        },
        "t5_v1_1": {
            "num_decoder_layers": network.num_layers,
            "feed_forward_proj": "gated-gelu",
            "decoder_start_token_id": 0,
        },
        "bart": {
            "decoder_start_token_id": 2,
            "encoder_layers": network.num_layers,
            "decoder_layers": network.num_layers,
            "encoder_attention_heads": network.num_attention_heads,
            "decoder_attention_heads": network.num_attention_heads,
            "activation_function": network.activation,
        },
        "mixtral": {
            **wide,
            **experts,
            "num_local_experts": network.num_experts,
            "intermediate_size": network.moe_intermediate_size,
        },
        "olmoe": {
            **wide,
            **experts,
            "num_experts": network.num_experts,
            "intermediate_size": network.moe_intermediate_size,
        },
        "qwen2_moe": {
            **wide,
            **experts,
            "num_experts": network.num_experts,
            "moe_intermediate_size": network.moe_intermediate_size,
            "shared_expert_intermediate_size": network.shared_intermediate_size,
        },
        "qwen3_moe": {
            **wide,
            **experts,
            "num_experts": network.num_experts,
            "moe_intermediate_size": network.moe_intermediate_size,
        },
        "deepseek_v3": {**key_heads, **experts, **shared},
    }
    return names.get(family, {})
