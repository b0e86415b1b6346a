"""Nothing is lost or read twice, for arbitrary stages, ranks, micro-batches, lengths and points of resuming."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from staged_plans import Leg, all_steps, staged

from launcher.planning.sample_order import sample_index
from launcher.planning.stages.ledger import planned_rate, stages_of, step_after, step_at, tokens_after
from launcher.planning.stages.whole_sequences import steps_to_whole_sequence
from launcher.runtime.steps import Share
from launcher.testing.plans import sample_plans

PLAN = sample_plans()["cpu-1x2"]
LENGTHS = (1, 2, 3, 4, 6, 12)
LONGEST = 12
FAMILIES = ((1, 2, 4, 12), (1, 3, 6, 12), (2, 6, 12), (1, 2, 6))  # in each, every one divides those behind it


@st.composite
def splits(draw, size, ranks):
    """Micro-batch and accumulation that hold a batch; some leave slots idle."""
    micro = draw(st.integers(1, size))
    return micro, -(-size // (micro * ranks))


@st.composite
def ramps(draw, *, lengths):
    """Steps, sizes and lengths of up to five stages; each ends where the next may begin."""
    count, tokens, legs = draw(st.integers(1, 5)), 0, []
    family = draw(st.sampled_from(FAMILIES)) if lengths else (LONGEST,)
    wanted = [draw(st.sampled_from(family)) for _ in range(count)]
    for place, length in enumerate(wanted):
        steps, size = draw(st.integers(1, 5)), draw(st.integers(1, 20))
        if place + 1 < count:
            steps = steps_to_whole_sequence(
                steps=steps,
                tokens_before=tokens,
                tokens_per_step=size * length,
                next_length=wanted[place + 1],
            )
            if steps is None:  # no end of this stage lets the next one begin
                break
        legs.append((steps, size, length))
        tokens += steps * size * length
    assume(legs)
    return legs


def plan_with(draw, legs, *, num_samples):
    ranks = draw(st.integers(1, 4))
    split = [Leg(steps, size, *draw(splits(size, ranks)), length) for steps, size, length in legs]
    return staged(replace(PLAN, seed=5), split, ranks=ranks, num_samples=num_samples)


def read(plan, datasets, step):
    """Indices of a step in the order of slots, over all ranks."""
    shares = [Share(plan, rank=rank, dataset=datasets) for rank in range(step.batch.data_parallel_size)]
    accumulation = step.batch.gradient_accumulation_steps
    return [i for micro in range(accumulation) for share in shares for i in share.indices(step, micro)]


def order(num_samples, count, *, start=0):
    """The stream without stages, place by place."""
    return [
        sample_index(seed=5, position=place, num_samples=num_samples) for place in range(start, start + count)
    ]


@given(st.data(), st.integers(1, 60))
def test_a_ramp_reads_the_stream_in_order(data, num_samples):
    """Over all ranks and micro-steps a step reads exactly its slice of the stream, which goes on where it stopped."""
    plan = plan_with(data.draw, data.draw(ramps(lengths=False)), num_samples=num_samples)
    at = 0
    for step in all_steps(plan):
        assert step.samples_before == at
        assert read(plan, range(num_samples), step) == order(num_samples, step.size, start=at)
        at += step.size
        assert step.ends_stage == (
            at in {stage.samples_before for stage in stages_of(plan)[1:]} or step.is_last
        )
    assert at == plan.data["total_samples"]


@given(st.data(), st.integers(1, 12))
def test_lengths_read_every_token_once(data, chunks):
    """With several lengths the tokens of all steps, one behind the other, are the chunks of the stream in order."""
    legs = data.draw(ramps(lengths=True))
    plan = plan_with(data.draw, legs, num_samples=chunks)
    unit = max(length for *_, length in legs)  # the chunks are those of the longest length there is
    tokens = [
        index * step.batch.sequence_length + place
        for step in all_steps(plan)
        for index in read(plan, lambda length: range(chunks * unit // length), step)
        for place in range(step.batch.sequence_length)
    ]
    whole = [
        number * unit + place for number in order(chunks, len(tokens) // unit + 1) for place in range(unit)
    ]
    assert tokens == whole[: len(tokens)]
    for epoch in range(len(tokens) // (chunks * unit)):
        part = tokens[epoch * chunks * unit : (epoch + 1) * chunks * unit]
        assert Counter(part) == Counter(range(chunks * unit))


@given(st.data(), st.booleans())
def test_a_run_resumes_on_any_split(data, lengths):
    """From the end of any step the rest is the same on other ranks and micro-batches, and the ledger finds its place."""
    legs, chunks = data.draw(ramps(lengths=lengths)), 7
    first, second = (plan_with(data.draw, legs, num_samples=chunks) for _ in range(2))
    datasets = dict.fromkeys(LENGTHS, range(chunks * LONGEST)).get
    steps = list(all_steps(first))
    done = data.draw(st.sampled_from(steps))
    assert step_after(second, done.samples_after) == done.number + 1
    assert tokens_after(second, done.samples_after) == done.tokens_after
    left = (step_at(second, number) for number in range(done.number + 1, len(steps) + 1))
    for step, there in zip(steps[done.number :], left, strict=True):
        assert read(first, datasets, step) == read(second, datasets, there)
        assert planned_rate(first, step) == planned_rate(second, there)


@given(st.data())
def test_the_rate_does_not_know_the_split(data):
    """By samples or by tokens, the rates of all steps are bit-equal on every split and number of ranks."""
    legs = data.draw(ramps(lengths=True))
    clock = data.draw(st.sampled_from(["samples", "tokens"]))
    schedule = replace(PLAN.learning_rate.schedule, clock=clock, sequence_length=LONGEST)
    rates = replace(PLAN.learning_rate, schedule=schedule)
    first, second = (
        replace(plan_with(data.draw, legs, num_samples=9), learning_rate=rates) for _ in range(2)
    )
    traces = [[planned_rate(plan, step) for step in all_steps(plan)] for plan in (first, second)]
    assert traces[0] == traces[1]


@given(st.data(), st.integers(1, 20), st.integers(1, 6), st.integers(0, 5))
def test_lanes_read_on_where_they_stopped(data, size, steps, left_over):
    """With carried state each slot reads consecutive samples, from its start again in every epoch; none is read twice."""
    num_samples = size * steps + min(left_over, size - 1)
    model = replace(PLAN.model, others={"carry_state": True})
    epochs = data.draw(st.integers(1, 3))
    legs = [(steps * epochs, size, LONGEST)]
    plan = replace(plan_with(data.draw, legs, num_samples=num_samples), model=model)
    found = [read(plan, range(num_samples), step) for step in all_steps(plan)]
    share = Share(plan, rank=0, dataset=range(num_samples))
    assert [share.resets_state(step) for step in all_steps(plan)] == [
        n % steps == 0 for n in range(steps * epochs)
    ]
    for epoch in range(epochs):
        rows = found[epoch * steps : (epoch + 1) * steps]
        assert sorted(index for row in rows for index in row) == list(range(size * steps))
        for slot, reads in enumerate(zip(*rows, strict=True)):
            assert list(reads) == list(range(slot * steps, (slot + 1) * steps))


def test_a_stage_that_begins_inside_a_sequence_would_lose_tokens():
    """The properties can fail: three sequences of 4 tokens, then sequences of 6, which begin at a multiple of 6."""
    plan = staged(replace(PLAN, seed=5), [Leg(1, 4, 4, 1, 4), Leg(2, 2, 2, 1, 6)], ranks=1, num_samples=5)
    tokens = [
        index * step.batch.sequence_length + place
        for step in islice(all_steps(plan), 2)
        for index in read(plan, lambda length: range(60 // length), step)
        for place in range(step.batch.sequence_length)
    ]
    with pytest.raises(AssertionError):
        assert len(set(tokens)) == len(tokens)
