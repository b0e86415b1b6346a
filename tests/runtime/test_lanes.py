"""Recurrent state that is carried on: each slot of the batch reads its own stretch, on one rank, in one micro-batch."""

from __future__ import annotations

import pytest
from staged_plans import all_steps

from launcher import runtime
from launcher.errors import WorldError
from launcher.runtime.steps import Share

LSTM = {"kind": "lstm", "num_attention_heads": None, "carry_state": True}


@pytest.fixture
def lanes(plan_of):
    """A plan whose model carries its state: six steps of 12, two epochs of 36."""

    def plan(**changes):
        keys = {
            "data": {"num_samples": 36},
            "schedule": {"length": "6 steps"},
            "loss": {"weighting": "samples"},
        }
        return plan_of(model=LSTM, **{**keys, **changes})

    return plan


def slots_of(plan):
    """What each place (rank, micro-batch, position) of the job reads, step by step."""
    batch, found = plan.batch, {}
    for rank in range(batch.data_parallel_size):
        share = Share(plan, rank=rank, dataset=range(36))
        for step in all_steps(plan):
            for micro in range(batch.gradient_accumulation_steps):
                for position, index in enumerate(share.indices(step, micro)):
                    found.setdefault((rank, micro, position), []).append(index)
    return found


@pytest.mark.parametrize(
    ("ranks", "micro", "accumulation"), [(1, 12, 1), (2, 3, 2), (2, 6, 1), (3, 2, 2), (2, 4, 2)]
)
def test_each_slot_reads_consecutive_samples(lanes, ranks, micro, accumulation):
    """Twelve stretches of three: the k-th place reads 3k, 3k + 1, 3k + 2, and then the same again."""
    plan = lanes(ranks=ranks, micro_batch_size=micro, gradient_accumulation_steps=accumulation)
    found = slots_of(plan)
    order = sorted(found, key=lambda place: (place[1], place[0], place[2]))
    assert [found[place] for place in order] == [[3 * k, 3 * k + 1, 3 * k + 2] * 2 for k in range(12)]


def test_without_carried_state_samples_are_shuffled(lanes, plan_of):
    """The same recipe without it: consecutive samples are an accident."""
    model = {**LSTM, "carry_state": False}
    plan = plan_of(model=model, data={"num_samples": 36}, schedule={"length": "6 steps"})
    assert sum(b == a + 1 for reads in slots_of(plan).values() for a, b in zip(reads, reads[1:])) < 12  # noqa: B905, RUF007


def test_the_script_is_told_where_state_begins_anew(lanes, environ_of):
    """Before the first step of every epoch each slot's state is zero."""
    import torch

    plan = lanes(micro_batch_size=6)
    run = runtime.start(model := torch.nn.Linear(1, 1), environ=environ_of(plan))
    optimizer, told = torch.optim.SGD(model.parameters(), lr=0.1), []
    for step in run.steps(torch.arange(36.0).view(36, 1) / 36):
        told.append(step.resets_state)
        for micro in step:
            run.backward(model(micro.batch).squeeze(1), micro)
        run.apply(optimizer)
    assert told == [True, False, False, True, False, False]


def test_another_split_is_another_training(lanes):
    """State lies where its slot was: micro-batch and ranks are part of what training means."""
    same, other, ranks = (
        lanes(micro_batch_size=6),
        lanes(micro_batch_size=3),
        lanes(ranks=2, micro_batch_size=6),
    )
    assert len({same.semantics_hash, other.semantics_hash, ranks.semantics_hash}) == 3


def test_another_split_does_not_resume(lanes, environ_of):
    """It is refused in words, not as a hash that differs."""
    import torch

    model = torch.nn.Linear(1, 1)
    state = runtime.start(model, environ=environ_of(lanes(micro_batch_size=6))).state_dict()
    run = runtime.start(model, environ=environ_of(lanes(micro_batch_size=4)))
    with pytest.raises(WorldError) as error:
        run.load_state_dict(state)
    expected = "carried state of micro x accumulation x ranks 6x2x1, planned is 4x3x1 [resume-differs]"
    assert expected in str(error.value)
    run.load_state_dict({**state, "split": "4x3x1", "semantics_hash": run.plan.semantics_hash})


def test_data_for_less_than_a_step(lanes):
    """Where the plan does not know the data's size, every slot still needs a sample."""
    plan = lanes(data={"num_samples": None})
    with pytest.raises(WorldError, match="the dataset holds 11 samples, planned are 12"):
        Share(plan, rank=0, dataset=range(11))


def test_what_is_left_over_is_said(lanes):
    """Forty samples are three steps of twelve; four belong to no slot."""
    remarks = {problem.code: problem for problem in lanes(data={"num_samples": 40}).problems}
    assert remarks["state-needs-whole-epochs"].severity == "warning"
    assert "the last 4 of 40 samples are never read" in remarks["state-needs-whole-epochs"].message


def test_carried_state_is_that_of_one_long_pass(plan_of, environ_of):
    """Six stretches of three samples, in two micro-batches: an LSTM that carries its state sees six long sequences."""
    import torch

    plan = plan_of(
        global_batch_size=6,
        model=LSTM,
        data={"num_samples": 18},
        schedule={"length": "6 steps", "warmup": None},
        optimizer={"learning_rate": 1e-12},
        micro_batch_size=3,
    )
    torch.manual_seed(0)
    data, model = torch.randn(18, 4, 8), torch.nn.LSTM(8, 8, batch_first=True)
    optimizer, run = (
        torch.optim.SGD(model.parameters(), lr=0.1),
        runtime.start(model, environ=environ_of(plan)),
    )
    state, found = {}, {}
    for step in run.steps(data, weight=len):
        for micro in step:
            out, after = model(micro.batch, None if step.resets_state else state[micro.number])
            state[micro.number] = tuple(part.detach() for part in after)
            found.update(zip(micro.indices, out.detach(), strict=True))
            run.backward(out.square().sum((1, 2)), micro)
        run.apply(optimizer)
    whole, _ = model(data.view(6, 12, 8))
    assert torch.allclose(torch.stack([found[index] for index in range(18)]).view(6, 12, 8), whole, atol=1e-6)


def test_state_is_carried_from_whole_steps(lanes, environ_of):
    """Slots that begin in the middle of a step would read other stretches."""
    import torch

    run = runtime.start(torch.nn.Linear(1, 1), environ=environ_of(lanes(micro_batch_size=6)))
    with pytest.raises(WorldError, match=r"run.steps\(start=18\) is inside of optimizer step 2"):
        next(run.steps(range(36), start=18))
