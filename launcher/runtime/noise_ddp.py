"""Gradients of torch modules: DistributedDataParallel, bare or by Accelerate, and a lone module."""

from __future__ import annotations

from typing import Any

from launcher.runtime.noise_gradients import square_sum

__all__ = ["TorchReader"]


class TorchReader:
    """Reads p.grad, which holds what a rank has accumulated until the last backward averages it.

    A rank's own gradient is read by hooks on the parameters that torch calls after it has accumulated a gradient and
    before DistributedDataParallel copies it into a bucket. A communication hook would see the same numbers in fewer
    pieces; but it replaces the reduction for good, whose division it has to repeat bit by bit, and there is one per
    module, which may be the script's.
    Source: torch@2.13 csrc/autograd/functions/accumulate_grad.cpp:AccumulateGrad::apply calls the tensor's own hooks;
    csrc/distributed/c10d/reducer.cpp:Reducer::Reducer registers a post hook, which is called after apply.
    Checked: tests/stacks/test_noise_ranks.py, against gradients of the same samples without DistributedDataParallel.
    """

    joint = False

    def __init__(self, model: Any, *, accelerator: Any = None) -> None:
        self.parameters = [each for each in model.parameters() if each.requires_grad]
        self.accelerator = accelerator
        self._handles: list[Any] = []
        self._norms: dict[int, Any] = {}
        self._waiting: set[int] = set()

    def accumulated(self) -> Any:
        return square_sum(each.grad for each in self.parameters)

    def watch(self) -> None:
        self._norms = {}
        # what has a gradient already and takes no part in this backward is averaged unseen
        self._waiting = {id(each) for each in self.parameters if each.grad is not None}
        self._handles = [each.register_post_accumulate_grad_hook(self._sees) for each in self.parameters]

    def own(self) -> Any:
        for handle in self._handles:
            handle.remove()
        import torch

        norms, self._handles, unseen = self._norms, [], self._waiting - set(self._norms)
        if unseen or not norms:
            return None
        return torch.stack(list(norms.values())).double().square().sum()

    def averaged(self, *, clips: bool) -> Any:
        import torch

        if clips and all(each.grad is None or each.grad.dtype == torch.float32 for each in self.parameters):
            return None
        return self.accumulated()

    def loss_scale(self) -> float:
        scaler = getattr(self.accelerator, "scaler", None)
        return 1.0 if scaler is None else float(scaler.get_scale())

    def _sees(self, parameter: Any) -> None:
        """Recomputation that runs a layer's backward in parts calls more than once; the last call has all of it."""
        import torch

        gradient = parameter.grad.coalesce().values() if parameter.grad.is_sparse else parameter.grad
        self._norms[id(parameter)] = torch.linalg.vector_norm(gradient, dtype=torch.float32)
