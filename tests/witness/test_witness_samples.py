"""What counts as the planned number of samples, and what as a contradiction."""

import dataclasses

import pytest
from plan_by_hand import plan_by_hand

from batchwright_witness.borrowed import Borrowed, load_ours
from batchwright_witness.counting import Counts
from batchwright_witness.samples import SampleCheck, accepted_samples, accepted_tokens, sum_over_ranks
from launcher.spec.plan import StagePlan

NONE = frozenset()


def outcomes(*steps, planned=8):
    """The check after these steps (numbers, unsure), the first of which is optimizer step 1."""
    check = SampleCheck(accepted=frozenset({planned}))
    for step, (numbers, unsure) in enumerate(steps, 1):
        check.see(step=step, numbers=numbers, unsure=frozenset(unsure))
    return check


def test_two_equal_wrong_steps_contradict():
    """The first step is not judged; the second and third agree on a wrong number."""
    check = outcomes(({"loader0 rows": 99}, ()), ({"loader0 rows": 4}, ()), ({"loader0 rows": 4}, ()))
    assert [outcome.step for outcome in check.contradicted] == [2, 3]


def test_sizes_that_vary_are_no_contradiction():
    """Bucketed batches and queues that fill are not a wrong setting."""
    check = outcomes(*(({"loader0 rows": number}, ()) for number in (9, 6, 7, 6, 9)))
    assert not check.contradicted
    assert not check.agreed


def test_an_epoch_that_ends_says_nothing():
    """Partial batches and read-ahead at an epoch's end are no evidence for anything."""
    edge = ("loader0 rows",)
    assert outcomes(*(({"loader0 rows": 4}, edge) for _ in range(6))).outcomes == []


@pytest.mark.parametrize(
    "numbers",
    [
        {"loader0 rows": 8, "loader1 rows": 8},  # two domains, one sample of each
        {"loader0 rows": 5, "loader1 rows": 3},  # two sources of one batch
        {"loader0 rows": 1, "loader0 drawn": 8},  # sequences laid end to end in one row
        {"loader0 rows": 12, "forward rows": 8},  # somebody reads ahead in a thread
        {"forward rows": 8},
    ],
)
def test_places_where_the_planned_number_may_be_counted(numbers):
    """One place that counts the planned number is proof."""
    assert outcomes(*((numbers, ()) for _ in range(3))).agreed


def test_ranks_sum_up():
    """Rank 0 alone reads under dispatch; a rank that is unsure makes the sum unsure."""
    total, unsure = sum_over_ranks(
        [({"loader0 rows": 8}, ()), ({}, ()), ({"forward rows": 2}, ("forward rows",))]
    )
    assert total == {"loader0 rows": 8, "forward rows": 2}
    assert unsure == {"forward rows"}


def test_ranks_that_share_a_sample():
    """Under tensor parallelism each rank reads the sample, or one of them for all."""
    plan = plan_by_hand(ranks=2)
    layout = dataclasses.replace(plan.layout, world_size=8, tensor_parallel_size=4)
    assert accepted_samples(dataclasses.replace(plan, layout=layout)) == {8, 16, 32}


def test_tokens_only_when_the_plan_fixes_them():
    """Padded rows may be shorter; packed ones hold the sequence, or one token more to shift by."""
    assert accepted_tokens(plan_by_hand(data={"packing": "none"})) is None
    assert accepted_tokens(plan_by_hand(data={"packing": "packed"})) == {128, 136}


class Tensor:
    """Stands for a torch tensor: counting knows only shape and dtype."""

    def __init__(self, *shape, dtype="torch.int64"):
        self.shape, self.dtype = shape, dtype


@pytest.mark.parametrize(
    ("batch", "rows", "tokens"),
    [
        (Tensor(4, 16), 4, 64),
        ((Tensor(4, 3, 8, 8, dtype="torch.float32"), Tensor(4)), 4, None),
        ({"attention_mask": Tensor(4, 9, dtype="torch.bool"), "input_ids": Tensor(4, 16)}, 4, 64),
        ({"inputs": {"x": [Tensor(5, 2, dtype="torch.float32")]}}, 5, None),
        (["words", "no tensors"], None, None),
        (Tensor(), None, None),
    ],
)
def test_rows_and_tokens_of_a_batch(batch, rows, tokens):
    """The first dimension of the first tensor; token ids are two-dimensional whole numbers."""
    counts = Counts()
    counts.batch("loader0", batch)
    expected = {"loader0 rows": rows, "loader0 tokens": tokens}
    assert counts.totals == {name: number for name, number in expected.items() if number is not None}


def test_differences_between_steps():
    """Only what came since counts; an end makes loader and model input unsure, a dead loader is forgotten."""
    counts = Counts()
    counts.add("loader0 rows", 3)
    mark = dict(counts.totals)
    counts.add("loader0 rows", 4)
    counts.add("forward rows", 4)
    assert counts.since(mark) == ({"loader0 rows": 4, "forward rows": 4}, ())
    counts.edge("loader0", ended=True)
    assert set(counts.since(mark).unsure) == {"loader0 rows", "forward rows"}
    counts.forget("loader0")
    assert counts.since(mark).numbers == {"forward rows": 4}


def test_the_batch_of_any_stage_is_the_plans():
    """A script that changes its batch itself takes that of one of the stages, and its rate is not told by steps."""
    plan = plan_by_hand(
        micro=2, accumulation=2, ranks=2, sequence_length=16, data={"packing": "packed"}, peak=1.0
    )
    small = dataclasses.replace(plan.batch, slots_per_step=4, sequence_length=8)
    stages = tuple(
        StagePlan(until=None, first_step=1, steps=1, samples_before=0, tokens_before=0, batch=batch)
        for batch in (small, plan.batch)
    )
    ramp = dataclasses.replace(plan, stages=stages)
    assert accepted_samples(ramp) == {4, 8}
    assert accepted_tokens(ramp) == {rows * tokens for rows in (4, 8) for tokens in (8, 9, 16, 17)}
    ours = Borrowed(load_ours)
    assert ours.rate_of_step(ramp, 1) is None
    assert ours.rate_of_step(plan, 1) == 1.0
