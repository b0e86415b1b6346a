"""Encoder-decoders: an encoder over the input's tokens, a decoder over the target's that looks at both."""

from __future__ import annotations

from dataclasses import replace

from launcher.planning.memory.kinds.ends import embeddings_part, head_part, norm_size
from launcher.planning.memory.kinds.families import Family
from launcher.planning.memory.kinds.holding import grouped, vectors
from launcher.planning.memory.kinds.lending import family_of
from launcher.planning.memory.kinds.matrices import Matrix, attention_matrices
from launcher.planning.memory.kinds.training import all_frozen, embeddings_trained
from launcher.planning.memory.kinds.transformer import choose, layer_matrices, layer_part, wanted_of
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part, Weights
from launcher.planning.memory.setting import Setting

__all__ = ["encoder_decoder"]


def encoder_decoder(network: Network, setting: Setting) -> tuple[Part, ...]:
    """Parts of an encoder-decoder; setting.target_length tokens come out of the decoder."""
    chosen, wanted, family = choose(network, setting), wanted_of(network, setting), family_of(network)
    own = layer_matrices(network, family)
    both = (*own, *attention_matrices(network, family, prefix="cross."))
    encoder = layer_part(network, setting, chosen=chosen, wanted=wanted, matrices=own, name="encoder")
    decoder = layer_part(
        network,
        setting,
        chosen=chosen,
        wanted=wanted,
        matrices=both,
        name="decoder",
        extra=vectors(network, norm_size(network, network.hidden_size), part="decoder"),
        tokens="u",
    )
    embeddings = embeddings_part(network, setting, chosen, wanted)
    return (
        replace(embeddings, weights=grouped((*embeddings.weights, *_second_stack(network, family)))),
        replace(_unless_frozen(network, encoder, own), repeat=_encoder_layers(network)),
        replace(decoder, repeat=network.num_layers),
        head_part(network, setting, chosen, wanted, tokens="u"),
    )


def _encoder_layers(network: Network) -> int:
    layers = network.num_encoder_layers
    return network.num_layers if layers is None else layers


def _second_stack(network: Network, family: Family) -> tuple[Weights, ...]:
    """What the embeddings of a decoder have of their own, and the encoder's last norm."""
    hidden = network.hidden_size
    count = 0
    if network.position == "learned" and network.max_positions:
        count += (network.max_positions + family.position_rows) * hidden
    if family.embedding_norm:
        count += norm_size(network, hidden)
    if family.final_norm:
        count += norm_size(network, hidden)
    if _relative(network, family):
        count += 2 * family.relative_buckets * network.num_attention_heads
    return tuple(vectors(network, count, name="positions", part="embeddings"))


def _relative(network: Network, family: Family) -> bool:
    return family.relative_buckets > 0 and network.position not in ("learned", "rotary")


def _unless_frozen(network: Network, encoder: Part, matrices: tuple[Matrix, ...]) -> Part:
    """The encoder keeps nothing where neither it nor the embeddings below it are trained."""
    if embeddings_trained(network):
        return encoder
    if not all_frozen(network, matrices, part="encoder"):
        return encoder
    return replace(encoder, saved=0, core=0, boundary=0, backward=0, casts=0)
