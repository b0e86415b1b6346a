"""Where the published range of a rule ends the plan warns, with the source; just inside it says nothing."""

import pytest
from plan_of import amount, codes, count, only, plan_of, severities

from launcher.planning.laws.step_law import batch_tokens
from launcher.spec.model import Model
from launcher.spec.training import Data, Optimizer, Scaling, Schedule


def planned(batch, at, *, name="adamw", scaling="auto", kind="decoder", **keys):
    optimizer = Optimizer(name=name, reference_learning_rate=1e-3, reference_batch_size=at, scaling=scaling)
    return plan_of(global_batch_size=batch, optimizer=optimizer, model=_model(kind), **keys)


def _model(kind):
    experts = {"num_experts": 8, "num_experts_per_token": 2} if kind == "moe" else {}
    return Model(kind=kind, **experts)


def reasons(plan):
    return [line for line in said(plan) if "published studies disagree" not in line]


def said(plan):
    """Every line, that on large batches too."""
    return [line for problem in plan.problems if problem.code == "scaled-far" for line in problem.because]


# batch, reference, optimizer, rule, kind of model: the last that is silent, and how many more sequences warn
EDGES = [
    (
        128 * 32,
        128,
        "sgd",
        "linear",
        "decoder",
        1,
        "beyond x32 for sgd (Goyal et al. 2017, arXiv:1706.02677)",
    ),
    (
        8192,
        4096,
        "sgd",
        "linear",
        "decoder",
        1,
        "beyond batches of 8192 (Goyal et al. 2017, arXiv:1706.02677)",
    ),
    (1024, 256, "adamw", "sqrt", "decoder", 1, "the sqrt rule is not shown to hold beyond x4 for adamw"),
    (1024, 256, "lion", "sqrt", "decoder", 1, "1,911 dense runs of arXiv:2503.04715"),
    (512, 256, "adamw", "linear", "decoder", 1, "the linear rule is not shown to hold beyond x2 for adamw"),
    (256 * 64, 256, "lamb", "sqrt", "encoder", 1, "x64 for lamb (You et al. 2019, arXiv:1904.00962"),
    (32, 256, "adamw", "sqrt", "decoder", -1, "Marek et al. 2025, arXiv:2507.07101"),
    (32, 256, "sgd", "linear", "decoder", -1, "below an eighth of the reference batch"),
    (32, 256, "lamb", "sqrt", "encoder", -1, "below an eighth of the reference batch"),
    (16384, 8192, "adamw", "sqrt", "encoder", 1, "batches of 16384 (You et al. 2019, arXiv:1904.00962)"),
]


@pytest.mark.parametrize(("batch", "at", "name", "rule", "kind", "more", "words"), EDGES)
def test_just_inside_is_silent_and_just_outside_warns(batch, at, name, rule, kind, more, words):  # noqa: PLR0917
    """One sequence decides; the reason carries the source that was read."""
    assert reasons(planned(batch, at, name=name, scaling=rule, kind=kind)) == []
    (reason,) = reasons(planned(batch + more, at, name=name, scaling=rule, kind=kind))
    assert words in reason
    assert "arXiv:" in reason


def test_none_is_silent_at_any_ratio():
    """What is not scaled leaves no range."""
    assert reasons(planned(1, 4096, scaling="none")) == reasons(planned(4096, 1, scaling="none")) == []


def test_every_limit_that_is_passed_is_named():
    """x33 and 8448 for SGD are two limits in one warning."""
    plan = planned(256 * 33, 256, name="sgd")
    assert len(reasons(plan)) == 2
    assert only(plan, "scaled-far").message.endswith(
        "from batch 256 to 8448, x33: further than was published"
    )


def test_batches_beyond_the_best_of_the_run():
    """For 10 B tokens the Step Law's batch is 297,460 tokens, 290.5 sequences of 1024 (arXiv:2503.04715)."""
    data = Data(num_tokens=count("10B"))
    assert int(batch_tokens(tokens=1e10) / 1024) == 290
    assert reasons(planned(290, 145, data=data)) == []
    (reason,) = reasons(planned(291, 145, data=data))
    assert "more than the 297460 that the Step Law finds best" in reason
    assert "arXiv:2503.04715" in reason


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "sgd"},  # fitted under AdamW
        {"kind": "encoder"},  # and to decoders
        {"scaling": Scaling(rule="saturating", critical_batch_tokens=count("64Ki"))},  # stops by itself
        {"data": Data()},  # no end of the run
        {"data": Data(num_tokens=count("100M"))},  # tens of times below the runs it was fitted to
    ],
)
def test_the_best_batch_is_asked_only_where_it_was_fitted(changed):
    """Another optimizer, model or length of the run is not judged by the Step Law."""
    keys = {"data": Data(num_tokens=count("10B")), **changed}
    assert reasons(planned(400, 200, **keys)) == []


def test_nothing_is_said_of_a_batch_that_is_not_scaled_up():
    """A reference beyond the best batch was tuned there."""
    assert reasons(planned(400, 400, data=Data(num_tokens=count("10B")))) == []


@pytest.mark.parametrize("tokens", ["1B", "200B"])
def test_auto_says_where_it_extrapolates(tokens):
    """The Step Law was fitted to 4 to 100 B tokens."""
    scaling = Scaling(rule="saturating", critical_batch_tokens="auto")
    (reason,) = reasons(planned(300, 256, scaling=scaling, data=Data(num_tokens=count(tokens))))
    assert "fitted from 4 to 100 B (arXiv:2503.04715)" in reason
    assert reasons(planned(300, 256, scaling=scaling, data=Data(num_tokens=count("10B")))) == []


