"""The pictures of docs/explanation/noise.md: a real run measured in both ways, and what batches cost.

    python benchmarks/plots_noise.py [--folder docs/explanation/noise] [--train]

Needs matplotlib (extra `train`). Draws what noise_run.csv holds; --train measures that anew: two trainings of 600 steps
of noise_training.py on two ranks of this CPU.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from plotting import EXPLANATION, parser_of, plt, save

from launcher.api import load_recipe, plan
from launcher.planning.noise.band import cost_of

HERE = Path(__file__).resolve().parent
FOLDER = EXPLANATION / "noise"
KEPT = HERE / "noise_run.csv"
COLUMNS = ("mode", "step", "noise_scale", "low", "high")
STEPS, EVERY = 600, 6
COLOURS = {"micro-batches": "tab:blue", "ranks": "tab:orange"}
WORDS = {"micro-batches": "4 sequences against 32", "ranks": "16 sequences against 32"}


def main() -> None:
    parser = parser_of(__doc__, folder=FOLDER)
    parser.add_argument("--train", action="store_true")
    options = parser.parse_args()
    if options.train:
        keep([row for way in COLOURS for row in trained(way)])
    save(options.folder / "both-ways.svg", both_ways())
    save(options.folder / "costs.svg", costs())


def trained(way: str) -> list[dict[str, Any]]:
    """Lines of noise.jsonl of one training, every sixth of them."""
    recipe = {
        "name": "licence",
        "global_batch_size": 32,
        "sequence_length": 64,
        "hidden_size": 64,
        "micro_batch_size": 4,
        "optimizer": {"name": "adamw", "learning_rate": 1e-3},
        "schedule": {"warmup": "20 steps", "length": f"{STEPS} steps"},
        "gradient_noise": way,
        "cluster": {"nodes": 1, "devices_per_node": 2, "device": "cpu"},
        "launch": {"script": "noise_training.py", "runtime": True},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plan.json").write_text(json.dumps(plan(load_recipe(recipe)).to_dict()))
        environ = {"OMP_NUM_THREADS": "1", "LAUNCHER_PLAN": f"{name}/plan.json", "BATCHWRIGHT_RUN": name}
        words = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
        subprocess.run(
            [*words, str(HERE / "noise_training.py")], env={**os.environ, **environ}, check=True, timeout=1200
        )
        lines = [json.loads(line) for line in (folder / "noise.jsonl").read_text().splitlines()]
    return [line for line in lines if line["step"] % EVERY == 0]


def keep(rows: list[dict[str, Any]]) -> None:
    with KEPT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            numbers = ("" if row[name] is None else f"{row[name]:.4g}" for name in COLUMNS[2:])
            writer.writerow([row["mode"], row["step"], *numbers])


def both_ways() -> Any:
    """The running noise scale over the steps with its 95 % interval, one training measured in two ways."""
    with KEPT.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["low"] and row["noise_scale"]]
    figure, axis = plt.subplots(figsize=(7.5, 4))
    for way, colour in COLOURS.items():
        mine = [row for row in rows if row["mode"] == way and int(row["step"]) >= 4 * EVERY]
        steps = [int(row["step"]) for row in mine]
        middle, low, high = ([float(row[name]) for row in mine] for name in COLUMNS[2:])
        axis.plot(steps, middle, color=colour, label=f"{way}: {WORDS[way]}")
        axis.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axis.axvspan(0, 200, color="black", alpha=0.06, linewidth=0)
    axis.text(100, 0.97, "not told yet", ha="center", va="top", transform=axis.get_xaxis_transform())
    axis.axhline(32, color="black", linewidth=0.8, linestyle="--")
    axis.text(6, 32, "the batch", ha="left", va="bottom")
    axis.set(yscale="log", xlabel="optimizer step", ylabel="noise scale, sequences", xlim=(0, STEPS))
    axis.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    axis.minorticks_off()
    axis.legend(fontsize=8, loc="lower right")
    return figure


def costs() -> Any:
    """Data and steps over their floors, and speed, over the batch in noise scales."""
    figure, axis = plt.subplots(figsize=(7.5, 3.6))
    batches = [10 ** (at / 50) for at in range(-75, 76)]
    found = [cost_of(global_batch_size=round(1e6 * batch), critical_batch=1e6) for batch in batches]
    axis.plot(batches, [cost.data for cost in found], color="tab:red", label="data, over the least")
    axis.plot(batches, [cost.steps for cost in found], color="tab:blue", label="steps, over the fewest")
    for place, word in ((0.2, "token-efficient"), (1, "balanced"), (5, "no benefit beyond")):
        axis.axvline(place, color="black", linewidth=0.8, linestyle=":")
        axis.text(place, 34, word, rotation=90, ha="right", va="top", fontsize=8)
    axis.set(
        xscale="log", yscale="log", ylim=(0.9, 40), xlabel="batch over noise scale", ylabel="times as much"
    )
    axis.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axis.set_xticks([0.05, 0.2, 1, 5, 20], ["0.05", "0.2", "1", "5", "20"])
    axis.minorticks_off()
    axis.legend(fontsize=8, loc="center left")
    return figure


if __name__ == "__main__":
    main()
