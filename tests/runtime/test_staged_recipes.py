"""From a recipe with stages to the samples that each rank reads: the same training on any number of ranks."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from staged_plans import all_steps

from launcher import load_recipe
from launcher.api import plan as make_plan
from launcher.errors import PlanError
from launcher.planning.stages.ledger import planned_rate
from launcher.runtime.steps import Share

RANKS = (1, 2, 3, 4)
REFUSED = {"stage-holds-no-step", "stage-ends-inside-a-sequence", "batch-larger-than-data"}


def recipe_of(*, ranks, stages, length, **keys):
    return {
        "name": "staged",
        "global_batch_size": 8,
        "hidden_size": 16,
        "model": {"num_layers": 1, "num_attention_heads": 1, "vocab_size": 32},
        "optimizer": {"name": "adamw", "reference_learning_rate": 0.1, "reference_batch_size": 4},
        "schedule": {"warmup": "10 %", "length": length, "decay": "cosine"},
        "cluster": {"nodes": 1, "devices_per_node": ranks, "device": "cpu"},
        "launch": {"script": "train.py", "runtime": True},
        "seed": 3,
        "stages": stages,
        **keys,
    }


@st.composite
def ramps(draw):
    """Stages in samples, each a batch of its own, and the length of the run."""
    marks = sorted(draw(st.sets(st.integers(1, 300), min_size=1, max_size=4)))
    sizes = [draw(st.integers(1, 40)) for _ in range(len(marks) + 1)]
    stages = [
        {"until": f"{mark} samples", "global_batch_size": size}
        for mark, size in zip(marks, sizes, strict=False)
    ]
    length = draw(
        st.sampled_from([f"{marks[-1] + 200} samples", "2 epochs", f"{len(marks) * 40 + 60} steps"])
    )
    return {"stages": [*stages, {"global_batch_size": sizes[-1]}], "length": length}


@st.composite
def extensions(draw):
    """Stages in tokens whose sequences grow or shrink, each a divisor of the longest."""
    lengths = draw(st.lists(st.sampled_from([8, 16, 32]), min_size=2, max_size=4))
    stages, tokens = [], 0
    for length in lengths[:-1]:
        tokens += draw(st.integers(1, 40)) * 16
        size = draw(st.integers(1, 12))
        stages.append({"until": f"{tokens} tokens", "sequence_length": length, "global_batch_size": size})
    stages.append({"sequence_length": lengths[-1], "global_batch_size": draw(st.integers(1, 12))})
    return {"stages": stages, "length": f"{tokens + 2000} tokens"}


def planned(drawn, ranks, **keys):
    """The plan, unless these stages make none: a stage may be over before it begins."""
    try:
        return make_plan(load_recipe(recipe_of(ranks=ranks, **drawn, **keys)))
    except PlanError as error:
        codes = {problem.code for problem in error.problems if problem.severity == "error"}
    assert codes <= REFUSED
    return assume(False)


def read(plan, datasets):
    """Indices of every step in the order of slots, over all ranks."""
    ranks = plan.batch.data_parallel_size
    shares = [Share(plan, rank=rank, dataset=datasets) for rank in range(ranks)]
    return [
        [
            index
            for micro in range(step.batch.gradient_accumulation_steps)
            for share in shares
            for index in share.indices(step, micro)
        ]
        for step in all_steps(plan)
    ]


def rates(plan):
    return [planned_rate(plan, step) for step in all_steps(plan)]


@given(ramps(), st.sampled_from(RANKS), st.sampled_from(RANKS))
@settings(max_examples=25)
def test_a_ramp_is_one_training_on_any_ranks(drawn, few, many):
    """Order, rates and meaning are bit-equal; the stream is read without a gap, epoch after epoch."""
    first, second = (
        planned(drawn, ranks, sequence_length=16, data={"num_samples": 150}) for ranks in (few, many)
    )
    assert first.semantics_hash == second.semantics_hash
    assert rates(first) == rates(second)
    order = read(first, range(150))
    assert order == read(second, range(150))
    stream = [index for step in order for index in step]
    assert (
        len(stream) == sum(step.size for step in all_steps(first)) == list(all_steps(first))[-1].samples_after
    )
    for epoch in range(len(stream) // 150):
        assert sorted(stream[epoch * 150 : (epoch + 1) * 150]) == list(range(150))


@given(extensions(), st.sampled_from(RANKS), st.sampled_from(RANKS))
@settings(max_examples=25)
def test_an_extension_is_one_training_on_any_ranks(drawn, few, many):
    """The same for sequences of several lengths, where every token of an epoch is read once."""
    keys = {"sequence_length": 32, "data": {"num_tokens": 3200, "packing": "packed"}}
    first, second = (planned(drawn, ranks, **keys) for ranks in (few, many))
    assert first.semantics_hash == second.semantics_hash
    assert rates(first) == rates(second)
    order = read(first, lambda length: range(3200 // length))
    assert order == read(second, lambda length: range(3200 // length))
    steps = list(all_steps(first))
    tokens = [
        index * step.batch.sequence_length + place
        for step, indices in zip(steps, order, strict=True)
        for index in indices
        for place in range(step.batch.sequence_length)
    ]
    assert len(tokens) == steps[-1].tokens_after
    longest = max(step.batch.sequence_length for step in steps)
    whole = 3200 // longest * longest
    for epoch in range(len(tokens) // whole):
        assert sorted(tokens[epoch * whole : (epoch + 1) * whole]) == list(range(whole))