def test_the_saturating_rule_is_named_and_never_taken():
    """AdamW, known tokens, beyond x4: a note with figures and source; the rate is still that of the rule."""
    data = Data(num_tokens=count("10B"))
    assert "scaling-saturates" not in codes(planned(64, 16, data=data))
    plan = planned(65, 16, data=data)
    assert severities(plan)["scaling-saturates"] == "note"
    note = only(plan, "scaling-saturates")
    assert "arXiv:2503.04715" in note.because[0]
    assert "x4 by sqrt ends 0.5 % above the best loss, by saturating 0.21 %" in note.because[0]
    assert plan.learning_rate.scale == pytest.approx((65 / 16) ** 0.5)
    written = Scaling(rule="saturating", critical_batch_tokens="auto")
    asked = planned(65, 16, data=data, scaling=written)
    assert (
        f"by {asked.learning_rate.scale:.4g} to {asked.learning_rate.peak_learning_rate:.4g}" in note.message
    )
    assert "scaling-saturates" not in codes(asked)


def test_experts_are_judged_by_their_own_runs():
    """For mixtures of experts the square root is as good as saturating, within 0.1 %; linear is not."""
    experts = {"kind": "moe", "data": Data(num_tokens=count("10B"))}
    assert "scaling-saturates" not in codes(planned(128, 16, **experts))
    note = only(planned(128, 16, scaling="linear", **experts), "scaling-saturates")
    assert "x4 by linear ends 1.35 % above the best loss, by saturating 0.17 %" in note.because[0]
    assert "708 runs of experts of arXiv:2503.04715" in note.because[0]


@pytest.mark.parametrize(
    "changed", [{"name": "sgd"}, {"name": "lamb"}, {"kind": "encoder"}, {"data": Data()}]
)
def test_the_note_is_for_what_was_measured(changed):
    """SGD, LAMB, encoders and runs without an end are not in those runs."""
    keys = {"data": Data(num_tokens=count("10B")), **changed}
    assert "scaling-saturates" not in codes(planned(128, 16, **keys))


def test_auto_critical_batch_is_the_step_laws():
    """0.58 x 10e9 ** 0.571 tokens; alpha 0.75 where none is written; both in the origin."""
    data, batch = Data(num_tokens=count("10B")), batch_tokens(tokens=1e10) / 1024
    scaling = Scaling(rule="saturating", critical_batch_tokens="auto")
    plan = planned(512, 128, scaling=scaling, data=data)
    assert plan.learning_rate.scale == pytest.approx((4 * (128 + batch) / (512 + batch)) ** 0.75, rel=1e-9)
    formula = plan.origins["learning_rate.scale"].formula
    assert "alpha 0.75 by default" in formula
    assert "0.58 x tokens of the run ** 0.571 (arXiv:2503.04715)" in formula
    capped = planned(512, 128, scaling=Scaling(rule="capped", critical_batch_tokens="auto"), data=data)
    assert capped.learning_rate.scale == pytest.approx((batch / 128) ** 0.75, rel=1e-9)


@pytest.mark.parametrize("length", ["10B tokens", "9765625 samples", "38147 steps"])
def test_the_tokens_of_the_run_from_any_unit(length):
    """A length in tokens, samples or steps is one critical batch (a last step more or less)."""
    scaling = Scaling(rule="saturating", critical_batch_tokens="auto")
    plan = planned(256, 64, scaling=scaling, schedule=Schedule(length=amount(length)))
    best = batch_tokens(tokens=1e10) / 1024
    assert plan.learning_rate.scale == pytest.approx((4 * (64 + best) / (256 + best)) ** 0.75, rel=1e-4)


def test_auto_needs_the_tokens_of_the_run():
    """Without an end of the run there is no critical batch to ask for."""
    from plan_of import refusal_of

    optimizer = Optimizer(
        reference_learning_rate=1e-3,
        reference_batch_size=64,
        scaling=Scaling(rule="capped", critical_batch_tokens="auto"),
    )
    refusal = refusal_of(optimizer=optimizer)
    assert codes(refusal) == ["schedule-needs-length"]
    assert refusal.problems[0].path == "optimizer.scaling.critical_batch_tokens"


def test_a_default_written_out_means_the_same():
    """alpha: 0.75 and none have one semantics hash."""
    absent, written = (
        planned(256, 128, scaling=Scaling(rule="capped", alpha=alpha, critical_batch_tokens=count("4Mi")))
        for alpha in (None, 0.75)
    )
    assert absent.semantics_hash == written.semantics_hash
    assert absent.learning_rate == written.learning_rate


def test_what_is_said_of_large_batches_is_one_sentence():
    """Where the batch has grown beyond what was published, and not where it has shrunk; no promise either way."""
    [_, sentence] = said(planned(2048, 256))
    assert sentence == (
        "large-batch runs at unchanged learning rate and epochs take fewer optimizer steps and often end with higher "
        "loss; published studies disagree whether a gap remains after retuning (docs/explanation/what-is-not-known.md)"
    )
    assert [line for line in said(planned(16, 256)) if "large-batch" in line] == []
    assert said(planned(1024, 256)) == []
