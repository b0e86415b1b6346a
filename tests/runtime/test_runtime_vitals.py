"""What the runtime tells while it trains, and what it keeps out of checkpoints."""

import json
import math

import pytest

from launcher import runtime
from launcher.errors import WorldError

pytestmark = pytest.mark.torch


@pytest.fixture
def trained(plan_of, environ_of):
    """One rank after some steps, of which those from `bad` on have a loss of nan."""

    def train(*, steps, bad=99, spoils=True):
        import torch

        model = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        run = runtime.start(model, environ=environ_of(plan_of(loss={"weighting": "samples"})))
        for step in run.steps(torch.arange(30.0).view(30, 1)):
            for micro in step:
                loss = model(micro.batch / 30).square().squeeze(1)
                if step.number >= bad:
                    loss = loss * math.nan if spoils else loss + math.nan
                run.backward(loss, micro)
            run.apply(optimizer)
            if step.number == steps:
                return run
        return run

    return train


def beat(run):
    return json.loads((run.folder / "beats" / "0").read_bytes())


def test_a_beat_after_each_step(trained):
    """Steps, micro-batches, times, and that the loss was a number."""
    run = trained(steps=2)
    found = beat(run)
    assert (found["steps"], found["tried"], found["micro"], found["phase"]) == (2, 2, 0, "data")
    assert (found["finite"], found["skipped"], found["seen"]) == (True, 0, True)
    assert 0 < found["busy"] <= found["seconds"]


def test_spoiled_parameters_are_not_given_out(trained):
    """One step with a nan in its gradient is enough to keep the last good checkpoint."""
    run = trained(steps=2, bad=2)
    assert beat(run)["finite"] is False
    with pytest.raises(WorldError) as error:
        run.state_dict()
    assert [problem.code for problem in error.value.problems] == ["loss-not-finite"]
    assert "since optimizer step 2, and the parameters were about to be saved" in str(error.value)


def test_a_loss_alone_spoils_nothing(trained):
    """A nan that has no gradient leaves the parameters as they are, and those may be kept."""
    run = trained(steps=2, bad=2, spoils=False)
    assert beat(run)["finite"] is False
    assert run.state_dict()["steps"] == 2
