"""The curves of docs/explanation/small-systems.md: one full run of each small system, on two processes of this CPU.

    python benchmarks/plots_small_systems.py [--folder docs/explanation/small-systems] [--runs FOLDER]

Needs matplotlib (extra `train`). Draws what the CSV files of the folder hold; --runs gathers them anew from run folders
named SYSTEM-VARIANT or SYSTEM-VARIANT-SEED below FOLDER, as `batchwright run RECIPE --run-dir FOLDER/NAME` leaves them.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from plotting import EXPLANATION, parser_of, plt, save

FOLDER = EXPLANATION / "small-systems"
COLUMNS = (
    "run", "step", "samples", "tokens", "training_loss", "validation_loss", "validation_accuracy",
    "noise_scale", "noise_low", "noise_high",
)  # fmt: skip
SYSTEMS = {
    "summarizer": ("summarizer",),
    "char-rnn": ("rnn-1024", "rnn-2048"),
    "forecaster": ("forecaster",),
    "classifier": ("classifier",),
    "small-moe": ("moe-26x128", "moe-6x512", "moe-104x32"),
    "batch-norm-cnn": ("cnn-32", "cnn-2"),
    "regression": ("regression-8", "regression-64", "regression-353"),
}
"""Name of the system to the run folders that belong to it, without their seeds."""
WORDS = {
    "summarizer": "32 docstrings",
    "rnn-1024": "hidden 1,024, batch 32",
    "rnn-2048": "hidden 2,048, batch 16",
    "forecaster": "64 windows",
    "classifier": "64 docstrings",
    "moe-26x128": "26 x 128",
    "moe-6x512": "6 x 512",
    "moe-104x32": "104 x 32",
    "cnn-32": "32 images to a forward pass",
    "cnn-2": "2 images to a forward pass",
    "regression-8": "batch 8",
    "regression-64": "batch 64",
    "regression-353": "batch 353, all",
}
COLOURS = ("tab:blue", "tab:orange", "tab:green")
Rows = dict[str, list[dict[str, str]]]


def main() -> None:
    parser = parser_of(__doc__, folder=FOLDER)
    parser.add_argument("--runs", type=Path)
    options = parser.parse_args()
    for name, runs in SYSTEMS.items():
        path = options.folder / f"{name}.csv"
        if options.runs:
            gather(path, options.runs, runs)
    kept = {name: read(options.folder / f"{name}.csv") for name in SYSTEMS}
    save(options.folder / "losses.svg", losses(kept))
    save(options.folder / "mixture.svg", mixture(kept["small-moe"], read_cost(options.folder / "cost.csv")))
    save(
        options.folder / "recurrent.svg", recurrent(kept["char-rnn"], read_cost(options.folder / "cost.csv"))
    )
    save(options.folder / "split-and-batch.svg", split_and_batch(kept))


def gather(path: Path, folder: Path, runs: tuple[str, ...]) -> None:
    """Writes one file of curves from run folders: every evaluation, with the noise scale of its step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for run in runs:
            for place in sorted([folder / run, *folder.glob(f"{run}-[0-9]")]):
                if (place / "evaluation.jsonl").exists():
                    writer.writerows(rows_of(place))


def rows_of(place: Path) -> list[dict[str, Any]]:
    """Evaluations of one run folder as rows."""
    length = json.loads((place / "plan.json").read_text())["batch"]["sequence_length"] or 1
    noise = {entry["step"]: entry for entry in lines(place / "noise.jsonl")}
    found = []
    for entry in lines(place / "evaluation.jsonl"):
        at = noise.get(entry["step"], {})
        measured = at if not at.get("unresolved", True) else {}
        row = {
            **{name: entry.get(name) for name in COLUMNS},
            "run": place.name,
            "tokens": entry["samples"] * length,
            "noise_scale": measured.get("noise_scale"),
            "noise_low": measured.get("low"),
            "noise_high": measured.get("high"),
        }
        found.append(
            {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in row.items()}
        )
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    """Objects of a file with one on each line."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def read(path: Path) -> Rows:
    """Rows of a file by run."""
    found: Rows = defaultdict(list)
    with path.open() as file:
        for row in csv.DictReader(file):
            found[row["run"]].append(row)
    return found


def read_cost(path: Path) -> dict[str, float]:
    """Processor seconds per token of every recipe that benchmarks/small_systems_cost.py has measured."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {row["system"]: float(row["cpu_seconds_per_step"]) / int(row["tokens_per_step"]) for row in rows}


