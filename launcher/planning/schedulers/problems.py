"""Why a schedule cannot be left to a stack, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from launcher.errors import Problem
from launcher.planning.learning_rate import learning_rate_at
from launcher.planning.schedulers.asked import Asked
from launcher.planning.schedulers.comparing import TOLERANCE, Comparison
from launcher.planning.schedulers.deepspeed import LENGTH_AT_LEAST
from launcher.planning.schedulers.drawing import compiled_rate, lengths_given
from launcher.planning.words import counted
from launcher.spec.rates import CompiledSchedule

__all__ = ["argument_problems", "curve_problem", "no_such_shape", "owner_problem"]


def owner_problem(message: str, *because: str, hint: str, path: str = "schedule.owner") -> Problem:
    """An owner that does not exist here, or not together with another key."""
    return Problem(code="schedule-owner", path=path, message=message, because=because, hint=hint)


def no_such_shape(owner: str, reason: str, *, able: Sequence[str]) -> Problem:
    """The scheduler has no curve like the one asked for."""
    return Problem(
        code="schedule-not-drawn",
        path="schedule.owner",
        message=f"`schedule.owner: {owner}` cannot draw the schedule: {_name(owner)} {reason}",
        hint=_able_hint(able),
    )


def argument_problems(owner: str, wrong: Sequence[tuple[str, str]], *, path: str) -> tuple[Problem, ...]:
    """Arguments that the stack would refuse or not understand."""
    return tuple(
        Problem(
            code="schedule-argument",
            path=f"{path}.{key}",
            message=f"`{path}.{key}` is nothing that {owner} can be given: {words}",
            hint=f"leave {path}.{key} out: the plan fills it in",
        )
        for key, words in wrong
    )


def curve_problem(
    owner: str,
    compiled: CompiledSchedule,
    asked: Asked,
    found: Comparison,
    *,
    path: str,
    instead: CompiledSchedule | None,
    able: Sequence[str],
) -> Problem:
    """The stack would draw another curve. instead: the compiled arguments, where they would draw the right one."""
    reasons = list(_reasons(compiled, asked, found)) or ["its shape is another one"]
    hint = _able_hint(able)
    if instead is not None:
        given = {**instead.arguments, **instead.handed}
        words = ", ".join(f"{key}: {value}" for key, value in given.items() if key not in _UNSAID)
        hint = f"leave {path} out: the plan fills in {instead.scheduler} with {words}"
    return Problem(
        code="schedule-differs",
        path=path,
        message=f"`schedule.owner: {owner}` would not train by the schedule asked for: {reasons[0]}",
        because=(*reasons[1:], _largest(compiled, found)),
        hint=hint,
    )


def _largest(compiled: CompiledSchedule, found: Comparison) -> str:
    steps = counted(compiled.lag_steps, "step")
    late = f" (without the {steps} by which it is always late)" if compiled.lag_steps > 0 else ""
    return (
        f"largest difference at step {found.step}: {found.drawn:.4g} instead of {found.asked:.4g}{late}, "
        f"{_percent(found.largest)} of the peak; {_percent(TOLERANCE)} is let pass"
    )


_UNSAID = {
    "scheduler_specific_kwargs",
    "lr_scheduler_kwargs",
    "lr_scheduler_type",
    "warmup_min_lr",
    "warmup_max_lr",
}


def _reasons(compiled: CompiledSchedule, asked: Asked, found: Comparison) -> Iterator[str]:
    """What is different, the plainest first."""
    yield from _of_the_warmups_shape(compiled, asked)
    yield from _of_processes(compiled, asked)
    if found.misses_peak:
        short = f"{100 * (1 - found.highest):.2g} % below it at best, at step {found.highest_step}"
        yield f"it never reaches its peak: {short}"
    yield from _of_lengths(compiled, asked)
    yield from _of_ends(compiled, asked, found)


def _of_the_warmups_shape(compiled: CompiledSchedule, asked: Asked) -> Iterator[str]:
    drawn = str(compiled.arguments.get("warmup_type", "linear"))
    wanted = asked.schedule.warmup_shape
    if compiled.stack != "deepspeed" or drawn == wanted or not asked.warmup_steps:
        return
    if drawn == "log":
        yield "its warmup is logarithmic, which DeepSpeed's is unless warmup_type: linear is given"
    else:
        yield f"its warmup is {drawn}, and `schedule.warmup_shape` is {wanted}"


def _of_processes(compiled: CompiledSchedule, asked: Asked) -> Iterator[str]:
    calls, given, total = compiled.calls_per_step, lengths_given(compiled), asked.end_steps
    times = f"Accelerate advances it once per process, {calls} times a step"
    if calls > 1 and _other_length(given.total, asked, calls=calls):
        assert given.total is not None
        ends = math.ceil(given.total / calls)
        early = total is not None and ends < total
        yield (
            f"over after {ends} of {total} steps: {times}"
            if early
            else (f"its length is {ends} steps, the run's {total}: {times}")
        )
    elif calls > 1 and given.warmup != asked.warmup_steps * calls:
        yield f"warmed up after {_steps(given.warmup / calls)} of {asked.warmup_steps} steps: {times}"
    handed = compiled.handed.get("warmup_num_steps")
    if handed is not None and handed not in {asked.warmup_steps, max(1, asked.warmup_steps)}:
        yield (
            f"a warmup of {counted(handed, 'step')}, asked for is {asked.warmup_steps}: of a DummyScheduler "
            "Accelerate divides total_num_steps by the processes, and not warmup_num_steps"
        )


def _of_lengths(compiled: CompiledSchedule, asked: Asked) -> Iterator[str]:
    given, calls = lengths_given(compiled), compiled.calls_per_step
    if calls == 1 and _other_length(given.total, asked, calls=1):
        divided = ": Accelerate divides a DummyScheduler's total_num_steps by the processes"
        why = divided if compiled.handed else ""
        yield f"its length is {_steps(given.total or 0)} steps, the run's {asked.end_steps}{why}"
    drawn = max(given.warmup, LENGTH_AT_LEAST) if compiled.stack == "deepspeed" else given.warmup / calls
    flat = compiled.arguments.get("warmup_min_lr") == compiled.arguments.get("warmup_max_lr", -1)
    if calls == 1 and drawn != asked.warmup_steps and not flat and not compiled.handed:
        least = f": DeepSpeed takes {LENGTH_AT_LEAST} at least" if drawn != given.warmup else ""
        yield f"a warmup of {_steps(drawn)} steps, asked for is {asked.warmup_steps}{least}"
    exact = asked.schedule.warmup_samples / asked.global_batch_size
    if drawn == asked.warmup_steps != exact:
        yield f"its warmup is whole steps, {asked.warmup_steps} for {float(exact):.4g}"


def _other_length(total: float | None, asked: Asked, *, calls: int) -> bool:
    """Whether a decay ends elsewhere than the run; a rate that stays has no end to be wrong."""
    known = total is not None and asked.end_steps is not None
    return known and asked.decay not in _ENDLESS and total != (asked.end_steps or 0) * calls


def _of_ends(compiled: CompiledSchedule, asked: Asked, found: Comparison) -> Iterator[str]:
    """Start, peak and end of the curve."""
    start, wanted = compiled_rate(compiled, peak=asked.peak, step=1), asked.schedule.start_learning_rate
    if asked.warmup_steps and abs(start - wanted) > TOLERANCE * asked.peak and compiled.lag_steps >= 0:
        both = " (where it starts is also where it ends)" if compiled.scheduler in _TO_AND_FROM else ""
        yield f"it starts at {start:.4g}, asked for is {wanted:.4g}{both}"
    if found.highest > 1 + TOLERANCE:
        yield f"its peak is {found.highest * asked.peak:.4g}, asked for is {asked.peak:.4g}"
    if asked.total_steps is not None:
        end = compiled_rate(
            compiled, peak=asked.peak, step=asked.total_steps + 1 + max(0, compiled.lag_steps)
        )
        final = learning_rate_at(schedule=asked.schedule, samples=asked.total_steps * asked.global_batch_size)
        if abs(end - final) > TOLERANCE * asked.peak:
            yield f"it ends at {end:.4g}, asked for is {final:.4g}"


_ENDLESS = {"constant", "inverse-sqrt"}
_TO_AND_FROM = {"WarmupDecayLR", "warmup_stable_decay"}


def _name(owner: str) -> str:
    return owner.partition(":")[2]


def _able_hint(able: Sequence[str]) -> str:
    if not able:
        return "write launch.runtime: true and schedule.owner: runtime, which draws every schedule"
    others = " or ".join(able[:3])
    return f"write schedule.owner: {others}"


def _steps(number: float) -> str:
    return f"{number:g}"


def _percent(share: float) -> str:
    """Four digits: 99.95 % is not 100 %."""
    return f"{100 * share:.4g} %"
