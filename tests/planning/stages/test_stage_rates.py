"""The learning rate through stages: what a batch and a length do to it, and what its clock counts."""

import pytest
from plan_of import amount, codes, only, plan_of

from launcher.planning.stages.ledger import planned_rate, step_at
from launcher.spec.launch import Launch
from launcher.spec.recipe import Stage
from launcher.spec.training import Optimizer, Schedule
from launcher.units import parse_amount


def mark(text):
    """Where a stage ends."""
    return parse_amount(text, kind="ramp")


def staged(*stages, **keys):
    """The plan of stages on two ranks, with the runtime."""
    keys.setdefault("launch", Launch(runtime=True))
    return plan_of(devices=keys.pop("devices", 2), stages=stages, **keys)


RAMP = (Stage(until=mark("640 samples"), global_batch_size=64), Stage())


@pytest.mark.parametrize(
    ("name", "factor"), [("adamw", (64 / 256) ** 0.5), ("sgd", 64 / 256)], ids=["square root", "linear"]
)
def test_a_reference_rate_follows_each_stage(name, factor):
    """The curve has its peak at the run's own batch; a stage's factor is the rule at its batch over the rule there."""
    rates = Optimizer(name=name, reference_learning_rate=1e-3, reference_batch_size=128)
    plan = staged(*RAMP, optimizer=rates, schedule=Schedule(length=amount("100 steps")))
    assert [stage.learning_rate_scale for stage in plan.stages] == [pytest.approx(factor), 1.0]
    first, second = (planned_rate(plan, step_at(plan, number)) for number in (10, 11))
    assert second == plan.learning_rate.peak_learning_rate
    assert first == pytest.approx(factor * second)
    scaled = only(plan, "stages-scale-the-rate")
    assert f"x {factor:.4g} to x 1" in scaled.message
    assert len(scaled.because) == 1  # 256 / 64 is a whole factor, as OLMo-core asks


def test_longer_sequences_are_scaled_by_tokens():
    """Half the sequences of twice the length are the same batch; the same sequences of half the length are half of it."""
    rates = Optimizer(reference_learning_rate=1e-3, reference_batch_size=256)
    plan = staged(
        Stage(until=mark("1M tokens"), sequence_length=512, global_batch_size=512),
        Stage(until=mark("3M tokens"), sequence_length=512),
        Stage(),
        optimizer=rates,
    )
    scales = [stage.learning_rate_scale for stage in plan.stages]
    assert scales == [1.0, pytest.approx(0.5**0.5), 1.0]


def test_a_written_rate_is_never_scaled():
    """learning_rate is the same function of samples in every stage, and the plan says so."""
    plan = staged(*RAMP, optimizer=Optimizer(learning_rate=1e-3))
    assert {stage.learning_rate_scale for stage in plan.stages} == {1.0}
    assert "stages-keep-the-rate" in codes(plan)


@pytest.mark.parametrize(
    ("clock", "lengths", "counts"),
    [
        ("auto", (512, 1024), "tokens"),
        ("auto", (1024, 1024), "samples"),
        ("samples", (512, 1024), "samples"),
        ("tokens", (1024, 1024), "tokens"),
    ],
)
def test_the_clock(clock, lengths, counts):
    """Auto counts tokens where lengths differ, else samples; samples beside lengths that differ is a warning."""
    plan = staged(
        Stage(until=mark("10K samples"), sequence_length=lengths[0]),
        Stage(sequence_length=lengths[1]),
        optimizer=Optimizer(learning_rate=1e-3),
        schedule=Schedule(clock=clock, decay="cosine", length=amount("20K samples")),
    )
    schedule = plan.learning_rate.schedule
    assert (schedule.clock, schedule.sequence_length) == (counts, 1024 if counts == "tokens" else None)
    assert ("clock-ignores-length" in codes(plan)) == (clock == "samples")


def test_a_decay_goes_by_tokens():
    """Half the tokens of the run are half the decay, whatever share of the steps they took."""
    plan = staged(
        Stage(until=mark("1_048_576 tokens"), sequence_length=256),
        Stage(),
        global_batch_size=8,
        optimizer=Optimizer(learning_rate=1e-3),
        schedule=Schedule(decay="linear", length=amount("2_097_152 tokens")),
    )
    first, second = plan.stages
    assert (first.steps, second.steps) == (512, 128)
    boundary = planned_rate(plan, step_at(plan, 512))
    assert boundary == pytest.approx(0.5e-3)


def test_the_last_part_of_a_run_is_counted_from_its_end():
    """A wsd decay over the last 2048 samples lies in the last stage, whose steps it is written for."""
    schedule = Schedule(decay="wsd", decay_length=amount("8 steps"), length=amount("100 steps"))
    plan = staged(*RAMP, optimizer=Optimizer(learning_rate=1e-3), schedule=schedule)
    total = 10 * 64 + 90 * 256
    assert plan.learning_rate.total_samples == total
    assert plan.learning_rate.schedule.decay_samples == 8 * 256
    assert planned_rate(plan, step_at(plan, 92)) == 1e-3
    assert planned_rate(plan, step_at(plan, 93)) < 1e-3
