"""Parts of a run: stages that one job can train, and what stays the same however often a job is started anew."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher import load_recipe
from launcher.api import plan as make_plan
from launcher.api import render
from launcher.errors import PlanError
from launcher.planning.stages.ledger import at_the_start, ends_at, planned_rate, step_at
from launcher.planning.stages.restarting import part_of, parts_of

ZERO = {"parallel": {"data": {"strategy": "zero", "stage": 2}}}
FULL = {"activation_checkpointing": "full"}
ALONE = {"cluster": {"devices_per_node": 1}}
ENDS = ["80 samples", "240 samples", "400 samples", None]


def recipe_of(*stages, **keys):
    """A recipe whose stages end at ENDS and write these keys besides."""
    ends = [*ENDS[: len(stages) - 1], None]
    return load_recipe(
        {
            "name": "parts",
            "global_batch_size": 16,
            "sequence_length": 32,
            "hidden_size": 32,
            "model": {"num_layers": 1, "num_attention_heads": 2, "vocab_size": 96},
            "optimizer": {"learning_rate": 2e-3},
            "schedule": {"warmup": "5 %", "decay": "cosine", "length": "480 samples"},
            "cluster": {"devices_per_node": 2, "device": "cpu"},
            "launch": {"script": "train.py", "runtime": True, "engine": "deepspeed"},
            "resume": {"args": ["--resume", "{latest_checkpoint}"]},
            **keys,
            "stages": [
                {**({"until": end} if end else {}), **stage} for end, stage in zip(ends, stages, strict=True)
            ],
        }
    )


def spans(recipe):
    return [(part.first_stage, part.last_stage) for part in parts_of(recipe)]


def steps_of(plan):
    """Every step of the run with its rate, as the plan's ledger has them."""
    steps = [step_at(plan, number) for number in range(1, plan.data["total_steps"] + 1)]
    return [(step, planned_rate(plan, step)) for step in steps]


def test_stages_of_one_configuration_are_one_part():
    """A part ends where machines, layout, recomputation or the like change, and not where only the batch does."""
    assert spans(recipe_of({}, {"global_batch_size": 8}, {})) == [(1, 3)]
    assert spans(recipe_of({}, ZERO, {**ZERO, "global_batch_size": 8}, {})) == [(1, 1), (2, 3), (4, 4)]
    assert parts_of(recipe_of({}, {**ZERO, **FULL}))[1].changed == ("activation_checkpointing", "parallel")
    assert parts_of(recipe_of({})) == ((1, 1, 1, ()),)
    ddp = {"parallel": {"data": {"strategy": "ddp"}}}
    assert spans(recipe_of({}, ddp)) == [(1, 2)]  # the default, written out


def test_a_recipe_of_one_part_is_its_part():
    """Nothing is narrowed where one job trains everything."""
    recipe = recipe_of({"global_batch_size": 8}, {})
    assert part_of(recipe, stage=2) is recipe


def test_a_part_is_planned_on_its_own_layout():
    """Machines, layout and recomputation are those of the part; the first batch handed over is that of its first stage."""
    recipe = recipe_of({"global_batch_size": 8}, {**ZERO, **FULL}, {**ALONE, "global_batch_size": 4})
    plans = [make_plan(part_of(recipe, stage=number)) for number in (1, 2, 3)]
    assert [plan.layout.data_strategy for plan in plans] == ["ddp", "zero", "ddp"]
    assert [plan.layout.world_size for plan in plans] == [2, 2, 1]
    assert [plan.activation_checkpointing for plan in plans] == ["none", "full", "none"]
    first = [at_the_start(plan).batch for plan in plans]
    assert [(batch.global_batch_size, batch.data_parallel_size) for batch in first] == [
        (8, 2),
        (16, 2),
        (4, 1),
    ]
    assert [(plan.part.first_step, plan.part.last_step) for plan in plans] == [(1, 10), (11, 20), (21, 80)]
    assert [ends_at(plan) for plan in plans] == [10, 20, 80]
    assert len({plan.plan_hash for plan in plans}) == 3
    for number, plan in enumerate(plans, start=1):
        assert plan.memory == plan.stages[number - 1].memory
        assert render(part_of(recipe, stage=number), plan).commands


