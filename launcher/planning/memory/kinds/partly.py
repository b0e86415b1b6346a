"""What a layer keeps when some of its parameters are frozen or have adapters beside them.

A frozen linear layer needs its weight for the gradient of its input, and not the input itself; a frozen RMSNorm does
not need the normalised values. An adapter keeps the input of both its factors.
Source: pytorch@v2.13.0 tools/autograd/derivatives.yaml (mm, linear, mul save what an input's gradient needs only).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from launcher.planning.memory.kinds.adapters import adapter_bytes, reads_copy
from launcher.planning.memory.kinds.composing import LayerBytes
from launcher.planning.memory.kinds.matrices import Matrix
from launcher.planning.memory.kinds.symbols import compute_bytes
from launcher.planning.memory.kinds.training import adapted, is_trained, stored_bytes
from launcher.planning.memory.network import Network
from launcher.planning.memory.polynomial import Polynomial, added
from launcher.planning.memory.setting import Setting

__all__ = ["frozen_head", "frozen_norm", "partly_trained", "without_gradient"]

_KEEPS_RESULT = ("relu", "tanh", "sigmoid")
_WIDTHS = {"o_proj": "q", "down_proj": "f", "shared.down_proj": "S"}
_INSIDE = {"q_b_proj": "y", "kv_b_proj": "z"}


def partly_trained(
    network: Network, setting: Setting, layer: LayerBytes, matrices: Iterable[Matrix], *, tokens: str = "t"
) -> LayerBytes:
    """The layer's polynomials with what frozen matrices do not keep taken off, and adapters' own added."""
    if network.adapter is None and not network.frozen:
        return layer
    matrices = tuple(matrices)
    attention = [matrix for matrix in matrices if _of_attention(matrix)]
    rest = [matrix for matrix in matrices if not _of_attention(matrix)]
    kept = [matrix for matrix in matrices if _needs_input(network, setting, matrix)]
    core_less: Polynomial = {
        **_unread(network, setting, _entering(attention), tokens=tokens),
        **_unread_inside(network, setting, matrices, kept, tokens=tokens, names=("o_proj", *_INSIDE)),
    }
    mlp_less = added(
        _unread(network, setting, _entering(rest), tokens=tokens),
        _unread_inside(
            network, setting, matrices, kept, tokens=tokens, names=("down_proj", "shared.down_proj")
        )
        if network.gated_mlp or network.activation not in _KEEPS_RESULT
        else {},
    )
    return replace(
        layer,
        norm=added(layer.norm, frozen_norm(network, setting, tokens=tokens, norms=2), -1),
        attention=added(
            added(layer.attention, core_less, -1),
            adapter_bytes(network, setting, attention, tokens=tokens),
        ),
        mlp=added(
            added(layer.mlp, mlp_less, -1),
            adapter_bytes(network, setting, rest, tokens=tokens),
        ),
    )


def frozen_norm(
    network: Network, setting: Setting, *, tokens: str = "t", norms: int, part: str = "layer"
) -> Polynomial:
    """Bytes of normalised values that frozen norms do not keep."""
    if is_trained(network, "norm", part=part) or not _in_python(network):
        return {}
    wide = setting.formats.autocast or network.family in ("gemma", "gemma2")
    return {f"{tokens}*h": norms * (4 if wide else compute_bytes(setting))}


def frozen_head(network: Network, setting: Setting, *, tokens: str = "t") -> Polynomial:
    """Bytes that a frozen output projection and the norm before it do not keep."""
    less = frozen_norm(network, setting, tokens=tokens, norms=1, part="head")
    if is_trained(network, "head", part="head") and not (
        network.tie_word_embeddings and not is_trained(network, "embeddings", part="embeddings")
    ):
        return less
    return added(less, {f"{tokens}*h": compute_bytes(setting)})


def without_gradient(
    network: Network, setting: Setting, layer: LayerBytes, matrices: Iterable[Matrix]
) -> LayerBytes:
    """A layer whose input needs no gradient: what comes before its first adapter keeps nothing."""
    if is_trained(network, "norm"):
        # its scale wants the normalised values; what they were made from is for the gradient of the input
        unread: Polynomial = {"t*h": 4, "t": 4} if _in_python(network) else {}
        return replace(layer, norm=added(layer.norm, unread, -1))
    attention = [matrix for matrix in matrices if _of_attention(matrix)]
    reading, touched = (
        any(adapted(network, matrix) or is_trained(network, matrix.name) for matrix in chosen)
        for chosen in (_entering(attention), attention)
    )
    second = {names: value / 2 for names, value in layer.norm.items()}
    if reading:
        # casts of the weights that read the input are not kept; the output projection's is
        casts = {"h*q": layer.attention.get("h*q", 0) / 2, "h*kv": 0}
        known = {names: value for names, value in casts.items() if names in layer.attention}
        return replace(layer, norm=second, attention={**layer.attention, **known})
    own = adapter_bytes(network, setting, attention)
    copied = not touched or reads_copy(network, setting) or setting.formats.autocast
    return replace(
        layer,
        norm=second if touched else {},
        attention=own if copied else added(own, {"t*q": compute_bytes(setting)}),
        core={},
    )


def _in_python(network: Network) -> bool:
    """Whether norms are RMSNorms written in Python, which keep an fp32 copy and the normalised values."""
    return network.norm == "rmsnorm" and network.implementation in ("transformers", "litgpt")


def _needs_input(network: Network, setting: Setting, matrix: Matrix) -> bool:
    """Whether a matrix or its adapter keeps what goes in; bitsandbytes' 4-bit product did, needed or not.

    Source: bitsandbytes@0.42.0 autograd/_functions.py MatMul4Bit.forward (ctx.tensors = (A, B)).
    """
    if is_trained(network, matrix.name):
        return True
    if network.implementation == "litgpt" and stored_bytes(network, matrix) is not None:
        return True
    return adapted(network, matrix) and not reads_copy(network, setting)


def _entering(matrices: Iterable[Matrix]) -> list[Matrix]:
    """Those that read the residual stream behind its norm; a router always does."""
    inner = ("o_proj", "down_proj", "q_b_proj", "kv_b_proj")
    return [
        matrix
        for matrix in matrices
        if matrix.name.rpartition(".")[0] == "" and matrix.name not in (*inner, "router")
    ]


def _unread(network: Network, setting: Setting, entering: list[Matrix], *, tokens: str) -> Polynomial:
    """What a norm puts out, where no matrix that reads it needs it; autocast makes a copy for each."""
    if not entering:
        return {}
    size = compute_bytes(setting)
    if setting.formats.autocast:
        idle = [m for m in entering if not (is_trained(network, m.name) or adapted(network, m))]
        return {f"{tokens}*h": size * len(idle)}
    needed = any(_needs_input(network, setting, matrix) for matrix in entering)
    return {} if needed else {f"{tokens}*h": size}


def _unread_inside(
    network: Network,
    setting: Setting,
    matrices: tuple[Matrix, ...],
    kept: list[Matrix],
    *,
    tokens: str,
    names: tuple[str, ...],
) -> Polynomial:
    """Inputs of matrices further in that nothing else keeps; SDPA keeps what it puts out itself, LitGPT copies it."""
    size, copied = compute_bytes(setting), network.implementation == "litgpt"
    less: Polynomial = {}
    for matrix in matrices:
        if matrix.name not in names or matrix in kept:
            continue
        if matrix.name == "o_proj" and setting.attention != "eager" and not copied:
            continue
        symbol = _WIDTHS.get(matrix.name) or _INSIDE[matrix.name]
        less = added(less, {f"{tokens}*{symbol}": size})
    return less


def _of_attention(matrix: Matrix) -> bool:
    return matrix.name.rpartition(".")[2] in (
        "q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "q_a_proj", "q_b_proj", "kv_a_proj", "kv_b_proj"
    )  # fmt: skip
