"""The ledger of a staged run: every sample and every token in exactly one step, whatever the stages."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from plan_of import plan_of

from launcher.errors import PlanError
from launcher.planning.stages.ledger import clock_count, planned_rate, step_after, step_at
from launcher.spec.launch import Launch
from launcher.spec.recipe import Stage
from launcher.spec.training import Data, Optimizer, Schedule
from launcher.units import Amount

LENGTHS = (16, 32, 96)
BATCHES = (2, 4, 6, 12, 14, 32)


def exactly(number, unit):
    """An amount of a unit."""
    return Amount(number=Fraction(number), unit=unit, text=f"{number} {unit}")


@st.composite
def staged_recipes(draw):
    """Keys of a recipe with one to five stages, marks in samples or in tokens, and an end in any unit or by the data."""
    lengths = st.sampled_from(LENGTHS) if draw(st.booleans()) else st.just(32)
    unit = draw(st.sampled_from(["samples", "tokens"]))
    count = draw(st.integers(1, 5))
    marks = sorted(draw(st.sets(st.integers(1, 4000), min_size=count - 1, max_size=count - 1)))
    stages = [
        Stage(
            until=exactly(mark * (40 if unit == "tokens" else 1), unit) if place < len(marks) else None,
            global_batch_size=draw(st.sampled_from(BATCHES)),
            sequence_length=draw(lengths),
        )
        for place, mark in enumerate([*marks, 0])
    ]
    end = draw(st.sampled_from(["steps", "samples", "tokens", "epochs", "data"]))
    number = draw(st.integers(1, 6000))
    data = Data(num_samples=exactly(number + 14, ""), drop_last=draw(st.booleans()))
    length = {
        "steps": exactly(draw(st.integers(1, 800)), "steps"),
        "samples": exactly(number, "samples"),
        "tokens": exactly(number * 30, "tokens"),
        "epochs": exactly(draw(st.sampled_from([Fraction(1, 2), 1, Fraction(3, 2), 2])), "epochs"),
        "data": None,
    }[end]
    schedule = Schedule(
        length=length,
        warmup=exactly(draw(st.integers(0, 30)), draw(st.sampled_from(["steps", "samples", "tokens", "%"]))),
        decay=draw(st.sampled_from(["constant", "cosine", "linear"])),
        clock=draw(st.sampled_from(["auto", "samples", "tokens"])),
    )
    return {
        "stages": tuple(stages),
        "schedule": schedule,
        "data": data,
        "sequence_length": 32,
        "global_batch_size": 14,
        "hidden_size": 64,
        "devices": 2,
        "device": "cpu",
        "launch": Launch(runtime=True),
        "optimizer": Optimizer(learning_rate=1e-3),
    }


def planned(keys):
    """The plan, or None where a stage holds no step or the data hold none."""
    try:
        return plan_of(**keys)
    except PlanError as error:
        found = {problem.code for problem in error.problems if problem.severity == "error"}
    assert found <= {
        "stage-holds-no-step",
        "stage-ends-inside-a-sequence",
        "batch-larger-than-data",
        "decay-longer-than-run",
    }
    return None


def walked(keys):
    """[(stage, size)] of every step by the rule alone.

    A stage ends with the first step at or past its mark after which the next one begins on a whole sequence; data end
    with their last sample, which is a sequence of the longest length.
    """
    stages, place, steps = keys["stages"], 0, []
    taken = {"steps": 0, "samples": 0, "tokens": 0}
    length, data = keys["schedule"].length, keys["data"]
    lengths = {stage.sequence_length for stage in stages}
    epochs = length.number if length and length.unit == "epochs" else 1
    by_data = length is None or length.unit == "epochs"
    unit = ("tokens" if len(lengths) > 1 else "samples") if by_data else length.unit
    per_sample = max(lengths) if unit == "tokens" else 1
    end = epochs * data.num_samples.number // 1 * per_sample if by_data else length.number
    while taken[unit] < end:
        stage = stages[place]
        size, one = stage.global_batch_size, stage.sequence_length if unit == "tokens" else 1
        if by_data and taken[unit] + size * one > end:
            if data.drop_last:
                break
            size = int(end - taken[unit]) // one
        steps.append((place, size))
        taken["steps"] += 1
        taken["samples"] += size
        taken["tokens"] += size * stage.sequence_length
        if stage.until and taken[stage.until.unit] >= stage.until.number:
            following = stages[place + 1].sequence_length
            place += following == stage.sequence_length or taken["tokens"] % following == 0
    return steps


@given(staged_recipes())
def test_every_sample_and_token_is_in_exactly_one_step(keys):
    """The steps of the ledger are those of a walk step by step, and each begins where the one before it ended."""
    plan = planned(keys)
    if plan is None:
        return
    steps = walked(keys)
    assert plan.data["total_steps"] == len(steps)
    samples = tokens = 0
    for number, (place, size) in enumerate(steps, start=1):
        step = step_at(plan, number)
        assert (step.number, step.stage, step.size) == (number, place, size)
        assert (step.samples_before, step.tokens_before) == (samples, tokens)
        samples, tokens = step.samples_after, step.tokens_after
        assert tokens - step.tokens_before == size * keys["stages"][place].sequence_length
        assert step.is_last == (number == len(steps))
    assert step_at(plan, len(steps) + 1) is None
    assert len(plan.stages) == 1 + steps[-1][0]
    assert sum(stage.steps for stage in plan.stages) == len(steps)


@given(staged_recipes(), st.integers(0, 10_000))
def test_any_resume_point_leads_to_the_step_behind_it(keys, at):
    """step_after of the samples before a step is that step, and of anything inside it the next one."""
    plan = planned(keys)
    if plan is None:
        return
    step = step_at(plan, 1 + at % plan.data["total_steps"])
    assert step_after(plan, step.samples_before) == step.number
    assert step_after(plan, step.samples_after) == step.number + 1
    if step.size > 1:
        assert step_after(plan, step.samples_before + 1) == step.number + 1


@given(staged_recipes())
def test_the_curve_is_read_at_its_points_from_the_ledger(keys):
    """Every point of the plan's curve is a step of the ledger with that step's rate; both sides of a boundary are there."""
    plan = planned(keys)
    if plan is None:
        return
    by_samples = dict(plan.learning_rate.curve)
    for stage in plan.stages:
        for number in {stage.first_step, stage.first_step + stage.steps - 1}:
            step = step_at(plan, number)
            assert by_samples[step.samples_after] == planned_rate(plan, step)


@given(staged_recipes())
def test_the_warmup_ends_with_its_step(keys):
    """warmup_steps is the first step at whose end the clock is at or past the warmup, whatever unit it was written in."""
    plan = planned(keys)
    if plan is None:
        return
    schedule = plan.learning_rate.schedule
    for number in {plan.learning_rate.warmup_steps, plan.learning_rate.warmup_steps - 1}:
        step = step_at(plan, number)
        if step is None or step.is_last:
            continue
        count = clock_count(schedule, samples=step.samples_after, tokens=step.tokens_after)
        assert (count >= schedule.warmup_samples) == (number == plan.learning_rate.warmup_steps)


@given(staged_recipes(), st.integers(0, 400), st.sampled_from(["steps", "samples", "tokens"]))
def test_the_decay_is_the_last_part_of_the_run(keys, number, unit):
    """A wsd decay of so many steps, samples or tokens begins where exactly so many are left, through all stages."""
    schedule = replace(
        keys["schedule"],
        decay="wsd",
        decay_length=exactly(number, unit),
        warmup=None,
        final_learning_rate_ratio=0.0,
    )
    plan = planned({**keys, "schedule": schedule, "optimizer": Optimizer(learning_rate=1.0)})
    if plan is None or keys["schedule"].length is None or keys["schedule"].length.unit != unit:
        return
    rates = plan.learning_rate.schedule
    left = rates.total_samples - rates.decay_samples
    taken = {"steps": 0, "samples": 0, "tokens": 0}
    for at in range(1, plan.data["total_steps"] + 1):
        step = step_at(plan, at)
        after = clock_count(rates, samples=step.samples_after, tokens=step.tokens_after)
        taken = {"steps": at, "samples": step.samples_after, "tokens": step.tokens_after}
        assert (after <= left) == (taken[unit] <= keys["schedule"].length.number - number)


@given(staged_recipes(), st.integers(1, 60), st.sampled_from(["steps", "samples", "tokens"]))
def test_what_a_warmup_keeps(keys, steps, keeps):
    """N steps at the reference batch are N steps, N batches of samples or N batches of tokens, through all stages."""
    schedule = replace(keys["schedule"], warmup=exactly(steps, "steps"), warmup_keeps=keeps)
    rates = Optimizer(reference_learning_rate=1.0, reference_batch_size=7)
    plan = planned({**keys, "schedule": schedule, "optimizer": rates})
    if plan is None:
        return
    kept = {"steps": steps, "samples": steps * 7, "tokens": steps * 7 * 32}[keeps]
    for number in {plan.learning_rate.warmup_steps, plan.learning_rate.warmup_steps - 1}:
        step = step_at(plan, number)
        if step is None or step.is_last:
            continue
        taken = {"steps": number, "samples": step.samples_after, "tokens": step.tokens_after}
        assert (taken[keeps] >= kept) == (number == plan.learning_rate.warmup_steps)
