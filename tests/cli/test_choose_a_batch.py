"""The page on choosing a batch, and the table of the page on what is not known, show what the code says."""

import io
import re
import sys
from pathlib import Path

import pytest

from launcher.cli.main import main

ROOT = Path(__file__).parents[2]


def test_the_page_prints_what_the_command_prints(monkeypatch):
    """Line by line what `advise` of the page's first example prints."""
    page = (ROOT / "docs/how-to/choose-a-batch.md").read_text()
    words, printed = re.search(r"```console\n\$ batchwright (.*)\n((?:.*\n)*?)```", page).groups()
    monkeypatch.chdir(ROOT)
    out = io.StringIO()
    assert main(words.split(), environ={}, stdout=out, stderr=io.StringIO()) == 0
    assert out.getvalue() == printed


def test_the_table_of_laws_is_what_they_say(monkeypatch):
    """The page's table is what benchmarks/plots_laws.py makes of the laws."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import plots_laws

    page = (ROOT / "docs/explanation/what-is-not-known.md").read_text()
    assert "\n".join(plots_laws.table()) in page
    for name in ("plots_laws", "flat_optimum"):
        sys.modules.pop(name, None)


def test_what_the_laws_would_have_lost(monkeypatch):
    """The page's table is that of the rows kept; Step Law's at four grids and its worst are as once worked out by hand."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import laws_on_runs

    page = (ROOT / "docs/explanation/what-is-not-known.md").read_text()
    found = laws_on_runs.read_lost()
    assert "\n".join(laws_on_runs.table(found)) in page
    of_law = {
        (round(lost.parameters / 1e6), lost.tokens): lost.extra_loss
        for lost in found
        if lost.law.startswith("Step Law") and lost.question == "batch and rate"
    }
    assert len(of_law) == 17
    assert of_law[268, 8e10] == of_law[537, 1e10] == 0
    assert of_law[429, 5e10] == pytest.approx(0.00013, abs=5e-6)
    assert of_law[1074, 5.69e10] == pytest.approx(0.00080, abs=5e-6)
    assert max(of_law.values()) == of_law[215, 2e10] == pytest.approx(0.0031, abs=5e-5)
    for name in ("laws_on_runs", "flat_optimum"):
        sys.modules.pop(name, None)


def test_how_flat_the_best_is(monkeypatch):
    """The page's spans are the medians and ends of the rows kept of the published grids."""
    from statistics import median

    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import flat_optimum

    page = (ROOT / "docs/explanation/what-is-not-known.md").read_text()
    rows = re.findall(
        r"^\| ([\d.]+) %.*?\| x ([\d.]+) \| \(([\d.]+) to (\d+|[\d.]+)\) \| x ([\d.]+) \|", page, re.MULTILINE
    )
    assert [float(row[0]) for row in rows] == [0.25, 0.5, 1.0]
    for share, middle, low, high, rate in rows:
        grids = [
            grid for grid in flat_optimum.read_grids() if grid.share == pytest.approx(float(share) / 100)
        ]
        spans = [grid.high_batch / grid.low_batch for grid in grids]
        assert len(grids) == 17
        assert (float(middle), float(low), float(high)) == pytest.approx(
            (median(spans), min(spans), max(spans)), rel=0.03
        )
        assert float(rate) == pytest.approx(
            median(grid.high_rate / grid.low_rate for grid in grids), rel=0.03
        )
    sys.modules.pop("flat_optimum", None)
