"""Batches are compared in sequences while they are equally long, else in tokens; the plan says which."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import codes, count, plan_of, recipe_of, refusal_of

from launcher.planning.reference import batch_ratio, reference_of
from launcher.planning.scaling import scale_at
from launcher.spec.model import Model
from launcher.spec.training import Optimizer, Scaling

close = pytest.approx


def tuned_at(batch: int, *, length: int | None = None, **keys) -> Optimizer:
    return Optimizer(
        reference_learning_rate=1e-3, reference_batch_size=batch, reference_sequence_length=length, **keys
    )


def test_half_the_sequences_of_twice_the_length_are_the_same_batch():
    """256 x 1024 tokens against 128 x 2048: kappa 1, nothing is scaled."""
    rate = plan_of(optimizer=tuned_at(128, length=2048)).learning_rate
    assert (rate.batch_ratio, rate.scale, rate.reference_unit) == (1.0, 1.0, "tokens")
    assert (rate.reference_batch, rate.peak_learning_rate) == (128 * 2048, 1e-3)


def test_equal_lengths_are_compared_in_sequences():
    """A reference length that is the run's changes nothing, whether written or not."""
    written, absent = (
        plan_of(optimizer=tuned_at(64, length=length)).learning_rate for length in (1024, None)
    )
    assert (written.reference_batch, written.reference_unit, written.batch_ratio) == (64, "samples", 4.0)
    assert written == absent


def test_a_longer_sequence_scales_by_tokens_and_says_so():
    """256 x 1024 against 256 x 512 tokens: twice the batch, by sqrt and by linear."""
    plan = plan_of(optimizer=tuned_at(256, length=512))
    rate = plan.learning_rate
    assert rate.scale == close(2**0.5)
    assert rate.reason == (
        "sqrt rule (the default for adamw) on 262144 / 131072 tokens, as sequences have 1024 tokens here and 512 at "
        "the reference"
    )
    assert plan.origins["learning_rate.reference_batch"].formula == (
        "reference_batch_size 256 x reference_sequence_length 512"
    )
    assert plan.origins["learning_rate.batch_ratio"].formula == "262144 / 131072 tokens"
    linear = plan_of(optimizer=tuned_at(256, length=512, scaling="linear")).learning_rate
    assert linear.scale == 2


def test_what_is_written_is_never_scaled_and_says_so():
    """The sentence, and origins that name the default."""
    plan = plan_of(optimizer=Optimizer(learning_rate=3e-4))
    assert plan.learning_rate.reason == "as written: learning_rate is never scaled"
    assert plan.learning_rate.reference_batch is None
    assert plan.learning_rate.batch_ratio is None
    assert plan.origins["learning_rate.scale"].origin == "default"


@pytest.mark.parametrize(
    ("name", "scaling", "words"),
    [
        ("sgd", "auto", "linear rule (the default for sgd) on 256 / 64 sequences"),
        ("adamw", "linear", "linear rule (as written) on 256 / 64 sequences"),
        ("adamw", "none", "reference_learning_rate kept at any batch: scaling none, as written"),
    ],
)
def test_the_reason_names_the_rule_and_who_chose_it(name, scaling, words):
    """One sentence says which rule and why it."""
    assert plan_of(optimizer=tuned_at(64, name=name, scaling=scaling)).learning_rate.reason == words


def test_every_number_of_the_scale_has_an_origin():
    """Reference, its batch, the ratio, the factor and the peak."""
    origins = plan_of(optimizer=tuned_at(64)).origins
    names = (
        "scaling_rule",
        "scale",
        "reference_learning_rate",
        "reference_batch",
        "batch_ratio",
        "peak_learning_rate",
    )
    for name in names:
        assert f"learning_rate.{name}" in origins, name


def test_a_reference_length_needs_a_length_here():
    """Rows of a table have no tokens to compare."""
    recipe = recipe_of(sequence_length=None, model=Model(kind="mlp"), optimizer=tuned_at(64, length=128))
    assert codes(refusal_of(recipe)) == ["tokens-need-sequence-length"]


def test_a_reference_length_without_a_batch_is_idle():
    """It says nothing of a rate that is applied as written."""
    plan = plan_of(optimizer=Optimizer(learning_rate=1e-3, reference_sequence_length=512))
    assert codes(plan) == ["no-effect"]


@given(st.integers(1, 4096), st.integers(1, 4096), st.integers(1, 8192), st.integers(1, 8192), st.booleans())
def test_the_ratio_is_that_of_tokens(batch, at, length, reference_length, in_tokens):
    """Whatever the unit, kappa is tokens over tokens."""
    written = {"reference_batch_tokens": count(str(at * reference_length))}
    if not in_tokens:
        written = {"reference_batch_size": at}
    recipe = recipe_of(
        global_batch_size=batch,
        sequence_length=length,
        optimizer=Optimizer(
            reference_learning_rate=1.0, reference_sequence_length=reference_length, **written
        ),
    )
    ratio = batch_ratio(reference_of(recipe), global_batch_size=batch, sequence_length=length)
    assert ratio.kappa == Fraction(batch * length, at * reference_length)
    assert ratio.unit == ("samples" if length == reference_length and not in_tokens else "tokens")


@given(st.integers(1, 64), st.integers(1, 64), st.sampled_from(["linear", "sqrt", "saturating", "capped"]))
def test_the_scale_at_a_stage_depends_on_its_tokens_only(batch, factor, rule):
    """Sequences n times as long in an n-th of the number have the rate of the run."""
    scaling = (
        Scaling(rule=rule, critical_batch_tokens=count("4K")) if rule[0] in "sc" and rule != "sqrt" else rule
    )
    recipe = recipe_of(
        global_batch_size=batch * factor, sequence_length=16, optimizer=tuned_at(8, scaling=scaling)
    )
    run = scale_at(recipe, global_batch_size=batch * factor, sequence_length=16)
    stage = scale_at(recipe, global_batch_size=batch, sequence_length=16 * factor)
    assert stage.factor == close(run.factor, rel=1e-12)
    assert run.factor == plan_of(recipe).learning_rate.scale


def test_the_scale_at_a_stage_of_a_written_rate_is_one():
    """What is applied as written is applied as written in every stage."""
    recipe = recipe_of(optimizer=Optimizer(learning_rate=1e-3, reference_batch_size=8))
    scale = scale_at(recipe, global_batch_size=4096, sequence_length=4096)
    assert (scale.factor, scale.ratio) == (1.0, None)
