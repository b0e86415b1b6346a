"""The pictures of docs/explanation/learning-rate.md: the schedule asked for, and what each stack draws of it.

    python benchmarks/plots_schedules.py [--folder docs/explanation/learning-rate]

Needs matplotlib (extra `train`). Every point is read from a plan or from a refusal. The same plans give the same files.
"""

from __future__ import annotations

from typing import Any

from plotting import EXPLANATION, parser_of, plt, save

from launcher.api import load_recipe, plan
from launcher.errors import PlanError
from launcher.planning.learning_rate import learning_rate_at
from launcher.planning.schedulers.drawing import compiled_rate
from launcher.spec.plain import from_plain
from launcher.spec.rates import CompiledSchedule, SchedulePlan

FOLDER = EXPLANATION / "learning-rate"
BATCH, STEPS, PEAK = 48, 60, 1e-3
ZERO = {"parallel": {"data": {"strategy": "zero", "stage": 2}}}
FIRST = 14
"""Steps of the picture of the beginning."""


def main() -> None:
    folder = parser_of(__doc__, folder=FOLDER).parse_args().folder
    save(folder / "stacks.svg", whole_runs())
    save(folder / "first-steps.svg", first_steps())


def whole_runs() -> Any:
    """Nine owners of one schedule: the two upper rows may have it."""
    figure, axes = plt.subplots(3, 3, figsize=(9.5, 7), sharex=True, sharey=True, layout="constrained")
    for axis, (title, (owner, keys)) in zip(axes.flat, OWNERS.items(), strict=True):
        asked, drawn, refused = curves(owner, **keys)
        steps = range(1, STEPS + 1)
        axis.plot(steps, asked, color="#c9c9c9", linewidth=4, label="asked for")
        axis.plot(steps, drawn, color="#c2410c" if refused else "#1f5fa8", linewidth=1.3, label="drawn")
        axis.set_title(f"{title}{': refused' if refused else ''}", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("optimizer step")
    for axis in axes[:, 0]:
        axis.set_ylabel("share of the peak")
    axes[0, 0].legend(fontsize=7, frameon=False, loc="lower center")
    return figure


def first_steps() -> Any:
    """The warmup of each stack, step by step, and where a cosine of DeepSpeed's misses its peak."""
    figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
    shown = {
        "asked for": ("script:transformers", {}),
        "transformers, Trainer, Accelerate": ("script:transformers", {}),
        "DeepSpeed, linear": ("engine:WarmupDecayLR", DEEPSPEED),
        "DeepSpeed, log": ("engine:WarmupDecayLR", {**DEEPSPEED, "arguments": {"warmup_type": "log"}}),
        "WarmupCosineLR, linear": ("engine:WarmupCosineLR", {**DEEPSPEED, "decay": "cosine"}),
    }
    steps = range(1, FIRST + 1)
    for name, (owner, keys) in shown.items():
        asked, drawn, _ = curves(owner, **keys)
        values = asked if name == "asked for" else drawn
        style: dict[str, Any] = (
            {"color": "#9a9a9a", "linewidth": 3} if name == "asked for" else {"linewidth": 1.2}
        )
        style |= {"linestyle": "--"} if name.startswith("WarmupCosineLR") else {}
        axis.plot(steps, values[:FIRST], marker="o", markersize=3, label=name, **style)
    axis.set(xlabel="optimizer step", ylabel="share of the peak", xticks=list(steps))
    axis.legend(fontsize=7, frameon=False, loc="center right")
    return figure


def curves(owner: str, **keys: Any) -> tuple[list[float], list[float], bool]:
    """Shares of the peak as asked for and as drawn, and whether the recipe is refused."""
    engine, zero = keys.pop("engine", "torchrun"), keys.pop("zero", False)
    schedule = {"warmup": "10 steps", "decay": "linear", "length": f"{STEPS} steps", **keys}
    recipe = load_recipe(
        {
            "global_batch_size": BATCH,
            "sequence_length": 128,
            "hidden_size": 64,
            "optimizer": {"learning_rate": PEAK},
            "schedule": {**schedule, "owner": owner},
            "cluster": {"nodes": 1, "devices_per_node": 2, "device": "h100-sxm-80gb" if zero else "cpu"},
            "launch": {"engine": engine, "script": "train.py"},
            **(ZERO if zero else {}),
        }
    )
    try:
        rates, refused = plan(recipe, environ={}).to_dict()["learning_rate"], False
    except PlanError as error:
        rates, refused = error.to_dict()["learning_rate"], True
    asked = from_plain(SchedulePlan, rates["schedule"])
    compiled = from_plain(CompiledSchedule, rates["compiled"])
    steps = range(1, STEPS + 1)
    return (
        [learning_rate_at(schedule=asked, samples=step * BATCH) / PEAK for step in steps],
        [compiled_rate(compiled, peak=PEAK, step=step) / PEAK for step in steps],
        refused,
    )


DEEPSPEED = {"engine": "deepspeed"}
OWNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "DeepSpeed WarmupDecayLR": ("engine:WarmupDecayLR", DEEPSPEED),
    "transformers cosine": ("script:transformers", {"decay": "cosine"}),
    "Trainer warmup_stable_decay": ("script:trainer", {"decay": "wsd", "decay_length": "20 steps"}),
    "Accelerate, lengths x 2 processes": ("script:accelerate", {}),
    "DeepSpeed WarmupLR": ("engine:WarmupLR", {**DEEPSPEED, "decay": "constant"}),
    "DeepSpeed WarmupDecayLR, log asked for": (
        "engine:WarmupDecayLR",
        {**DEEPSPEED, "warmup_shape": "log"},
    ),
    "Accelerate, lengths as they are": (
        "script:accelerate",
        {"arguments": {"num_warmup_steps": 10, "num_training_steps": STEPS}},
    ),
    "DummyScheduler, both lengths x 2": (
        "engine:WarmupDecayLR",
        {
            "engine": "accelerate",
            "zero": True,
            "arguments": {"total_num_steps": 2 * STEPS, "warmup_num_steps": 20},
        },
    ),
    "DeepSpeed without warmup_type": (
        "engine:WarmupDecayLR",
        {**DEEPSPEED, "arguments": {"warmup_type": "log"}},
    ),
}


if __name__ == "__main__":
    main()
