"""The gradient noise scale while it trains: two squares per step, their means, and a line for who reads the log.

Nothing here touches a gradient. One pass over the gradients of one micro-batch is all that is computed; what ranks have
to tell each other travels with the sum of their losses.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.planning.accumulation import micro_batch_slots
from launcher.planning.noise.estimators import Squares
from launcher.planning.noise.modes import Way, way_of
from launcher.planning.noise.moments import FEWEST, Moments
from launcher.runtime.noise_gradients import reader_of
from launcher.runtime.reducers import Reducer
from launcher.runtime.steps import MicroBatch, Step
from launcher.spec.plan import BatchPlan, RunPlan

__all__ = ["SHARED", "NoiseMeter", "group_sizes"]

SHARED = 3
"""Numbers that ranks sum up in every step, measured or not, so that the losses beside them sum to the same bits."""


class NoiseMeter:
    """Measures the steps of one run; the same on every rank."""

    def __init__(self, plan: RunPlan, *, reducer: Reducer) -> None:
        self._plan, self._reducer = plan, reducer
        self._log: Path | None = None
        block = plan.gradient_noise or {}
        self._every = int(block.get("every_steps", 1))
        # a stage may be measurable where the last one is not
        self._reader = reader_of(reducer) if block.get("asked", "off") != "off" else None
        self.moments = Moments(decay=float(block.get("decay", 0.99)))
        self._length: int | None = None
        self._step: Step | None = None
        self._way: Way | None = None
        self._sizes: tuple[int, ...] = ()
        self._known: dict[tuple[Way, int, int, int], tuple[int, ...]] = {}
        self._own_weight = 0.0
        self._own: Any = None
        self._averaged: Any = None
        self._scale = 1.0

    def opens(self, folder: Path, *, resumed: bool) -> str | None:
        """Called on the rank that writes noise.jsonl; a line where nothing will be in it against the plan."""
        self._log = folder / "noise.jsonl"
        if not resumed:
            self._log.unlink(missing_ok=True)
        if self._reader is None and (self._plan.gradient_noise or {}).get("way"):
            return f"noise   not measured: {self._reducer.name} keeps its gradients where they cannot be read"
        return None

    def begins(self, step: Step, *, own_weight: float) -> None:
        """Called before a step; own_weight: of this rank's sequences in it."""
        self._step = self._own = self._averaged = None
        self._own_weight = own_weight
        if self._reader is None or not step.total_weight or (step.number - 1) % self._every:
            return
        self._way = way_of(self._plan, step.batch)
        if self._way is None:
            return
        sizes = self._groups(step, self._way)
        self._sizes = (sum(sizes),) if self._reader.joint else sizes
        if sum(self._sizes) < step.size * len([each for each in self._sizes if each]):
            self._step, self._scale = step, self._reader.loss_scale()
        if self._length != step.batch.sequence_length:  # another sequence is another unit
            self._length = step.batch.sequence_length
            self.moments = Moments(decay=self.moments.decay)

    def before_backward(self, micro: MicroBatch) -> None:
        """Watches the backward that will average the gradients."""
        if self._step and self._reader and self._way == "ranks" and micro.is_last:
            self._reader.watch()

    def after_backward(self, micro: MicroBatch) -> None:
        """Takes the square of the small gradient, as soon as it is there."""
        if self._step is None or self._reader is None:
            return
        if self._way == "ranks" and micro.is_last:
            self._own = self._reader.own()
        elif self._way == "micro-batches" and micro.number == 0:
            self._own, self._own_weight = self._reader.accumulated(), micro.loss_weight

    def before_step(self) -> None:
        """Takes the square of the large gradient where the optimizer's step will not tell it."""
        if self._step and self._reader:
            clips = self._plan.optimizer.gradient_clipping is not None
            self._averaged = self._reader.averaged(clips=clips)

    def shares(self) -> tuple[Any, ...]:
        """What this rank adds to S, to Q, and to the number of ranks that could measure; see planning.noise."""
        step, own = self._step, self._own
        if step is None or own is None or self._reader is None:
            return (0.0,) * SHARED
        if self._reader.joint:
            return (own, self._own_weight, 1.0)
        size = self._sizes[self._reducer.rank]
        if not size:
            return (0.0, 0.0, 1.0)
        # p.grad is ranks / W times the summed gradient, or 1 / W where ranks are added up
        ranks = 1 if self._reducer.division == "sum" else step.batch.data_parallel_size
        own = own * (step.size / ranks) ** 2 / size
        return (own, (self._own_weight * step.size / step.total_weight) ** 2 / size, 1.0)

    def stepped(self, shares: Sequence[float], *, norm: float | None, skipped: bool) -> str | None:
        """Takes in a step that is done, and logs it. Returns what is worth telling a person, now and then.

        shares: those of all ranks, summed. norm: of the averaged gradient before clipping, where it is known.
        """
        step, self._step = self._step, None
        if step is None or skipped or round(shares[2]) != self._reducer.world_size:
            return None
        big = norm**2 if self._averaged is None and norm is not None else None
        if self._averaged is not None:
            big = float(self._averaged) / self._scale**2
        squares = None if big is None else self._squares(step, shares, big)
        if squares is None or not (math.isfinite(squares.small) and math.isfinite(squares.big)):
            return None
        self.moments = self.moments.after(squares)
        if self._log:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self._entry(step, squares)) + "\n")
        return self._told()

    def state(self) -> dict[str, Any]:
        """The means, for a checkpoint; empty where nothing was measured."""
        return {"noise": {"length": self._length, **self.moments.state()}} if self.moments.count else {}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Goes on with the means of a checkpoint, where it has any and they decay as planned."""
        kept = state.get("noise")
        if kept and kept["decay"] == self.moments.decay:
            self._length, self.moments = kept["length"], Moments.of_state(kept)

    def _groups(self, step: Step, way: Way) -> tuple[int, ...]:
        batch = step.batch
        key = (way, step.size, batch.micro_batch_size, batch.gradient_accumulation_steps)
        if key not in self._known:
            self._known[key] = group_sizes(batch, way=way, size=step.size)
        return self._known[key]

    def _squares(self, step: Step, shares: Sequence[float], big: float) -> Squares:
        groups = [each for each in self._sizes if each]
        covered, size = sum(groups), float(step.size)
        scale = self._scale**2
        if self._reader and self._reader.joint:
            small = shares[0] * (size / covered) ** 2 / scale
            evenness = (shares[1] * size / (covered * step.total_weight)) ** 2
        else:
            small, evenness = shares[0] / covered / scale, shares[1] / covered
        return Squares(small, big, covered / len(groups), size, evenness)

    def _entry(self, step: Step, squares: Squares) -> dict[str, Any]:
        moments, interval = self.moments, self.moments.interval()
        is_tokens = self._plan.loss["weighting"] == "tokens"
        return {
            "step": step.number,
            "samples": step.samples_after,
            "mode": self._way,
            "small_square": squares.small,
            "big_square": squares.big,
            "small_size": squares.small_size,
            "big_size": step.size,
            "weight_square": squares.weight_square,
            "tokens_per_sequence": step.total_weight / step.size if is_tokens else None,
            "gradient_square": moments.gradient_square,
            "trace": moments.trace,
            "measurements": moments.count,
            "noise_scale": moments.ratio,
            "low": None if interval is None else interval.low,
            "high": None if interval is None else interval.high,
            "unresolved": moments.unresolved(),
        }

    def _told(self) -> str | None:
        """At 200, 400, 800 ... measurements."""
        doubled, rest = divmod(self.moments.count, FEWEST)
        if rest or doubled & (doubled - 1):
            return None
        why, interval = self.moments.unresolved(), self.moments.interval()
        if why or interval is None:
            return f"noise   not resolved: {why}"
        scale = f"{self.moments.ratio:.3g} sequences (95 %: {interval.low:.3g} to {interval.high:.3g})"
        return f"noise   scale {scale}, order of magnitude"


def group_sizes(batch: BatchPlan, *, way: Way, size: int) -> tuple[int, ...]:
    """Sequences of each rank's group in a step that takes `size`: its first micro-batch, or all that it holds."""
    steps = range(1 if way == "micro-batches" else batch.gradient_accumulation_steps)
    return tuple(
        sum(
            len(
                micro_batch_slots(
                    micro_step=micro_step,
                    rank=rank,
                    micro_batch_size=batch.micro_batch_size,
                    data_parallel_size=batch.data_parallel_size,
                    samples_in_step=size,
                )
            )
            for micro_step in steps
        )
        for rank in range(batch.data_parallel_size)
    )
