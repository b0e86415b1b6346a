"""A DeepSpeed engine as the reducer, ZeRO stages 0 to 3. Clipping and fp16 loss scaling are its own business."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from launcher.planning.accumulation import Reducer as Division
from launcher.runtime.reducers import as_number, world_of_torch
from launcher.runtime.reducers_accelerate import accelerator_differences
from launcher.spec.plan import RunPlan

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
        for name, planned, found in self._settings(plan):
            if planned != found:
                yield f"planned {name} {planned}, found {found} in DeepSpeed's engine"
        if (
            plan.learning_rate
            and plan.learning_rate.owner == "runtime"
            and self.engine.lr_scheduler is not None
        ):
            name = type(self.engine.lr_scheduler).__name__
            yield f"planned learning rate of the runtime, found scheduler {name} in DeepSpeed's engine"
        import deepspeed

        if deepspeed.__version__.split("+")[0] in WRONG_VERSIONS:
            yield f"planned deepspeed 0.18.4 or later, found {deepspeed.__version__}, which divides gradients twice"

    def _settings(self, plan: RunPlan) -> Iterator[tuple[str, Any, Any]]:
        engine, batch = self.engine, plan.batch
        yield "data_parallel_size", batch.data_parallel_size, engine.dp_world_size
        yield "micro_batch_size", batch.micro_batch_size, engine.train_micro_batch_size_per_gpu()
        found = engine.gradient_accumulation_steps()
        yield "gradient_accumulation_steps", batch.gradient_accumulation_steps, found
        yield "gradient_clipping", plan.optimizer.gradient_clipping or 0.0, engine.gradient_clipping() or 0.0
        if plan.layout.data_strategy == "zero":
            yield "zero_stage", plan.layout.zero_stage, engine.zero_optimization_stage()

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
