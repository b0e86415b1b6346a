"""The picture of published decays in docs/explanation/learning-rate.md, drawn from the recipes of the library.

    python benchmarks/plots_decays.py [--folder docs/explanation/learning-rate]

Needs matplotlib (extra `train`). Every point is the learning rate of a plan. The same plans give the same file.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from plotting import EXPLANATION, parser_of, plt, save

from launcher.api import load_recipe, plan
from launcher.planning.learning_rate import learning_rate_at
from launcher.spec.rates import SchedulePlan

FOLDER = EXPLANATION / "learning-rate"
RECIPES = Path(__file__).resolve().parents[1] / "recipes"
POINTS = 400
SHOWN = {
    "ResNet-50, batch 8192: step": "resnet-50/p100-sxm-16gb-32x8-batch-8192",
    "ResNet-50, batch 32768: polynomial 2": "resnet-50/a100-sxm-40gb-32x8-batch-32768",
    "BERT-large, LAMB, phase 1: polynomial 0.5": "bert-large/a100-sxm-40gb-1x8-lamb-phase-1",
    "T5-base: inverse-sqrt": "t5-base/a100-sxm-40gb-1x8",
    "GPT-3: cosine, ends before the run": "gpt-3-13b/a100-sxm-80gb-64x8",
    "DeepSeek-V3: constant, then cosine": "deepseek-v3/h800-sxm-80gb-256x8",
}
"""Titles with their recipes."""


def main() -> None:
    folder = parser_of(__doc__, folder=FOLDER).parse_args().folder
    save(folder / "decays.svg", published())


def published() -> Any:
    """Share of the peak over the share of the run, one recipe to a panel."""
    figure, axes = plt.subplots(2, 3, figsize=(9.5, 4.6), sharex=True, sharey=True, layout="constrained")
    for axis, (title, name) in zip(axes.flat, SHOWN.items(), strict=True):
        shares = [Fraction(point, POINTS) for point in range(1, POINTS + 1)]
        axis.plot([float(share) for share in shares], curve(name, shares), color="#1f5fa8", linewidth=1.3)
        axis.set_title(title, fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("share of the run")
    for axis in axes[:, 0]:
        axis.set_ylabel("share of the peak")
    return figure


def curve(name: str, shares: list[Fraction]) -> list[float]:
    """Learning rates over the peak, at shares of the run."""
    found = plan(load_recipe(RECIPES / f"{name}.yaml")).learning_rate
    assert found is not None
    schedule: SchedulePlan = found.schedule
    total = schedule.total_samples
    assert total is not None
    rates = [learning_rate_at(schedule=schedule, samples=share * total) for share in shares]
    return [rate / schedule.peak_learning_rate for rate in rates]


if __name__ == "__main__":
    main()
