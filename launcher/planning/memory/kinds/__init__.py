"""Model kinds: one file for each family of kinds, registered here.

A kind's file is imported when a network of it is laid out: a plan needs one of them, and it answers at once.
"""

from __future__ import annotations

from importlib import import_module

from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Build, Part
from launcher.planning.memory.setting import Setting

__all__ = ["KINDS"]


def _of(place: str) -> Build:
    """The function at `module:name` of this package; a dot more for the package around it."""

    def build(network: Network, setting: Setting) -> tuple[Part, ...]:
        module, _, name = place.partition(":")
        found: Build = getattr(import_module(f".{module}", __package__), name)
        return found(network, setting)

    return build


def _or_megatron(place: str) -> Build:
    """The same, unless Megatron's kernels run it."""
    plain = _of(place)

    def build(network: Network, setting: Setting) -> tuple[Part, ...]:
        if not network.implementation.startswith("megatron"):
            return plain(network, setting)
        from launcher.planning.memory.kinds.megatron import unless_megatron

        return unless_megatron(plain)(network, setting)

    return build


KINDS: dict[str, Build] = {
    "bag": _of("dense:bag"),
    "decoder": _or_megatron("transformer:decoder"),
    "encoder": _or_megatron("transformer:encoder"),
    "encoder-decoder": _or_megatron("encoder_decoder:encoder_decoder"),
    "gru": _of("recurrent:recurrent"),
    "lstm": _of("recurrent:recurrent"),
    "mlp": _of("dense:mlp"),
    "module": _of(".traced:module_parts"),
    "moe": _or_megatron("mixture:mixture"),
    "resnet": _of("residual:resnet"),
    "rnn": _of("recurrent:recurrent"),
    "vit": _of("vision:vit"),
}
"""Kind of the recipe to the function that lays the network out in parts."""
