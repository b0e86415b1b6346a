"""What each law would have lost on somebody else's runs: the 17 grids that Step Law's authors publish.

    python benchmarks/laws_on_runs.py dense_lr_bs_loss.csv [--output benchmarks/step_law_lost.csv]

Reads step-law/steplaw@32a8f4c data/dense_lr_bs_loss.csv (arXiv:2503.04715); prints the table of the page on what is not
known, and writes a row for each grid, law and question.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from flat_optimum import SEQUENCE, Model, Run, nearest, runs_of

from launcher.planning.laws import critical_batch, deepseek, nanochat, practice, step_law

__all__ = ["Lost", "read_lost", "table"]

OUTPUT = Path(__file__).resolve().parent / "step_law_lost.csv"
QUESTIONS = ("batch and rate", "batch", "rate")


class Lost(NamedTuple):
    """Loss over the best of the grid, as a share."""

    parameters: float
    tokens: float
    law: str
    question: str
    """batch: with the best rate at it; rate: at the best batch."""
    extra_loss: float


class Choice(NamedTuple):
    """What a law says; None for what it does not. Batch in sequences of 2,048."""

    batch: float | None
    rate: float | None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    found = [lost for key, runs in runs_of(arguments.table).items() for lost in _lost(*key, runs)]
    with arguments.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Lost._fields)
        writer.writerows(found)
    print("\n".join(table(found)))


def read_lost(path: Path = OUTPUT) -> list[Lost]:
    """What main has written."""
    with path.open(encoding="utf-8") as file:
        return [
            Lost(
                float(row["parameters"]),
                float(row["tokens"]),
                row["law"],
                row["question"],
                float(row["extra_loss"]),
            )
            for row in csv.DictReader(file)
        ]


def table(found: list[Lost]) -> list[str]:
    """Median over the grids and the worst of them, in percent of the loss."""
    lines = [f"| law | {' | '.join(QUESTIONS)} |", f"|---|{'---|' * len(QUESTIONS)}"]
    for law in dict.fromkeys(lost.law for lost in found):
        cells = [_cell([e.extra_loss for e in found if (e.law, e.question) == (law, q)]) for q in QUESTIONS]
        lines.append(f"| {law} | {' | '.join(cells)} |")
    return lines


def _cell(values: list[float]) -> str:
    return f"{100 * median(values):.2f} % ({100 * max(values):.2f})" if values else ""


def _lost(model: Model, tokens: float, runs: list[Run]) -> Iterator[Lost]:
    best = min(runs, key=lambda run: run.loss)
    for law, choice in _choices(model, tokens).items():
        taken: dict[str, Run] = {}
        if choice.batch is not None and choice.rate is not None:
            taken["batch and rate"] = nearest(runs, batch=choice.batch, rate=choice.rate)
        if choice.batch is not None:
            taken["batch"] = _at_batch(runs, choice.batch)
        if choice.rate is not None:
            beside = [run for run in runs if run.batch == best.batch]
            taken["rate"] = nearest(beside, batch=best.batch, rate=choice.rate)
        for question, run in taken.items():
            yield Lost(model.parameters, tokens, law, question, round(run.loss / best.loss - 1, 6))


def _at_batch(runs: list[Run], batch: float) -> Run:
    """The best run at the batch of the grid that is nearest."""
    near = min((run.batch for run in runs), key=lambda size: abs(math.log(size / batch)))
    return min((run for run in runs if run.batch == near), key=lambda run: run.loss)


def _choices(model: Model, tokens: float) -> dict[str, Choice]:
    each = deepseek.flops_per_token(
        num_layers=model.num_layers, hidden_size=model.hidden_size, sequence_length=SEQUENCE
    )
    million = tokens / critical_batch.TOKENS_PER_PARAMETER / 1e6
    critical = critical_batch.critical_sequences(million_parameters=million) * critical_batch.SEQUENCE
    batches = {
        "Step Law (its own runs)": step_law.batch_tokens(tokens=tokens),
        "DeepSeek LLM": deepseek.batch_tokens(flops=each * tokens),
        "nanochat": nanochat.batch_tokens(total_tokens=tokens),
        "critical by data": critical,
        "GPT-3 by width": None,
    }
    rates = {
        "Step Law (its own runs)": step_law.learning_rate(matrices=model.parameters, tokens=tokens),
        "DeepSeek LLM": deepseek.learning_rate(flops=each * tokens),
        "GPT-3 by width": practice.learning_rate(width=model.hidden_size),
    }
    return {
        law: Choice(None if batch is None else batch / SEQUENCE, rates.get(law))
        for law, batch in batches.items()
    }


if __name__ == "__main__":
    main()
