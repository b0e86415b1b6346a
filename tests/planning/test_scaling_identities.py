"""What must hold of scaling for every recipe: identities of the rules, and one trace by sample on any machine."""

import math
from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plan_of import amount, count, plan_of, recipe_of

from launcher.planning.reference import Ratio
from launcher.planning.scaling import scale_at, scale_by
from launcher.planning.stages.ledger import planned_rate, step_at
from launcher.spec.training import Data, Optimizer, Rescale, Scaling, Schedule

BATCHES = st.integers(1, 10**6)
RULES = st.sampled_from(["none", "linear", "sqrt", "capped", "saturating"])


def factor(rule, batch, reference, *, alpha=0.75, critical=4096):
    ratio = Ratio(Fraction(batch), Fraction(reference), "samples")
    return scale_by(rule, ratio=ratio, alpha=alpha, critical_batch=Fraction(critical))


@given(RULES, BATCHES, st.floats(0.1, 1), BATCHES)
def test_the_reference_batch_is_left_exactly(rule, batch, alpha, critical):
    """Kappa 1 is factor 1, to the last bit, by every rule."""
    assert factor(rule, batch, batch, alpha=alpha, critical=critical) == 1.0


@given(RULES, BATCHES, BATCHES, BATCHES)
def test_rules_compose(rule, first, second, third):
    """From a to b and from b to c is from a to c."""
    there = factor(rule, second, first) * factor(rule, third, second)
    assert math.isclose(there, factor(rule, third, first), rel_tol=1e-12)


@given(RULES, BATCHES, BATCHES, BATCHES)
def test_a_larger_batch_never_has_a_smaller_rate(rule, batch, more, reference):
    """Every rule is monotone."""
    assert factor(rule, batch + more, reference) >= factor(rule, batch, reference)


@given(BATCHES, BATCHES, st.floats(0.1, 1), BATCHES)
def test_rules_that_stop_lie_below_the_power_law(batch, reference, alpha, critical):
    """Going up, neither capped nor saturating goes beyond kappa ** alpha, and neither below 1."""
    assume(batch >= reference)
    most = (batch / reference) ** alpha * (1 + 1e-12)
    for rule in ("capped", "saturating"):
        assert 1 - 1e-12 <= factor(rule, batch, reference, alpha=alpha, critical=critical) <= most


@given(BATCHES, st.floats(0.1, 1), st.integers(1, 10**5))
def test_saturating_ends_where_it_says(reference, alpha, critical):
    """At an endless batch the factor is ((B0 + C) / B0) ** alpha, and half of kappa's way is gone at B = C."""
    limit = ((reference + critical) / reference) ** alpha
    assert math.isclose(
        factor("saturating", 10**15, reference, alpha=alpha, critical=critical), limit, rel_tol=1e-4
    )


@given(st.integers(2, 64), st.integers(1, 6400))
def test_saturating_is_adascale(scale, ratio):
    """Alpha 1 is the gain (var + sqr) / (var / S + sqr), var / sqr = C / B0 (arXiv:2007.05105; fairscale@146f1602)."""
    var, sqr = ratio / 64, 1.0
    gain = (var + sqr) / (var / scale + sqr)
    found = factor("saturating", scale * 64, 64, alpha=1.0, critical=ratio)
    assert math.isclose(found, gain, rel_tol=1e-9)
    assert 1 <= found <= scale


@st.composite
def optimizers(draw):
    """An optimizer with any of the ways to its rate, rescaled or not."""
    name = draw(st.sampled_from(["sgd", "adamw", "lion", "lamb"]))
    scaling = draw(
        st.sampled_from(
            [
                "auto",
                "none",
                "linear",
                "sqrt",
                Scaling(rule="capped", critical_batch_tokens=count("100K")),
                Scaling(rule="saturating", alpha=0.5, critical_batch_tokens=count("1M")),
            ]
        )
    )
    rescale = Rescale(
        betas=draw(st.sampled_from(["none", "token-half-life"])),
        weight_decay=draw(st.sampled_from(["none", "timescale"])),
    )
    return Optimizer(
        name=name,
        reference_learning_rate=draw(st.floats(1e-6, 1)),
        reference_batch_size=draw(st.integers(1, 4096)),
        reference_sequence_length=draw(st.sampled_from([None, 512, 2048])),
        scaling=scaling,
        rescale=rescale,
        weight_decay=draw(st.sampled_from([0.0, 0.1])),
    )


@st.composite
def recipes(draw):
    """Keys of a recipe of 48 sequences, which eight layouts can hold."""
    warmup = draw(st.sampled_from(["auto", "3 %", "7 steps", "100 samples", "100K tokens", "0.3 epochs"]))
    return {
        "global_batch_size": 48,
        "optimizer": draw(optimizers()),
        "data": Data(num_samples=count("1000"), drop_last=draw(st.booleans())),
        "schedule": Schedule(
            warmup=warmup if warmup == "auto" else amount(warmup),
            warmup_keeps=draw(st.sampled_from(["unit", "steps", "samples", "tokens"])),
            decay=draw(st.sampled_from(["constant", "linear", "cosine"])),
            first_step=draw(st.sampled_from(["one-batch", "zero"])),
        ),
    }


def trace(**keys):
    """Samples after every step, with the rate of that step."""
    plan, found, number = plan_of(**keys), [], 1
    while step := step_at(plan, number):
        found.append((step.samples_after, planned_rate(plan, step)))
        number += 1
    return found


@settings(max_examples=60, deadline=None)
@given(recipes())
def test_the_trace_by_sample_is_bit_equal_on_every_machine(keys):
    """1 to 12 ranks, any micro-batch and accumulation, one node or four: every step of every recipe, to the last bit."""
    alone = trace(**keys)
    assert alone[-1][0] == (960 if keys["data"].drop_last else 1000)
    for devices, nodes, micro in ((2, 1, 4), (3, 1, 16), (4, 1, 1), (6, 1, 2), (2, 4, 3), (3, 4, 2)):
        assert trace(**keys, devices=devices, nodes=nodes, micro_batch_size=micro) == alone


@settings(max_examples=60, deadline=None)
@given(optimizers(), st.sampled_from([24, 48, 96]), st.sampled_from([256, 1024, 4096]))
def test_the_plan_and_a_stage_scale_alike(optimizer, batch, length):
    """What the plan says at its batch is what the function for stages says there."""
    keys = {"global_batch_size": batch, "sequence_length": length, "optimizer": optimizer}
    rate = plan_of(**keys).learning_rate
    scale = scale_at(recipe_of(**keys), global_batch_size=batch, sequence_length=length)
    assert rate.scale == scale.factor
    assert rate.peak_learning_rate == optimizer.reference_learning_rate * scale.factor
    assert rate.batch_ratio == float(scale.ratio.kappa)
