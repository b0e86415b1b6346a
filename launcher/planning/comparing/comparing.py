"""What differs between two plans: every value that moved, and which of them only follow from others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.errors import Problem
from launcher.planning.comparing.sides import Side

__all__ = ["Comparison", "Moved", "compare"]

_CONSEQUENCES: Mapping[str, tuple[str, ...]] = {
    "batch.slots_per_step": ("batch.",),
    "batch.per_rank": ("batch.",),
    "learning_rate.scale": ("learning_rate.peak", "learning_rate.reference", "learning_rate.scaling_rule"),
    "learning_rate.batch_ratio": ("batch.global_batch_size", "batch.tokens", "learning_rate.reference"),
    "learning_rate.reason": ("learning_rate.", "batch.", "optimizer.name"),
    "learning_rate.curve": ("learning_rate.", "batch.", "stages.", "data.total_samples"),
    "learning_rate.schedule.peak_learning_rate": ("learning_rate.peak",),
    "learning_rate.schedule.start_learning_rate": ("learning_rate.peak", "learning_rate.reference"),
    "learning_rate.schedule.final_learning_rate": ("learning_rate.final",),
    "learning_rate.schedule.warmup_samples": ("learning_rate.warmup_samples",),
    "learning_rate.schedule.warmup_step_samples": ("batch.global_batch_size",),
    "learning_rate.schedule.total_samples": ("data.total_samples", "learning_rate.total_samples"),
    "learning_rate.total_samples": ("data.total_samples",),
    "learning_rate.schedule.sequence_length": ("batch.sequence_length",),
    "learning_rate.compiled.arguments": ("learning_rate.warmup", "learning_rate.total", "learning_rate.peak"),
    "learning_rate.compiled.handed": ("learning_rate.compiled.", "learning_rate."),
    "learning_rate.compiled.asked_curve": ("learning_rate.",),
    "learning_rate.compiled.largest_difference": ("learning_rate.",),
    "optimizer.weight_decay_timescale": ("optimizer.", "learning_rate.", "batch.", "data.total_samples"),
    "optimizer.reference_timescale": ("optimizer.", "learning_rate.", "batch.", "data.total_samples"),
    "data.warmup_samples": ("learning_rate.warmup_samples",),
    "data.warmup_steps": ("learning_rate.warmup_steps",),
    "data.total_steps": ("learning_rate.total_steps",),
    "data.last_step_samples": ("batch.", "data.total_samples", "learning_rate.total"),
    "layout.backend": ("layout.device",),
    "layout.device_kind": ("layout.device",),
    "memory.low_bytes": ("memory.peak_bytes",),
    "memory.high_bytes": ("memory.peak_bytes",),
    "memory.usable_bytes": ("layout.device", "memory.peak_bytes"),
    "memory.components": ("memory.peak_bytes",),
    "model.num_active_parameters": ("model.num_parameters",),
    "model.num_trainable_parameters": ("model.num_parameters",),
}
"""Value (or all below it) to the values of which one has moved, too, where it only follows: not said by itself."""
_RATE_KEYS = (
    "optimizer.learning_rate",
    "optimizer.reference_learning_rate",
    "optimizer.reference_batch_size",
    "optimizer.reference_batch_tokens",
    "optimizer.reference_sequence_length",
    "optimizer.scaling",
)
_ORDER = (
    "batch",
    "sequence length",
    "model",
    "data",
    "optimizer",
    "learning rate",
    "schedule",
    "stages",
    "loss",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One value that is not the same on both sides; None where a side has none."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two sides and all that differs between them."""

    before: Side
    after: Side
    kinds: tuple[str, ...]
    """What of the meaning has moved, in words: batch, learning rate; empty where it has not."""
    moved: tuple[Moved, ...]
    """Values of the plan and its estimates, in the plan's order; what only follows from others is left out."""
    keys: tuple[Moved, ...]
    """Keys of the recipe, where both sides are recipes."""
    unexplained: tuple[Moved, ...]
    """Of the meaning, where neither values nor keys show what has moved."""
    plan_parts: tuple[str, ...]
    """Parts of the plan that have moved, where a lock does not know their numbers."""
    new: tuple[Problem, ...]
    """Warnings and notes that only the second side has."""
    gone: tuple[Problem, ...]

    @property
    def semantics_moved(self) -> bool:
        """Whether another training is meant."""
        return self.before.semantics_hash != self.after.semantics_hash

    @property
    def plan_moved(self) -> bool:
        """Whether another job is started."""
        return self.before.plan_hash != self.after.plan_hash

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to say."""
        said = (self.moved, self.keys, self.unexplained, self.plan_parts, self.new, self.gone)
        return not self.semantics_moved and not self.plan_moved and not any(said)


def compare(before: Side, after: Side) -> Comparison:
    """What differs; only what both sides can know is compared where one of them is a lock."""
    known = None
    if not (before.is_whole and after.is_whole):
        known = _recorded(before if not before.is_whole else after)
    everything = tuple(_moved(before.facts, after.facts, known=known))
    moved = _told(everything)
    keys: tuple[Moved, ...] = ()
    if before.written is not None and after.written is not None:
        keys = _without_sections(tuple(_moved(before.written, after.written)))
    semantics = before.semantics_hash != after.semantics_hash
    meant = _meant(before, after) if semantics else ()
    silent = not any(not _is_estimate(each.path) for each in moved) and not keys
    new, gone = _problems(before, after)
    return Comparison(
        before=before,
        after=after,
        kinds=_kinds(before, after, meant, everything) if semantics else (),
        moved=moved,
        keys=keys,
        unexplained=meant if silent else (),
        plan_parts=() if known is None else _unequal(before.plan_parts, after.plan_parts),
        new=new,
        gone=gone,
    )


def _recorded(lock: Side) -> frozenset[str]:
    """Paths of a lock's facts, and those that every lock has, were they set."""
    from launcher.planning.comparing.locking import LOCKED_FACTS

    return frozenset((*lock.facts, *LOCKED_FACTS.values(), "memory.peak_bytes"))