def column(rows: list[dict[str, str]], name: str) -> list[float]:
    return [float(row[name]) for row in rows if row[name]]


def losses(kept: dict[str, Rows]) -> Any:
    """Training and validation loss of the systems that stand alone."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2))
    titles = {
        "summarizer": "summarizer: nats per word",
        "forecaster": "forecaster: squared error",
        "classifier": "classifier: nats",
    }
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        (rows,) = kept[name].values()
        steps = column(rows, "step")
        if name != "forecaster":  # its two losses have other units
            axis.plot(steps, column(rows, "training_loss"), color="tab:grey", label="training")
        axis.plot(steps, column(rows, "validation_loss"), color="tab:blue", label="validation")
        axis.set_title(title)
        axis.set_xlabel("optimizer steps")
        axis.set_ylim(bottom=0)
        axis.legend()
    axes[1].set_title('forecaster: error over that of "no change"')
    figure.tight_layout()
    return figure


def mixture(kept: Rows, cost: dict[str, float]) -> Any:
    """Validation loss of the three batches over tokens and over processor time."""
    recipes = {run: f"small-moe/cpu-1x2-{run.removeprefix('moe-')}" for run in SYSTEMS["small-moe"]}
    return by_tokens_and_time(kept, {run: cost[name] for run, name in recipes.items()})


def recurrent(kept: Rows, cost: dict[str, float]) -> Any:
    """Validation loss of both widths over characters and over processor time."""
    recipes = {run: f"char-rnn/cpu-1x2-hidden-{run.removeprefix('rnn-')}" for run in SYSTEMS["char-rnn"]}
    return by_tokens_and_time(kept, {run: cost[name] for run, name in recipes.items()})


def by_tokens_and_time(kept: Rows, seconds_per_token: dict[str, float]) -> Any:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for (run, cost), colour in zip(seconds_per_token.items(), COLOURS, strict=False):
        rows = kept[run]
        tokens, loss = column(rows, "tokens"), column(rows, "validation_loss")
        left.plot([each / 1e6 for each in tokens], loss, color=colour, label=WORDS[run])
        right.plot([each * cost for each in tokens], loss, color=colour, label=WORDS[run])
    left.set_xlabel("million tokens read")
    right.set_xlabel("processor seconds of one of the two ranks")
    left.set_ylabel("validation loss, nats per character")
    left.legend()
    figure.tight_layout()
    return figure


def split_and_batch(kept: dict[str, Rows]) -> Any:
    """The CNN in two splits, and the regression at three batches: three seeds each."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    for axis, name, value in (
        (left, "batch-norm-cnn", "validation_accuracy"),
        (right, "regression", "validation_loss"),
    ):
        for run, colour in zip(SYSTEMS[name], COLOURS, strict=False):
            seeds = {place: rows for place, rows in kept[name].items() if place.rpartition("-")[0] == run}
            for number, rows in enumerate(seeds.values()):
                epochs = [
                    each / (1437 if name == "batch-norm-cnn" else 353) for each in column(rows, "samples")
                ]
                label = WORDS[run] if number == 0 else None
                axis.plot(epochs, column(rows, value), color=colour, linewidth=1, label=label)
        axis.set_xlabel("epochs")
        axis.legend()
    left.set_ylabel("validation accuracy")
    right.set_ylabel("validation error (1: the mean of the target)")
    right.set_ylim(0.4, 1.1)
    figure.tight_layout()
    return figure


if __name__ == "__main__":
    main()
