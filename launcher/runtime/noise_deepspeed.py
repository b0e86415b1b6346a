"""Gradients of a DeepSpeed engine, ZeRO stages 0 to 2: each keeps them in another place.

Source: deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine._backward_epilogue, allreduce_gradients;
runtime/zero/stage_1_and_2.py:DeepSpeedZeroOptimizer.independent_gradient_partition_epilogue, get_flat_partition;
runtime/bf16_optimizer.py:BF16_Optimizer.update_hp_grads.
Checked: tests/stacks/test_noise_ranks.py, against gradients of the same samples without an engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from launcher.runtime.noise_gradients import GradientReader, square_sum

__all__ = ["engine_reader"]


def engine_reader(engine: Any) -> GradientReader | None:
    """The reader for an engine's stage; None for ZeRO-3, offloaded gradients, and torch's scaler inside the engine."""
    stage, optimizer = engine.zero_optimization_stage(), engine.optimizer
    scalers = (engine, "torch_autocast_z0_gradscaler"), (optimizer, "torch_autocast_gradscaler")
    if any(getattr(owner, name, None) is not None for owner, name in scalers):
        return None
    if stage == 0:
        return _Replicated(engine)
    if stage >= 3 or getattr(optimizer, "cpu_offload", False):
        return None
    kind = _Partitioned if optimizer.partition_gradients else _Sharded
    # another version may keep them elsewhere
    return kind(engine) if all(hasattr(optimizer, name) for name in kind.needs) else None


class _Engine:
    joint = False

    def __init__(self, engine: Any) -> None:
        self.engine, self.optimizer = engine, engine.optimizer
        self.parameters = [each for each in engine.module.parameters() if each.requires_grad]

    def watch(self) -> None:
        """Nothing to watch: the engine reduces by itself."""

    def own(self) -> Any:
        return None

    def loss_scale(self) -> float:
        return float(getattr(self.optimizer, "loss_scale", None) or 1.0)


class _Replicated(_Engine):
    """Stage 0: p.grad is this rank's until the engine averages it at the end of the last backward.

    With bf16 and fp32 accumulation it is a buffer of the optimizer's instead.
    """

    def accumulated(self) -> Any:
        groups = getattr(self.optimizer, "fp32_groups_gradients", None)
        if groups is not None:
            return square_sum(each for group in groups for each in group)
        return square_sum(each.grad for each in self.parameters)

    def averaged(self, *, clips: bool) -> Any:  # noqa: ARG002  # the engine does not tell the norm it clips by
        return self.accumulated()


class _Sharded(_Engine):
    """Stage 1: gradients are this rank's until the last backward, beside the parameters; each then keeps a shard."""

    needs: ClassVar[tuple[str, ...]] = ("use_grad_accum_attribute",)

    def accumulated(self) -> Any:
        apart = self.optimizer.use_grad_accum_attribute
        return square_sum(each.grad_accum if apart else each.grad for each in self.parameters)

    def averaged(self, *, clips: bool) -> Any:
        """The engine's own norm of its shards, taken in fp32 or double and without the loss scale."""


class _Partitioned(_Sharded):
    """Stage 2: every backward averages; this rank holds its shard of the average over all ranks."""

    joint = True
    needs: ClassVar[tuple[str, ...]] = (
        "bit16_groups",
        "averaged_gradients",
        "all_grad_tensors",
        "params_in_partition",
        "partition_size",
        "grad_start_offset",
        "grad_partition_insertion_offset",
        "real_dp_process_group",
        "_use_compact_grad_partition_buffer",
    )

    def accumulated(self) -> Any:
        return square_sum(self._shards())

    def _shards(self) -> Iterator[Any]:
        optimizer = self.optimizer
        for group in range(len(optimizer.bit16_groups)):
            if optimizer._use_compact_grad_partition_buffer(group):  # noqa: SLF001
                held = optimizer.averaged_gradients.get(group)
                if held is not None:
                    yield held.flat_partition
            else:
                yield from self._pieces(group)

    def _pieces(self, group: int) -> Iterator[Any]:
        """This rank's pieces of its parameters' gradients: the first and the last may belong to two ranks."""
        from torch import distributed

        optimizer, size = self.optimizer, int(self.optimizer.partition_size[group])
        rank = distributed.get_rank(group=optimizer.real_dp_process_group[group])
        gradients = optimizer.all_grad_tensors.get(group) or ()
        for parameter, gradient in zip(optimizer.params_in_partition[group], gradients, strict=True):
            name = optimizer.get_param_id(parameter)
            begins = int(optimizer.grad_start_offset[group][rank][name])
            there = int(optimizer.grad_partition_insertion_offset[group][rank][name])
            length = min(gradient.numel() - begins, size - there)
            yield gradient.reshape(-1).narrow(0, begins, length)
