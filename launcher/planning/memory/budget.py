"""What one rank may take, and what a split of its batch takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from launcher.planning.divisors import divisors, last_fitting
from launcher.planning.memory.counting import Parameters, count_parameters
from launcher.planning.memory.estimate import Estimate, estimate_memory
from launcher.planning.memory.from_recipe import network_of, setting_of
from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.measured import (
    corrected,
    fitting_measurement,
    known_to_fit,
    probe_setting,
    stale_measurement,
    usable_by,
)
from launcher.planning.memory.measured_budget import MeasuredBudget
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting
from launcher.planning.memory.trace_choice import choose_trace
from launcher.planning.memory.verdict import device_origins, usable_bytes
from launcher.planning.optimizer import precision_plan
from launcher.spec.cluster import Cluster
from launcher.spec.marks import Origin
from launcher.spec.measurement import Measurement
from launcher.spec.parallel import Parallel
from launcher.spec.plan import LayoutPlan, ModelPlan, PrecisionPlan
from launcher.spec.recipe import Recipe

__all__ = ["Budget", "budget_of", "measured_origins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One recipe on one layout; every split of its batch can be asked for."""

    recipe: Recipe
    layout: LayoutPlan
    network: Network
    precision: PrecisionPlan
    parameters: Parameters
    usable: int | None
    """Bytes; None where nobody knows."""
    measurement: Measurement | None = None
    """What a probe found of this recipe; it counts before the model."""
    stale: Measurement | None = None
    """What one found before the code changed; used for nothing."""
    known: dict[tuple[int, int], Estimate] = field(default_factory=dict, compare=False, repr=False)
    """Estimates by micro-batch and accumulation, once they are made; stages ask for the same ones again.

    Accumulation counts as far as it changes them: up to 2, and up to what a pipeline keeps in flight.
    """

    def estimate(self, *, micro_batch_size: int, gradient_accumulation_steps: int) -> Estimate:
        """Peak memory of one rank under one split, measured where there is a measurement."""
        predicted = self.predicted(
            micro_batch_size=micro_batch_size, gradient_accumulation_steps=gradient_accumulation_steps
        )
        if self.measurement is None:
            return predicted
        return corrected(
            predicted,
            measurement=self.measurement,
            micro_batch_size=micro_batch_size,
            gradient_accumulation_steps=gradient_accumulation_steps,
        )

    def predicted(self, *, micro_batch_size: int, gradient_accumulation_steps: int) -> Estimate:
        """The same by the model alone."""
        key = (micro_batch_size, min(gradient_accumulation_steps, self._most_that_count))
        if key not in self.known:
            setting = self.setting(
                micro_batch_size=micro_batch_size, gradient_accumulation_steps=gradient_accumulation_steps
            )
            self.known[key] = estimate_memory(network=self.network, setting=setting)
        return self.known[key]

    @property
    def _most_that_count(self) -> int:
        """Micro-batches beyond which more change nothing: 2, or as many as a pipeline keeps in flight."""
        parallel = self.recipe.parallel
        pieces = parallel.virtual_pipeline if isinstance(parallel, Parallel) else 1
        ranks = self.layout.pipeline_parallel_size
        return max(2, ranks if pieces == 1 else 2 * ranks)

    @property
    def load_bytes(self) -> int:
        """Host memory of one node while every process builds its copy of the model before it moves to the device."""
        setting = self.setting(micro_batch_size=1, gradient_accumulation_steps=1)
        shared = setting.layout.tensor * setting.layout.pipeline
        return (
            self.parameters.total
            * setting.formats.parameter_bytes
            * setting.layout.devices_per_node
            // shared
        )

    def fits(self, *, micro_batch_size: int, sequences: int) -> bool:
        """Whether even the worst fits, where a rank trains `sequences` per step in equal micro-batches."""
        if self.usable is None:
            return False
        accumulation = -(-sequences // micro_batch_size)
        if self.measurement is not None:
            known = known_to_fit(
                self.measurement,
                micro_batch_size=micro_batch_size,
                accumulates=accumulation > 1,
                usable=self.usable,
            )
            if known is not None:
                return known
        found = self.estimate(micro_batch_size=micro_batch_size, gradient_accumulation_steps=accumulation)
        return found.device.high <= self.usable

    def largest(self, *, sequences: int) -> int | None:
        """Largest divisor of a rank's sequences that fits as a micro-batch; None where not even 1 does.

        Memory grows with the micro-batch, except that without accumulation gradients need no buffer of their own:
        the whole share is therefore asked for by itself.
        """
        if self.fits(micro_batch_size=sequences, sequences=sequences):
            return sequences
        return last_fitting(
            divisors(sequences)[:-1],
            lambda size: self.fits(micro_batch_size=size, sequences=sequences),
        )

    def setting(self, *, micro_batch_size: int, gradient_accumulation_steps: int) -> Setting:
        """One split of the batch, as the memory model takes it."""
        return setting_of(
            recipe=self.recipe,
            layout=self.layout,
            precision=self.precision,
            num_parameters=self.parameters.total,
            micro_batch_size=micro_batch_size,
            gradient_accumulation_steps=gradient_accumulation_steps,
        )


def budget_of(
    *,
    recipe: Recipe,
    layout: LayoutPlan,
    cluster: Cluster,
    model: ModelPlan | None,
    measurements: Sequence[Measurement] = (),
) -> Budget | None:
    """The budget of a recipe; None where its dimensions are not known here, or its module has no trace.

    measurements: what probes found beside the recipe; the one that fits counts.
    """
    if model is None or recipe.model.kind not in KINDS:
        return None
    network = network_of(recipe=recipe, model=model)
    if network.kind == "module":
        trace, _ = choose_trace(recipe=recipe, layout=layout)
        if trace is None:
            return None
        network = replace(network, trace=trace)
    precision = precision_plan(recipe=recipe, layout=layout)
    measurement: Measurement | None = None
    stale: Measurement | None = None
    if measurements:
        setting = probe_setting(recipe=recipe, layout=layout, model=model, precision=precision)
        measurement = fitting_measurement(measurements, setting=setting)
        stale = stale_measurement(measurements, setting=setting)
    return Budget(
        recipe=recipe,
        layout=layout,
        network=network,
        precision=precision,
        parameters=count_parameters(network),
        usable=usable_by(
            measurement,
            usable=usable_bytes(layout=layout, cluster=cluster),
            is_written="cluster.host_memory" in recipe.marks or "cluster.reserve" in recipe.marks,
        ),
        measurement=measurement,
        stale=stale,
    )


def measured_origins(budget: Budget | MeasuredBudget | None) -> dict[str, Origin]:
    """Origins of the figures that a measurement decides, or a user's own row of the catalog."""
    found = budget.measurement if budget is not None else None
    rows = {} if budget is None else device_origins(budget.layout)
    if found is None:
        return rows
    names = ("max_micro_batch_size", "peak_bytes", *(("usable_bytes",) if found.limit_is_given else ()))
    origin = Origin(origin="measured", formula=found.words, file=found.file)
    return {**rows, **{f"memory.{name}": origin for name in names}}
