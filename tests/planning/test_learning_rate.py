"""One function of samples: exact at its corners, the same on every split, monotonic where it should be."""

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from plan_of import amount, count, plan_of

from launcher.planning.learning_rate import learning_rate_at, learning_rate_of_step
from launcher.spec.parallel import Parallel
from launcher.spec.plan import SchedulePlan
from launcher.spec.training import Data, Optimizer, Schedule


def schedule_of(**keys) -> SchedulePlan:
    """Peak 1 from 0, warmup 100 samples, 1000 in all."""
    values = {
        "peak_learning_rate": 1.0,
        "start_learning_rate": 0.0,
        "final_learning_rate": 0.1,
        "warmup_samples": Fraction(100),
        "decay": "cosine",
        "decay_samples": None,
        "decay_shape": "linear",
        "total_samples": Fraction(1000),
        "first_step": "one-batch",
    }
    return SchedulePlan(**{**values, **keys})


@pytest.mark.parametrize("decay", ["constant", "linear", "cosine", "wsd"])
def test_corners_are_exact(decay):
    """0 samples give the start, the end of the warmup the peak, the end of the run the final rate, for ever after."""
    wsd = {"decay_samples": Fraction(200)} if decay == "wsd" else {}
    schedule = schedule_of(decay=decay, start_learning_rate=0.3, **wsd)
    final = 1.0 if decay == "constant" else 0.1
    assert [learning_rate_at(schedule=schedule, samples=s) for s in (0, 100, 1000, 10**9)] == [
        0.3,
        1.0,
        final,
        final,
    ]


@pytest.mark.parametrize(
    ("keys", "samples", "expected"),
    [
        ({}, 50, 50 / 100),
        ({"start_learning_rate": 0.5}, 50, 0.5 + (1 - 0.5) * 50 / 100),
        ({"decay": "linear"}, 550, 0.1 + 0.9 * (1 - 450 / 900)),
        ({"decay": "cosine"}, 550, 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 2))),
        ({"decay": "cosine"}, 325, 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4))),
        ({"decay": "wsd", "decay_samples": Fraction(200)}, 800, 1.0),
        ({"decay": "wsd", "decay_samples": Fraction(200)}, 900, 0.1 + 0.9 * (1 - 100 / 200)),
        (
            {"decay": "wsd", "decay_samples": Fraction(200), "decay_shape": "sqrt"},
            850,
            0.1 + 0.9 * (1 - math.sqrt(50 / 200)),
        ),
        ({"warmup_samples": Fraction(0)}, 0, 1.0),
        ({"total_samples": None, "decay": "constant"}, 10**6, 1.0),
    ],
)
def test_values_between(keys, samples, expected):
    """Each shape at a place where its value can be written down."""
    assert learning_rate_at(schedule=schedule_of(**keys), samples=samples) == pytest.approx(
        expected, rel=1e-15
    )


def test_mlperf_405b_ramp():
    """8e-5 x min(1, s / 9,216,000): 1.0e-5 at 1,152,000 samples (mlcommons/logging@7bbf792)."""
    schedule = schedule_of(
        peak_learning_rate=8e-5, warmup_samples=Fraction(9_216_000), decay="constant", total_samples=None
    )
    assert learning_rate_at(schedule=schedule, samples=1_152_000) == pytest.approx(1.0e-5)


def test_first_step():
    """one-batch trains the first step at f(B), zero at f(0), and so on behind by one batch."""
    early = schedule_of()
    late = schedule_of(first_step="zero")
    for step in (1, 2, 7):
        after = step * 20
        assert learning_rate_of_step(
            schedule=early, samples_after=after, global_batch_size=20
        ) == learning_rate_at(schedule=early, samples=after)
        assert learning_rate_of_step(
            schedule=late, samples_after=after, global_batch_size=20
        ) == learning_rate_at(schedule=late, samples=after - 20)
    assert learning_rate_of_step(schedule=late, samples_after=20, global_batch_size=20) == 0


