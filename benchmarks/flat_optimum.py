"""How flat the best batch and learning rate are: 17 published grids, and how far from the best loss still is the best.

    python benchmarks/flat_optimum.py dense_lr_bs_loss.csv [--output benchmarks/step_law_flat.csv]

Reads step-law/steplaw@32a8f4c data/dense_lr_bs_loss.csv (1,911 runs, arXiv:2503.04715); prints what the page on what is
not known has, and writes a row for each grid, which the page's picture is drawn from.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

__all__ = ["SEQUENCE", "Grid", "Model", "Run", "grids_of", "nearest", "read_grids", "runs_of"]

OUTPUT = Path(__file__).resolve().parent / "step_law_flat.csv"
SHARES = (0.0025, 0.005, 0.01)
SEQUENCE = 2048


class Run(NamedTuple):
    """One of the grid's runs."""

    batch: int
    rate: float
    loss: float


class Model(NamedTuple):
    """One of its models."""

    parameters: float
    hidden_size: int
    num_layers: int


class Grid(NamedTuple):
    """One model and amount of data: the best run, and the ends of what is within a share of its loss."""

    parameters: float
    tokens: float
    share: float
    runs: int
    best_batch: int
    best_rate: float
    low_batch: int
    high_batch: int
    low_rate: float
    high_rate: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    grids = grids_of(arguments.table)
    with arguments.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Grid._fields)
        writer.writerows(grids)
    for share in SHARES:
        found = [grid for grid in grids if grid.share == share]
        batches = [grid.high_batch / grid.low_batch for grid in found]
        rates = [grid.high_rate / grid.low_rate for grid in found]
        print(
            f"within {share:.2%} of the best loss: batch x {median(batches):.2g} (x {min(batches):.2g} to "
            f"{max(batches):.2g}), rate x {median(rates):.2g} (x {min(rates):.2g} to {max(rates):.2g})"
        )


def grids_of(table: Path) -> list[Grid]:
    """Every grid of the published table at every share."""
    return [
        _grid(model.parameters, tokens, share=share, runs=found)
        for (model, tokens), found in runs_of(table).items()
        for share in SHARES
    ]


def runs_of(table: Path) -> dict[tuple[Model, float], list[Run]]:
    """Runs of each model and amount of data, in order of size; smoothed losses, as the law was fitted on."""
    runs: dict[tuple[Model, float], list[Run]] = defaultdict(list)
    with table.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            model = Model(float(row["N"]), int(row["h"]), int(row["numl"]))
            run = Run(int(row["bs"]), float(row["lr"]), float(row["smooth loss"]))
            runs[model, float(row["D"])].append(run)
    return dict(sorted(runs.items()))


def nearest(runs: list[Run], *, batch: float, rate: float) -> Run:
    """The run nearest to a batch in sequences and a rate, in logarithms."""
    return min(runs, key=lambda run: math.hypot(math.log(run.batch / batch), math.log(run.rate / rate)))


def read_grids(path: Path = OUTPUT) -> list[Grid]:
    """What main has written."""
    with path.open(encoding="utf-8") as file:
        return [Grid(**{name: float(value) for name, value in row.items()}) for row in csv.DictReader(file)]


def _grid(parameters: float, tokens: float, *, share: float, runs: list[Run]) -> Grid:
    best = min(runs, key=lambda run: run.loss)
    near = [run for run in runs if run.loss <= best.loss * (1 + share)]
    return Grid(
        parameters=parameters,
        tokens=tokens,
        share=share,
        runs=len(runs),
        best_batch=best.batch,
        best_rate=best.rate,
        low_batch=min(run.batch for run in near),
        high_batch=max(run.batch for run in near),
        low_rate=min(run.rate for run in near),
        high_rate=max(run.rate for run in near),
    )


if __name__ == "__main__":
    main()
