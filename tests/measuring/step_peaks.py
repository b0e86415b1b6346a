"""The allocator's peak in every stretch of a real training step on CPU; imports torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile, record_function

__all__ = ["step_peaks"]


def step_peaks(train: Callable[[Callable[[str], Any]], None]) -> dict[str, int]:
    """Largest number of bytes held at once in every stretch that `train` marks by `with mark(name):`.

    From the profiler's memory events. Everything allocated since `train` began counts; what lived before does not.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled:
        train(lambda name: record_function(f"stretch:{name}"))
    events = profiled.profiler.kineto_results.events()
    memory = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    stretches = sorted(
        (event.start_ns(), event.start_ns() + event.duration_ns(), event.name().removeprefix("stretch:"))
        for event in events
        if event.name().startswith("stretch:")
    )
    held, position = 0, 0
    peaks: dict[str, int] = {}
    for begin, end, name in stretches:
        while position < len(memory) and memory[position][0] < begin:
            held += memory[position][1]
            position += 1
        peak = held
        while position < len(memory) and memory[position][0] <= end:
            held += memory[position][1]
            peak = max(peak, held)
            position += 1
        peaks[name] = max(peak, peaks.get(name, 0))
    return peaks
