"""Decays beside linear, cosine and wsd in other stacks' words, and those that no stack draws."""

import pytest
from asking import owned_plan, owned_refusal

DEEPSPEED = {"engine": "deepspeed"}
LENGTHS = ["{peak_learning_rate}", "{scheduler_warmup_steps}", "{scheduler_total_steps}"]


def told(owner, **changes):
    compiled = owned_plan(owner, **changes).learning_rate.compiled
    assert compiled.largest_difference < 1e-12
    return compiled.scheduler, dict(compiled.arguments)


def refused(owner, **changes):
    (problem,) = owned_refusal(owner, **changes)
    return problem


@pytest.mark.parametrize(
    ("schedule", "scheduler", "total", "specific"),
    [
        ({"decay": "polynomial", "decay_power": 0.5}, "polynomial", 1000, {"lr_end": 0.0, "power": 0.5}),
        (
            {"decay": "polynomial", "decay_power": 2.0, "final_learning_rate_ratio": 0.1},
            "polynomial",
            1000,
            {"lr_end": 1e-4, "power": 2.0},
        ),
        ({"decay": "polynomial"}, "linear", 1000, {}),
        ({"decay": "inverse-sqrt"}, "inverse_sqrt", 1000, {}),
        ({"decay": "inverse-sqrt", "decay_length": "300 steps"}, "inverse_sqrt", 1000, {"timescale": 300}),
        ({"decay": "linear", "decay_ends": "800 steps"}, "linear", 800, {}),
        (
            {"decay": "wsd", "decay_length": "10 %", "decay_shape": "cosine", "decay_ends": "900 steps"},
            "warmup_stable_decay",
            900,
            {"num_decay_steps": 100, "decay_type": "cosine", "min_lr_ratio": 0.0},
        ),
    ],
)
def test_what_transformers_is_told(schedule, scheduler, total, specific):
    """get_scheduler has a name for each; a decay that ends early has its own total."""
    arguments = {
        "num_warmup_steps": 100,
        "num_training_steps": total,
        "scheduler_specific_kwargs": specific,
    }
    assert told("script:transformers", schedule=schedule) == (scheduler, arguments)


def test_lengths_are_multiplied_for_accelerate():
    """A time scale is a length: once per process."""
    schedule = {"decay": "inverse-sqrt", "decay_length": "300 steps"}
    _, arguments = told("script:accelerate", schedule=schedule, devices=4)
    assert arguments["scheduler_specific_kwargs"] == {"timescale": 1200}


def test_deepspeed_may_be_done_before_the_run_ends():
    """WarmupDecayLR stays at its end, so that a linear decay may end early."""
    schedule = {"decay_ends": "800 steps"}
    _, arguments = told("engine:WarmupDecayLR", launch=DEEPSPEED, schedule=schedule)
    assert arguments["total_num_steps"] == 800


@pytest.mark.parametrize(
    ("owner", "schedule", "words"),
    [
        (
            "script:transformers",
            {"decay": "step", "decay_at": ["30 %", "60 %"]},
            "cannot draw the schedule: transformers has no rate that falls at marks, and `schedule.decay` is step",
        ),
        (
            "script:accelerate",
            {"decay": "cosine", "decay_at": ["30 %"]},
            "has no rate that falls at marks, and `schedule.decay_at` is written",
        ),
        (
            "engine:WarmupLR",
            {"decay": "step", "decay_at": ["30 %"]},
            "stays at its peak, and `schedule.decay` is step",
        ),
        (
            "engine:WarmupDecayLR",
            {"decay": "polynomial", "decay_power": 2.0},
            "decays in a line, and `schedule.decay` is polynomial",
        ),
        (
            "engine:WarmupCosineLR",
            {"decay": "inverse-sqrt"},
            "decays as a cosine, and `schedule.decay` is inverse-sqrt",
        ),
        ("script:trainer", {"decay_ends": "800 steps"}, "ends its decay with the run, at max_steps"),
    ],
)
def test_shapes_that_a_stack_does_not_have(owner, schedule, words):
    """A stack without the shape is refused, in words; torch's MultiStepLR is no owner."""
    launch = DEEPSPEED if owner.startswith("engine") else {}
    problem = refused(owner, schedule=schedule, launch=launch)
    assert problem.code == "schedule-not-drawn"
    assert words in problem.message


@pytest.mark.parametrize(
    "schedule",
    [
        {"decay": "linear", "decay_starts": "0 steps"},
        {"decay": "cosine", "decay_starts": "500 steps"},
        {"decay": "cosine", "decay_ends": "700 steps"},  # transformers' cosine rises again behind its end
        {"decay": "inverse-sqrt", "decay_starts": "200 steps"},
        {"decay": "inverse-sqrt", "final_learning_rate_ratio": 0.8},
    ],
)
def test_a_curve_that_is_nearly_theirs_is_refused(schedule):
    """The curve check finds what the arguments cannot say."""
    assert refused("script:transformers", schedule=schedule).code == "schedule-differs"


def test_who_can_draw_it_is_named():
    """The hint names the owners that draw a square; the runtime draws all."""
    schedule = {"decay": "polynomial", "decay_power": 2.0}
    problem = refused("engine:WarmupDecayLR", launch=DEEPSPEED, schedule=schedule)
    assert problem.hint.startswith("write schedule.owner: script:transformers")
    problem = refused(
        "engine:WarmupDecayLR",
        launch={**DEEPSPEED, "runtime": True},
        schedule={"decay": "step", "decay_at": ["30 %"]},
    )
    assert problem.hint == "write schedule.owner: runtime"


@pytest.mark.parametrize(
    ("schedule", "args", "expected"),
    [
        ({"decay": "inverse-sqrt"}, LENGTHS[:2], "argument"),
        ({"decay": "inverse-sqrt", "decay_length": "300 steps"}, LENGTHS[:2], "script-must"),
        ({"decay": "polynomial", "decay_power": 2.0}, LENGTHS, "script-must"),
        ({"decay": "polynomial", "decay_power": 2.0}, [*LENGTHS, "{scheduler_arguments}"], "argument"),
        ({"decay_ends": "800 steps"}, [*LENGTHS[:2], "{total_steps}"], "script-must"),
        ({"decay_ends": "800 steps"}, LENGTHS, "argument"),
    ],
)
def test_what_the_script_has_to_be_told(schedule, args, expected):
    """A power and a time scale travel in {scheduler_arguments}, an early end in {scheduler_total_steps}."""
    plan = owned_plan("script:transformers", schedule=schedule, launch={"args": args})
    assert plan.applied_by["learning_rate"] == expected