def _moved(
    before: Mapping[str, Any], after: Mapping[str, Any], *, known: frozenset[str] | None = None
) -> Iterable[Moved]:
    for path in dict.fromkeys((*before, *after)):
        recorded = known is None or path in known or _is_locked_stage(path, known)
        if recorded and not _same(before.get(path), after.get(path)):
            yield Moved(path=path, before=before.get(path), after=after.get(path))


def _without_sections(keys: tuple[Moved, ...]) -> tuple[Moved, ...]:
    """Without `parallel: auto`, where the keys of a section stand instead of it or the other way round."""
    return tuple(
        each
        for each in keys
        if (each.before is not None and each.after is not None)
        or not any(other.path.startswith(f"{each.path}.") for other in keys)
    )


def _is_locked_stage(path: str, known: frozenset[str]) -> bool:
    """Whether a value of a stage is one that locks keep; the lock may have fewer stages."""
    head, _, rest = path.partition(".")
    return head == "stages" and f"stages.0.{rest.partition('.')[2]}" in known


def _same(before: Any, after: Any) -> bool:
    """Whether values are equal; an empty list is as good as none, `true` is not 1."""
    if isinstance(before, bool) != isinstance(after, bool):
        return False
    return before == after or (before in (None, [], {}) and after in (None, [], {}))


def _told(moved: Sequence[Moved]) -> tuple[Moved, ...]:
    """Without what only follows from other values that have moved."""
    causes = [each.path for each in moved if _consequence(each.path) is None]
    kept = []
    planned = [each for each in moved if each.path == "learning_rate.peak_learning_rate"]
    came = any(each.before is None or each.after is None for each in planned)
    for each in moved:
        if came and each.path.startswith("learning_rate.schedule.") and not each.path.endswith(".decay"):
            continue  # no rate was planned, or none is
        follows = _consequence(each.path)
        if follows is None or not any(path.startswith(follows) for path in causes if path != each.path):
            kept.append(each)
    return tuple(kept)


def _consequence(path: str) -> tuple[str, ...] | None:
    while path:
        if path in _CONSEQUENCES:
            return _CONSEQUENCES[path]
        path = path.rpartition(".")[0]
    return None


def _is_estimate(path: str) -> bool:
    return path == "verdict" or path.startswith("memory.")


def _meant(before: Side, after: Side) -> tuple[Moved, ...]:
    if before.meant is None or after.meant is None:
        return ()
    return tuple(_moved(before.meant, after.meant))


def _kinds(before: Side, after: Side, meant: Sequence[Moved], moved: Sequence[Moved]) -> tuple[str, ...]:
    """What of the meaning has moved, in words; a learning rate that follows the batch is named beside it."""
    found = set()
    paths, meant_paths = {each.path for each in moved}, {each.path for each in meant}
    for part in _unequal(before.parts, after.parts):
        if part == "batch":
            lengths = any(path.startswith("batch.sequence_length") for path in (*paths, *meant_paths))
            found |= {"sequence length"} if lengths else set()
            found |= {"batch"} if "batch.global_batch_size" in paths or not lengths else set()
        elif part == "optimizer" and meant:
            own = [path for path in meant_paths if path.startswith("optimizer.")]
            rates = [path for path in own if path.startswith(_RATE_KEYS)]
            found |= {"learning rate"} if rates else set()
            found |= {"optimizer"} if len(rates) < len(own) else set()
        else:
            found.add({"split": "split over ranks", "splits": "split over ranks"}.get(part, part))
    if "learning_rate.peak_learning_rate" in paths:
        found.add("learning rate")
    return (*(kind for kind in _ORDER if kind in found), *sorted(found.difference(_ORDER)))


def _unequal(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(part for part in dict.fromkeys((*before, *after)) if before.get(part) != after.get(part))


def _problems(before: Side, after: Side) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    if before.problems is None or after.problems is None:
        return (), ()
    return _only(after.problems, before.problems), _only(before.problems, after.problems)


def _only(problems: Sequence[Problem], others: Sequence[Problem]) -> tuple[Problem, ...]:
    """Those that the others lack: of the same code, weight and path."""
    left = Counter((each.code, each.severity, each.path) for each in others)
    found = []
    for each in problems:
        key = (each.code, each.severity, each.path)
        if left[key]:
            left[key] -= 1
        else:
            found.append(each)
    return tuple(found)
