"""Decoders and encoders: embeddings, equal layers of attention and feed-forward, head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from launcher.catalog.ledgers import families
from launcher.planning.memory.kinds.attention_forms import with_latent_attention, with_query_norms
from launcher.planning.memory.kinds.composing import LayerBytes, layer_bytes
from launcher.planning.memory.kinds.ends import embeddings_part, head_part, norm_size
from launcher.planning.memory.kinds.experts import (
    with_plain_experts,
    with_routed_experts,
    with_shared_experts,
)
from launcher.planning.memory.kinds.families import FAMILIES, Family
from launcher.planning.memory.kinds.holding import grouped, matrix_weights, vectors
from launcher.planning.memory.kinds.lending import Lenders, family_of, lenders, style_of
from launcher.planning.memory.kinds.matrices import (
    Matrix,
    attention_matrices,
    mlp_matrices,
    query_width,
    shared_width,
)
from launcher.planning.memory.kinds.partly import partly_trained, without_gradient
from launcher.planning.memory.kinds.rows import Wanted, wanted_row
from launcher.planning.memory.kinds.symbols import bytes_of, casts_of, compute_bytes, symbols
from launcher.planning.memory.kinds.training import all_frozen, embeddings_trained, is_trained
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part, Weights
from launcher.planning.memory.polynomial import Polynomial
from launcher.planning.memory.setting import Setting

__all__ = [
    "body_parts",
    "choose",
    "decoder",
    "encoder",
    "layer_matrices",
    "layer_part",
    "layer_vectors",
    "wanted_of",
]


def decoder(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of a language model that reads left to right."""
    return _stack(network, setting)


