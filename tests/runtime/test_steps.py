"""Which rank holds which sequence, what an idle slot holds, and what a sample weighs."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest

from launcher.errors import WorldError
from launcher.planning.sample_order import sample_index
from launcher.planning.stages.ledger import step_at
from launcher.runtime.steps import Share, label_count

SPLITS = [(1, 12, 1), (2, 3, 2), (3, 4, 1), (6, 1, 2), (5, 3, 1), (4, 2, 2), (8, 1, 2), (1, 4, 3), (7, 1, 2)]


def planned(plan, *, samples_before=0, size=12):
    """A step of the plan's batch, wherever in the stream."""
    return step_at(plan, 1)._replace(samples_before=samples_before, size=size)


def step_of(plan, *, samples_before, size):
    """Every sequence of a step in the order of slots, over all ranks."""
    batch, step = plan.batch, planned(plan, samples_before=samples_before, size=size)
    shares = [Share(plan, rank=rank, dataset=range(30)) for rank in range(batch.data_parallel_size)]
    return [
        index
        for micro_step in range(batch.gradient_accumulation_steps)
        for share in shares
        for index in share.indices(step, micro_step)
    ]


@pytest.mark.parametrize(("micro", "accumulation", "ranks"), SPLITS)
def test_every_split_holds_the_same_step(plan_of, micro, accumulation, ranks):
    """Slots read in order give consecutive positions of the stream, across the end of an epoch too."""
    plan = plan_of(ranks=ranks, micro_batch_size=micro, gradient_accumulation_steps=accumulation, seed=5)
    for before, size in ((0, 12), (24, 12), (60, 5)):
        expected = [sample_index(seed=5, position=before + i, num_samples=30) for i in range(size)]
        assert step_of(plan, samples_before=before, size=size) == expected


def test_an_epoch_holds_every_sample_once(plan_of):
    """Thirty positions, thirty samples."""
    plan = plan_of(ranks=2)
    stream = [i for before in (0, 12) for i in step_of(plan, samples_before=before, size=12)]
    stream += step_of(plan, samples_before=24, size=6)
    assert Counter(stream) == Counter(range(30))


def test_another_seed_is_another_order(plan_of):
    """The order follows the plan's seed."""
    first, second = (step_of(plan_of(seed=seed), samples_before=0, size=12) for seed in (0, 1))
    assert first != second


@pytest.mark.torch
def test_idle_slots_repeat_the_first_sample_and_weigh_nothing(plan_of):
    """Shapes stay static: the last micro-batch of 5x3 for 12 holds two sequences and three repetitions."""
    plan = plan_of(micro_batch_size=5, gradient_accumulation_steps=3)
    share = Share(plan, rank=0, dataset=range(30), weight=lambda sample: sample)
    micros, weight = share.load(planned(plan))
    first = sample_index(seed=0, position=0, num_samples=30)
    assert [len(micro.batch) for micro in micros] == [5, 5, 5]
    assert micros[2].batch.tolist() == [*micros[2].indices, first, first, first]
    assert [micro.weight.tolist() for micro in micros] == [[1.0] * 5, [1.0] * 5, [1.0, 1.0, 0.0, 0.0, 0.0]]
    assert [micro.idle_slots for micro in micros] == [0, 0, 3]
    assert [micro.is_last for micro in micros] == [False, False, True]
    assert weight == sum(index for micro in micros for index in micro.indices)


@pytest.mark.torch
def test_a_rank_may_have_nothing_but_idle_slots(plan_of):
    """4x2x2 for 12: the second rank's last micro-batch is all repetition, and it still takes part."""
    plan = plan_of(ranks=2, micro_batch_size=4, gradient_accumulation_steps=2)
    (_, last), weight = Share(plan, rank=1, dataset=range(30), weight=lambda _: 1).load(planned(plan))
    assert (last.indices, last.idle_slots, weight) == ((), 4, 4.0)


@pytest.mark.torch
@pytest.mark.parametrize("weighting", ["sequences", "samples"])
def test_sequences_weigh_one_each(plan_of, weighting):
    """Without token weighting the weight is a count, whatever the samples hold."""
    plan = plan_of(loss={"weighting": weighting})
    _, weight = Share(plan, rank=0, dataset=range(30)).load(planned(plan))
    assert weight == 12


@pytest.mark.torch
def test_labels_are_counted_in_every_form():
    """Lists, tensors, mappings and objects; -100 does not count."""
    import torch

    labels = [5, -100, 7, -100, 9]
    assert label_count({"labels": labels}) == 3
    assert label_count({"labels": torch.tensor(labels)}) == 3
    assert label_count({"labels": torch.tensor(labels).numpy()}) == 3
    assert label_count(SimpleNamespace(labels=labels)) == 3


def test_samples_without_labels_are_asked_for_a_weight(message):
    """Nothing is assumed about what a sample weighs."""
    with pytest.raises(WorldError) as error:
        label_count({"text": "..."})
    message("loss-weights-unknown", error.value)


def test_a_dataset_that_is_too_small(plan_of, message):
    """The plan counts on 30 samples."""
    with pytest.raises(WorldError) as error:
        Share(plan_of(), rank=0, dataset=range(29))
    message("dataset-too-small", error.value)


def test_a_larger_dataset_keeps_the_planned_order(plan_of):
    """The plan's size of the data fixes the order; what lies beyond it is not read."""
    assert Share(plan_of(), rank=0, dataset=range(31)).num_samples == 30
    assert Share(plan_of(data={"num_samples": None}), rank=0, dataset=range(31)).num_samples == 31


@pytest.mark.parametrize("dataset", [iter([1]), {1, 2}])
def test_streams_are_refused(plan_of, dataset):
    """What cannot be read by number cannot be shared out yet."""
    with pytest.raises(WorldError) as error:
        Share(plan_of(), rank=0, dataset=dataset)
    assert error.value.problems[0].code == "not-yet-supported"
