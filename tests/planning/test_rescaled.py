"""What follows the batch beside the rate: only where it is asked for, with the written value beside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import amount, codes, errors, only, plan_of, refusal_of, severities

from launcher.engines.formats.deepspeed_optimizer import optimizer_block
from launcher.spec.launch import Launch
from launcher.spec.recipe import Stage
from launcher.spec.training import Optimizer, Rescale, Schedule
from launcher.units import parse_amount

close = pytest.approx
LONG = Schedule(length=amount("1000 steps"))


def optimizer_at(kappa, *, rescale=None, reference=256, name="adamw", **keys):
    """The optimizer of a plan whose batch is kappa times the reference batch."""
    keys.setdefault("weight_decay", 0.1)
    keys.setdefault("betas", (0.9, 0.95))
    optimizer = Optimizer(
        name=name,
        reference_learning_rate=1e-3,
        reference_batch_size=reference,
        rescale=rescale or Rescale(),
        **keys,
    )
    return plan_of(global_batch_size=int(reference * kappa), optimizer=optimizer, schedule=LONG)


def test_nothing_is_rescaled_unless_asked():
    """Betas, epsilon and weight decay are those that were written, at any batch."""
    found = optimizer_at(4).optimizer
    assert (found.betas, found.epsilon, found.weight_decay) == ((0.9, 0.95), 1e-8, 0.1)
    assert found.at_reference is None


def test_the_square_root_rule_of_adam():
    """Kappa 4: beta1 .9 to .6, beta2 .95 to .80, epsilon x 0.5 (Malladi et al. 2022, arXiv:2205.10287)."""
    plan = optimizer_at(4, rescale=Rescale(betas="sde"))
    found = plan.optimizer
    assert found.betas == (0.6, 0.8)  # exact: of the decimals that were written
    assert found.epsilon == 0.5e-8
    assert plan.learning_rate.scale == 2
    assert found.at_reference == {"betas": (0.9, 0.95), "epsilon": 1e-8}
    assert (
        plan.origins["optimizer.betas"].formula == "1 - 4 x (1 - beta) of 0.9, 0.95 (sde, arXiv:2205.10287)"
    )
    assert optimizer_at(4, rescale=Rescale(betas="sde"), betas=(0.9, 0.999)).optimizer.betas[1] == 0.996


def test_betas_that_forget_over_the_same_tokens():
    """beta2 0.95 at 512 is 0.9999 at 1, beta1 stays (martin-marek/batch-size@32700f0, final configurations)."""
    plan = optimizer_at(1 / 512, rescale=Rescale(betas="token-half-life"), reference=512)
    beta1, beta2 = plan.optimizer.betas
    assert (beta1, round(beta2, 4)) == (0.9, 0.9999)
    assert plan.optimizer.epsilon == 1e-8


@pytest.mark.parametrize(("scaling", "expected"), [("sqrt", 0.2), ("none", 0.4), ("linear", 0.1)])
def test_weight_decay_of_the_same_timescale(scaling, expected):
    """Lambda 0.1, kappa 4: x sqrt(kappa), x kappa at a fixed rate, unchanged by linear (arXiv:2405.13698)."""
    plan = optimizer_at(4, rescale=Rescale(weight_decay="timescale"), scaling=scaling)
    assert plan.optimizer.weight_decay == close(expected)
    assert plan.optimizer.weight_decay_timescale == close(plan.optimizer.reference_timescale)


@pytest.mark.parametrize(("scaling", "ratio"), [("sqrt", 2), ("none", 4), ("linear", 1)])
def test_the_timescale_is_shown_before_and_after(scaling, ratio):
    """B / (eta lambda D): at a written weight decay a larger batch averages over kappa / scale times as much."""
    found = optimizer_at(4, scaling=scaling).optimizer
    # the reference: 256 sequences, 1e-3, 0.1, over 1000 steps of 1024
    assert found.reference_timescale == close(256 / (1e-3 * 0.1 * 1000 * 1024))
    assert found.weight_decay_timescale == close(found.reference_timescale * ratio)


def test_no_timescale_without_a_length_or_without_decoupled_weight_decay():
    """Nothing is guessed: no end of the run, no weight decay, or an optimizer that couples it to the gradient."""
    rate = {"reference_learning_rate": 1e-3, "reference_batch_size": 64}
    assert plan_of(optimizer=Optimizer(weight_decay=0.1, **rate)).optimizer.weight_decay_timescale is None
    assert optimizer_at(4, weight_decay=0.0).optimizer.weight_decay_timescale is None
    assert optimizer_at(4, name="adam").optimizer.weight_decay_timescale is None
    written = plan_of(optimizer=Optimizer(weight_decay=0.1, learning_rate=1e-3), schedule=LONG).optimizer
    assert written.weight_decay_timescale == close(1 / (1e-3 * 0.1 * 1000))
    assert written.reference_timescale is None


def test_the_timescale_of_a_ramp_is_counted_in_tokens():
    """Stages of other batches and lengths do not change D: 10 M tokens of steps of 256 x 1024."""
    optimizer = Optimizer(learning_rate=1e-3, weight_decay=0.1)
    stages = (
        Stage(until=parse_amount("5M tokens", kind="ramp"), global_batch_size=64, sequence_length=512),
        Stage(),
    )
    keys = {"optimizer": optimizer, "schedule": Schedule(length=amount("10M tokens"))}
    alone, ramp = (plan_of(**keys, stages=each).optimizer.weight_decay_timescale for each in ((), stages))
    assert ramp == alone == close(256 * 1024 / (1e-3 * 0.1 * 10e6))


def test_an_average_of_the_weights_always_follows():
    """0.9999 at kappa 8 is 0.99920 (Busbridge et al. 2023, arXiv:2307.13813), without being asked."""
    plan = optimizer_at(8, weight_average_decay=0.9999)
    assert round(plan.optimizer.weight_average_decay, 5) == 0.99920
    assert plan.optimizer.at_reference == {"weight_average_decay": 0.9999}
    assert plan.origins["optimizer.weight_average_decay"].formula == "0.9999 ** 8 (arXiv:2307.13813)"
    alone = plan_of(optimizer=Optimizer(weight_average_decay=0.9999)).optimizer
    assert (alone.weight_average_decay, alone.at_reference) == (0.9999, None)


@pytest.mark.parametrize(("batch", "refused"), [(2559, False), (2560, True), (2561, True)])
def test_the_square_root_rule_of_betas_ends(batch, refused):
    """For beta1 0.9 just below kappa 10; at 10 and beyond beta1 would be 0 or less."""
    optimizer = Optimizer(
        reference_learning_rate=1e-3, reference_batch_size=256, rescale=Rescale(betas="sde")
    )
    if not refused:
        assert plan_of(global_batch_size=batch, optimizer=optimizer).optimizer.betas[0] > 0
        return
    problem = only(refusal_of(global_batch_size=batch, optimizer=optimizer), "rescaled-too-far")
    assert "ends below x10 the reference batch" in problem.message
    assert "arXiv:2205.10287" in problem.because[0]


@pytest.mark.parametrize(
    ("optimizer", "refused"),
    [
        (Optimizer(learning_rate=1e-3, rescale=Rescale(betas="sde")), ["rescale-without-reference"]),
        (
            Optimizer(learning_rate=1e-3, weight_decay=0.1, rescale=Rescale(weight_decay="timescale")),
            ["rescale-without-reference"],
        ),
        # the rate is as written, at this batch and not at another
        (
            Optimizer(
                learning_rate=1e-3,
                reference_batch_size=64,
                weight_decay=0.1,
                rescale=Rescale(weight_decay="timescale"),
            ),
            ["rescale-without-reference"],
        ),
    ],
)
def test_rescaling_needs_its_reference(optimizer, refused):
    """Betas need a batch to come from, weight decay a learning rate, too."""
    assert errors(refusal_of(optimizer=optimizer)) == refused


def test_betas_of_a_rate_that_is_applied_as_written():
    """A reference batch is enough for betas."""
    optimizer = Optimizer(
        learning_rate=1e-3, reference_batch_size=64, betas=(0.9, 0.95), rescale=Rescale(betas="sde")
    )
    assert plan_of(global_batch_size=128, optimizer=optimizer).optimizer.betas == (0.8, 0.9)


def test_betas_by_one_rule_and_the_rate_by_another_is_a_warning():
    """The betas' rule and the rate's square root come from one equation."""
    plan = optimizer_at(4, rescale=Rescale(betas="sde"), scaling="none")
    assert severities(plan)["sde-without-sqrt"] == "warning"
    assert "sde-without-sqrt" not in codes(optimizer_at(4, rescale=Rescale(betas="sde")))


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({"name": "sgd", "rescale": Rescale(betas="sde"), "betas": None}, "optimizer.rescale.betas"),
        ({"name": "adam", "rescale": Rescale(weight_decay="timescale")}, "optimizer.rescale.weight_decay"),
        (
            {"weight_decay": 0.0, "rescale": Rescale(weight_decay="timescale")},
            "optimizer.rescale.weight_decay",
        ),
    ],
)
def test_what_cannot_be_rescaled_is_idle(keys, path):
    """An optimizer without second moments, without decoupled weight decay, or without any."""
    plan = optimizer_at(2, **keys)
    assert only(plan, "no-effect").path == path
    assert plan.optimizer.at_reference is None


def test_nobody_applies_what_no_placeholder_carries():
    """Rescaled betas reach a script through {beta1} and {beta2} only; a note says where they do not."""
    assert "nobody-applies" in codes(optimizer_at(2, rescale=Rescale(betas="sde")))
    optimizer = Optimizer(
        reference_learning_rate=1e-3, reference_batch_size=128, rescale=Rescale(betas="sde")
    )
    launch = Launch(script="train.py", args=("{beta1}", "{beta2}", "{epsilon}"))
    plan = plan_of(optimizer=optimizer, launch=launch)
    assert plan.applied_by["optimizer.rescale.betas"] == "argument"
    assert "nobody-applies" not in codes(plan)


def test_what_is_rescaled_is_what_deepspeed_builds():
    """With optimizer.owner: engine the rendered optimizer has the values of this batch."""
    optimizer = Optimizer(
        reference_learning_rate=1e-3,
        reference_batch_size=64,
        betas=(0.9, 0.95),
        weight_decay=0.1,
        owner="engine",
        rescale=Rescale(betas="sde", weight_decay="timescale"),
    )
    plan = plan_of(optimizer=optimizer, launch=Launch(script="train.py", engine="deepspeed"))
    params = optimizer_block(plan)["params"]
    assert (params["betas"], params["eps"], params["lr"]) == ([0.6, 0.8], 0.5e-8, 2e-3)
    assert params["weight_decay"] == close(0.2)
    assert plan.applied_by["optimizer.rescale.betas"] == "engine"


def test_the_reference_batch_is_left_as_it_is():
    """At kappa 1 every setting is the written one, to the last bit, and nothing claims to be rescaled."""
    plan = optimizer_at(
        1, rescale=Rescale(betas="sde", weight_decay="timescale"), weight_average_decay=0.9999
    )
    found = plan.optimizer
    assert (found.betas, found.weight_decay, found.weight_average_decay) == ((0.9, 0.95), 0.1, 0.9999)
    assert found.at_reference is None


@given(st.integers(1, 8), st.sampled_from(["sde", "token-half-life"]))
def test_rescaling_there_and_back_again(factor, choice):
    """What was rescaled to kappa times the batch, taken as the reference, comes back at 1 / kappa."""
    rescale = Rescale(betas=choice, weight_decay="timescale")
    there = optimizer_at(factor, rescale=rescale, weight_average_decay=0.999, betas=(0.9, 0.95)).optimizer
    back = optimizer_at(
        1 / factor,
        rescale=rescale,
        reference=256 * factor,
        betas=there.betas,
        epsilon=there.epsilon,
        weight_decay=there.weight_decay,
        weight_average_decay=there.weight_average_decay,
    ).optimizer
    assert back.betas == close((0.9, 0.95))
    assert back.epsilon == close(1e-8)
    assert back.weight_decay == close(0.1)
    assert back.weight_average_decay == close(0.999)


def test_the_meaning_of_a_run_holds_no_computed_number():
    """Asking for rescaling is part of the meaning; a rate scaled by another batch's ratio is not computed into it."""
    with_it, without = (optimizer_at(4, rescale=Rescale(betas=choice)) for choice in ("sde", "none"))
    assert with_it.semantics_hash != without.semantics_hash
