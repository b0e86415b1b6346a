"""Where another stack owns the schedule the runtime sets no rate, and compares the one it finds."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from launcher.errors import WorldError
from launcher.planning.schedulers.drawing import compiled_rate
from launcher.planning.stages.ledger import planned_rate, rate_at, step_at
from launcher.runtime.stack_rates import StackRates, scheduler_differences
from launcher.spec.rates import CompiledSchedule
from launcher.testing import sample_plans

SAMPLE = sample_plans()["cpu-1x2"]
PEAK = SAMPLE.learning_rate.peak_learning_rate
DECAY = CompiledSchedule(
    stack="deepspeed",
    scheduler="WarmupDecayLR",
    arguments={
        "total_num_steps": 400,
        "warmup_min_lr": 0.0,
        "warmup_max_lr": PEAK,
        "warmup_num_steps": 10,
        "warmup_type": "linear",
    },
    lag_steps=2,
)


def plan_of(owner="engine:WarmupDecayLR", compiled=DECAY):
    return replace(SAMPLE, learning_rate=replace(SAMPLE.learning_rate, owner=owner, compiled=compiled))


def test_the_planned_rate_is_the_stacks():
    """Steps and counts of samples read the stack's own curve; a step that was skipped is none of its steps."""
    plan = plan_of()
    batch = plan.batch.global_batch_size
    for number in (1, 2, 3, 12, 200, 400):
        drawn = compiled_rate(DECAY, peak=PEAK, step=number)
        assert planned_rate(plan, step_at(plan, number)) == drawn
        assert rate_at(plan, number * batch) == drawn
    assert planned_rate(plan, step_at(plan, 12), skipped=3) == compiled_rate(DECAY, peak=PEAK, step=9)
    assert rate_at(plan, 0) == 0.0


def test_one_group_has_to_be_on_the_curve():
    """Groups may have rates of their own; when none has the planned one, the message says which was planned and whose."""
    rates = StackRates(plan_of())
    rates.check([{"lr": 1e-9}, {"lr": 0.25}], planned=0.25 * (1 + 5e-8), step=3)
    with pytest.raises(WorldError) as stopped:
        rates.check([{"lr": 0.25}, {"lr": 0.5}], planned=0.25 * (1 + 3e-7), step=3)
    (problem,) = stopped.value.problems
    assert problem.code == "learning-rate-differs"
    assert problem.message == "planned learning rate 0.25 at optimizer step 3, found 0.25, 0.5"
    assert problem.because[0].startswith("planned: WarmupDecayLR of deepspeed with total_num_steps: 400")


@pytest.mark.parametrize(("owner", "compiled"), [("runtime", None), ("script", None)])
def test_nothing_is_compared_where_nothing_was_drawn(owner, compiled):
    """The runtime sets the rate itself, and a bare script draws what it likes."""
    StackRates(plan_of(owner, compiled)).check([{"lr": 5.0}], planned=0.25, step=1)


class WarmupDecayLR(SimpleNamespace):
    """Stands in for DeepSpeed's class of this name."""


class WarmupLR(SimpleNamespace):
    """Another one."""


class LambdaLR(SimpleNamespace):
    """A script's own."""


RIGHT = {"warmup_num_steps": 10, "total_num_steps": 400, "warmup_type": "linear"}


@pytest.mark.parametrize(
    ("owner", "scheduler", "words"),
    [
        ("engine:WarmupDecayLR", WarmupDecayLR(**RIGHT), None),
        ("engine:WarmupDecayLR", None, "planned scheduler WarmupDecayLR in DeepSpeed's engine, found none"),
        (
            "engine:WarmupDecayLR",
            WarmupLR(**RIGHT),
            "planned scheduler WarmupDecayLR in DeepSpeed's engine, found WarmupLR",
        ),
        (
            "engine:WarmupDecayLR",
            WarmupDecayLR(**{**RIGHT, "warmup_type": "log"}),
            "planned warmup_type linear, found log in the WarmupDecayLR of DeepSpeed's engine",
        ),
        (
            "engine:WarmupDecayLR",
            WarmupDecayLR(**{**RIGHT, "total_num_steps": 100}),
            "planned total_num_steps 400, found 100 in the WarmupDecayLR of DeepSpeed's engine",
        ),
        ("runtime", None, None),
        (
            "runtime",
            LambdaLR(),
            "planned learning rate of the runtime, found scheduler LambdaLR in DeepSpeed's engine",
        ),
        ("script:transformers", LambdaLR(), None),
        (
            "script:transformers",
            WarmupDecayLR(**RIGHT),
            "planned learning rate of the script, found scheduler WarmupDecayLR in DeepSpeed's engine",
        ),
        ("script", WarmupDecayLR(**RIGHT), None),
    ],
)
def test_the_scheduler_in_deepspeeds_engine(owner, scheduler, words):
    """Where DeepSpeed owns the schedule its engine has the planned scheduler with the planned lengths, else none."""
    compiled = DECAY if owner.startswith("engine:") else None
    found = list(scheduler_differences(plan_of(owner, compiled), scheduler))
    assert found == ([] if words is None else [words])
