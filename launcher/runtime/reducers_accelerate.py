"""Accelerate as the reducer: whatever `Accelerator.prepare` wrapped the model in, except DeepSpeed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from launcher.errors import Problem, WorldError
from launcher.planning.accumulation import Reducer as Division
from launcher.runtime.reducers import as_number, world_of_torch
from launcher.spec.plan import BatchPlan, RunPlan

__all__ = ["Accelerated", "accelerator_differences"]


class Accelerated:
    """An Accelerator after prepare. Its backward divides by its own accumulation steps; its fp16 scaling is kept."""

    name = "Accelerator"
    division: Division = "accelerate"

    def __init__(self, accelerator: Any, *, model: Any = None) -> None:
        self.accelerator = accelerator
        self.model = model if model is not None else _prepared_model(accelerator)
        self.rank, self.world_size = world_of_torch()
        self.device = accelerator.device

    @property
    def divides_by(self) -> int:
        """Source: accelerate@1.15.0 accelerator.py:Accelerator.backward."""
        return int(self.accelerator.gradient_accumulation_steps)

    def differences(self, plan: RunPlan) -> Iterator[str]:
        yield from accelerator_differences(self.accelerator, plan)
        asked = {"fp32": "no"}.get(plan.precision.compute, plan.precision.compute)
        found = self.accelerator.mixed_precision
        if plan.precision.autocast is not False and found != asked:
            yield f"planned mixed_precision {asked}, found Accelerator.mixed_precision {found}"

    def configure(self, batch: BatchPlan) -> None:
        """Source: accelerate@1.15.0 accelerator.py:Accelerator.gradient_accumulation_steps, which backward reads."""
        self.accelerator.gradient_accumulation_steps = batch.gradient_accumulation_steps

    def accumulating(self) -> AbstractContextManager[Any]:
        if self.accelerator.distributed_type.endswith("FSDP"):
            return nullcontext()
        context: AbstractContextManager[Any] = self.accelerator.no_sync(self.model)
        return context

    def backward(self, loss: Any) -> None:
        self.accelerator.backward(loss)

    def count(self) -> None:
        """Nothing to count: Accelerate counts in `accumulate`, which is not used."""

    def groups(self, optimizer: Any) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = optimizer.param_groups
        return groups

    def step(self, optimizer: Any, *, clip: float | None) -> tuple[float | None, bool]:
        norm = None if clip is None else self.accelerator.clip_grad_norm_(self.model.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad()
        return as_number(norm), bool(getattr(optimizer, "step_was_skipped", False))


def accelerator_differences(accelerator: Any, plan: RunPlan) -> Iterator[str]:
    """Accelerate can start N lone trainings, each of which calls itself rank 0 of 1, and exit with code 0."""
    if accelerator.num_processes != plan.layout.world_size:
        kind = str(accelerator.distributed_type).rsplit(".", 1)[-1]
        yield (
            f"planned num_processes {plan.layout.world_size}, found Accelerator.num_processes "
            f"{accelerator.num_processes} (distributed_type {kind})"
        )


def _wrapped(model: Any) -> Any:
    """The DistributedDataParallel around a model, or the model itself where there is none.

    Accelerate keeps the bare one in its list, whose no_sync would do nothing: every micro-batch would be reduced.
    Source: accelerate@1.15.0 accelerator.py:Accelerator.prepare_model appends before it wraps, and keeps no wrapper.
    """
    wrapper = getattr(sys.modules.get("torch.nn.parallel.distributed"), "DistributedDataParallel", None)
    if wrapper is None or isinstance(model, wrapper):
        return model
    around = (each for each in gc.get_objects() if issubclass(type(each), wrapper))
    return next((each for each in around if each.module is model), model)


def _prepared_model(accelerator: Any) -> Any:
    models = list(accelerator._models)  # noqa: SLF001  # there is no public list
    if len(models) == 1:
        return _wrapped(models[0])
    hint = "runtime.start(accelerator, model=model) after accelerator.prepare"
    message = f"the Accelerator has prepared {len(models)} models, and one is trained"
    raise WorldError([Problem(code="loop-misused", message=message, hint=hint)])
