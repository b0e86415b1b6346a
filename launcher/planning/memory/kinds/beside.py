"""What full checkpointing keeps beside the inputs of layers: masks and biases that every layer is given."""

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
    """What is saved before the layers, when these are checkpointed whole.

    T5's relative positions become one bias for every stack; the table's lookup is computed again with the first layer.
    Source: transformers@5.23.0 models/t5/modeling_t5.py T5Stack.forward, models/gpt2/modeling_gpt2.py;
    pytorch@v2.13.0 torch/utils/checkpoint.py (arguments that are tensors are saved).
    Checked: real torch on CPU, exact.
    """
    if setting.checkpointing != "full" or setting.checkpointed_layers == 0:
        return first
    stored = compute_bytes(setting)
    wide = 4 if setting.formats.autocast else stored
    kept: Polynomial = dict(first)
    if family in _RELATIVE:
        kept = {names: value for names, value in first.items() if names not in ("s*s", "r*r")}
        kept = added(kept, {"a*s*s": wide, "a*r*r": wide})
        if "s*r*a" not in first:
            kept = added(kept, {"a*s*r": stored})
    if family in _PAIRED and setting.formats.autocast:
        kept = added(kept, {"t*h": wide})
    mask = _GIVEN_MASK.get(family)
    return added(kept, {mask: wide}) if mask and setting.attention == "eager" else kept
