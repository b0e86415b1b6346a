"""A picture of a run: loss, and the learning rate as planned and as measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launcher.reporting.run_log import StepLine
from launcher.spec.plan import RunPlan

__all__ = ["draw_curves"]

_LOSS, _PLANNED, _MEASURED = "#1f5fa8", "#c9c9c9", "#c2410c"


def draw_curves(*, steps: Sequence[StepLine], plan: RunPlan, target: Path) -> bool:
    """Writes a PNG of 1200 x 800 pixels; False when matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return False
    figure = Figure(figsize=(8, 16 / 3), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _draw_loss(upper, steps)
    _draw_learning_rate(lower, steps)
    upper.set_title(f"{plan.recipe_name}   plan {plan.plan_hash[:6]}", loc="left", fontsize=10)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, linewidth=0.4, alpha=0.5)
        axes.margins(x=0.01)
    figure.savefig(target)
    target.chmod(0o600)
    return True


def _draw_loss(axes: Any, steps: Sequence[StepLine]) -> None:
    found = [(line.step, line.loss) for line in steps if line.loss is not None]
    axes.plot(*_columns(found), color=_LOSS, linewidth=1.0, label="training")
    validated = [(line.step, line.validation_loss) for line in steps if line.validation_loss is not None]
    if validated:
        axes.plot(
            *_columns(validated), "o-", color=_MEASURED, markersize=3, linewidth=1.0, label="validation"
        )
        axes.legend(frameon=False, fontsize=8)
    axes.set_ylabel("loss")


def _draw_learning_rate(axes: Any, steps: Sequence[StepLine]) -> None:
    """The plan as a broad pale line under the measured one: where they agree, both are seen."""
    planned = [
        (line.step, line.planned_learning_rate) for line in steps if line.planned_learning_rate is not None
    ]
    measured = [(line.step, line.learning_rate) for line in steps if line.learning_rate is not None]
    if planned:
        axes.plot(*_columns(planned), color=_PLANNED, linewidth=5, label="planned", solid_capstyle="round")
    if measured:
        axes.plot(*_columns(measured), color=_MEASURED, linewidth=1.2, label="measured")
    if planned or measured:
        axes.legend(frameon=False, fontsize=8)
    axes.set_ylabel("learning rate")
    axes.set_xlabel("optimizer step")
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))


def _columns(points: Sequence[tuple[int, float | None]]) -> tuple[list[int], list[float | None]]:
    return [step for step, _ in points], [value for _, value in points]
