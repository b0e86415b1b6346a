"""How a run stands, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launcher.reporting.run_log import StepLine, show_loss
from launcher.reporting.run_text import show_duration
from launcher.spec.plan import RunPlan
from launcher.units import show_count, show_rate

__all__ = ["rank_line", "run_line", "step_line"]


def run_line(*, state: str, plan: RunPlan, directory: str, seconds: float) -> str:
    """`running runs/quickstart-...   12 min 5 s   (plan 7f3a9c, 16 processes on 2 hosts, torchrun over ssh)`."""
    layout, launch = plan.layout, plan.launch
    processes = f"{layout.world_size} process{'es' if layout.world_size != 1 else ''}"
    hosts = f" on {layout.num_nodes} hosts" if layout.num_nodes > 1 else ""
    what = f"plan {plan.plan_hash[:6]}, {processes}{hosts}, {launch.engine} over {launch.executor}"
    return f"{state:<12}{directory}   {show_duration(seconds)}   ({what})"


def step_line(*, plan: RunPlan, steps: Sequence[StepLine], seconds_ago: float | None) -> str:
    """`step  1,204 of 35,763, loss 3.412, learning rate 0.0029, 2.1 s ago`; says so before the first step."""
    total = plan.learning_rate.total_steps if plan.learning_rate else plan.data.get("total_steps")
    if not steps:
        return "step        none yet"
    last = steps[-1]
    words = [f"{show_count(last.step)}{f' of {show_count(total)}' if total else ''}"]
    if last.loss is not None:
        words.append(f"loss {show_loss(last.loss)}")
    if last.learning_rate is not None:
        words.append(f"learning rate {show_rate(last.learning_rate)}")
    if seconds_ago is not None:
        words.append(f"{show_duration(seconds_ago)} ago")
    return f"step        {', '.join(words)}"


def rank_line(beats: Mapping[int, Mapping[str, Any]]) -> str | None:
    """Which ranks are behind the others by a step or more; None where nobody is, or nothing is known."""
    steps = {rank: int(beat["steps"]) for rank, beat in beats.items() if isinstance(beat.get("steps"), int)}
    if len(steps) < 2:
        return None
    first = max(steps.values())
    late = [rank for rank, step in steps.items() if step < first]
    if not late:
        return None
    shown = ", ".join(f"rank {rank} at {show_count(steps[rank])}" for rank in late[:8])
    more = f" and {len(late) - 8} more" if len(late) > 8 else ""
    return f"late        {shown}{more}; the others at step {show_count(first)}"
