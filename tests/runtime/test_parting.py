"""A job of one part of a run: its first step, its last step, and the checkpoint that it needs."""

import pytest

from launcher import load_recipe
from launcher.api import plan as make_plan
from launcher.errors import WorldError
from launcher.planning.stages.restarting import part_of
from launcher.runtime.parting import refuse_other_steps, trained_step


@pytest.fixture
def part():
    """The second of three parts: steps 6 to 15 of 20."""
    recipe = load_recipe(
        {
            "global_batch_size": 8,
            "sequence_length": 16,
            "hidden_size": 64,
            "model": {"vocab_size": 32},
            "schedule": {"length": "160 samples"},
            "cluster": {"devices_per_node": 1, "device": "cpu"},
            "launch": {"script": "train.py", "runtime": True},
            "stages": [
                {"until": "40 samples"},
                {"until": "120 samples", "activation_checkpointing": "full"},
                {"attention": "eager"},
            ],
        }
    )
    return make_plan(part_of(recipe, stage=2))


def test_the_last_step_of_a_part_is_the_last_one_for_the_script(part):
    """A script that saves at step.is_last saves there; its batch and its place in the data are the run's."""
    steps = [trained_step(part, number) for number in range(6, 16)]
    assert [step.is_last for step in steps] == [False] * 9 + [True]
    assert (steps[0].samples_before, steps[-1].samples_after) == (40, 120)
    assert trained_step(part, 16) is None


@pytest.mark.parametrize("done", [5, 9, 15])
def test_a_part_goes_on_from_its_beginning_or_from_inside(part, done):
    """A checkpoint of any of its own steps will do."""
    refuse_other_steps(part, done=done)


def test_a_part_needs_the_checkpoint_of_the_one_before(part, message):
    """Without one, or with that of another step, nothing is trained, and what to do is said."""
    with pytest.raises(WorldError) as refused:
        refuse_other_steps(part, done=0)
    message("part-needs-its-checkpoint", refused.value)
    with pytest.raises(WorldError, match="trains steps 6 to 15, and the checkpoint stands after step 4"):
        refuse_other_steps(part, done=4)
    with pytest.raises(WorldError, match="after step 16"):
        refuse_other_steps(part, done=16)


@pytest.mark.torch
def test_a_run_refuses_to_start_in_the_wrong_place(part, environ_of):
    """run.steps looks before it reads a sample."""
    import torch

    from launcher import runtime

    run = runtime.start(torch.nn.Linear(1, 1), environ=environ_of(part))
    with pytest.raises(WorldError, match="no checkpoint was loaded"):
        next(run.steps(range(100)))
    assert next(run.steps(range(100), start=40, weight=lambda sample: 1.0)).number == 6
