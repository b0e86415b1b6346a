"""What a plan shows of a schedule that another stack owns."""

import pytest

from launcher.api import load_recipe, plan
from launcher.reporting.explain import explanation
from launcher.reporting.glyphs import ASCII
from launcher.reporting.rate_text import rate_lines


def shown(owner, *, launch=None, **schedule):
    recipe = load_recipe(
        {
            "global_batch_size": 48,
            "sequence_length": 128,
            "hidden_size": 64,
            "optimizer": {"learning_rate": 1e-3},
            "schedule": {
                "warmup": "100 steps",
                "decay": "linear",
                "length": "1000 steps",
                "owner": owner,
                **schedule,
            },
            "cluster": {"nodes": 1, "devices_per_node": 2, "device": "cpu"},
            "launch": {"script": "t.py", **(launch or {})},
        }
    )
    made = plan(recipe)
    return made, rate_lines(made, recipe, ASCII)


@pytest.mark.parametrize(
    ("owner", "changes", "words"),
    [
        (
            "engine:WarmupDecayLR",
            {"launch": {"engine": "deepspeed"}, "warmup": "4810 samples"},
            [
                "applied by DeepSpeed's WarmupDecayLR",
                "step 1 at 0, peak at step 103",
                "drawn by DeepSpeed's WarmupDecayLR: total_num_steps 1000, warmup_min_lr 0, warmup_max_lr 0.001",
                "warmup_num_steps 101, warmup_type linear",
                "2 steps behind the schedule asked for, steps 1 and 2 at 0; otherwise within 0.78 % of the peak",
            ],
        ),
        (
            "engine:WarmupDecayLR",
            {"launch": {"engine": "deepspeed"}, "warmup_shape": "log"},
            ["peak at step 101", "warmup_type log", "steps 1 and 2 at 0; otherwise the same curve"],
        ),
        (
            "script:accelerate",
            {},
            [
                "built by the script as transformers' linear, the script must be told how",
                "num_warmup_steps 200, num_training_steps 2000; Accelerate advances it 2 times a step",
                "1 step behind the schedule asked for, step 1 at 0; otherwise the same curve",
            ],
        ),
        (
            "script:trainer",
            {
                "launch": {"args": ["{peak_learning_rate}", "{warmup_steps}", "{total_steps}"]},
                "first_step": "zero",
            },
            [
                "built by the script as the Trainer's linear, its numbers are passed on",
                "no step behind the schedule asked for, step 1 at 0; otherwise the same curve",
            ],
        ),
    ],
)
def test_owner_arguments_and_the_two_curves(owner, changes, words):
    """Who draws it with what, its first-step convention, the largest difference, and both curves one above the other."""
    _, lines = shown(owner, **changes)
    text = "\n".join(lines)
    for each in words:
        assert each in text
    assert [line.split()[0] for line in lines[-2:]] == ["asked", "drawn"]
    assert len(lines[-1]) == len(lines[-2])


def test_one_curve_where_no_stack_owns_the_schedule():
    """The runtime's curve is the one asked for."""
    _, lines = shown("runtime", launch={"runtime": True})
    assert not any(line.startswith(("asked", "drawn")) for line in lines)


def test_where_the_arguments_come_from():
    """--explain names the formula of each argument, and the recipe for what is written there."""
    made, _ = shown(
        "script:accelerate", arguments={"num_training_steps": 2000, "scheduler_specific_kwargs": {}}
    )
    at = "learning_rate.compiled"
    assert made.origins[f"{at}.arguments.num_warmup_steps"].formula == "warmup_steps 100 x 2"
    assert made.origins[f"{at}.arguments.num_training_steps"].origin == "recipe"
    assert "once per process" in made.origins[f"{at}.calls_per_step"].formula
    text = "\n".join(explanation(made))
    for path in made.origins:
        assert path in text
