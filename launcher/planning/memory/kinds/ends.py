"""The two ends of a language model: embeddings, and head with its loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, log2

from launcher.planning.memory.kinds.beside import beside_inputs
from launcher.planning.memory.kinds.composing import of_both, over_targets
from launcher.planning.memory.kinds.families import FAMILIES, Family
from launcher.planning.memory.kinds.holding import grouped, matrix_weights, vectors
from launcher.planning.memory.kinds.lending import Lenders, family_of
from launcher.planning.memory.kinds.matrices import Matrix
from launcher.planning.memory.kinds.partly import frozen_head
from launcher.planning.memory.kinds.rows import Row, Wanted, find_row
from launcher.planning.memory.kinds.symbols import bytes_of, casts_of, compute_bytes, symbols
from launcher.planning.memory.kinds.training import is_trained, stored_bytes
from launcher.planning.memory.network import Network
from launcher.planning.memory.part import Part, Weights
from launcher.planning.memory.polynomial import Polynomial, added
from launcher.planning.memory.setting import Setting

__all__ = ["chunk_tokens", "embeddings_part", "embeddings_weights", "head_part", "head_weights", "norm_size"]


def embeddings_part(network: Network, setting: Setting, chosen: Lenders, wanted: Wanted) -> Part:
    """Token and position embeddings."""
    row = find_row(chosen.implementation, chosen.attention, wanted)
    sizes = symbols(network, setting)
    saved = row.data.get("first", {}).get("saved", {})
    lender = FAMILIES.get(chosen.attention)
    if family_of(network).embedding_norm and not (lender and lender.embedding_norm):
        stored = 4 if setting.formats.autocast else compute_bytes(setting)
        saved = added(saved, {"t*h": stored, "t": 8 if stored == 4 else 4})
    if network.kind == "encoder-decoder" and not of_both(row):
        saved = added(saved, over_targets(saved, crossed=False))
    saved = beside_inputs(setting, saved, family=chosen.attention)
    return Part(
        name="embeddings",
        place="first",
        weights=embeddings_weights(network, family_of(network)),
        saved=round(bytes_of(saved, sizes, setting)),
        checkpointable=False,
        source=row.said,
    )


def embeddings_weights(network: Network, family: Family) -> tuple[Weights, ...]:
    """Parameters before the first layer."""
    hidden = network.hidden_size
    table = network.vocab_size * hidden
    trained = None if is_trained(network, "embeddings", part="embeddings") else 0
    tokens = Weights(count=table, split="tensor", trained=trained, largest=table)
    return grouped((tokens, *_beside_tokens(network, family)))


def _beside_tokens(network: Network, family: Family) -> Iterator[Weights]:
    hidden = network.hidden_size
    if network.position == "learned" and network.max_positions:
        rows = network.max_positions + family.position_rows
        yield from vectors(network, rows * hidden, name="positions", part="embeddings")
    if family.token_types:
        yield from vectors(network, family.token_types * hidden, name="embeddings", part="embeddings")
    if family.embedding_norm:
        yield from vectors(network, norm_size(network, hidden), part="embeddings")


def head_part(
    network: Network, setting: Setting, chosen: Lenders, wanted: Wanted, *, tokens: str = "t"
) -> Part:
    """Final norm, output projection and loss."""
    row = find_row(chosen.implementation, chosen.norm, wanted)
    sizes = symbols(network, setting)
    family = family_of(network)
    if network.num_classes:
        return _classifier(network, setting, row.said)
    ends = _loss(network, setting, row, tokens=tokens)
    idle = frozen_head(network, setting, tokens=tokens)
    logits, casts = (round(bytes_of(each, sizes, setting)) for each in (ends.logits, casts_of(ends.saved)))
    return Part(
        name="head",
        place="last",
        weights=head_weights(network, family),
        # a ledger may not have had what a frozen head leaves out
        saved=max(round(bytes_of(added(ends.saved, idle, -1), sizes, setting)), logits, casts),
        logits=logits,
        loss=round(bytes_of(ends.loss, sizes, setting)),
        stranded=round(bytes_of(ends.stranded, sizes, setting)),
        casts=casts,
        forward_beyond=_unpacked_head(network, setting, logits=ends.logits, tokens=tokens),
        checkpointable=False,
        source=row.said + ends.note,
    )


def head_weights(network: Network, family: Family) -> tuple[Weights, ...]:
    """Parameters behind the last layer."""
    return grouped(_head(network, family))


def norm_size(network: Network, width: int) -> int:
    """Parameters of one norm: a scale, and a shift where it is a LayerNorm."""
    return width if network.norm == "rmsnorm" else 2 * width


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    saved: Polynomial
    logits: Polynomial
    loss: Polynomial
    stranded: Polynomial = field(default_factory=dict)
    note: str = ""


def _head(network: Network, family: Family) -> Iterator[Weights]:
    hidden, vocab = network.hidden_size, network.vocab_size
    if network.num_classes:
        yield from matrix_weights(network, _classifier_matrices(network), part="head")
        return
    if family.final_norm:
        yield from vectors(network, norm_size(network, hidden), part="head")
    if family.head_transform:
        square = Matrix(name="transform", inputs=hidden, outputs=hidden, bias=True)
        yield from matrix_weights(network, (square,), part="head")
        yield from vectors(network, norm_size(network, hidden), part="head")
    if family.head_bias:
        trained = None if is_trained(network, "head", part="head") else 0
        yield Weights(count=vocab, split="tensor", trained=trained, largest=vocab)
    tied = network.tie_word_embeddings
    name = "embeddings" if tied else "head"
    trained = None if is_trained(network, name, part=name) else 0
    stored = stored_bytes(network, _projection(network)) if _quantizes_head(network) else None
    yield Weights(
        count=vocab * hidden,
        split="tensor",
        trained=trained,
        stored_bytes=stored,
        largest=vocab * hidden,
        tied=tied,
    )


def _projection(network: Network) -> Matrix:
    return Matrix(name="lm_head", inputs=network.hidden_size, outputs=network.vocab_size)


def _quantizes_head(network: Network) -> bool:
    """Whether the output projection is quantized too: Fabric replaces every linear layer, transformers spares this one.

    Source: Lightning-AI/pytorch-lightning@003e3070 src/lightning/fabric/plugins/precision/bitsandbytes.py
    BitsandbytesPrecision.init_context; transformers@5.23.0 quantizers/base.py get_modules_to_not_convert.
    """
    return network.implementation == "litgpt" and not network.tie_word_embeddings


def _unpacked_head(network: Network, setting: Setting, *, logits: Polynomial, tokens: str) -> int:
    """A quantized output projection while it is read: its numbers in fp16, in which Fabric quantized them, and in bf16.

    The logits are in 16 bits then, beside the fp32 ones of the step before, which LitGPT's loop still names.
    Source: Lightning-AI/pytorch-lightning@003e3070 src/lightning/fabric/plugins/precision/bitsandbytes.py
    _Linear4bit._quantize_weight (dtype=torch.half); bitsandbytes@0.42.0 autograd/_functions.py
    MatMul4Bit.forward (dequantize_4bit, then .to); Lightning-AI/litgpt@e5493986 litgpt/finetune/lora.py fit.
    """
    adapter = network.adapter
    if adapter is None or adapter.quantization != "nf4" or not _quantizes_head(network):
        return 0
    named: Polynomial = {f"{tokens}*V": compute_bytes(setting) + (0 if setting.variable_lengths else 4)}
    beyond = added(added({"h*V": 4}, named), logits, -1)
    return max(0, round(bytes_of(beyond, symbols(network, setting), setting)))


def _loss(network: Network, setting: Setting, row: Row, *, tokens: str) -> _Ends:
    """Saved bytes of the head with logits kept, made chunk by chunk, or never made.

    Source: chunked: linkedin/Liger-Kernel@ead96b61 ops/fused_linear_cross_entropy.py (the forward pass makes the
    gradients of input and weight); fused: Wijmans et al. 2024, arXiv:2411.09009 (only a log-sum-exp is kept).
    """
    own = row.data.get(f"last_{setting.logits}")
    wide = row.data.get("last_wide") if setting.formats.wide_loss else None
    last = own or wide or row.data["last"]
    parts = {name: last[name] for name in ("saved", "logits", "loss")}
    if tokens == "u" and not of_both(row):
        parts = {name: over_targets(value, crossed=False) for name, value in parts.items()}
    full = _Ends(**parts, stranded=last.get("stranded", {}))
    if setting.logits == "full" or own:
        return full
    size = compute_bytes(setting)
    kept: Polynomial = {tokens: 12}
    saved = added(added(full.saved, full.logits, -1), kept)
    if setting.logits == "fused":
        return _Ends(saved=saved, logits=kept, loss={f"{tokens}*h": size}, note="; fused logits by formula")
    chunk = chunk_tokens(network, setting, tokens=tokens)
    # the gradient of what goes in is made beside it, chunk by chunk
    held: Polynomial = {"V": chunk * size, "V*h": size, f"{tokens}*h": size}
    note = f"; logits of {chunk} tokens at a time by formula"
    return _Ends(saved=saved, logits=kept, loss=held, note=note)


def chunk_tokens(network: Network, setting: Setting, *, tokens: str = "t") -> int:
    """Tokens whose logits are held at once where they are made in chunks.

    Source: linkedin/Liger-Kernel@ead96b61 ops/fused_linear_cross_entropy.py fused_linear_cross_entropy_forward: the
    power of two that holds tokens / ceil(vocabulary / width).
    """
    count = max(1, round(symbols(network, setting)[tokens]))
    pieces = max(1, -(-network.vocab_size // network.hidden_size))
    return min(count, int(2 ** ceil(log2(-(-count // pieces)))))


def _classifier(network: Network, setting: Setting, source: str) -> Part:
    """A pooled vector of each sequence, its classes and the loss.

    The pooler reads a view of the first token, which keeps the last layer's result whole; autocast copies it instead,
    beside copies of the weights.
    Source: transformers@5.23.0 models/bert/modeling_bert.py BertPooler, BertForSequenceClassification.
    Checked: real torch on CPU, fp32, bf16 and autocast.
    """
    sizes, size = symbols(network, setting), compute_bytes(setting)
    classes = {"b*n": 4 if setting.formats.autocast else size}
    masked = 0 if not network.dropout else size + (size if setting.device_kind == "cpu" else 1)
    read = {"b*h": size, "h*h": 2, "h*n": 2} if setting.formats.autocast else {"t*h": size}
    saved = added(added({"b*h": size + masked, "b": 8, "1": 4}, read), classes)
    return Part(
        name="head",
        place="last",
        weights=grouped(_head(network, family_of(network))),
        saved=round(bytes_of(saved, sizes, setting)),
        logits=round(bytes_of(classes, sizes, setting)),
        loss=round(bytes_of(classes, sizes, setting)),
        checkpointable=False,
        source=f"{source}; classifier by formula",
    )


def _classifier_matrices(network: Network) -> tuple[Matrix, ...]:
    hidden = network.hidden_size
    return (
        Matrix(name="pooler", inputs=hidden, outputs=hidden, bias=True),
        Matrix(name="classifier", inputs=hidden, outputs=network.num_classes, bias=True),
    )
