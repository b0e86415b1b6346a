"""What low-rank adapters keep beside frozen matrices, in the two libraries that most people train them with."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.planning.memory.kinds.matrices import Matrix
from launcher.planning.memory.kinds.symbols import compute_bytes
from launcher.planning.memory.kinds.training import adapted
from launcher.planning.memory.network import Network
from launcher.planning.memory.polynomial import Polynomial
from launcher.planning.memory.setting import Setting

__all__ = ["adapter_bytes", "reads_copy"]


def adapter_bytes(
    network: Network, setting: Setting, matrices: Sequence[Matrix], *, tokens: str = "t"
) -> Polynomial:
    """Bytes that the adapters beside these matrices keep for the backward pass, in numbers per token."""
    chosen = [matrix for matrix in matrices if adapted(network, matrix)]
    if network.adapter is None:
        return {}
    if network.implementation == "litgpt" and network.adapter.quantization == "nf4":
        left = 0 if setting.variable_lengths else _left_behind(setting, matrices)
        return {tokens: left + (_litgpt(network, setting, chosen) if chosen else 0)}
    if not chosen:
        return {}
    own = _litgpt if network.implementation == "litgpt" else _peft
    cast = 2 * sum(network.adapter.rank * (matrix.inputs + matrix.outputs) for matrix in chosen)
    return {tokens: own(network, setting, chosen), **({"1": cast} if setting.formats.autocast else {})}


def reads_copy(network: Network, setting: Setting) -> bool:
    """Whether adapters read a copy of a layer's input in their own, wider format."""
    wide = compute_bytes(setting) == 4 or setting.formats.autocast
    return network.implementation != "litgpt" and not wide


def _peft(network: Network, setting: Setting, chosen: Sequence[Matrix]) -> float:
    """fp32 factors beside a base in 16 bits: each keeps an fp32 copy of its input; and what goes into the second one.

    Under autocast inputs are widened and narrowed again, into another copy of what attention put out.
    Source: huggingface/peft@v0.17.0 tuners/lora/layer.py Linear.forward (_cast_input_dtype), lora_dropout 0.
    """
    assert network.adapter is not None
    copied = reads_copy(network, setting)
    size = 4 if copied else compute_bytes(setting)
    again = setting.formats.autocast and setting.attention != "eager"
    recast = sum(size * matrix.inputs for matrix in chosen if again and matrix.name == "o_proj")
    return recast + sum(
        size * network.adapter.rank + (size * matrix.inputs if copied else 0) for matrix in chosen
    )


def _litgpt(network: Network, setting: Setting, chosen: Sequence[Matrix]) -> float:
    """A mask of the dropout before each first factor, and query, key and value updates where one of them has none.

    Instead of a layer's input the first factor keeps what dropout put out; a 4-bit base keeps both.

    Source: Lightning-AI/litgpt@5dabf5f6 litgpt/lora.py LoRAQKVLinear.{forward,zero_pad} (lora_dropout 0.05);
    pytorch@v2.4.0 tools/autograd/derivatives.yaml: index_copy keeps its source.
    """
    assert network.adapter is not None
    size = compute_bytes(setting)
    of_query = [matrix for matrix in chosen if matrix.name in ("q_proj", "k_proj", "v_proj")]
    padded = size * sum(matrix.outputs for matrix in of_query) if len(of_query) < 3 else 0
    masks = sum(matrix.inputs for matrix in chosen if matrix not in of_query[1:])
    beside = size * masks if network.adapter.quantization == "nf4" else 0
    return size * network.adapter.rank * len(chosen) + masks + beside + padded


def _left_behind(setting: Setting, matrices: Sequence[Matrix]) -> int:
    """Inputs of 4-bit products of the step before: attributes of a graph that LitGPT's loop still names.

    The loop binds `logits` and `loss` anew only after the next forward pass; autograd frees what it saved itself, and
    not what bitsandbytes hangs on its nodes. Batches of uneven lengths leave less than the longest one needs.
    Source: bitsandbytes@0.42.0 autograd/_functions.py MatMul4Bit.forward (ctx.tensors = (A, B));
    Lightning-AI/litgpt@e5493986 litgpt/finetune/lora.py fit.
    """
    inner = [matrix for matrix in matrices if matrix.name in ("o_proj", "down_proj")]
    read = max((matrix.inputs for matrix in matrices if matrix not in inner), default=0)
    return compute_bytes(setting) * (read + sum(matrix.inputs for matrix in inner))
