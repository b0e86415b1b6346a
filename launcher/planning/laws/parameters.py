"""Which parameters a law counts: all, without embeddings, or the matrices of the layers alone."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.planning.memory.counting import count_parameters
from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting

__all__ = ["Counted", "counted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Numbers of parameters of one network, experts that a token is not sent to left out."""

    total: int
    """All of them."""
    active: int
    """Those one token meets."""
    non_embedding: int
    """Active ones without token and position tables and without an output projection of its own."""
    matrices: int
    """Weights of the layers' linear maps: no norms, no biases, no embeddings, no output projection."""


def counted(network: Network) -> Counted:
    """Parameters in the ways that scaling laws count them.

    Source: matrices: Kaplan et al. 2020, arXiv:2001.08361 equation 2.1 (12 L d**2 for a plain layer);
    step-law/steplaw@32a8f4c data/dense_lr_bs_loss.csv.
    Checked: width 960, feed-forward 9,368 gated, 7 layers: 214,663,680, the first row of that table.
    """
    found = count_parameters(network)
    first = [
        part for part in KINDS[network.kind](network, Setting(sequence_length=1)) if part.place == "first"
    ]
    tables = sum(part.repeat * weights.count for part in first for weights in part.weights)
    untied = not network.tie_word_embeddings and not network.num_classes
    output = network.vocab_size * network.hidden_size if untied else 0
    rest = found.active - tables - output
    return Counted(
        total=found.total,
        active=found.active,
        non_embedding=rest,
        matrices=_matrices(network) if network.kind == "decoder" else rest,
    )


def _matrices(network: Network) -> int:
    from launcher.planning.memory.kinds.lending import family_of
    from launcher.planning.memory.kinds.transformer import layer_matrices

    layer = layer_matrices(network, family_of(network))
    return network.num_layers * sum(matrix.elements for matrix in layer)
