"""Does an optimizer step take the planned number of samples, over all ranks? Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from launcher.spec.plan import BatchPlan, RunPlan

__all__ = ["Outcome", "SampleCheck", "accepted_samples", "accepted_tokens", "sum_over_ranks"]

FIRST = 2
"""The first step says nothing: what a loader has read ahead by then is not known."""


class Outcome(NamedTuple):
    """What one step said."""

    step: int
    number: int
    source: str
    agrees: bool


class SampleCheck:
    """The steps of one optimizer, summed over all ranks, against the numbers that would be the plan's.

    Two steps that agree settle it, and so do two steps in a row that contradict the plan by the same number: a single
    one may be a queue that fills, and sizes that vary are not a wrong setting but another kind of batch.
    """

    def __init__(self, *, accepted: frozenset[int], kind: str = "rows") -> None:
        self._accepted, self._kind = accepted, kind
        self.outcomes: list[Outcome] = []

    def see(self, *, step: int, numbers: Mapping[str, int], unsure: frozenset[str]) -> None:
        """One step. Any place where the planned number was counted is proof: two loaders may feed one step."""
        if step < FIRST:
            return
        found = _candidates(numbers, unsure, self._kind)
        if not found:
            return
        agreeing = next((name for name in found if found[name] in self._accepted), None)
        source = agreeing or next(iter(found))
        self.outcomes.append(Outcome(step, found[source], source, agreeing is not None))

    @property
    def agreed(self) -> bool:
        """Two steps took what was planned."""
        return sum(outcome.agrees for outcome in self.outcomes) >= 2

    @property
    def contradicted(self) -> tuple[Outcome, Outcome] | None:
        """The last two steps that could be counted took the same wrong number."""
        if len(self.outcomes) < 2:
            return None
        first, second = self.outcomes[-2:]
        return (first, second) if not second.agrees and first[1:] == second[1:] else None


def sum_over_ranks(
    reports: Iterable[tuple[Mapping[str, int], Sequence[str]]],
) -> tuple[dict[str, int], frozenset[str]]:
    """Numbers summed by place, and the places that any rank was unsure of."""
    total: Counter[str] = Counter()
    unsure: set[str] = set()
    for numbers, doubtful in reports:
        total.update(numbers)
        unsure.update(doubtful)
    return dict(total), frozenset(unsure)


def accepted_samples(plan: RunPlan) -> frozenset[int]:
    """Samples per optimizer step that are the plan's.

    Ranks that share a sample (tensor, pipeline, context) may each read it, or one of them for all.
    A script that changes the batch itself takes that of any stage.
    """
    copies = plan.layout.world_size // plan.batch.data_parallel_size
    shares = [many for many in range(1, copies + 1) if copies % many == 0]
    return frozenset(batch.slots_per_step * many for batch in _batches(plan) for many in shares)


def accepted_tokens(plan: RunPlan) -> frozenset[int] | None:
    """Tokens per optimizer step that are the plan's; None where the plan does not fix them.

    A row may hold one token more than the sequence: input and target are the same row, shifted.
    """
    lengths = {batch.sequence_length for batch in _batches(plan)}
    if None in lengths or plan.data.get("packing") != "packed":
        return None
    rows = accepted_samples(plan)
    return frozenset(row * (length + more) for row in rows for length in lengths if length for more in (0, 1))


def _batches(plan: RunPlan) -> list[BatchPlan]:
    return [stage.batch for stage in plan.stages] if plan.stages else [plan.batch]


def _candidates(numbers: Mapping[str, int], unsure: frozenset[str], kind: str) -> dict[str, int]:
    """Every count that is sure, the likeliest first: loaders by size, all loaders together, the model's input."""
    kinds = {"rows", "drawn"} if kind == "rows" else {"tokens"}
    sure = {
        name: n for name, n in numbers.items() if n and name not in unsure and name.split(" ")[1] in kinds
    }
    loaders = {name: n for name, n in sure.items() if not name.startswith("forward")}
    found = dict(sorted(loaders.items(), key=lambda item: (item[0].endswith("drawn"), -item[1])))
    for which in sorted(kinds):
        alike = [n for name, n in loaders.items() if name.endswith(which)]
        if len(alike) > 1:
            found[f"loaders {which}"] = sum(alike)
    found.update({name: n for name, n in sure.items() if name.startswith("forward")})
    return found
