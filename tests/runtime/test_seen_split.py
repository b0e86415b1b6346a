"""A checkpoint of a model that looks at its split is not resumed on another."""

from dataclasses import replace

import pytest

from launcher.errors import WorldError
from launcher.runtime.seen_split import seen_split
from launcher.runtime.state import read_state, state_of
from launcher.testing import sample_plans

PLAN = sample_plans()["cpu-1x2"]
COUPLED = replace(PLAN, model=replace(PLAN.model, batch_coupled=("batch_norm",), dropout=0.1))


def other_split(plan, **batch):
    return replace(plan, batch=replace(plan.batch, **batch), semantics_hash="0" * 64)


def saved(plan):
    return state_of(plan, samples=0, steps=0, num_samples=None, factors=())


def test_a_model_that_sees_nothing_keeps_no_split():
    """Its checkpoint has no word about micro-batch and ranks, and goes on with any."""
    assert seen_split(PLAN) == {}
    assert "seen_split" not in saved(PLAN)
    state = saved(PLAN)
    other = replace(PLAN, batch=replace(PLAN.batch, micro_batch_size=1, gradient_accumulation_steps=6))
    assert read_state(other, state)["samples"] == 0


def test_the_same_split_goes_on():
    """What was saved is what is planned."""
    assert saved(COUPLED)["seen_split"]["seen_by"] == ["batch_norm", "dropout"]
    assert read_state(COUPLED, saved(COUPLED))["steps"] == 0


@pytest.mark.parametrize("batch", [{"micro_batch_size": 1}, {"data_parallel_size": 1}])
def test_another_split_is_another_model(batch):
    """Both splits are named, with who sees them and what to resume with; the hash alone would not say why."""
    with pytest.raises(WorldError) as refused:
        read_state(other_split(COUPLED, **batch), saved(COUPLED))
    text = str(refused.value)
    assert "[resume-differs]" in text
    assert "trained with micro-batch 2 on 2 data-parallel ranks" in text
    assert "the model depends on it (batch_norm, dropout), so this is another model" in text
    assert "resume with micro_batch_size: 2 on 2 data-parallel ranks" in text


def test_checkpoints_of_before_are_compared_by_their_hash():
    """A state without a split is refused by its hash alone."""
    state = {name: value for name, value in saved(COUPLED).items() if name != "seen_split"}
    assert read_state(COUPLED, state)["steps"] == 0
    with pytest.raises(WorldError, match="semantics_hash"):
        read_state(other_split(COUPLED, micro_batch_size=1), state)


@pytest.mark.torch
def test_a_run_is_refused_on_another_split(plan_of, environ_of):
    """A perceptron with batch norm, saved at micro-batch 12, does not go on at 6; at 12 it does."""
    import torch

    from launcher import runtime

    def start(**keys):
        model = {"kind": "mlp", "norm": "batchnorm", "num_layers": 1}
        plan = plan_of(model=model, loss={"weighting": "samples"}, **keys)
        return runtime.start(torch.nn.Linear(1, 1), environ=environ_of(plan))

    first = start()
    assert first.plan.model.batch_coupled == ("batch_norm",)
    state = first.state_dict()
    assert state["seen_split"]["micro_batch_size"] == first.plan.batch.micro_batch_size == 12
    start().load_state_dict(state)
    with pytest.raises(WorldError, match="micro-batch 12 on 1 data-parallel ranks, planned is 6 on 1"):
        start(micro_batch_size=6).load_state_dict(state)