@given(
    decay=st.sampled_from(["constant", "linear", "cosine", "wsd"]),
    shape=st.sampled_from(["linear", "sqrt"]),
    warmup=st.fractions(0, 2000),
    total=st.fractions(1, 2000),
    cooldown=st.fractions(0, 2000),
    start=st.floats(0, 1),
    final=st.floats(0, 1),
    points=st.lists(st.integers(0, 3000), min_size=2, max_size=20),
)
def test_up_then_down_and_never_outside(decay, shape, warmup, total, cooldown, start, final, points):  # noqa: PLR0917
    """It rises to the peak until the warmup ends, falls afterwards, and stays between its three rates."""
    schedule = schedule_of(
        decay=decay,
        decay_shape=shape,
        warmup_samples=warmup,
        total_samples=total,
        decay_samples=cooldown if decay == "wsd" else None,
        start_learning_rate=start,
        final_learning_rate=final,
    )
    points = sorted(points)
    rates = [learning_rate_at(schedule=schedule, samples=samples) for samples in points]
    slack = 1e-12
    for (before, low), (after, high) in zip(
        zip(points, rates, strict=True), zip(points[1:], rates[1:], strict=True), strict=False
    ):
        if after <= warmup:
            assert high >= low - slack
        if before >= warmup:
            assert high <= low + slack
    assert all(min(start, final) - slack <= rate <= 1 + slack for rate in rates)


@given(
    batch=st.sampled_from([12, 24, 48, 96]),
    warmup=st.sampled_from(["3 %", "7 steps", "100 samples", "1000 tokens", "0.3 epochs"]),
    decay=st.sampled_from(["constant", "linear", "cosine"]),
    first=st.sampled_from(["one-batch", "zero"]),
)
def test_the_trace_is_bit_equal_over_splits(batch, warmup, decay, first):
    """The rate of every step, by samples, is the same on 1, 2, 3 and 4 ranks, any micro-batch and accumulation."""

    def trace(devices: int, micro: int | str) -> dict[int, float]:
        plan = plan_of(
            global_batch_size=batch,
            devices=devices,
            micro_batch_size=micro,
            optimizer=Optimizer(reference_learning_rate=0.3, reference_batch_size=36),
            data=Data(num_samples=count("1000")),
            schedule=Schedule(warmup=amount(warmup), decay=decay, first_step=first),
            parallel=Parallel(),
        )
        schedule = plan.learning_rate.schedule
        steps = range(1, plan.data["total_steps"] + 1)
        return {
            step * batch: learning_rate_of_step(
                schedule=schedule, samples_after=step * batch, global_batch_size=batch
            )
            for step in steps
        }

    assert trace(1, "auto") == trace(2, 1) == trace(3, 2) == trace(4, "auto")


@given(batch=st.integers(1, 200), other=st.integers(1, 200), samples=st.integers(1, 5000))
def test_another_batch_moves_the_trace_by_at_most_one_batch(batch, other, samples):
    """|f_B(s) - f_B'(s)| <= slope x max(B, B') for the step that sees sample s."""
    assume(samples <= 4000)
    schedule = schedule_of(
        warmup_samples=Fraction(1000), decay="linear", total_samples=Fraction(4000), final_learning_rate=0.0
    )

    def rate(size: int) -> float:
        after = -(-samples // size) * size
        return learning_rate_of_step(schedule=schedule, samples_after=after, global_batch_size=size)

    assert abs(rate(batch) - rate(other)) <= max(batch, other) / 1000 + 1e-12


def test_a_plan_read_back_gives_the_same_rates():
    """Lengths travel as fractions: the rate from plan.json is bit-equal to the planner's."""
    import json

    from launcher.spec.plain import from_plain
    from launcher.spec.plan import RunPlan

    plan = plan_of(
        global_batch_size=7,
        sequence_length=1021,
        optimizer=Optimizer(learning_rate=3e-4),
        schedule=Schedule(warmup=amount("1M tokens"), decay="cosine", length=amount("99M tokens")),
    )
    back = from_plain(RunPlan, json.loads(json.dumps(plan.to_dict())))
    assert back.learning_rate.schedule == plan.learning_rate.schedule
    assert back == plan
