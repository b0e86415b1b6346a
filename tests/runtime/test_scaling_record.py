"""A run keeps the scaling it began with: a checkpoint says how its rate came about, and no other plan goes on."""

import pytest

from launcher.errors import WorldError
from launcher.runtime.scaling_record import refuse_other_scaling, scaling_of
from launcher.runtime.state import read_state, state_of

TUNED = {"name": "sgd", "learning_rate": None, "reference_learning_rate": 0.1, "reference_batch_size": 12}


def scaled(plan_of, *, batch=24, **optimizer):
    return plan_of(global_batch_size=batch, data={"num_samples": 72}, optimizer={**TUNED, **optimizer})


def state(plan):
    return state_of(plan, samples=24, steps=1, num_samples=72, factors=())


def test_the_checkpoint_keeps_rule_reference_and_scale(plan_of):
    """0.1 at 12 sequences, x2 by linear."""
    found = state(scaled(plan_of))["scaling"]
    assert (found["rule"], found["scale"], found["peak_learning_rate"]) == ("linear", 2.0, 0.2)
    assert (found["reference_learning_rate"], found["reference_batch"], found["reference_unit"]) == (
        0.1,
        12,
        "samples",
    )


def test_the_same_plan_goes_on(plan_of):
    """On another number of ranks, too; a machine that rounds otherwise is no other scaling."""
    kept = state(scaled(plan_of))
    other = plan_of(ranks=3, global_batch_size=24, data={"num_samples": 72}, optimizer=TUNED)
    assert read_state(other, kept)["samples"] == 24
    kept["scaling"]["scale"] *= 1 + 1e-15
    assert read_state(scaled(plan_of), kept)


@pytest.mark.parametrize(
    "changed",
    [
        {"batch": 36},
        {"reference_learning_rate": 0.2},  # what was scaled taken as the reference of a second scaling
        {"scaling": "sqrt"},
        {"scaling": "sqrt", "reference_batch_size": 6},  # another way to the same rate
        {"reference_batch_size": 6},
        {"learning_rate": 0.2, "reference_learning_rate": None},
    ],
)
def test_another_scaling_does_not_go_on(plan_of, changed):
    """Another batch, reference or rule is refused, in words and not by a hash."""
    with pytest.raises(WorldError) as error:
        read_state(scaled(plan_of, **changed), state(scaled(plan_of)))
    (problem,) = error.value.problems
    assert problem.code == "resume-differs"
    assert "was trained with a learning rate of 0.2 = 0.1 (at 12 sequences) x 2 by linear" in problem.message


def test_the_refusal_in_words(plan_of):
    """Both ways to the rate, and why it matters."""
    with pytest.raises(WorldError) as error:
        read_state(scaled(plan_of, reference_learning_rate=0.2), state(scaled(plan_of)))
    assert str(error.value) == (
        "the checkpoint at 24 samples was trained with a learning rate of 0.2 = 0.1 (at 12 sequences) x 2 by linear, "
        "planned is a learning rate of 0.4 = 0.2 (at 12 sequences) x 2 by linear [resume-differs]\n"
        "  a run keeps the scaling it began with; going on with another would scale it twice\n"
        "  hint: resume with the recipe it was trained with"
    )


def test_a_checkpoint_from_before_the_record_is_judged_by_its_hash(plan_of):
    """What an older version saved has no record, and goes on where it means the same."""
    kept = state(scaled(plan_of))
    del kept["scaling"]
    assert read_state(scaled(plan_of), kept)
    with pytest.raises(WorldError, match="semantics_hash"):
        read_state(scaled(plan_of, batch=36), kept)


def test_a_run_without_a_planned_rate_has_no_record(plan_of):
    """Nothing is scaled, nothing is refused."""
    plan = plan_of(optimizer={"learning_rate": None})
    assert scaling_of(plan) is None
    refuse_other_scaling(plan, {"samples": 0, "scaling": scaling_of(scaled(plan_of))})
