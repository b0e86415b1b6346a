"""A DeepSpeed engine as the reducer, ZeRO stages 0 to 3. Clipping and fp16 loss scaling are its own business."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from launcher.planning.accumulation import Reducer as Division
from launcher.planning.stages.ledger import stages_of
from launcher.runtime.reducers import as_number, world_of_torch
from launcher.runtime.reducers_accelerate import accelerator_differences
from launcher.runtime.stack_rates import scheduler_differences
from launcher.spec.plan import BatchPlan, RunPlan

__all__ = ["DeepSpeed"]

# deepspeed 0.18.3 divided by the accumulation steps even with scale_wrt_gas=False
# Source: https://github.com/deepspeedai/DeepSpeed/pull/7724
WRONG_VERSIONS = ("0.18.3",)


class DeepSpeed:
    """engine.backward(scale_wrt_gas=False), and engine.step() after every micro-batch: the engine counts them.

    Source: deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine.backward, step, is_gradient_accumulation_boundary.
    """

    name = "DeepSpeed's engine"
    divides_by = 1  # told not to

    def __init__(self, engine: Any, *, accelerator: Any = None) -> None:
        self.engine, self.accelerator = engine, accelerator
        self.rank, self.world_size = world_of_torch()
        self.device = engine.device
        # gradient_allreduce_op: sum
        self.division: Division = "deepspeed-unscaled" if getattr(engine, "gradient_average", True) else "sum"

    def differences(self, plan: RunPlan) -> Iterator[str]:
        if self.accelerator is not None:
            yield from accelerator_differences(self.accelerator, plan)
        for name, planned, found in (*self._split(self._start(plan)), *self._settings(plan)):
            if planned != found:
                yield f"planned {name} {planned}, found {found} in DeepSpeed's engine"
        yield from scheduler_differences(plan, self.engine.lr_scheduler)
        import deepspeed

        if deepspeed.__version__.split("+")[0] in WRONG_VERSIONS:
            yield f"planned deepspeed 0.18.4 or later, found {deepspeed.__version__}, which divides gradients twice"

    def _start(self, plan: RunPlan) -> BatchPlan:
        """The batch of the stage that the engine was made for, else of the first: a resumed run may start in any."""
        batches = [stage.batch for stage in stages_of(plan)]
        made_for = (each for each in batches if all(want == found for _, want, found in self._split(each)))
        return next(made_for, batches[0])

    def _split(self, batch: BatchPlan) -> Iterator[tuple[str, int, int]]:
        engine = self.engine
        yield "data_parallel_size", batch.data_parallel_size, engine.dp_world_size
        yield "micro_batch_size", batch.micro_batch_size, engine.train_micro_batch_size_per_gpu()
        found = engine.gradient_accumulation_steps()
        yield "gradient_accumulation_steps", batch.gradient_accumulation_steps, found

    def _settings(self, plan: RunPlan) -> Iterator[tuple[str, Any, Any]]:
        engine = self.engine
        yield "gradient_clipping", plan.optimizer.gradient_clipping or 0.0, engine.gradient_clipping() or 0.0
        if plan.layout.data_strategy == "zero":
            yield "zero_stage", plan.layout.zero_stage, engine.zero_optimization_stage()

    def configure(self, batch: BatchPlan) -> None:
        """Sets the engine's batch sizes, and its count of micro-batches to a whole number of new steps.

        The engine steps when its count of all micro-batches so far is a multiple of its accumulation steps: 8 of them
        are four steps of two, and with three to a step it would step after the next one.
        Source: deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine.set_train_micro_batch_size, set_train_batch_size,
        is_gradient_accumulation_boundary; the optimizer's own in runtime/zero/stage_1_and_2.py:set_norm_for_param_grad.
        """
        engine, steps = self.engine, batch.gradient_accumulation_steps
        engine.set_train_micro_batch_size(batch.micro_batch_size)
        engine.set_train_batch_size(batch.slots_per_step)
        engine.micro_steps = -(-engine.micro_steps // steps) * steps
        engine.tput_timer.batch_size = batch.slots_per_step
        if hasattr(engine.optimizer, "gradient_accumulation_steps"):
            engine.optimizer.gradient_accumulation_steps = steps
        if self.accelerator is not None:
            self.accelerator.gradient_accumulation_steps = steps

    def accumulating(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def backward(self, loss: Any) -> None:
        self.engine.backward(loss, scale_wrt_gas=False)

    def count(self) -> None:
        """Moves the engine's own count of micro-batches; between boundaries nothing is updated."""
        self.engine.step()

    def groups(self, optimizer: Any) -> list[dict[str, Any]]:  # noqa: ARG002
        """The engine's own groups: ZeRO wraps the optimizer that it was given."""
        groups: list[dict[str, Any]] = self.engine.optimizer.param_groups
        return groups

    def step(self, optimizer: Any, *, clip: float | None) -> tuple[float | None, bool]:  # noqa: ARG002
        """The engine clips by its own configuration, which differences() has compared with the plan.

        The norm is unknown at stage 0 in fp32, where the engine does not keep it.
        """
        self.engine.step()
        return as_number(self.engine.get_global_grad_norm()), not self.engine.was_step_applied()
