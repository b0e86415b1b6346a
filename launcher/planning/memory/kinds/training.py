"""Which parameters of a transformer are trained: frozen modules, and adapters beside frozen matrices."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.planning.memory.kinds.matrices import Matrix
from launcher.planning.memory.network import Network

__all__ = ["DEFAULT_TARGETS", "adapted", "all_frozen", "embeddings_trained", "is_trained", "stored_bytes"]

DEFAULT_TARGETS = ("q_proj", "v_proj")
"""Source: Hu et al. 2021, arXiv:2106.09685, section 4.2; huggingface/peft@v0.17.0 utils/constants.py (llama)."""

_NAMES = {
    "q_proj": ("q_proj", "qkv_proj"),
    "k_proj": ("k_proj", "qkv_proj"),
    "v_proj": ("v_proj", "qkv_proj"),
    "gate_proj": ("gate_proj", "gate_up_proj"),
    "up_proj": ("up_proj", "gate_up_proj"),
    "c_attn": ("qkv_proj", "q_proj", "k_proj", "v_proj"),
    "query_key_value": ("qkv_proj", "q_proj", "k_proj", "v_proj"),
    "Wqkv": ("qkv_proj", "q_proj", "k_proj", "v_proj"),
    "qkv_proj": ("qkv_proj", "q_proj", "k_proj", "v_proj"),
    "query": ("q_proj",),
    "key": ("k_proj",),
    "value": ("v_proj",),
    "q": ("q_proj",),
    "k": ("k_proj",),
    "v": ("v_proj",),
    "o": ("o_proj",),
    "out_proj": ("o_proj",),
    "dense": ("o_proj",),
    "proj": ("o_proj",),
    "c_proj": ("o_proj", "down_proj"),
    "c_fc": ("up_proj",),
    "fc1": ("up_proj",),
    "fc2": ("down_proj",),
    "wi": ("up_proj",),
    "wo": ("down_proj",),
    "dense_h_to_4h": ("up_proj",),
    "dense_4h_to_h": ("down_proj",),
    "gate_up_proj": ("gate_up_proj", "gate_proj", "up_proj"),
    "w1": ("gate_proj",),
    "w2": ("down_proj",),
    "w3": ("up_proj",),
}
"""Names that model families give to linear layers, to ours."""

_GROUPS = {
    "attention": ("q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "q_a_proj", "q_b_proj", "kv_a_proj", "kv_b_proj"),
    "mlp": ("gate_proj", "up_proj", "gate_up_proj", "down_proj"),
    "experts": ("experts.gate_up_proj", "experts.down_proj"),
}  # fmt: skip
_BODY = ("all", "all-linear", "layers", "h", "blocks", "model.layers", "transformer.h")
_SYNONYMS = {
    "attn": "attention",
    "self_attn": "attention",
    "feed_forward": "mlp",
    "wte": "embeddings",
    "embed_tokens": "embeddings",
    "embed_in": "embeddings",
    "word_embeddings": "embeddings",
    "shared": "embeddings",
    "wpe": "positions",
    "embed_positions": "positions",
    "position_embeddings": "positions",
    "lm_head": "head",
    "embed_out": "head",
    "norms": "norm",
    "layernorm": "norm",
    "gate": "router",
}


def adapted(network: Network, matrix: Matrix) -> bool:
    """Whether a matrix of a layer gets an adapter of its own; experts never do."""
    if network.adapter is None or matrix.copies > 1 or matrix.name in ("router", "shared_gate"):
        return False
    targets = network.adapter.targets or DEFAULT_TARGETS
    if not network.adapter.targets and matrix.name == "qkv_proj":
        return True
    name = matrix.name.rpartition(".")[2]
    return any(
        target in _BODY or name in _resolved(target) or name in _GROUPS.get(target, ()) for target in targets
    )


def is_trained(network: Network, name: str, *, part: str = "layer") -> bool:
    """Whether a matrix, a norm, the embeddings or the head are trained themselves."""
    if network.adapter is not None or part in network.frozen:
        return False
    body = part not in ("embeddings", "head")
    for written in network.frozen:
        frozen = _SYNONYMS.get(written, written)
        if frozen == "all" or (body and frozen in _BODY):
            return False
        if frozen == name or name.rpartition(".")[2] in (*_resolved(frozen), *_GROUPS.get(frozen, ())):
            return False
        if name in _GROUPS.get(frozen, ()):
            return False
    return True


def all_frozen(network: Network, matrices: Iterable[Matrix], *, part: str = "layer") -> bool:
    """Whether no gradient is asked for inside a part: nothing trained, nothing adapted."""
    return not is_trained(network, "norm", part=part) and not any(
        is_trained(network, matrix.name, part=part) or adapted(network, matrix) for matrix in matrices
    )


def embeddings_trained(network: Network) -> bool:
    """Whether a gradient is asked for below the first layer: of tokens' or of learned positions' embeddings."""
    learned = network.position == "learned" and network.max_positions > 0
    names = ("embeddings", "positions") if learned else ("embeddings",)
    return any(is_trained(network, name, part="embeddings") for name in names)


def stored_bytes(network: Network, matrix: Matrix) -> float | None:
    """Bytes of one stored number of a frozen, quantized matrix; None where it is stored as the formats say.

    nf4: half a byte and an fp32 scale for every 64 numbers; int8: a byte (and a scale for every row).
    Source: Dettmers et al. 2023, arXiv:2305.14314, section 3 (without double quantization, bitsandbytes' default).
    """
    if network.adapter is None or network.adapter.quantization == "none" or matrix.copies > 1:
        return None
    return {"nf4": 0.5 + 4 / 64, "int8": 1.0 + 4 / matrix.inputs}[network.adapter.quantization]


def _resolved(name: str) -> tuple[str, ...]:
    short = name.rpartition(".")[2]
    return _NAMES.get(short, (short,))
