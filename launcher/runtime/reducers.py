"""Who averages the gradients: one small class for each, with what it does to a loss on the way and how it steps.

Not handled here: fp16 loss scaling outside Accelerate and DeepSpeed (a GradScaler of the script's own), pipeline
engines, and gradients that the script reduces itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from launcher.errors import Problem, WorldError
from launcher.planning.accumulation import Reducer as Division
from launcher.spec.plan import BatchPlan, RunPlan

__all__ = ["Reducer", "keep_group", "reducer_of"]

_KEPT: list[Any] = []


class Reducer(Protocol):
    """What the runtime needs of a wrapped model."""

    name: str
    division: Division
    """What happens to a loss between backward and the averaged gradient; see planning.accumulation.loss_scale."""
    rank: int
    world_size: int
    """Ranks that torch.distributed sees; 1 without a process group."""
    device: Any

    @property
    def divides_by(self) -> int:
        """Accumulation steps that its backward divides by; 1 where it does not."""

    def differences(self, plan: RunPlan) -> Iterator[str]:
        """`planned ..., found ...` for every setting of its own that is not the plan's."""

    def configure(self, batch: BatchPlan) -> None:
        """Takes over the split of another stage; called between two optimizer steps."""

    def accumulating(self) -> AbstractContextManager[Any]:
        """Context for forward and backward of a micro-batch that is not the last of its step."""

    def backward(self, loss: Any) -> None:
        """Backward of a loss that is already scaled."""

    def count(self) -> None:
        """Called after each micro-batch that is not the last of its step."""

    def groups(self, optimizer: Any) -> list[dict[str, Any]]:
        """Parameter groups whose learning rate counts."""

    def step(self, optimizer: Any, *, clip: float | None) -> tuple[float | None, bool]:
        """Clips, steps and zeroes; the gradient norm where it is known, and whether the step was skipped."""


def keep_group() -> None:
    """Holds the process group of all ranks to the end of the process.

    Whoever drops the last reference to it joins gloo's threads. DistributedDataParallel's reducer would do so without
    letting go of the interpreter, which such a thread may still be waiting for to free the last sum: for ever.
    Source: pytorch@2.13.0 ProcessGroupGloo::~ProcessGroupGloo below c10d::Reducer::~Reducer, in 3 of 11 short runs.
    """
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        _KEPT[:] = [torch.distributed.group.WORLD]


def reducer_of(trained: Any, *, model: Any = None, processes: int = 1) -> Reducer:
    """The reducer of what `runtime.start` was given; `processes` the launcher says that it has started.

    Raises WorldError[gradients-not-reduced] for a bare module among several ranks.
    """
    if _is(trained, "accelerate.accelerator", "Accelerator"):
        if (
            str(trained.distributed_type).endswith("DEEPSPEED")
            and trained.deepspeed_engine_wrapped is not None
        ):
            from launcher.runtime.reducers_deepspeed import DeepSpeed

            return DeepSpeed(trained.deepspeed_engine_wrapped.engine, accelerator=trained)
        from launcher.runtime.reducers_accelerate import Accelerated

        return Accelerated(trained, model=model)
    if _is(trained, "deepspeed.runtime.engine", "DeepSpeedEngine"):
        from launcher.runtime.reducers_deepspeed import DeepSpeed

        return DeepSpeed(trained)
    return _torch_reducer(trained, processes=processes)


def _torch_reducer(model: Any, *, processes: int) -> Reducer:
    inner = getattr(model, "_orig_mod", model)  # torch.compile wraps the wrapper
    if _is(inner, "torch.nn.parallel.distributed", "DistributedDataParallel"):
        return Replicated(inner)
    if _is(inner, "torch.distributed.fsdp.fully_sharded_data_parallel", "FullyShardedDataParallel"):
        return Sharded(inner)
    if _is(inner, "torch.distributed.fsdp", "FSDPModule"):
        return Sharded(inner)
    alone = Alone(inner)
    ranks = max(alone.world_size, processes)
    if ranks > 1:
        raise WorldError(
            [
                Problem(
                    code="gradients-not-reduced",
                    message=f"{ranks} ranks train a bare `{type(inner).__name__}`: "
                    "nothing averages their gradients",
                    hint="give runtime.start the DistributedDataParallel module, the Accelerator or the engine",
                )
            ]
        )
    return alone


def _is(value: Any, module: str, name: str) -> bool:
    """Like isinstance, without importing: a value of a class exists only where its module is imported."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(value, kind)


def world_of_torch() -> tuple[int, int]:
    """Rank and number of ranks as torch.distributed sees them; (0, 1) without a process group."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def device_of(model: Any) -> Any:
    """Device of a module's first parameter."""
    import torch

    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def as_number(norm: Any) -> float | None:
    """A gradient norm as a number; FSDP2 gives a distributed tensor."""
    if norm is None:
        return None
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)


class Alone:
    """A bare module in a job of one process."""

    name = "the module"
    division: Division = "ddp"
    divides_by = 1

    def __init__(self, model: Any) -> None:
        self.model = model
        self.rank, self.world_size = world_of_torch()
        self.device = device_of(model)

    def differences(self, plan: RunPlan) -> Iterator[str]:
        if plan.precision.compute == "fp16":
            yield f"planned fp16 with loss scaling, found {self.name}, which has none: use another engine or bf16"

    def configure(self, batch: BatchPlan) -> None:
        """Nothing to take over: torch's wrappers know neither micro-batch nor accumulation."""

    def accumulating(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def backward(self, loss: Any) -> None:
        loss.backward()

    def count(self) -> None:
        """Nothing to count."""

    def groups(self, optimizer: Any) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = optimizer.param_groups
        return groups

    def step(self, optimizer: Any, *, clip: float | None) -> tuple[float | None, bool]:
        norm = None if clip is None else self.clip(clip)
        optimizer.step()
        optimizer.zero_grad()
        return as_number(norm), False

    def clip(self, largest: float) -> Any:
        from torch.nn.utils import clip_grad_norm_

        return clip_grad_norm_(self.model.parameters(), largest)


class Replicated(Alone):
    """DistributedDataParallel: the mean over ranks, in the backward of the last micro-batch."""

    name = "DistributedDataParallel"

    def differences(self, plan: RunPlan) -> Iterator[str]:
        yield from super().differences(plan)
        size = self.model.process_group.size()
        if size != plan.batch.data_parallel_size:
            yield f"planned data_parallel_size {plan.batch.data_parallel_size}, found {self.name} over {size}"

    def accumulating(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self.model.no_sync()
        return context


class Sharded(Alone):
    """FSDP, both versions: the mean over ranks, in every backward.

    Without no_sync: it would keep whole gradients between micro-batches, the memory that sharding is there to save.
    """

    name = "FSDP"

    def clip(self, largest: float) -> Any:
        own = getattr(self.model, "clip_grad_norm_", None)  # version 1; version 2 takes torch's
        return own(largest) if own else super().clip(largest)
