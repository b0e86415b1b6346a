"""Linear layers of transformers: names, shapes, and along which axis ranks divide them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from launcher.planning.memory.kinds.families import Family
from launcher.planning.memory.network import Network

__all__ = [
    "Matrix",
    "attention_matrices",
    "expert_matrices",
    "mlp_matrices",
    "query_width",
    "shared_width",
    "value_width",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One linear layer, or `copies` equal ones; the name is the one LLaMA's modules have."""

    name: str
    inputs: int
    outputs: int
    bias: bool = False
    split: Literal["none", "columns", "rows", "expert"] = "none"
    """columns: ranks divide the outputs (and the bias); rows: the inputs; expert: whole copies.

    Source: Shoeybi et al. 2019, arXiv:1909.08053, section 3.
    """
    copies: int = 1

    @property
    def elements(self) -> int:
        """Numbers of the matrices, without biases."""
        return self.inputs * self.outputs * self.copies

    @property
    def biases(self) -> int:
        """Numbers of the biases."""
        return self.outputs * self.copies if self.bias else 0


def attention_matrices(network: Network, family: Family, *, prefix: str = "") -> tuple[Matrix, ...]:
    """Projections of one attention layer."""
    if network.kv_latent_dim:
        return _latent_attention(network)
    into, out = _biases(network, family)
    hidden, query = network.hidden_size, query_width(network)
    key = (network.num_key_value_heads or network.num_attention_heads) * network.head_dim
    last = Matrix(name=f"{prefix}o_proj", inputs=query, outputs=hidden, bias=out, split="rows")
    if family.fused_query and not prefix and not _adapted_apart(network):
        return (
            Matrix(name="qkv_proj", inputs=hidden, outputs=query + 2 * key, bias=into, split="columns"),
            last,
        )
    widths = {"q_proj": query, "k_proj": key, "v_proj": key}
    return (
        *(
            Matrix(name=f"{prefix}{name}", inputs=hidden, outputs=width, bias=into, split="columns")
            for name, width in widths.items()
        ),
        last,
    )


def mlp_matrices(
    network: Network, family: Family, *, width: int, prefix: str = "", gated: bool | None = None
) -> tuple[Matrix, ...]:
    """Linear layers of one feed-forward layer of `width`."""
    hidden = network.hidden_size
    bias = family.mlp_bias if network.bias is None else network.bias
    down = Matrix(name=f"{prefix}down_proj", inputs=width, outputs=hidden, bias=bias, split="rows")
    if not (network.gated_mlp if gated is None else gated):
        up = Matrix(name=f"{prefix}up_proj", inputs=hidden, outputs=width, bias=bias, split="columns")
        return (up, down)
    if family.fused_gate:
        both = Matrix(
            name=f"{prefix}gate_up_proj", inputs=hidden, outputs=2 * width, bias=bias, split="columns"
        )
        return (both, down)
    gate, up = (
        Matrix(name=f"{prefix}{name}", inputs=hidden, outputs=width, bias=bias, split="columns")
        for name in ("gate_proj", "up_proj")
    )
    return (gate, up, down)


def expert_matrices(network: Network, family: Family) -> tuple[Matrix, ...]:
    """Router, routed experts and shared experts of one layer."""
    hidden, experts, width = network.hidden_size, network.num_experts, network.moe_intermediate_size
    into = 2 * width if network.gated_mlp else width
    routed = (
        Matrix(name="router", inputs=hidden, outputs=experts),
        Matrix(name="experts.gate_up_proj", inputs=hidden, outputs=into, copies=experts, split="expert"),
        Matrix(name="experts.down_proj", inputs=width, outputs=hidden, copies=experts, split="expert"),
    )
    if not shared_width(network):
        return routed
    shared = mlp_matrices(network, family, width=shared_width(network), prefix="shared.")
    gate = (Matrix(name="shared_gate", inputs=hidden, outputs=1),) if family.expert_gate else ()
    return (*routed, *shared, *gate)


def query_width(network: Network) -> int:
    """Numbers of one token's queries over all heads."""
    return network.num_attention_heads * (network.head_dim + network.rotary_dim)


def value_width(network: Network) -> int:
    """Numbers that attention puts out for one token, over all heads."""
    return network.num_attention_heads * (network.value_dim or network.head_dim)


def shared_width(network: Network) -> int:
    """Width of all shared experts together."""
    return network.shared_intermediate_size or network.num_shared_experts * network.moe_intermediate_size


def _biases(network: Network, family: Family) -> tuple[bool, bool]:
    if network.bias is None:
        return family.query_bias, family.output_bias
    return network.bias, network.bias


def _adapted_apart(network: Network) -> bool:
    """Whether query, key and value have adapters of their own, though they come out of one matrix."""
    if network.adapter is None:
        return False
    apart = {"q_proj", "k_proj", "v_proj"}
    return network.implementation == "litgpt" or not apart.isdisjoint(network.adapter.targets)


def _latent_attention(network: Network) -> tuple[Matrix, ...]:
    """Multi-latent attention: queries, and keys and values, out of narrow latents.

    Source: DeepSeek-V2, arXiv:2405.04434, section 2.1; transformers@5.23.0 models/deepseek_v3/modeling_deepseek_v3.py
    DeepseekV3Attention.
    """
    hidden, heads, latent = network.hidden_size, network.num_attention_heads, network.kv_latent_dim
    query = query_width(network)
    queries = (
        (
            Matrix(name="q_a_proj", inputs=hidden, outputs=network.q_latent_dim),
            Matrix(name="q_b_proj", inputs=network.q_latent_dim, outputs=query, split="columns"),
        )
        if network.q_latent_dim
        else (Matrix(name="q_proj", inputs=hidden, outputs=query, split="columns"),)
    )
    wide = heads * network.head_dim + value_width(network)
    return (
        *queries,
        Matrix(name="kv_a_proj", inputs=hidden, outputs=latent + network.rotary_dim),
        Matrix(name="kv_b_proj", inputs=latent, outputs=wide, split="columns"),
        Matrix(name="o_proj", inputs=value_width(network), outputs=hidden, split="rows"),
    )
