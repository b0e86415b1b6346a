"""The pictures of docs/explanation/scaling.md and warmup.md: rules against published rates, and what a warmup keeps.

    python benchmarks/plots_rates.py [--folder docs/explanation]

Needs matplotlib (extra `train`). The same tables give the same files.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import scaling_rules
from plotting import EXPLANATION, parser_of, plt, save

from launcher.api import load_recipe, plan
from launcher.planning.learning_rate import learning_rate_at
from launcher.planning.reference import Ratio
from launcher.planning.scaling import scale_by

FOLDER = EXPLANATION

TUNED = {
    # mlcommons/logging@7bbf792 rcp_checker: training_6.0.0 llama31_8b, training_4.0.0 resnet
    "Llama 3.1 8B, AdamW, tuned": [(16, 4e-4), (32, 8e-4), (64, 8e-4), (96, 1e-3), (128, 2e-3)],
    "ResNet-50, LARS, tuned": [
        (1632, 7.4),
        (3264, 10.5),
        (4096, 10),
        (8192, 17),
        (13056, 12.8),
        (32768, 21.2),
        (49152, 19.405),
        (65536, 24.699),
    ],
    # You et al. 2019, arXiv:1904.00962, untuned BERT
    "BERT, LAMB, by sqrt": [(512 * 2**at, 6.25e-4 * 2 ** (at / 2)) for at in range(7)],
    # Goyal et al. 2017, arXiv:1706.02677: top-1 holds to x32
    "ResNet-50, SGD, by linear": [(256, 0.1), (8192, 3.2)],
}


def main() -> None:
    folder = parser_of(__doc__, folder=FOLDER).parse_args().folder
    for name, figure in {
        "scaling/rules": rules_and_published_rates(),
        "scaling/cost": cost_of_rules(),
        "warmup/conventions": conventions(),
    }.items():
        save(folder / f"{name}.svg", figure)


def rules_and_published_rates() -> Any:
    """Left: every rule over kappa, with rates that were published. Right: the best rates of 17 grids."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
    across = [2 ** (at / 4) for at in range(25)]
    for rule, style in (("linear", "-"), ("sqrt", "-"), ("saturating", "--"), ("capped", ":")):
        factors = [factor(rule, kappa=kappa, critical=8) for kappa in across]
        name = rule if rule in {"linear", "sqrt"} else f"{rule}, critical batch at x8"
        left.plot(across, factors, style, linewidth=1.2, color="black" if style != "-" else None, label=name)
    for name, points in TUNED.items():
        batch, rate = points[0]
        left.plot(
            [each / batch for each, _ in points],
            [each / rate for _, each in points],
            marker="o",
            markersize=4,
            linewidth=0,
            label=name,
        )
    left.set(
        xscale="log",
        yscale="log",
        xlabel="batch / reference batch",
        ylabel="rate / reference rate",
        ylim=(0.8, 70),
    )
    left.legend(fontsize=6.5)
    _best_rates(right)
    return figure


def _best_rates(axis: Any) -> None:
    """Every batch of a grid over the grid's best batch; each grid scaled to the median of its rates beyond it."""
    rows = [row for row in scaling_rules.read(scaling_rules.BEST) if row["models"] == "dense"]
    grids = dict.fromkeys((row["parameters"], row["tokens"]) for row in rows)
    for grid in sorted(grids, key=lambda key: float(key[1])):
        own = [row for row in rows if (row["parameters"], row["tokens"]) == grid]
        beyond = sorted(float(row["rate"]) for row in own if int(row["batch"]) >= int(row["best_batch"]))
        level = beyond[len(beyond) // 2]
        axis.plot(
            [int(row["batch"]) / int(row["best_batch"]) for row in own],
            [float(row["rate"]) / level for row in own],
            marker="o",
            markersize=3,
            linewidth=0.4,
            color="tab:gray",
            alpha=0.6,
        )
    across = [2 ** (at / 4) for at in range(-18, 15)]
    for rule, style in (
        ("linear", "tab:blue"),
        ("sqrt", "tab:orange"),
        ("saturating", "black"),
        ("capped", "tab:red"),
    ):
        factors = [factor(rule, kappa=kappa, critical=1) for kappa in across]
        axis.plot(across, factors, color=style, linewidth=1.3, label=rule)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="batch / best batch of the grid",
        ylabel="best rate / best rate beyond",
        ylim=(0.05, 8),
        title="AdamW, 17 grids of 1,911 runs",
    )
    axis.legend(fontsize=7)


def cost_of_rules() -> Any:
    """Mean percent of loss above the best rate's, when the best rate of another batch is moved by a rule."""
    rows = scaling_rules.read(scaling_rules.COSTS)
    ratios = list(dict.fromkeys(row["ratio"] for row in rows))
    names = list(dict.fromkeys(row["rule"] for row in rows))
    means = {(row["models"], row["rule"], row["ratio"]): float(row["mean"]) for row in rows}
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True)
    for axis, models, title in zip(axes, ("dense", "moe"), ("dense", "mixtures of experts"), strict=True):
        for place, name in enumerate(names):
            across = [at + 0.16 * (place - 2) for at in range(len(ratios))]
            axis.bar(across, [means[models, name, ratio] for ratio in ratios], width=0.15, label=name)
        axis.set(yscale="log", xlabel="batch / batch that was tuned", title=title)
        axis.set_xticks(range(len(ratios)), [f"x{ratio}" for ratio in ratios])
    axes[0].set(ylabel="loss above the best, %, mean")
    axes[1].legend(fontsize=7)
    return figure


def conventions() -> Any:
    """The warmup of 2000 steps at 256 sequences, trained with 1024: by samples, and by steps, over both."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.4))
    base = {
        "sequence_length": 1024,
        "hidden_size": 768,
        "cluster": {"nodes": 1, "devices_per_node": 1, "device": "cpu"},
    }
    cases = {
        "reference: 256 sequences": (256, "unit", "black", "-"),
        "1024, samples kept (Goyal, GPT-3, MLPerf)": (1024, "samples", "tab:blue", "-"),
        "1024, steps kept (LEGW, LAMB, Ma & Yarats)": (1024, "steps", "tab:orange", "--"),
    }
    for name, (batch, keeps, colour, style) in cases.items():
        rate = plan(
            load_recipe(
                {
                    **base,
                    "global_batch_size": batch,
                    "optimizer": {"reference_learning_rate": 1e-3, "reference_batch_size": 256},
                    "schedule": {"warmup": "2000 steps", "warmup_keeps": keeps, "length": "3M samples"},
                }
            )
        ).learning_rate
        assert rate is not None
        across = [3_000_000 * at // 300 for at in range(301)]
        rates = [1000 * learning_rate_at(schedule=rate.schedule, samples=samples) for samples in across]
        axes[0].plot([samples / 1e6 for samples in across], rates, style, color=colour, label=name)
        axes[1].plot([samples / batch for samples in across], rates, style, color=colour, label=name)
    axes[0].set(xlabel="samples seen, millions", ylabel="learning rate, 1e-3")
    axes[1].set(xlabel="optimizer steps", xlim=(0, 4000))
    axes[0].legend(fontsize=7, loc="lower right")
    return figure


def factor(rule: Any, *, kappa: float, critical: float) -> float:
    """The factor of a rule at kappa. critical: the critical batch over the reference batch."""
    ratio = Ratio(Fraction(kappa), Fraction(1), "samples")
    return scale_by(rule, ratio=ratio, critical_batch=Fraction(critical))


if __name__ == "__main__":
    main()
