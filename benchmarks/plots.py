"""The pictures of docs/explanation/memory.md, drawn anew from the model and from the published figures.

    python benchmarks/plots.py [--folder docs/explanation/memory]

Needs matplotlib (extra `train`). The same figures give the same files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import accuracy
from plotting import EXPLANATION, parser_of, plt, save

from launcher.api import load_recipe, plan
from launcher.errors import PlanError

GIB = 2**30
FOLDER = EXPLANATION / "memory"
NODE = {"nodes": 1, "devices_per_node": 8, "device": "h100-sxm-80gb"}


def main() -> None:
    folder = parser_of(__doc__, folder=FOLDER).parse_args().folder
    names = sorted(path.stem for path in accuracy.HERE.glob("*.csv") if path.with_suffix(".py").exists())
    sources = [source for source in map(accuracy.judge, names) if not source.tuned]
    save(folder / "predicted.svg", predicted_and_measured(sources))
    save(folder / "rules.svg", errors_of_rules(sources))
    save(folder / "stages.svg", states_over_ranks())
    save(folder / "micro-batch.svg", memory_and_micro_batch())


def predicted_and_measured(sources: Sequence[Any]) -> Any:
    """One dot a row, measured across, predicted up; the lines are 10 % away."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.4))
    for axis, title, wanted in (
        (axes[0], "allocated, implementation known", ("allocated",)),
        (axes[1], "reserved, and all a device holds", ("reserved", "device")),
    ):
        for source in sources:
            rows = [
                row
                for row in source.rows
                if row.predicted
                and row.case.quantity in wanted
                and (row.case.known or wanted[0] != "allocated")
            ]
            if rows:
                measured = [row.case.measured / GIB for row in rows]
                axis.scatter(
                    measured, [row.predicted / GIB for row in rows], s=9, alpha=0.6, label=source.name
                )
        ends = axis.get_xlim()
        line = [max(0.2, ends[0]), max(ends[1], 100)]
        axis.plot(line, line, color="black", linewidth=0.8)
        for factor in (0.9, 1.1):
            axis.plot(line, [end * factor for end in line], color="black", linewidth=0.5, linestyle=":")
        axis.set(xscale="log", yscale="log", xlabel="measured, GiB", ylabel="predicted, GiB", title=title)
        axis.legend(fontsize=6, markerscale=1.5)
    return figure


def errors_of_rules(sources: Sequence[Any]) -> Any:
    """Share of rows with at most so much error, for this model and for the rules a user would find."""
    rows = [row for source in sources for row in source.rows if row.error is not None]
    rules = {"batchwright": [abs(row.error) for row in rows]}
    for row in rows:
        for name, value in row.others.items():
            rules.setdefault(name, []).append(abs(value / row.case.measured - 1))
    figure, axis = plt.subplots(figsize=(7, 3.6))
    for name, errors in rules.items():
        shares = [100 * (at + 1) / len(errors) for at in range(len(errors))]
        axis.step([100 * error for error in sorted(errors)], shares, label=f"{name} ({len(errors)} rows)")
    axis.set(xscale="symlog", xlim=(0, 3000), xlabel="error at most, %", ylabel="share of rows, %")
    axis.legend(fontsize=7, loc="upper left")
    return figure


def states_over_ranks() -> Any:
    """Parts of the peak of Llama-3-8B on 8 GPUs, by how the ranks hold the states."""
    ways = {
        "DDP": ("torchrun", {"strategy": "ddp"}),
        "ZeRO 1": ("deepspeed", {"strategy": "zero", "stage": 1}),
        "ZeRO 2": ("deepspeed", {"strategy": "zero", "stage": 2}),
        "ZeRO 3": ("deepspeed", {"strategy": "zero", "stage": 3}),
        "FSDP": ("accelerate", {"strategy": "fsdp", "stage": 3}),
        "ZeRO 2,\noffloaded": ("deepspeed", {"strategy": "zero", "stage": 2, "offload": "optimizer"}),
    }
    plans = {
        name: planned(
            model={"preset": "llama-3-8b"},
            micro_batch_size=1,
            activation_checkpointing="full",
            launch={"engine": engine},
            parallel={"data": data},
        )
        for name, (engine, data) in ways.items()
    }
    names = list(dict.fromkeys(name for each in plans.values() for name in each.memory.components))
    figure, axis = plt.subplots(figsize=(8, 4))
    bottoms = [0.0] * len(plans)
    for name in names:
        sizes = [each.memory.components.get(name, 0) / GIB for each in plans.values()]
        if max(sizes) < 0.3:
            continue
        axis.bar(list(plans), sizes, bottom=bottoms, label=name.replace("_", " "), width=0.6)
        bottoms = [bottom + size for bottom, size in zip(bottoms, sizes, strict=True)]
    limit = next(iter(plans.values())).memory.usable_bytes / GIB
    axis.axhline(limit, color="black", linewidth=0.9, linestyle="--")
    axis.set(ylabel="GiB on one GPU")
    axis.legend(fontsize=7)
    return figure


def memory_and_micro_batch() -> Any:
    """Expected peak and its range over the micro-batch, GPT-2 1.5B on one node, with and without recomputation."""
    figure, axis = plt.subplots(figsize=(7, 3.8))
    for recompute in ("none", "full"):
        sizes = [1, 2, 4, 8, 16, 32]
        plans = [
            planned(
                model={"preset": "gpt2-xl"},
                sequence_length=1024,
                global_batch_size=256,
                micro_batch_size=size,
                activation_checkpointing=recompute,
            )
            for size in sizes
        ]
        axis.plot(
            sizes,
            [each.memory.peak_bytes / GIB for each in plans],
            marker="o",
            label=f"recompute {recompute}",
        )
        low, high = (
            [getattr(each.memory, f"{end}_bytes") / GIB for each in plans] for end in ("low", "high")
        )
        axis.fill_between(sizes, low, high, alpha=0.2)
    limit = plans[0].memory.usable_bytes / GIB
    axis.axhline(limit, color="black", linewidth=0.9, linestyle="--")
    axis.set(
        xscale="log", yscale="log", xlabel="micro-batch, sequences of 1,024 tokens", ylabel="GiB on one GPU"
    )
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.legend(fontsize=8)
    return figure


def planned(**keys: Any) -> Any:
    """The plan of a recipe on one node, fitting or not."""
    recipe = {"global_batch_size": 64, "sequence_length": 8192, "cluster": NODE, **keys}
    try:
        return plan(load_recipe(recipe))
    except PlanError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