KEYS = st.sampled_from([{}, ZERO, FULL, ALONE, {**ZERO, **ALONE}, {"launch": {"env": {"A": "1"}}}])
SIZES = st.sampled_from([4, 8, 16])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(KEYS, SIZES), min_size=2, max_size=4))
def test_every_part_counts_the_whole_run(drawn):
    """Steps, samples, batches and rates of a part's plan are those of the run's, to the last bit; so is its meaning."""
    recipe = recipe_of(*({**keys, "global_batch_size": size} for keys, size in drawn))
    whole = make_plan(recipe)
    trained = []
    for part in parts_of(recipe):
        plan = make_plan(part_of(recipe, stage=part.last_stage))
        assert plan.semantics_hash == whole.semantics_hash
        assert steps_of(plan) == steps_of(whole)
        first = 1 if plan.part is None else plan.part.first_step
        trained += range(first, ends_at(plan) + 1)
    assert trained == list(range(1, whole.data["total_steps"] + 1))


def test_how_a_stage_is_computed_is_not_what_it_means():
    """The semantics hash looks at no key that a restart carries out, and at every other."""
    plain = make_plan(recipe_of({}, {})).semantics_hash
    for keys in (
        ZERO,
        FULL,
        ALONE,
        {"attention": "eager"},
        {"compile": True},
        {"evaluation": {"every": "5 steps"}},
    ):
        assert make_plan(recipe_of({}, keys)).semantics_hash == plain
    assert make_plan(recipe_of({}, {"loss": {"weighting": "samples"}})).semantics_hash != plain


def test_a_model_that_sees_its_split_means_the_splits_of_its_stages():
    """With dropout the split of every stage is part of the meaning, and every part says the same of it."""
    recipe = recipe_of({}, {**ALONE, "micro_batch_size": 8}, micro_batch_size=8)
    recipe = replace(recipe, model=replace(recipe.model, dropout=0.1))
    hashes = {make_plan(part_of(recipe, stage=stage)).semantics_hash for stage in (1, 2)}
    assert hashes == {make_plan(recipe).semantics_hash}
    assert make_plan(replace(recipe, stages=recipe.stages[1:])).semantics_hash not in hashes


def test_rendering_asks_for_a_part():
    """A recipe with a restart in it is rendered part by part."""
    recipe = recipe_of({}, ZERO)
    with pytest.raises(PlanError) as refused:
        render(recipe, make_plan(recipe))
    assert [problem.code for problem in refused.value.problems] == ["stage-needs-a-restart"]
    notes = [each for each in make_plan(recipe).problems if each.code == "stage-needs-a-restart"]
    assert [each.severity for each in notes] == ["note"]


@pytest.mark.parametrize(
    "keys", [{"model": {"dropout": 0.1}}, {"seed": 3}, {"precision": "bf16"}, {"launch": {"executor": "ssh"}}]
)
def test_another_training_is_no_part(keys):
    """What changes the meaning of training, or the job itself, is refused in a whole and in its parts."""
    recipe = recipe_of({}, keys, {**keys, **ZERO})
    for each in (recipe, part_of(recipe, stage=1), part_of(recipe, stage=3)):
        with pytest.raises(PlanError) as refused:
            render(each, make_plan(recipe))
        assert "stage-changes-the-training" in {problem.code for problem in refused.value.problems}


def test_a_part_that_the_run_never_reaches_is_refused():
    """A stage that only a warning is lost over in the run is no job."""
    recipe = recipe_of({}, {}, ZERO, schedule={"length": "100 samples"})
    assert make_plan(recipe).part is None
    with pytest.raises(PlanError) as refused:
        make_plan(part_of(recipe, stage=3))
    assert [problem.code for problem in refused.value.problems if problem.severity == "error"] == [
        "stage-not-reached"
    ]


def zero(stage):
    return {"parallel": {"data": {"strategy": "zero", "stage": stage}}}


@pytest.mark.parametrize(
    ("first", "second", "warned"),
    [
        ({}, FULL, False),
        ({}, ALONE, False),  # the whole state lies in one file
        (zero(1), zero(2), False),
        (zero(3), {**zero(3), **FULL}, False),
        ({}, zero(2), True),
        (zero(2), zero(3), True),
        (zero(2), {**zero(2), **ALONE}, True),
        (zero(2), {}, True),
    ],
)
def test_what_deepspeed_does_not_read_is_said_before_the_first_part(first, second, warned):
    """A warning where its own checkpoint is for other ranks or another sharding."""
    codes = {problem.code for problem in make_plan(recipe_of(first, second)).problems}
    assert ("checkpoint-of-another-layout" in codes) == warned
