"""One side of a comparison, a plan or a lock, as facts by the plan's own dotted paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.errors import Problem
from launcher.planning.comparing.locking import LOCKED_FACTS, meaning_parts, plan_parts
from launcher.planning.hashes import hashed_plan
from launcher.spec.lock import Lock
from launcher.spec.parallel import Parallel
from launcher.spec.plain import to_plain
from launcher.spec.plan import RunPlan
from launcher.spec.recipe import Recipe

__all__ = ["Side", "flat", "side_of_lock", "side_of_plan"]

_COUNTS = ("num_parameters", "num_active_parameters", "num_trainable_parameters")
_MEMORY = ("peak_bytes", "low_bytes", "high_bytes")
_OF_STAGES = ("global_batch_size", "sequence_length", "micro_batch_size", "gradient_accumulation_steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What is known of one of two plans."""

    name: str
    """As the person named it: a file, REV:path, a lock."""
    facts: Mapping[str, Any]
    """Dotted path of the plan to its value; what is not there is unset, or not recorded."""
    parts: Mapping[str, str]
    """Part of what training means to its short hash."""
    plan_parts: Mapping[str, str]
    semantics_hash: str
    plan_hash: str
    meant: Mapping[str, Any] | None
    """What training means, flat; None of a lock."""
    written: Mapping[str, Any] | None
    """The recipe's keys, flat; None of a lock."""
    problems: tuple[Problem, ...] | None
    """Warnings and notes of the plan; None of a lock."""

    @property
    def is_whole(self) -> bool:
        """Whether everything is known; of a lock only some numbers are."""
        return self.meant is not None


def side_of_plan(plan: RunPlan, *, recipe: Recipe, name: str) -> Side:
    """A plan and the recipe that it was made from."""
    facts = {path: value for path, value in flat(hashed_plan(plan)).items() if path != "semantics_hash"}
    facts |= {f"model.{count}": getattr(plan.model, count) for count in _COUNTS}
    facts["verdict"] = plan.verdict
    if plan.memory is not None:
        facts |= {f"memory.{each}": getattr(plan.memory, each) for each in (*_MEMORY, "usable_bytes")}
        facts |= {f"memory.components.{part}": size for part, size in plan.memory.components.items()}
    return Side(
        name=name,
        facts={path: value for path, value in facts.items() if value is not None},
        parts=meaning_parts(plan),
        plan_parts=plan_parts(plan),
        semantics_hash=plan.semantics_hash,
        plan_hash=plan.plan_hash,
        meant=flat(plan.meaning),
        written=_written(recipe),
        problems=plan.problems,
    )


def side_of_lock(lock: Lock, *, name: str) -> Side:
    """What a lock has kept of a plan."""
    facts = {path: getattr(lock, field) for field, path in LOCKED_FACTS.items()}
    if lock.memory is not None:
        facts |= {f"memory.{each}": getattr(lock.memory, each) for each in _MEMORY}
    for place, stage in enumerate(lock.stages or ()):
        at = f"stages.{place}"
        facts |= {f"{at}.until": stage.until, f"{at}.first_step": stage.first_step}
        facts |= {f"{at}.batch.{each}": getattr(stage, each) for each in _OF_STAGES}
    return Side(
        name=name,
        facts={path: value for path, value in facts.items() if value is not None},
        parts=lock.meaning,
        plan_parts=lock.parts,
        semantics_hash=lock.semantics_hash,
        plan_hash=lock.plan_hash,
        meant=None,
        written=None,
        problems=None,
    )


def _written(recipe: Recipe) -> dict[str, Any]:
    """The recipe's keys, defaults filled in; of `parallel` without them, since `auto` has none."""
    defaults = flat(to_plain(Parallel()), "parallel")
    written = flat(to_plain(recipe))
    return {path: value for path, value in written.items() if path not in defaults or value != defaults[path]}


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Dotted path to value: below mappings, and below lists of mappings by number; other lists are values."""
    if isinstance(value, Mapping) and value:
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = [(str(place), item) for place, item in enumerate(value)]
    else:
        return {path: value}
    return {
        inner: leaf
        for key, item in items
        for inner, leaf in flat(item, f"{path}.{key}" if path else key).items()
    }
