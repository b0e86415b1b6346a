"""A recipe whose network is not known, and that a probe has measured: what fits is known, not what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launcher.planning.divisors import divisors
from launcher.planning.memory.measured import (
    fitting_measurement,
    known_to_fit,
    probe_setting,
    stale_measurement,
    usable_by,
)
from launcher.planning.memory.verdict import capacity_bytes, usable_bytes
from launcher.planning.optimizer import precision_plan
from launcher.spec.cluster import Cluster
from launcher.spec.measurement import Measurement, Trial
from launcher.spec.plan import BatchPlan, LayoutPlan, MemoryPlan, ModelPlan, Verdict
from launcher.spec.recipe import Recipe

__all__ = ["MeasuredBudget", "measured_budget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredBudget:
    """What a probe found, where there is no memory model to fill the gaps."""

    layout: LayoutPlan
    capacity: int | None
    usable: int | None
    """Bytes; None where nobody knows, or where there is only a stale measurement."""
    measurement: Measurement | None
    stale: Measurement | None
    """What one found before the code changed; used for nothing."""

    def largest(self, *, sequences: int) -> int | None:
        """Largest divisor of a rank's sequences that is known to fit; None where none is."""
        fitting = (size for size in divisors(sequences) if self._fits(size, accumulates=size < sequences))
        return max(fitting, default=None)

    def verdict(self, batch: BatchPlan) -> Verdict:
        """Of one split of the batch."""
        accumulates = batch.gradient_accumulation_steps > 1
        known = self._fits(batch.micro_batch_size, accumulates=accumulates)
        return "unknown-memory" if known is None else "fits" if known else "does-not-fit"

    def plan(self, batch: BatchPlan) -> MemoryPlan | None:
        """The memory block of a micro-batch that was tried and ran; its one part is all of it."""
        found, trial = self.measurement, self._trial(batch.micro_batch_size)
        if found is None or trial is None or trial.peak_bytes is None:
            return None
        low, peak = min(rank.peak_bytes for rank in trial.peaks), trial.peak_bytes
        # on a CPU the resident size is all there is
        allocated = max(rank.allocated_bytes or rank.peak_bytes for rank in trial.peaks)
        reserved = max(rank.reserved_bytes or rank.peak_bytes for rank in trial.peaks)
        return MemoryPlan(
            device=self.layout.device,
            capacity_bytes=self.capacity,
            usable_bytes=self.usable,
            allocated_bytes=allocated,
            reserved_bytes=reserved,
            peak_bytes=peak,
            low_bytes=low,
            high_bytes=peak,
            bands={
                "allocated": (allocated, allocated),
                "reserved": (reserved, reserved),
                "peak": (low, peak),
            },
            peak_phase=None,
            peak_stage=0,
            per_stage=(),
            components={"measured": peak},
            max_micro_batch_size=self.largest(sequences=batch.slots_per_step // batch.data_parallel_size),
            host={},
            evaluation_peak_bytes=None,
            save_peak_bytes=None,
            evidence=found.words,
        )

    def _trial(self, micro_batch_size: int) -> Trial | None:
        trials = self.measurement.trials if self.measurement is not None else ()
        return next((trial for trial in trials if trial.micro_batch_size == micro_batch_size), None)

    def _fits(self, micro_batch_size: int, *, accumulates: bool) -> bool | None:
        if self.measurement is None or self.usable is None:
            return None
        return known_to_fit(
            self.measurement,
            micro_batch_size=micro_batch_size,
            accumulates=accumulates,
            usable=self.usable,
        )


def measured_budget(
    *,
    recipe: Recipe,
    layout: LayoutPlan,
    cluster: Cluster,
    model: ModelPlan | None,
    measurements: Sequence[Measurement],
) -> MeasuredBudget | None:
    """The budget of a recipe by measurement alone; None where nothing of it was ever measured."""
    if model is None or not measurements:
        return None
    precision = precision_plan(recipe=recipe, layout=layout)
    setting = probe_setting(recipe=recipe, layout=layout, model=model, precision=precision)
    measurement = fitting_measurement(measurements, setting=setting)
    stale = stale_measurement(measurements, setting=setting)
    if measurement is None and stale is None:
        return None
    return MeasuredBudget(
        layout=layout,
        capacity=capacity_bytes(layout=layout, cluster=cluster),
        usable=None
        if measurement is None
        else usable_by(
            measurement,
            usable=usable_bytes(layout=layout, cluster=cluster),
            is_written="cluster.host_memory" in recipe.marks or "cluster.reserve" in recipe.marks,
        ),
        measurement=measurement,
        stale=stale,
    )
