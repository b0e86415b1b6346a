"""Model kinds: one file for each family of kinds, registered here."""

from __future__ import annotations

from launcher.planning.memory.kinds.dense import bag, mlp
from launcher.planning.memory.kinds.encoder_decoder import encoder_decoder
from launcher.planning.memory.kinds.megatron import unless_megatron
from launcher.planning.memory.kinds.mixture import mixture
from launcher.planning.memory.kinds.recurrent import recurrent
from launcher.planning.memory.kinds.residual import resnet
from launcher.planning.memory.kinds.transformer import decoder, encoder
from launcher.planning.memory.kinds.vision import vit
from launcher.planning.memory.part import Build
from launcher.planning.memory.traced import module_parts

__all__ = ["KINDS"]

KINDS: dict[str, Build] = {
    "bag": bag,
    "decoder": unless_megatron(decoder),
    "encoder": unless_megatron(encoder),
    "encoder-decoder": unless_megatron(encoder_decoder),
    "gru": recurrent,
    "lstm": recurrent,
    "mlp": mlp,
    "module": module_parts,
    "moe": unless_megatron(mixture),
    "resnet": resnet,
    "rnn": recurrent,
    "vit": vit,
}
"""Kind of the recipe to the function that lays the network out in parts."""
