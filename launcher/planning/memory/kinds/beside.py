"""What checkpointing keeps beside the inputs of layers: masks and biases that every layer is given."""

from __future__ import annotations

from launcher.planning.memory.kinds.symbols import compute_bytes
from launcher.planning.memory.polynomial import Polynomial, added
from launcher.planning.memory.setting import Setting

__all__ = ["beside_inputs"]

_GIVEN_MASK = {"gpt2": "b*s*s", "bart": "b*r*r", "t5": "b*r*r", "t5_v1_1": "b*r*r"}
"""Families that hand their layers a causal mask as an argument, where attention is eager."""
_RELATIVE = ("t5", "t5_v1_1")
_PAIRED = (*_RELATIVE, "bart")
"""Their decoders are handed what the encoder puts out, in the format that autocast has not cast yet."""


def beside_inputs(setting: Setting, first: Polynomial, *, family: str) -> Polynomial:
    """What is saved before the layers, when these are checkpointed: computing attention again needs masks and biases.

    T5's relative positions become one bias for every stack; the table's lookup is computed again with the first layer.
    Source: transformers@5.23.0 models/t5/modeling_t5.py T5Stack.forward, models/gpt2/modeling_gpt2.py;
    pytorch@v2.13.0 torch/utils/checkpoint.py (arguments that are tensors are saved).
    Checked: real torch on CPU, exact where layers are checkpointed whole.
    """
    if setting.checkpointing == "none" or setting.checkpointed_layers == 0:
        return first
    stored = compute_bytes(setting)
    wide = 4 if setting.formats.autocast else stored
    mask, whole = _GIVEN_MASK.get(family), setting.checkpointing == "full"
    kept: Polynomial = dict(first)
    if mask and setting.attention == "eager":
        kept = added(kept, {mask: wide})
    if family in _RELATIVE:
        looked_up = ("s*s", "r*r") if whole else ()
        kept = {names: value for names, value in kept.items() if names not in looked_up}
        biases = {"s*s*a": wide, "r*r*a": wide, "s*r*a": stored}
        kept = added(kept, {names: value for names, value in biases.items() if names not in first})
    return added(kept, {"t*h": wide}) if whole and family in _PAIRED and setting.formats.autocast else kept
