"""How far the curve that a stack draws is from the one that was asked for, its first-step convention taken out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from launcher.planning.schedulers.asked import Asked
from launcher.planning.schedulers.drawing import compiled_rate, lag_of, lengths_given
from launcher.spec.rates import CompiledSchedule

__all__ = ["TOLERANCE", "Comparison", "compare", "steps_to_compare"]

TOLERANCE = 0.01
"""Largest difference that is let pass at any step, of the peak. Stacks count whole steps: a warmup of W that is no
whole number of them is up to 1 / W of the peak off once rounded. From 100 steps on that is nothing anybody tunes; in a
shorter warmup it is a choice, which a person makes."""

_EVERY = 2000
"""Steps up to which all of them are compared."""
_AROUND = 40
"""Steps on either side of a corner of either curve."""
_BETWEEN = 400
"""Steps spread evenly over a longer run: between corners both curves are smooth."""
_RELATIVE = 1e-12


class Comparison(NamedTuple):
    """Rates are learning rates, shares are of the asked peak."""

    largest: float
    """Largest difference, as a share."""
    step: int
    """Where it is."""
    drawn: float
    asked: float
    """Rates of that step, the asked one as late as the stack is."""
    highest: float
    """Highest drawn share."""
    highest_step: int
    misses_peak: bool
    """The asked curve gets to its peak in as many steps, the drawn one never does."""

    @property
    def agrees(self) -> bool:
        """Whether the stack may have the schedule."""
        return self.largest <= TOLERANCE and not self.misses_peak


def compare(compiled: CompiledSchedule, asked: Asked) -> Comparison:
    """Every step of a short run; of a long one the corners, densely, and the ways between."""
    peak = asked.peak
    lag = lag_of(stack=compiled.stack, scheduler=compiled.scheduler, calls_per_step=compiled.calls_per_step)
    worst, highest = (-1.0, 1, 0.0, 0.0), (-1.0, 1)
    for step in steps_to_compare(compiled, asked):
        drawn, wanted = compiled_rate(compiled, peak=peak, step=step), asked.behind(step, lag)
        worst = max(worst, (abs(drawn - wanted) / peak, step, drawn, wanted), key=lambda found: found[0])
        highest = max(highest, (drawn / peak, step), key=lambda found: found[0])
    return Comparison(
        largest=worst[0],
        step=worst[1],
        drawn=worst[2],
        asked=worst[3],
        highest=highest[0],
        highest_step=highest[1],
        misses_peak=_gets_to_peak(asked, lag) and highest[0] < 1 - _RELATIVE,
    )


def steps_to_compare(compiled: CompiledSchedule, asked: Asked) -> list[int]:
    """Optimizer steps, ascending."""
    end = asked.total_steps or _end_of_endless(compiled, asked)
    if end <= _EVERY:
        return list(range(1, end + 1))
    near = {
        step
        for corner in _corners(compiled, asked, end)
        for step in range(int(corner) - _AROUND, int(corner) + _AROUND + 1)
    }
    spread = {1 + (end - 1) * part // _BETWEEN for part in range(_BETWEEN + 1)}
    return sorted(step for step in near | spread if 1 <= step <= end)


def _corners(compiled: CompiledSchedule, asked: Asked, end: int) -> Iterator[float]:
    """Optimizer steps at which one of the curves may have a kink."""
    yield from (1, end, asked.warmup_steps)
    yield from asked.corners
    if asked.decay_steps is not None:
        yield (asked.end_steps or end) - asked.decay_steps
    given, calls = lengths_given(compiled), compiled.calls_per_step
    yield given.warmup / calls
    if given.total is not None:
        decay = given.specific.get("num_decay_steps") or 0
        yield from (given.total / calls, (given.total - decay) / calls)


def _end_of_endless(compiled: CompiledSchedule, asked: Asked) -> int:
    warmup = max(asked.warmup_steps, lengths_given(compiled).warmup / compiled.calls_per_step)
    return 2 * int(max(warmup, asked.decay_steps or 0, *asked.corners)) + _AROUND


def _gets_to_peak(asked: Asked, lag: int) -> bool:
    """Whether the asked curve, so many steps late, ends its warmup within the run; also between two steps."""
    if asked.total_steps is None:
        return True
    return asked.schedule.warmup_samples <= (asked.total_steps - lag) * asked.global_batch_size
