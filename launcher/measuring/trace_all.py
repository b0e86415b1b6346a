"""A module traced at as many sizes as it takes to say what it needs at any. Imports torch."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from launcher.measuring.trace_coupled import coupled_in
from launcher.measuring.trace_extend import extended
from launcher.measuring.trace_fit import Size
from launcher.measuring.trace_kernels import building
from launcher.measuring.trace_module import (
    Taken,
    find_function,
    make_ready,
    resized,
    sample_size,
    taken_by,
)
from launcher.measuring.trace_optimizer import OptimizerTrace, trace_optimizer
from launcher.measuring.trace_step import StepTrace, trace_step
from launcher.measuring.trace_surroundings import surroundings

__all__ = ["trace_module"]

_SIZES = ("micro_batch_size", "sequence_length")


@dataclass
class Bench:
    """One function that can be called at any size it takes."""

    request: Mapping[str, Any]
    function: Callable[..., Any]
    taken: Taken
    sample: Size | None = None
    blocks: bool = True
    coupled: list[str] = field(default_factory=list)
    traced: dict[tuple[Size, int | None], StepTrace] = field(default_factory=dict)

    def trace(self, size: Size, *, layers: int | None = None) -> StepTrace:
        """One step at one size and depth; each is traced once."""
        if (size, layers) not in self.traced:
            self.traced[size, layers] = self._trace(size, layers)[0]
        return self.traced[size, layers]

    def trace_with_optimizer(self, size: Size) -> tuple[StepTrace, OptimizerTrace, list[dict[str, Any]]]:
        """The whole step at the recipe's own size and depth, and the module's table of parameters."""
        step, optimizer, table = self._trace(size, None, optimizer=True)
        assert optimizer is not None
        self.traced[size, None] = step
        return step, optimizer, table

    def extends(self, at: int) -> bool:
        """Whether the first (micro-batch) or second (length) dimension can be changed."""
        name = _SIZES[at]
        if name in self.taken:
            return True
        asked = self.request["sizes"][name]
        return self.sample is not None and (at == 0 or (asked > 1 and self.sample.length == asked))

    def _trace(
        self, size: Size, layers: int | None, *, optimizer: bool = False
    ) -> tuple[StepTrace, OptimizerTrace | None, list[dict[str, Any]]]:
        with surroundings(self.request) as around:
            with around.forward(), building(around.book):
                module, batch = self._build(size, layers)
            step = trace_step(module=module, batch=batch, around=around, blocks=self.blocks)
            if step.odd and self.blocks:
                self.blocks = False
                module.zero_grad()
                step = trace_step(module=module, batch=batch, around=around, blocks=False)
            stepped = (
                trace_optimizer(module=module, book=around.book, asked=self.request["optimizer"])
                if optimizer
                else None
            )
            table = _table(module) if optimizer else []
            del module, batch
        return step, stepped, table

    def _build(self, size: Size, layers: int | None) -> tuple[Any, Any]:
        offered = {**self.request["offered"], "micro_batch_size": size.batch}
        if "sequence_length" in offered:
            offered["sequence_length"] = size.length
        if layers is not None:
            offered["num_layers"] = layers
        module, batch = make_ready(
            self.function(**self.taken.of(offered)),
            name=self.request["module"],
            compute=self.request["compute"],
            autocast=self.request["autocast"],
            frozen=tuple(self.request["frozen"]),
        )
        self.sample, self.coupled = sample_size(batch), coupled_in(module)
        axes = tuple(name not in self.taken for name in _SIZES)
        if self.sample is not None:
            asked = Size(size.batch, size.length if self.extends(1) else self.sample.length)
            batch = resized(batch, size=asked, sample=self.sample, axes=(axes[0], axes[1]))
        return module, batch


def _table(module: Any) -> list[dict[str, Any]]:
    """Parameters by the module that holds them, in order."""
    found: dict[str, dict[str, Any]] = {}
    for path, parameter in module.named_parameters():
        row = found.setdefault(path.rpartition(".")[0], {"parameters": 0, "parameter_bytes": 0, "trained": 0})
        row["parameters"] += parameter.numel()
        row["parameter_bytes"] += parameter.numel() * parameter.element_size()
        row["trained"] += parameter.numel() * parameter.requires_grad
    return [{"path": path, **row} for path, row in found.items()]


def trace_module(request: Mapping[str, Any]) -> dict[str, Any]:
    """The trace file's content, without code and module. Raises Refused, and whatever the person's code raises."""
    directory = Path(request["directory"])
    function = find_function(request["module"], directory=directory)
    taken = taken_by(function, request["offered"], name=request["module"])
    bench = Bench(request=request, function=function, taken=taken)
    size = Size(request["sizes"]["micro_batch_size"], request["sizes"]["sequence_length"])
    gc.freeze()  # what torch and the person's code loaded stays; each trace ends with a collection
    step, optimizer, table = bench.trace_with_optimizer(size)
    gc.freeze()
    return {
        "versions": {"torch": torch.__version__.partition("+")[0]},
        "accepts": list(taken.names),
        "arguments": {
            name: value for name, value in taken.of(request["offered"]).items() if name not in _SIZES
        },
        **extended(bench, size),
        "loss": step.loss,
        "coupled": bench.coupled,
        "totals": _totals(step, optimizer, table),
        "modules": _modules(step, table),
        "optimizer": {**request["optimizer"], "how": optimizer.how},
    }


def _totals(step: StepTrace, optimizer: OptimizerTrace, table: list[dict[str, Any]]) -> dict[str, Any]:
    """One device, one micro-batch: bytes of everything, and the peak of every phase."""
    states = optimizer.state_bytes
    phases = {
        "forward-end": step.forward_peak + states,
        "backward": step.backward_peak + states,
        "optimizer-step": optimizer.peak,
    }
    return {
        "parameters": sum(row["parameters"] for row in table),
        "trained": sum(row["trained"] for row in table),
        "parameter_bytes": step.parameter_bytes,
        "gradient_bytes": step.gradient_bytes,
        "optimizer_state_bytes": states,
        "optimizer_transient_bytes": optimizer.peak - optimizer.live,
        "buffer_bytes": step.buffer_bytes,
        "batch_bytes": step.batch_bytes,
        "saved_bytes": step.saved_bytes,
        "peak_bytes": max(phases.values()),
        "peak_phase": max(phases, key=lambda name: phases[name]),
        "phases": phases,
    }


def _modules(step: StepTrace, table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Parameters and saved bytes of every module that has any, in order of their names' first appearance."""
    rows = {row["path"]: {**row, "saved_bytes": 0} for row in table}
    for path, saved in step.saved_by_path.items():
        empty = {"path": path, "parameters": 0, "parameter_bytes": 0, "trained": 0, "saved_bytes": 0}
        rows.setdefault(path, empty)["saved_bytes"] = saved
    return list(rows.values())
