"""The cost of scaling rules, as the page and the planner's note have it, is what the published runs give."""

import importlib
import math
import re
import sys
from pathlib import Path

import pytest

from launcher.planning import scaled_far

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
PAGE = ROOT / "docs" / "explanation" / "scaling.md"


@pytest.fixture(scope="module")
def rules():
    """benchmarks/scaling_rules.py, as run from its own folder."""
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("scaling_rules")
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def costs(rules):
    """Mean and median percent of loss above the best, by models, rule and ratio of batches."""
    return {
        (row["models"], row["rule"], row["ratio"]): (float(row["mean"]), float(row["median"]))
        for row in rules.read(rules.COSTS)
    }


def test_the_page_has_the_table(costs):
    """Every cell, mean and median, of dense models and of experts."""
    lines = (
        PAGE.read_text().split("### What AdamW does under each rule")[1].split("### Counter")[0].splitlines()
    )
    header = next(line for line in lines if line.startswith("| models |"))
    ratios = [cell.strip()[1:] for cell in header.strip("|").split("|")[2:]]
    shown = {}
    for line in lines:
        if line.startswith(("| dense", "| moe")):
            models, name, *cells = (cell.strip().strip("`") for cell in line.strip("|").split("|"))
            shown |= {(models, name, ratio): cell for ratio, cell in zip(ratios, cells, strict=True)}
    assert shown == {key: f"{mean:.2f} ({median:.2f})" for key, (mean, median) in costs.items()}


def test_the_planner_quotes_it(costs):
    """Moved by 4 and by 8, of both kinds of model."""
    for kind, models in (("decoder", "dense"), ("moe", "moe")):
        for rule, figures in scaled_far._LOSS_RISES[kind].items():
            name = "saturating 0.75" if rule == "saturating" else rule
            assert figures == pytest.approx([costs[models, name, at][0] for at in ("4", "8")], abs=0.006)


def test_a_rule_is_charged_what_its_rate_loses(rules, tmp_path):
    """A made-up grid: sqrt from 64 to 256 doubles the rate, and misses the best one by one step."""
    header = "h,ffnh,numh,numl,lr,bs,ti,loss,smooth loss,exp_name,D,N,D/N\n"
    best = {64: 1e-3, 256: 4e-3}
    table = tmp_path / "runs.csv"
    table.write_text(
        header
        + "".join(
            f"64,256,1,1,{rate},{batch},1,0,{2 + abs(math.log2(rate / best[batch]))},x,1e10,1e8,100\n"
            for batch in best
            for rate in (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
        )
    )
    ((key, runs),) = rules.grids_of(table).items()
    assert float(key[0]) == 1e8
    moved = {
        (name, str(ratio)): cost for name, ratio, cost in rules._moved(rules.curves_of(runs), tokens=1e10)
    }
    assert moved["sqrt", "4"] == pytest.approx(100 * 1 / 2)
    assert moved["linear", "4"] == pytest.approx(0)
    assert moved["none", "4"] == pytest.approx(100 * 2 / 2)
    assert moved["linear", "1/4"] == pytest.approx(0)


def test_a_rate_beyond_the_grid_is_cut_to_its_edge(rules):
    """Loss is interpolated in the logarithm of the rate between the grid's ends."""
    curve = rules.Curve((1e-3, 4e-3), (3.0, 2.0))
    assert [curve.loss(rate) for rate in (1e-4, 1e-3, 2e-3, 4e-3, 1.0)] == pytest.approx([3, 3, 2.5, 2, 2])


def test_the_exponent_in_the_page(rules):
    """Of dense models: 0.75 (mean 0.72) up to the best batch, -0.06 (-0.10) beyond it."""
    from statistics import mean, median

    kinds = {
        "models": str,
        "parameters": float,
        "tokens": float,
        "batch": int,
        "best_batch": int,
        "rate": float,
        "loss": float,
    }
    best = [
        rules.Best(**{name: kinds[name](value) for name, value in row.items()})
        for row in rules.read(rules.BEST)
        if row["models"] == "dense"
    ]
    below, beyond = (list(rules._slopes(best, below=side)) for side in (True, False))
    text = re.sub(r"\s+", " ", PAGE.read_text())
    assert f"to the power {median(below):.2f} (median; mean {mean(below):.2f}), beyond it stays" in text
    assert f"({median(beyond):.2f}, {mean(beyond):.2f})" in text
