"""Why a number moved, in a few words: what stayed the same, which rule it follows, what it is limited by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from launcher.planning.comparing.comparing import Comparison, Moved
from launcher.reporting.diff_values import share
from launcher.reporting.rate_text import show_large

__all__ = [
    "batch_reason",
    "length_reason",
    "memory_reason",
    "micro_reason",
    "rate_reason",
    "verdict_reason",
    "warmup_reason",
]

_FITS = ("fits", "tight")
_CAUSES = (
    ("batch.micro_batch_size", "larger micro-batch", "smaller micro-batch"),
    ("batch.sequence_length", "longer sequences", "shorter sequences"),
    ("model.num_parameters", "larger model", "smaller model"),
)
"""Numbers with which memory grows, and the words for more and for less."""
_SETTINGS: Mapping[str, str] = {
    "layout.device": "device",
    "layout.zero_stage": "ZeRO stage",
    "layout.data_strategy": "strategy",
    "layout.offload": "offload",
    "layout.tensor_parallel_size": "tensor ranks",
    "layout.pipeline_parallel_size": "pipeline ranks",
    "layout.context_parallel_size": "context ranks",
    "layout.expert_parallel_size": "expert ranks",
    "activation_checkpointing": "activation checkpointing",
    "attention": "attention",
    "compile": "compiling",
    "precision": "precision",
    "optimizer.name": "optimizer",
    "optimizer.implementation": "optimizer's implementation",
    "loss.logits": "logits",
    "loss.kind": "loss",
    "launch.engine": "engine",
    "layout.world_size": "number of ranks",
}
"""Choices that memory depends on, strongest first."""


def batch_reason(moved: Moved, _: Comparison) -> str:
    """How much more or less."""
    return share(moved.before, moved.after)


def warmup_reason(moved: Moved, comparison: Comparison) -> str:
    """`same 16.8 B tokens (warmup_keeps: tokens)`, `same 2,000 steps`, else how the samples moved."""
    if moved.path.endswith("_samples"):
        return _same_steps(comparison, "learning_rate.warmup_steps")
    kept = _kept(comparison, "learning_rate.warmup_samples")
    keeps = (comparison.after.written or {}).get("schedule.warmup_keeps", "unit")
    return f"{kept} (warmup_keeps: {keeps})" if kept.startswith("same") and keeps != "unit" else kept


def length_reason(moved: Moved, comparison: Comparison) -> str:
    """`same 300 B tokens`, `same 35,763 steps`, else how the samples moved."""
    if moved.path.endswith("_samples"):
        return _same_steps(comparison, "learning_rate.total_steps")
    return _kept(comparison, "data.total_samples")


def micro_reason(moved: Moved, comparison: Comparison) -> str:
    """Why the old one cannot stay, or who chose the new one."""
    after = comparison.after
    written = (after.written or {}).get("micro_batch_size", "auto")
    if written != "auto":
        return "as written"
    size, ranks = after.facts.get("batch.global_batch_size"), after.facts.get("batch.data_parallel_size")
    if (
        isinstance(size, int)
        and isinstance(ranks, int)
        and size % ranks == 0
        and (size // ranks) % moved.before
    ):
        return f"because {size // ranks} per rank has no factor {moved.before}"
    return "auto: the largest that fits"


def rate_reason(moved: Moved, comparison: Comparison) -> str:
    """`sqrt rule follows the batch`, where it does; else what was written otherwise."""
    before, after = comparison.before.facts, comparison.after.facts
    rule = after.get("learning_rate.scaling_rule")
    if after.get("learning_rate.reference_learning_rate") is None:
        return "as written"
    if comparison.before.is_whole:
        if before.get("learning_rate.reference_learning_rate") is None:
            return f"{rule} rule, from a reference rate"
        if before.get("learning_rate.scaling_rule") != rule:
            return f"rule {before.get('learning_rate.scaling_rule')} -> {rule}"
    if _follows(moved, rule=str(rule), sizes=_sizes(before, after)):
        return f"{rule} rule follows the batch"
    moved_keys = [path for path in ("learning_rate", "batch") if _reference_moved(path, comparison)]
    return (
        f"from the reference {' and '.join(moved_keys).replace('_', ' ')}" if moved_keys else f"{rule} rule"
    )


def verdict_reason(_: Moved, comparison: Comparison) -> str:
    """`73.7 expected of 39.4 GiB`, where nothing else says it."""
    facts = comparison.after.facts
    peak, usable = facts.get("memory.peak_bytes"), facts.get("memory.usable_bytes")
    if peak is None or usable is None or peak != comparison.before.facts.get("memory.peak_bytes"):
        return ""
    return f"{peak / 2**30:.1f} expected of {usable / 2**30:.1f} GiB"


def memory_reason(moved: Moved, comparison: Comparison) -> str:
    """`still fits 79.1; from the larger micro-batch`."""
    parts = [_fits(comparison), _cause(moved, comparison)]
    return "; ".join(part for part in parts if part)


def _same_steps(comparison: Comparison, path: str) -> str:
    steps = comparison.after.facts.get(path)
    return "" if steps is None else f"same {steps:,} steps"


def _kept(comparison: Comparison, path: str) -> str:
    """What a number of steps comes to in tokens, or in samples: the same, or how it moved."""
    before, after = comparison.before.facts, comparison.after.facts
    samples = before.get(path), after.get(path)
    if samples[0] is None or samples[1] is None:
        return ""
    lengths = before.get("batch.sequence_length"), after.get("batch.sequence_length")
    staged = any(name.startswith("stages.") for name in (*before, *after))
    if None not in lengths and not staged:
        tokens = (samples[0] * lengths[0], samples[1] * lengths[1])
        if _near(*tokens, steps=comparison):
            return f"same {show_large(tokens[1])} tokens"
    if samples[0] == samples[1]:
        return f"same {show_large(samples[1])} samples"
    return f"{show_large(samples[0])} -> {show_large(samples[1])} samples"


def _near(before: float, after: float, *, steps: Comparison) -> bool:
    """Equal up to what flooring to whole samples takes away."""
    length = max(side.facts.get("batch.sequence_length") or 1 for side in (steps.before, steps.after))
    return before == after or abs(before - after) < length


def _sizes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[float, float] | None:
    """Both batches, in what the rule counts."""
    path = "batch.tokens_per_step" if after.get("learning_rate.reference_unit") == "tokens" else ""
    first, second = (side.get(path or "batch.global_batch_size") for side in (before, after))
    return None if first is None or second is None else (first, second)


def _follows(moved: Moved, *, rule: str, sizes: tuple[float, float] | None) -> bool:
    """Whether the rate moved by as much as its rule says for the batches."""
    if sizes is None or sizes[0] == sizes[1] or not moved.before:
        return False
    ratio = sizes[1] / sizes[0]
    expected = {"linear": ratio, "sqrt": math.sqrt(ratio)}.get(rule)
    if expected is None:
        return rule in {"capped", "saturating"}
    return math.isclose(moved.after / moved.before, expected, rel_tol=1e-9)


def _reference_moved(what: str, comparison: Comparison) -> bool:
    path = f"learning_rate.reference_{what}"
    return any(each.path == path for each in comparison.moved)


def _fits(comparison: Comparison) -> str:
    before, after = comparison.before.facts["verdict"], comparison.after.facts["verdict"]
    usable = comparison.after.facts.get("memory.usable_bytes")
    if usable is None or not {before, after} <= {*_FITS, "does-not-fit"}:
        return ""
    room = f" {usable / 2**30:.1f}"
    if after in _FITS:
        tight = ", tightly" if after == "tight" else ""
        return f"{'still' if before in _FITS else 'now'} fits{room}{tight}"
    return f"no longer fits{room}" if before in _FITS else f"still does not fit{room}"


def _cause(moved: Moved, comparison: Comparison) -> str:
    """What memory grows with and that moved the same way; else a setting, else the largest part."""
    before, after = comparison.before.facts, comparison.after.facts
    grows = moved.after > moved.before
    found = []
    for path, more, less in _CAUSES:
        first, second = before.get(path), after.get(path)
        if first is not None and second is not None and first != second and (second > first) == grows:
            found.append(more if grows else less)
    if found:
        return f"from the {' and the '.join(found)}"
    for path, name in _SETTINGS.items():
        if any(each.path == path or each.path.startswith(f"{path}.") for each in comparison.moved):
            return f"from the {name}"
    if not comparison.plan_moved:
        return "the memory model counts otherwise"
    if not comparison.before.is_whole:
        return ""
    parts = {name: size for name, size in after.items() if name.startswith("memory.components.")}
    changes = {name: size - before.get(name, 0) for name, size in parts.items()}
    if not changes:
        return ""
    largest = max(changes, key=lambda name: changes[name] if grows else -changes[name])
    return f"mostly {largest.rpartition('.')[2].replace('_', ' ')}"
