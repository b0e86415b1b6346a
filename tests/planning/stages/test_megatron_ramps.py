"""Megatron's notations: the batch of every step is what its own calculator would take, and the ramps that were published."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import plan_of

from launcher.loading import load_recipe
from launcher.planning.stages.megatron import RampError, as_stages, ramp_thresholds, step_thresholds


def stepped(stages, *, until):
    """[(samples before the step, its batch)] up to a number of samples, by the marks of a list of stages."""
    found, consumed, place = [], 0, 0
    while consumed < until:
        while stages[place].until is not None and consumed >= stages[place].until.number:
            place += 1
        found.append((consumed, stages[place].global_batch_size))
        consumed += stages[place].global_batch_size
    return found


def by_three_numbers(start, increment, samples, top, *, until):
    """The same by the rule of RampupBatchsizeNumMicroBatchesCalculator.update, with exact fractions for its floats.

    Source: NVIDIA/Megatron-LM, parent of 532ad926, megatron/core/num_microbatches_calculator.py.
    """
    per = Fraction(samples, (top - start) // increment)
    found, consumed = [], 0
    while consumed < until:
        batch = top if consumed > samples else start + int(consumed / per) * increment
        found.append((consumed, batch))
        consumed += batch
    return found


def by_step_schedule(entries, *, until):
    """The same by the rule of StepBatchsizeNumMicroBatchesCalculator._get_batch_size_for_samples.

    Source: NVIDIA/Megatron-LM@d98e8a64 megatron/core/num_microbatches_calculator.py.
    """
    found, consumed = [], 0
    while consumed < until:
        batch = entries[0][1]
        for threshold, size in entries:
            if consumed >= threshold:
                batch = size
        found.append((consumed, batch))
        consumed += batch
    return found


def ramp(start, increment, samples, top):
    """The thresholds of a ramp of three numbers, and its stages."""
    thresholds = ramp_thresholds(start=start, increment=increment, samples=samples, global_batch_size=top)
    return thresholds, as_stages(thresholds)


def test_the_trace_of_megatrons_own_test():
    """16 to 32 over 96 samples: consumed 0, 16 ... 96, then 128, 160, 192, 224, 256.

    Source: NVIDIA/Megatron-LM, parent of 532ad926, tests/unit_tests/test_num_microbatches_calculator.py:test_ramp_up.
    """
    _, stages = ramp(16, 16, 96, 32)
    assert [consumed for consumed, _ in stepped(stages, until=257)] == [
        *range(0, 97, 16),
        *range(128, 257, 32),
    ]


@pytest.mark.parametrize(
    ("numbers", "intervals", "per"),
    [
        pytest.param((16, 8, 300_000, 1024), 126, 2380, id="help of rampup_batch_size"),
        pytest.param((16, 16, 9_765_625, 2048), 127, 76_894, id="BLOOM as announced"),
        pytest.param((192, 16, 9_765_625, 2048), 116, 84_186, id="BLOOM as trained (our calculation)"),
        pytest.param((16, 16, 5_000_000, 1024), 63, 79_365, id="tr1 (our calculation)"),
    ],
)
def test_intervals_of_published_ramps(numbers, intervals, per):
    """How many increments a ramp has, and how many samples each lasts.

    Sources: NVIDIA/Megatron-LM@d98e8a64 megatron/training/config/training_config.py, help of rampup_batch_size;
    bigscience-workshop/bigscience@9e64ede train/tr11-176B-ml and train/tr1-13B-base. The intervals marked as ours are
    arithmetic on their published numbers.
    """
    thresholds, stages = ramp(*numbers)
    assert len(thresholds) - 1 == intervals
    assert math.floor(Fraction(numbers[2], intervals)) == per
    assert len(stages) == intervals + 1
    assert thresholds[1].samples == math.ceil(Fraction(numbers[2], intervals))


@pytest.mark.parametrize(
    ("numbers", "steps"),
    [
        pytest.param((192, 16, 9_765_625, 2048), 12_658, id="BLOOM as trained"),
        pytest.param((16, 16, 5_000_000, 1024), 23_456, id="tr1, whose README says about 5,000"),
    ],
)
def test_steps_to_the_end_of_a_ramp(numbers, steps):
    """Steps until the full batch is reached; our calculation, a simulation of Megatron's rule step by step."""
    _, stages = ramp(*numbers)
    before = [size for _, size in stepped(stages, until=numbers[2] + numbers[3]) if size < numbers[3]]
    assert len(before) == steps


def test_steps_of_the_first_increments_of_bloom():
    """At 16 sequences 4,806 steps and at 32 2,403, a whole number of steps of at least 76,894.8 samples each.

    Announced as 4,805 and 2,402 (76,894 / 16 and / 32, floored): bigscience-workshop/bigscience@9e64ede tr11-176B-ml.
    """
    _, stages = ramp(16, 16, 9_765_625, 2048)
    sizes = [size for _, size in stepped(stages, until=400_000)]
    assert 76_894 // 16 == 4805
    assert sizes.count(16) == 4806
    assert 76_894 // 32 == 2402
    assert sizes.count(32) == 2403


def test_tr11_reaches_384_in_17948_steps():
    """16 to 384 by increments of 16 takes 17,948 steps (our calculation).

    bigscience-workshop/bigscience@9e64ede train/tr11-176B-ml gives 18,146: its sum has the 24th stage in it, too.
    """
    _, stages = ramp(16, 16, 9_765_625, 2048)
    sizes = [size for _, size in stepped(stages, until=3_000_000)]
    assert sizes.index(384) == 17_948
    assert int(sum(76_894 / (16 * place) for place in range(1, 25))) == 18_146