def encoder(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of a bidirectional encoder, with a masked-language head, or a classifier where it has classes."""
    return _stack(network, setting)


def _stack(network: Network, setting: Setting) -> tuple[Part, ...]:
    chosen, wanted = choose(network, setting), wanted_of(network, setting)
    matrices = layer_matrices(network, family_of(network))
    layer = layer_part(network, setting, chosen=chosen, wanted=wanted, matrices=matrices)
    return (
        embeddings_part(network, setting, chosen, wanted),
        *body_parts(network, setting, layer, matrices=matrices, repeat=network.num_layers),
        head_part(network, setting, chosen, wanted),
    )


def choose(network: Network, setting: Setting, *, kind: str | None = None) -> Lenders:
    """Which ledgers stand for a network: of the compiled implementation where it is compiled.

    An implementation of which nothing is known gives way to transformers', a family of which its catalog has no
    ledger to the nearest one.
    """
    implementation = network.implementation
    if setting.compile:
        implementation = "compiled"
    known = families(implementation)
    if not known:
        implementation, known = "transformers", families("transformers")
    return lenders(
        implementation=implementation,
        kind=kind or network.kind,
        family=network.family if network.family in known else None,
        style=style_of(network),
    )


def wanted_of(network: Network, setting: Setting) -> Wanted:
    """The ledger row that would stand for a network and a setting."""
    keys = network.num_key_value_heads or network.num_attention_heads
    return wanted_row(
        setting,
        dropout=network.dropout > 0,
        activation=network.activation,
        grouped=keys != network.num_attention_heads,
    )


def layer_matrices(network: Network, family: Family) -> tuple[Matrix, ...]:
    """Linear layers of one dense layer."""
    return (
        *attention_matrices(network, family),
        *mlp_matrices(network, family, width=network.intermediate_size),
    )


def layer_vectors(network: Network, family: Family) -> int:
    """Parameters of one layer's norms."""
    norms = family.norms * norm_size(network, network.hidden_size)
    if network.kv_latent_dim:
        return norms + network.kv_latent_dim + network.q_latent_dim
    if family.query_norm == "head":
        return norms + 2 * network.head_dim
    if family.query_norm == "width":
        keys = (network.num_key_value_heads or network.num_attention_heads) * network.head_dim
        return norms + query_width(network) + keys
    return norms


def layer_part(
    network: Network,
    setting: Setting,
    *,
    chosen: Lenders,
    wanted: Wanted,
    matrices: tuple[Matrix, ...],
    name: str = "layer",
    extra: Iterable[Weights] = (),
    tokens: str = "t",
) -> Part:
    """One layer with these matrices and its norms."""
    family = family_of(network)
    layer = _ledger(network, setting, chosen, wanted, name)
    whole = partly_trained(network, setting, layer, matrices, tokens=tokens)
    part = _evaluated(whole, network, setting)
    largest = max(matrix.elements // matrix.copies for matrix in matrices)
    unpacked = round(2 * largest / setting.layout.tensor) if _quantized(network) else 0
    return replace(
        part,
        name=name,
        weights=grouped(
            (
                *matrix_weights(network, matrices, part=name),
                *vectors(network, layer_vectors(network, family), part=name),
                *extra,
            )
        ),
        backward=part.backward + unpacked,
        forward=part.forward + unpacked,
    )


def body_parts(
    network: Network, setting: Setting, layer: Part, *, matrices: tuple[Matrix, ...], repeat: int
) -> tuple[Part, ...]:
    """Equal layers; where no gradient reaches the embeddings, nothing is kept below the first trained parameter."""
    if repeat == 0:
        return ()
    if embeddings_trained(network):
        return (replace(layer, repeat=repeat),)
    if all_frozen(network, matrices, part=layer.name):
        return (replace(layer, repeat=repeat, saved=0, core=0, boundary=0, backward=0, casts=0),)
    chosen, wanted = choose(network, setting), wanted_of(network, setting)
    ledger = _ledger(network, setting, chosen, wanted, layer.name)
    bare = without_gradient(network, setting, partly_trained(network, setting, ledger, matrices), matrices)
    first = _evaluated(bare, network, setting)
    first = replace(layer, name=f"first {layer.name}", saved=first.saved, core=first.core, casts=first.casts)
    return (first, replace(layer, repeat=repeat - 1)) if repeat > 1 else (first,)


def _ledger(network: Network, setting: Setting, chosen: Lenders, wanted: Wanted, part: str) -> LayerBytes:
    """Polynomials of a layer: the ledgers', and formulas for what they do not know."""
    layer = layer_bytes(chosen, wanted, attention_dropout=_attention_dropout(network), part=part)
    layer = with_latent_attention(network, wanted, layer)
    lender = FAMILIES.get(chosen.attention)
    layer = with_query_norms(
        wanted,
        layer,
        wanted_norm=family_of(network).query_norm,
        known_norm=lender.query_norm if lender else "none",
    )
    layer = with_plain_experts(network, wanted, with_routed_experts(network, wanted, layer))
    if not network.num_experts or not shared_width(network):
        return layer
    dense = choose(replace(network, kind="decoder", family=None), setting)
    return with_shared_experts(network, wanted, layer, dense=dense)


def _evaluated(layer: LayerBytes, network: Network, setting: Setting) -> Part:
    sizes = symbols(network, setting)

    def raw(polynomial: Polynomial) -> int:
        return round(bytes_of(polynomial, sizes, setting))

    def value(polynomial: Polynomial) -> int:
        return max(0, raw(polynomial))

    pieces = (layer.norm, layer.attention, layer.core, layer.mlp)
    # a ledger may not have had what a frozen layer leaves out
    saved = sum(max(value(piece), value(casts_of(piece))) for piece in pieces)
    # no moment frees more than was saved, though a borrowed piece may save less than its lender's moments free
    moments = [(max(raw(held), -saved), raw(made)) for held, made in layer.backward]
    held = max((one for one, _ in moments), default=0)
    both = max((sum(moment) for moment in moments), default=0)
    return Part(
        name="layer",
        saved=saved,
        core=value(layer.core),
        boundary=value(layer.boundary or {"t*h": compute_bytes(setting)}),
        backward=max(0, held),
        backward_gradients=max(0, both - max(0, held)) if is_trained(network, "mlp") else 0,
        forward=max((value(polynomial) for polynomial in layer.forward), default=0),
        casts=sum(value(casts_of(piece)) for piece in pieces),
        source=layer.source + ("; fp8 as 16 bits" if setting.formats.compute == "fp8" else ""),
    )


def _attention_dropout(network: Network) -> bool:
    rate = network.attention_dropout
    return (network.dropout if rate is None else rate) > 0


def _quantized(network: Network) -> bool:
    return network.adapter is not None and network.adapter.quantization != "none"
