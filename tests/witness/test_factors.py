"""A factor between found and planned that a habit explains is named."""

from dataclasses import replace

import pytest
from plan_by_hand import plan_by_hand

from batchwright_witness.factors import factor_in_words, second_scalings, unscaled
from batchwright_witness.findings import rate_difference
from batchwright_witness.rates import RateCheck
from launcher.planning.learning_rate import learning_rate_at


def scaled(plan, *, scale=2.5, rule="sqrt"):
    """The plan as if its peak had been scaled from a reference."""
    rates = plan.learning_rate
    reference = rates.peak_learning_rate / scale
    return replace(
        plan,
        learning_rate=replace(rates, scale=scale, scaling_rule=rule, reference_learning_rate=reference),
    )


@pytest.fixture
def plan():
    """Four ranks, micro 3 x accumulation 5."""
    return scaled(plan_by_hand(ranks=4, micro=3, accumulation=5, peak=1e-3))


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (4, "found is 4x planned: the script multiplies by the number of processes"),
        (2, "found is 2x planned: the script multiplies by the square root of the number of processes"),
        (2.5, "found is 2.5x planned: the script scales by the sqrt rule what the plan has scaled"),
        (
            0.4,
            "found is 0.4x planned: the script applies the reference learning rate, which the plan has scaled",
        ),
        (5, "found is 5x planned: the script multiplies by the accumulation steps"),
        (20, "found is 20x planned: the script multiplies by accumulation steps and processes"),
        (60, "found is 60x planned: the script multiplies by the whole batch"),
        (4 * (1 + 1e-5), "found is 4x planned: the script multiplies by the number of processes"),
        (3.3, ""),
        (4.01, ""),
    ],
)
def test_whose_factor_it_is(plan, times, words):
    """Each habit by its own factor; another factor is nobody's."""
    assert factor_in_words(planned=1e-3, found=times * 1e-3, plan=plan) == words


def test_two_habits_with_one_factor():
    """Where the plan's scale is the number of processes, both are named."""
    plan = scaled(plan_by_hand(ranks=2, micro=1, accumulation=1, peak=1e-3), scale=2)
    assert factor_in_words(planned=1.0, found=2.0, plan=plan) == (
        "found is 2x planned: the script multiplies by the number of processes, or the script scales by the sqrt rule "
        "what the plan has scaled"
    )


def test_nothing_is_said_of_zero(plan):
    """A step at rate 0 is no factor."""
    assert factor_in_words(planned=0.0, found=1e-3, plan=plan) == ""
    assert factor_in_words(planned=1e-3, found=0.0, plan=plan) == ""


def test_one_rank_without_a_reference_has_no_factor():
    """Nothing can have been scaled twice."""
    plan = plan_by_hand(ranks=1, micro=1, accumulation=1, peak=1e-3)
    assert second_scalings(plan) == ()
    assert unscaled(plan) is None


def test_the_witness_names_the_cause(plan):
    """The reason stands below planned and found."""
    rates = plan.learning_rate
    check = RateCheck(planned=rates, global_batch_size=60, rate_at=learning_rate_at)
    step = 1
    while not check.contradicted:
        planned = learning_rate_at(schedule=rates.schedule, samples=60 * step)
        check.see(done=step, tried=step, rates=[4 * planned])
        step += 1
    words = rate_difference(plan, check, several=False)
    assert words.because[0] == "found is 4x planned: the script multiplies by the number of processes"
