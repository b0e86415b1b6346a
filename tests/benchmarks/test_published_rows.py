"""The published figures: every row cited, and mapped or left out for a listed reason."""

import csv
import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TABLES = sorted((BENCHMARKS / "published").glob("*.csv"))


@pytest.fixture(scope="module")
def accuracy():
    """benchmarks/accuracy.py, as run from its own folder."""
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("accuracy")
    sys.path.remove(str(BENCHMARKS))


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_row_is_cited_and_mapped(path, accuracy):
    """Each row has a citation and becomes a case or one of the closed list of reasons; cases say something."""
    module = importlib.import_module(f"published.{path.stem}")
    rows = rows_of(path)
    assert rows
    for row in rows:
        assert row.get("citation") or row["url"], row["row_id"]
        case = module.map_row(row)
        if isinstance(case, str):
            assert case in accuracy.REASONS, row["row_id"]
            continue
        assert (case.measured is None) == (case.quantity is None), row["row_id"]
        assert case.measured or case.outcome, row["row_id"]


def test_row_names_are_unique():
    """A row can be named."""
    for path in TABLES:
        names = [row["row_id"] for row in rows_of(path)]
        assert len(names) == len(set(names)), path.stem


def test_the_figures_stay_small():
    """Copies of others' tables keep under 3 MB."""
    assert sum(path.stat().st_size for path in TABLES) < 3_000_000


def test_errors_and_verdicts_of_a_source_are_counted(accuracy, capsys):
    """One table prints its rows, errors, verdicts and the baselines."""
    assert accuracy.main(["--source", "bigscience_logs_per_stage"]) == 0
    printed = capsys.readouterr().out
    assert "26 rows used, 2 left out" in printed
    assert "allocated, known" in printed
    assert "DeepSpeed estimate_zero" in printed


def test_a_figure_that_cannot_be_answered_counts_as_wrong(accuracy):
    """A case without an answer is an error of 100 % and an unknown verdict."""
    from published.case import Case

    from launcher.planning.memory.network import Network
    from launcher.planning.memory.setting import Setting

    case = Case(
        network=Network(kind="nothing"), setting=Setting(), quantity="device", measured=1e9, outcome="ran"
    )
    judged = accuracy.evaluate("row", case)
    assert judged.error == 1.0
    assert judged.verdict == "unknown-memory"
    assert judged.failure