SCHEDULE = "0:256 200000:512 600000:1024 1500000:2048 3000000:4096 6000000:6144"


@pytest.mark.parametrize(("consumed", "micro_batches"), [(200_000, 1), (1_500_000, 4), (6_000_000, 12)])
def test_the_step_schedule_of_megatrons_tests(consumed, micro_batches):
    """With micro-batches of 1 on 512 ranks: 1 micro-batch at 200,000 samples, 4 at 1.5 M, 12 at 6 M.

    Source: NVIDIA/Megatron-LM@d98e8a64 tests/unit_tests/test_num_microbatches_calculator.py.
    """
    entries = step_thresholds(SCHEDULE, sequence_length=None)
    batch = [entry.global_batch_size for entry in entries if entry.samples <= consumed][-1]
    assert batch / 512 == micro_batches


def test_its_plan_on_as_many_ranks():
    """The same schedule planned for 512 ranks: micro-batches of 1, 1, 2, 4, 8 and 12; the first fills half of its slots.

    Megatron allows its first batch of 256 on 512 ranks only where training is already past it.
    """
    written = {
        "global_batch_size": 6144,
        "sequence_length": None,
        "model": {"kind": "vit"},
        "hidden_size": 768,
        "micro_batch_size": 1,
        "stages": SCHEDULE,
        "cluster": {"nodes": 64, "devices_per_node": 8, "device": "a100-sxm-80gb"},
        "launch": {"runtime": True},
    }
    stages = plan_of(load_recipe(written)).stages
    assert [stage.batch.gradient_accumulation_steps for stage in stages] == [1, 1, 2, 4, 8, 12]
    assert [stage.batch.idle_slots for stage in stages] == [256, 0, 0, 0, 0, 0]
    assert [stage.samples_before for stage in stages[:3]] == [0, -(-200_000 // 256) * 256, 600_064]


def test_thresholds_are_tokens_where_sequences_have_a_length():
    """250 B tokens of 4096 are 61,035,156 samples, floored; without a length the same text counts samples.

    Source: `threshold // seq_length`, NVIDIA/Megatron-LM@d98e8a64 num_microbatches_calculator.py:_parse_schedule; the
    schedule is the example of its docstring.
    """
    text = "0:768 250B:1536 500B:3072 750B:6144"
    in_tokens = step_thresholds(text, sequence_length=4096)
    assert [entry.samples for entry in in_tokens] == [0, 61_035_156, 122_070_312, 183_105_468]
    assert [entry.samples for entry in step_thresholds(text, sequence_length=None)][1] == 250 * 10**9
    assert step_thresholds("0:768, 1.5k:1K", sequence_length=None) == ((0, 768), (1500, 1000))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("100:16 200:32", "the first threshold is not 0"),
        ("0:16 100:32 100:64", "both begin at 100 samples"),
        ("0:16 100:0", "is a batch of 0"),
        ("0:16 soon:32", "`soon` is no number"),
    ],
)
def test_step_schedules_that_megatron_refuses(text, says):
    """The first threshold is 0, thresholds differ, batches are positive: what Megatron asserts is refused in words."""
    with pytest.raises(RampError, match=says):
        step_thresholds(text, sequence_length=None)


def test_thresholds_that_fall_onto_one_sample():
    """Two thresholds in tokens within one sequence are one threshold in samples, which Megatron refuses."""
    with pytest.raises(RampError, match="both begin at 1 samples"):
        step_thresholds("0:16 1024:32 2000:64", sequence_length=1024)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ((32, 16, 96, 32), "there is nothing to ramp"),
        ((64, 16, 96, 32), "there is nothing to ramp"),
        ((16, 5, 96, 32), "is not a whole number of increments of 5"),
    ],
)
def test_ramps_that_megatron_refuses(numbers, says):
    """A start at the batch itself divides by zero there; a start above it and an increment that does not divide assert."""
    with pytest.raises(RampError, match=says):
        ramp(*numbers)


@given(
    start=st.integers(1, 40),
    increment=st.integers(1, 20),
    count=st.integers(1, 12),
    samples=st.integers(1, 3000),
)
def test_a_ramp_is_megatrons_at_every_step(start, increment, count, samples):
    """The stages of three numbers give every step the batch that Megatron's rule gives it, skipped increments included."""
    top = start + count * increment
    _, stages = ramp(start, increment, samples, top)
    assert stepped(stages, until=samples + 2 * top) == by_three_numbers(
        start, increment, samples, top, until=samples + 2 * top
    )


@given(
    st.lists(st.integers(1, 3000), unique=True, max_size=8),
    st.lists(st.integers(1, 300), min_size=9, max_size=9),
)
def test_a_step_schedule_is_megatrons_at_every_step(thresholds, batches):
    """The stages of a step schedule give every step the batch that Megatron's rule gives it."""
    entries = [(0, batches[0]), *zip(sorted(thresholds), batches[1:], strict=False)]
    text = " ".join(f"{threshold}:{batch}" for threshold, batch in entries)
    stages = as_stages(step_thresholds(text, sequence_length=None))
    assert stepped(stages, until=4000) == by_step_schedule(entries, until=4000)
