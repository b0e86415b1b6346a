"""What each scaling rule costs: the best rate of one batch, moved to another batch of the same published grid.

    python benchmarks/scaling_rules.py dense_lr_bs_loss.csv moe_lr_bs_loss.csv [--folder benchmarks]

Reads step-law/steplaw@32a8f4c data/*_lr_bs_loss.csv (1,911 dense runs in 17 grids, 708 of mixtures of experts in 16,
arXiv:2503.04715). Writes a row for every rule and ratio of batches (step_law_rules.csv), and the best rate of every
batch (step_law_best_rates.csv), which docs/explanation/scaling.md shows and launcher/planning/scaled_far.py quotes.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from flat_optimum import SEQUENCE, Run

from launcher.planning.laws.step_law import batch_tokens
from launcher.planning.reference import Ratio
from launcher.planning.scaling import Rule, scale_by

__all__ = ["BEST", "COSTS", "RULES", "Best", "Cost", "read"]

HERE = Path(__file__).resolve().parent
COSTS, BEST = HERE / "step_law_rules.csv", HERE / "step_law_best_rates.csv"
RATIOS = (Fraction(2), Fraction(4), Fraction(8), Fraction(1, 4), Fraction(1, 8))
RULES: dict[str, tuple[Rule, float]] = {
    "none": ("none", 1.0),
    "sqrt": ("sqrt", 1.0),
    "linear": ("linear", 1.0),
    "capped 0.5": ("capped", 0.5),
    "saturating 0.75": ("saturating", 0.75),
}


class Cost(NamedTuple):
    """Percent of loss above the best at the new batch. models: dense or moe."""

    models: str
    rule: str
    ratio: str
    pairs: int
    mean: float
    median: float


class Best(NamedTuple):
    """The best rate of one batch of a grid; best_batch: that of the whole grid, both in sequences."""

    models: str
    parameters: float
    tokens: float
    batch: int
    best_batch: int
    rate: float
    loss: float


class Curve(NamedTuple):
    """Loss over the rate at one batch, rates rising."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    def loss(self, rate: float) -> float:
        """Interpolated in the logarithm of the rate; beyond the grid it is cut to its edge."""
        if rate <= self.rates[0]:
            return self.losses[0]
        for (low, high), (left, right) in zip(
            zip(self.rates, self.rates[1:], strict=False),
            zip(self.losses, self.losses[1:], strict=False),
            strict=True,
        ):
            if rate <= high:
                share = math.log(rate / low) / math.log(high / low)
                return left + share * (right - left)
        return self.losses[-1]

    @property
    def best(self) -> tuple[float, float]:
        """Rate and loss of the best run."""
        loss, rate = min(zip(self.losses, self.rates, strict=True))
        return rate, loss


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--folder", type=Path, default=HERE)
    arguments = parser.parse_args()
    rows, best = [], []
    for table in arguments.tables:
        models = table.name.partition("_")[0]
        grids = {key: curves_of(runs) for key, runs in grids_of(table).items()}
        found = [row for key, curves in grids.items() for row in _best(models, key, curves)]
        rows += _costs(models, grids)
        best += found
        for below, name in ((True, "up to"), (False, "beyond")):
            slopes = list(_slopes(found, below=below))
            print(
                f"{models}: best rate over the batch, {name} the best batch: exponent {median(slopes):.2f} median, "
                f"{mean(slopes):.2f} mean"
            )
    write(arguments.folder / COSTS.name, rows)
    write(arguments.folder / BEST.name, best)
    for row in rows:
        print(
            f"{row.models} {row.rule} x{row.ratio}: {row.pairs} pairs, {row.mean:.2f} %, median {row.median:.2f} %"
        )


def grids_of(table: Path) -> dict[tuple[str, ...], list[Run]]:
    """Runs of each model and amount of data; smoothed losses, as the law was fitted on."""
    runs: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    with table.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = (row["N"], row["D"], row["h"], row["numl"], row.get("moe_name", ""))
            runs[key].append(Run(int(row["bs"]), float(row["lr"]), float(row["smooth loss"])))
    return dict(sorted(runs.items(), key=lambda grid: (float(grid[0][0]), float(grid[0][1]), grid[0][2:])))


def curves_of(runs: list[Run]) -> dict[int, Curve]:
    """The curve of every batch with three rates or more, in sequences."""
    by_batch: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for run in runs:
        by_batch[run.batch].append((run.rate, run.loss))
    return {
        batch: Curve(*zip(*sorted(points), strict=True))
        for batch, points in sorted(by_batch.items())
        if len(points) >= 3
    }


def read(path: Path) -> list[dict[str, str]]:
    """What main has written."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[Cost] | list[Best]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0]._fields)
        writer.writerows(rows)


def _costs(models: str, grids: dict[tuple[str, ...], dict[int, Curve]]) -> list[Cost]:
    costs: dict[tuple[str, Fraction], list[float]] = defaultdict(list)
    for (_, tokens, *_), curves in grids.items():
        for name, ratio, cost in _moved(curves, tokens=float(tokens)):
            costs[name, ratio].append(cost)
    return [
        Cost(models, name, str(ratio), len(found), round(mean(found), 4), round(median(found), 4))
        for name in RULES
        for ratio in RATIOS
        if (found := costs[name, ratio])
    ]


def _moved(curves: dict[int, Curve], *, tokens: float) -> Iterator[tuple[str, Fraction, float]]:
    """Rule, ratio, and percent of loss above the best, for every pair of batches with one of the ratios."""
    critical = Fraction(batch_tokens(tokens=tokens) / SEQUENCE)
    for start, before in curves.items():
        for end, after in curves.items():
            pair = Ratio(Fraction(end), Fraction(start), "samples")
            if pair.kappa not in RATIOS:
                continue
            for name, (rule, alpha) in RULES.items():
                factor = scale_by(rule, ratio=pair, alpha=alpha, critical_batch=critical)
                _, best = after.best
                yield name, pair.kappa, 100 * (after.loss(before.best[0] * factor) / best - 1)


def _best(models: str, key: tuple[str, ...], curves: dict[int, Curve]) -> list[Best]:
    best_batch = min(curves, key=lambda batch: curves[batch].best[1])
    return [
        Best(models, float(key[0]), float(key[1]), batch, best_batch, *curve.best)
        for batch, curve in curves.items()
    ]


def _slopes(best: list[Best], *, below: bool) -> Iterator[float]:
    """Exponent of the best rate in the batch, fitted on each side of every grid's best batch."""
    sides: dict[tuple[float, ...], list[Best]] = defaultdict(list)
    for row in best:
        if (row.batch <= row.best_batch) if below else (row.batch >= row.best_batch):
            sides[row.parameters, row.tokens, row.best_batch].append(row)
    for rows in sides.values():
        if len(rows) >= 3:
            across, up = (
                [math.log(value) for value in values]
                for values in ([r.batch for r in rows], [r.rate for r in rows])
            )
            left, low = mean(across), mean(up)
            yield sum((x - left) * (y - low) for x, y in zip(across, up, strict=True)) / sum(
                (x - left) ** 2 for x in across
            )


if __name__ == "__main__":
    main()
