"""Which keys a problem is about: where one of them could not be read, the problem may only be a consequence of that.

A code that has no row here is taken to depend on every key of the recipe, which is always safe: the problem is then
told once the others are mended.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from launcher.errors import Problem

__all__ = ["is_own_fault", "keys_of"]

_OWN = "."
"""The key at which the problem stands."""
_EVERY = ""
_BATCH = ("global_batch_size", "global_batch_tokens")
_LENGTH = "sequence_length"
_RANKS = (
    "cluster.nodes",
    "cluster.devices_per_node",
    "cluster.devices",
    "cluster.groups",
    *(f"parallel.{axis}" for axis in ("tensor", "pipeline", "context")),
)
_SOURCES = ("model.kind", "model.preset", "model.config", "model.module")
_HEADS = ("model.num_attention_heads", "model.num_key_value_heads", "model.head_dim")
_REFERENCE = ("optimizer.reference_batch_size", "optimizer.reference_batch_tokens")
_AMOUNTS = (
    *_BATCH,
    _LENGTH,
    *_REFERENCE,
    "optimizer.reference_sequence_length",
    "data",
    "stages",
    "model.kind",
)
"""What turns steps, samples, tokens, epochs and shares of a run into one another."""

_KEYS: Mapping[str, tuple[str, ...]] = {
    # what a file names
    "unknown-preset": (_OWN,),
    "bad-config": (_OWN,),
    "hostfile-unreadable": (_OWN,),
    "hostfile-syntax": (_OWN,),
    "hostfile-duplicate": (_OWN,),
    "template-unreadable": (_OWN, "launch.executor"),
    # two that exclude one another
    "ambiguous-batch": (_OWN, *_BATCH, *_REFERENCE),
    "ambiguous-learning-rate": ("optimizer.learning_rate", "optimizer.reference_learning_rate"),
    "ambiguous-data-size": ("data.num_tokens", "data.num_samples"),
    "ambiguous-model": (_OWN, *_SOURCES),
    "ambiguous-script": ("launch.script", "launch.module"),
    "ambiguous-devices": ("cluster.devices", "cluster.devices_per_node"),
    # batch and ranks; a micro-batch or accumulation that nobody can read divides no batch that its ranks do not divide
    "batch-not-divisible": (_OWN, *_RANKS, "launch.runtime"),
    "batch-triad-mismatch": (
        *(*_BATCH, _LENGTH, *_RANKS, "launch.runtime", "micro_batch_size", "gradient_accumulation_steps"),
    ),
    "batch-tokens-not-whole": (*_BATCH, _LENGTH),
    "batch-larger-than-data": (*_AMOUNTS, "schedule.length"),
    "parallel-not-dividing": (
        *(_OWN, *_RANKS, "parallel.expert", *_SOURCES, "model.num_layers", "hidden_size", _LENGTH),
    ),
    "script-must-apply": (_OWN, "launch.engine", "launch.script_applies"),
    # the model
    "width-not-divisible": ("hidden_size", *_SOURCES, "model.num_layers", "model.num_attention_heads"),
    "heads-not-dividing": (_OWN, "hidden_size", *_SOURCES, *_HEADS, *_RANKS),
    "unknown-coupling": (_OWN,),
    # the rate
    "missing-reference-batch": ("optimizer.reference_learning_rate", "optimizer.learning_rate", *_REFERENCE),
    "missing-scaling-parameter": ("optimizer.scaling", "optimizer.reference_learning_rate", *_REFERENCE),
    "schedule-needs-length": (_OWN, "schedule", *_AMOUNTS),
    "schedule-needs-decay-length": ("schedule.decay", "schedule.decay_length"),
    "schedule-needs-decay-at": ("schedule.decay", "schedule.decay_at"),
    "decay-longer-than-run": ("schedule", *_AMOUNTS),
    "decay-marks": ("schedule", *_AMOUNTS, "optimizer"),
    "decay-ends-early": ("schedule", *_AMOUNTS, "optimizer"),
    "decay-behind-the-run": ("schedule", *_AMOUNTS, "optimizer"),
    "warmup-longer-than-run": ("schedule", *_AMOUNTS, "optimizer"),
    "epochs-need-data-size": (_OWN, "data", _LENGTH),
    "tokens-need-sequence-length": (_OWN, _LENGTH, "stages"),
    # stages
    "bad-ramp": (_OWN, *_BATCH, _LENGTH, "model.kind"),
    "stage-without-end": (_OWN,),
    "stages-out-of-order": ("stages.*.until",),
    # machines, engine and script
    "unknown-device": (_OWN, "cluster.device", "cluster.groups"),
    "unknown-engine": ("launch.engine",),
    "unknown-executor": ("launch.executor",),
    "engine-clash": (_OWN,),
    "engine-broken": (_OWN,),
    "unknown-placeholder": (_OWN,),
    "unbalanced-brace": (_OWN,),
    "native-owns-key": (_OWN, "launch.engine", "optimizer.owner", "schedule.owner"),
    "not-yet-supported": (_OWN, "data.kind", "launch.runtime", "launch.script_applies"),
    "missing-script": ("launch.script", "launch.module"),
    "missing-image": ("launch.container", "launch.executor"),
    # legal, and worth a word
    "order-unproven": (_OWN,),
    "no-effect": (_OWN, "schedule", "optimizer", "parallel.data", "launch.executor"),
}
_AT_A_KEY: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("missing-key", "global_batch_size"): _BATCH,
    ("missing-key", "hidden_size"): ("hidden_size", *_SOURCES),
    ("missing-key", _LENGTH): (_LENGTH, *_SOURCES),
    ("missing-key", "model.module"): _SOURCES,
    ("missing-key", "model.num_experts"): ("model.num_experts", *_SOURCES),
    ("batch-not-divisible", "global_batch_tokens"): (*_BATCH, _LENGTH, *_RANKS, "launch.runtime"),
    ("parallel-not-dividing", "parallel"): _RANKS,
    ("parallel-not-dividing", "parallel.expert"): (*_RANKS, "parallel.expert"),
    ("heads-not-dividing", "model.num_attention_heads"): ("hidden_size", *_SOURCES, *_HEADS),
    ("heads-not-dividing", "model.num_key_value_heads"): ("hidden_size", *_SOURCES, *_HEADS),
    ("wrong-type", _LENGTH): (_LENGTH, *_SOURCES),
    ("native-owns-key", "launch.native.argv"): ("launch.native.argv", "launch.engine", "launch.executor"),
    ("not-yet-supported", "launch.executor"): ("launch.executor", *_RANKS),
    ("out-of-range", "schedule.length"): ("schedule.length",),
    ("bad-choice", "cluster.backend"): ("cluster.backend", "cluster.device", "cluster.groups"),
    ("bad-choice", "parallel.data.stage"): ("parallel.data.stage", "parallel.data.strategy"),
    ("bad-choice", "schedule.owner"): ("schedule.owner",),
}
"""Codes that mean something else at each key."""


def is_own_fault(problem: Problem, lost: Collection[str]) -> bool:
    """Whether a problem stands whatever the lost keys were meant to say. lost: dotted paths; "" for all of them."""
    keys = keys_of(problem)
    return not any(_touch(key, path) for key in keys for path in lost)


def keys_of(problem: Problem) -> tuple[str, ...]:
    """Dotted paths of the keys that a problem follows from, `*` for any item of a list; the empty path is every key."""
    stage, path = _stage_of(problem.path)
    keys = (
        _AT_A_KEY.get((problem.code, re.sub(r"\.[0-9]+$", "", path))) or _KEYS.get(problem.code) or (_EVERY,)
    )
    whole = tuple(problem.path if key == _OWN else key for key in keys)
    return whole if not stage else (*whole, *(f"{stage}.{key}" for key in whole if key))


def _stage_of(path: str) -> tuple[str, str]:
    """The stage that a path leads into, `stages.1`, and the path inside it; no stage otherwise."""
    head, _, rest = path.partition(".")
    number, _, inner = rest.partition(".")
    return (f"{head}.{number}", inner) if head == "stages" and number.isdecimal() else ("", path)


def _touch(key: str, path: str) -> bool:
    """Whether one of two paths leads to the other, or both are one."""
    pairs = zip(key.split("."), path.split("."), strict=False)
    return not key or not path or all(one in {other, "*"} for one, other in pairs)
