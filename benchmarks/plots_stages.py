"""The pictures of docs/explanation/stages.md: a published ramp, and what a learning rate's clock counts.

    python benchmarks/plots_stages.py [--folder docs/explanation/stages]

Needs matplotlib (extra `train`). Every point is read from a plan. The same plans give the same files.
"""

from __future__ import annotations

from typing import Any

from plotting import EXPLANATION, parser_of, plt, save

from launcher.api import load_recipe, plan
from launcher.planning.stages.ledger import planned_rate, rate_at, step_at
from launcher.spec.plan import RunPlan

FOLDER = EXPLANATION / "stages"
COMMON = {
    "hidden_size": 768,
    "cluster": {"nodes": 1, "devices_per_node": 8, "device": "a100-sxm-80gb"},
    "launch": {"runtime": True},
}


def main() -> None:
    folder = parser_of(__doc__, folder=FOLDER).parse_args().folder
    save(folder / "bloom.svg", ramp_of_bloom())
    save(folder / "clock.svg", clocks())


def planned(**keys: Any) -> RunPlan:
    """The plan of a recipe on eight GPUs."""
    return plan(load_recipe({**COMMON, **keys}), environ={})


def bloom(**optimizer: Any) -> RunPlan:
    """BLOOM's batch, ramp, warmup and decay on a small model.

    Source: bigscience-workshop/bigscience@9e64ede train/tr11-176B-ml/tr11-176B-ml.slurm; its rate stays
    at the final one for 20 M samples after the decay, which lies to the right of the picture.
    """
    return planned(
        global_batch_size=2048,
        sequence_length=2048,
        stages={"rampup_batch_size": [192, 16, 9_765_625]},
        schedule={
            "warmup": "183_105 samples",
            "decay": "cosine",
            "length": "200M samples",
            "final_learning_rate_ratio": 0.1,
        },
        optimizer=optimizer,
    )


def ramp_of_bloom() -> Any:
    """Batch and learning rate against samples, over the ramp and a little more."""
    written = bloom(learning_rate=6e-5)
    scaled = bloom(reference_learning_rate=6e-5, reference_batch_size=2048)
    assert written.stages is not None
    figure, axes = plt.subplots(2, 1, figsize=(7, 5), sharex=True)
    begins = [stage.samples_before / 1e6 for stage in written.stages]
    sizes = [stage.batch.global_batch_size for stage in written.stages]
    axes[0].step([*begins, 12], [*sizes, sizes[-1]], where="post", color="tab:blue")
    axes[0].set(ylabel="sequences per step", title="BLOOM: 192 to 2,048 sequences in 12,658 steps")
    for result, name, style in (
        (written, "learning_rate, as BLOOM trained", "-"),
        (scaled, "reference_learning_rate at 2,048, square-root rule", "--"),
    ):
        points = [round(12_000_000 * at / 600) for at in range(1, 601)]
        rates = [rate_at(result, point) for point in points]
        axes[1].plot([point / 1e6 for point in points], rates, style, label=name)
    axes[1].set(xlabel="million sequences", ylabel="learning rate", xlim=(0, 12), ylim=(0, None))
    axes[1].legend(fontsize=7, loc="lower right")
    return figure


def clocks() -> Any:
    """The rate of one run against its tokens, as a function of samples and as one of tokens."""
    figure, axis = plt.subplots(figsize=(7, 3.2))
    for clock, style in (("tokens", "-"), ("samples", "--")):
        result = planned(
            global_batch_size=256,
            sequence_length=4096,
            stages=[
                {"until": "10B tokens", "sequence_length": 512},
                {"until": "20B tokens", "sequence_length": 1024},
                {},
            ],
            schedule={"decay": "cosine", "length": "40B tokens", "warmup": "375M tokens", "clock": clock},
            optimizer={"learning_rate": 3e-4},
        )
        total = result.data["total_steps"]
        steps = [step_at(result, round(1 + (total - 1) * at / 600)) for at in range(601)]
        tokens = [(step.tokens_after or 0) / 1e9 for step in steps if step is not None]
        rates = [planned_rate(result, step) for step in steps if step is not None]
        axis.plot(tokens, rates, style, label=f"schedule.clock: {clock}")
    for end in (10, 20):
        axis.axvline(end, color="black", linewidth=0.6, linestyle=":")
    axis.set(
        xlabel="billion tokens; sequences of 512, then 1,024, then 4,096",
        ylabel="learning rate",
        xlim=(0, 40),
        ylim=(0, None),
    )
    axis.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    main()
