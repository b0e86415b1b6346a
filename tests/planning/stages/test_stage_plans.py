"""Each stage on its own: batch, split, memory, learning rate, and what is said of it."""

from dataclasses import replace

import pytest
from plan_of import amount, changed, codes, count, errors, only, plan_of, recipe_of, refusal_of

from launcher.loading import load_recipe
from launcher.planning.hashes import plan_hash
from launcher.planning.stages.comparing import attention_share
from launcher.planning.stages.ledger import step_at
from launcher.planning.stages.written import stage_recipes
from launcher.planning.support import unsupported
from launcher.spec.launch import Launch
from launcher.spec.model import Model
from launcher.spec.parallel import DataParallel, Parallel
from launcher.spec.recipe import Stage
from launcher.spec.training import Data, Optimizer, Schedule
from launcher.units import parse_amount


def mark(text):
    """Where a stage ends."""
    return parse_amount(text, kind="ramp")


def staged(*stages, **keys):
    """The plan of stages on two ranks, with the runtime."""
    keys.setdefault("launch", Launch(runtime=True))
    return plan_of(devices=keys.pop("devices", 2), stages=stages, **keys)


RAMP = (Stage(until=mark("640 samples"), global_batch_size=64), Stage())


def test_tokens_per_step_stay_through_all_lengths():
    """4 Mi tokens: 4096 x 1024, then 1024 x 4096, then 128 x 32768 sequences x tokens, and one learning rate for all."""
    plan = staged(
        Stage(until=mark("1B tokens"), sequence_length=1024),
        Stage(until=mark("2B tokens"), sequence_length=4096),
        Stage(),
        global_batch_tokens=count("4Mi"),
        sequence_length=32768,
        optimizer=Optimizer(reference_learning_rate=3e-4, reference_batch_tokens=count("4Mi")),
    )
    batches = [stage.batch for stage in plan.stages]
    assert [(batch.global_batch_size, batch.sequence_length) for batch in batches] == [
        (4096, 1024),
        (1024, 4096),
        (128, 32768),
    ]
    assert {batch.tokens_per_step for batch in batches} == {4 * 2**20}
    assert {stage.learning_rate_scale for stage in plan.stages} == {1.0}
    assert not {"stages-keep-the-rate", "stages-scale-the-rate"} & set(codes(plan))


def test_tokens_that_are_no_whole_sequences_of_a_stage():
    """24,576 tokens are 24 sequences of 1024 and no whole ones of 640 or 2560: the nearest exact in all are named."""
    error = refusal_of(
        devices=2,
        stages=(
            Stage(until=mark("1M tokens"), sequence_length=640),
            Stage(until=mark("2M tokens"), sequence_length=2560),
            Stage(),
        ),
        global_batch_tokens=count("24576"),
    )
    first, second = (problem for problem in error.problems if problem.code == "batch-tokens-not-whole")
    assert (first.path, second.path) == ("stages.0", "stages.1")
    assert first.message.startswith(
        "stage 1 of 3: `global_batch_tokens: 24576` is not a whole number of sequences"
    )
    assert first.hint == second.hint == "write global_batch_tokens: 20480 or 25600, whole in every stage"
    for tokens in (20480, 25600):
        assert {tokens % length for length in (640, 1024, 2560)} == {0}


def test_sequences_stay_where_sequences_are_written():
    """With global_batch_size at the top a longer sequence makes a larger step."""
    plan = staged(Stage(until=mark("1M tokens"), sequence_length=512), Stage())
    assert [stage.batch.tokens_per_step for stage in plan.stages] == [256 * 512, 256 * 1024]


def test_the_seeds_of_an_ablation_are_not_equal_in_tokens():
    """26 x 1024, 6 x 4096 and 104 x 256 hold 26,624, 24,576 (-7.7 %) and 26,624 tokens per step (our arithmetic)."""
    tokens = [
        plan_of(global_batch_size=size, sequence_length=length).batch.tokens_per_step
        for size, length in ((26, 1024), (6, 4096), (104, 256))
    ]
    assert tokens == [26_624, 24_576, 26_624]
    assert 100 * (tokens[1] / tokens[0] - 1) == pytest.approx(-7.7, abs=0.01)


def test_a_stage_that_does_not_divide():
    """33 sequences on 2 ranks of micro-batches of 8: Megatron would run 32 of them where it may; here they are refused.

    The case is that of NVIDIA/Megatron-LM, parent of 532ad926, with decrease_batch_size_if_needed: 2 micro-batches and a
    running batch of 32.
    """
    error = refusal_of(
        devices=2,
        global_batch_size=64,
        micro_batch_size=8,
        stages=(Stage(until=mark("1K samples"), global_batch_size=33), Stage()),
    )
    problem = only(error, "batch-not-divisible")
    assert problem.path == "stages.0.global_batch_size"
    assert problem.message == (
        "stage 1 of 2: `global_batch_size: 33` cannot be split over 2 data-parallel ranks of `micro_batch_size: 8`"
    )
    assert problem.hint.startswith("use 32 or 48; or let the runtime pad")


def test_the_runtime_pads_a_stage():
    """With the runtime the same stage has 48 slots, 15 of them idle; nothing is decreased."""
    plan = staged(
        Stage(until=mark("1K samples"), global_batch_size=33),
        Stage(),
        global_batch_size=64,
        micro_batch_size=8,
    )
    batch = plan.stages[0].batch
    assert (batch.global_batch_size, batch.slots_per_step, batch.idle_slots) == (33, 48, 15)
    assert only(plan, "idle-slots").path == "stages.0.global_batch_size"


def test_one_complaint_for_many_stages():
    """A ramp of 127 increments on 64 ranks: three stages are named, the others are counted."""
    recipe = load_recipe(
        {
            "global_batch_size": 2048,
            "sequence_length": 2048,
            "hidden_size": 768,
            "stages": {"rampup_batch_size": [16, 16, 9_765_625]},
            "cluster": {"nodes": 8, "devices_per_node": 8},
        }
    )
    found = [problem for problem in refusal_of(recipe).problems if problem.code == "batch-not-divisible"]
    assert [problem.path for problem in found] == [f"stages.{place}.global_batch_size" for place in (0, 1, 2)]
    assert found[-1].because[-1] == "and so 93 more stages"


def test_written_splits_of_a_stage():
    """Micro-batch and accumulation may be written for each stage."""
    plan = staged(
        Stage(until=mark("640 samples"), global_batch_size=64, micro_batch_size=2),
        Stage(gradient_accumulation_steps=2),
    )
    splits = [
        (stage.batch.micro_batch_size, stage.batch.gradient_accumulation_steps) for stage in plan.stages
    ]
    assert splits == [(2, 16), (64, 2)]
    assert unsupported(recipe_of(launch=Launch(runtime=True), stages=RAMP)) == ()


def test_the_stage_that_needs_most_memory_decides():
    """A stage of long sequences that does not fit makes the plan one that does not fit, and its memory the plan's."""
    plan = staged(
        Stage(until=mark("1M samples"), sequence_length=512),
        Stage(until=mark("2M samples"), sequence_length=16384),
        Stage(),
        device="rtx-4090",
        micro_batch_size=16,
    )
    peaks = [stage.memory.peak_bytes for stage in plan.stages]
    assert max(peaks) == peaks[1] == plan.memory.peak_bytes
    assert plan.verdict == "does-not-fit"
    assert only(plan, "does-not-fit").message.startswith("stage 2 of 3: ")


def test_ways_out_of_a_stage_help_the_run():
    """What gives way for the stage that does not fit makes the whole run fit."""
    stages = (
        Stage(until=mark("1M samples"), sequence_length=512),
        Stage(until=mark("2M samples"), sequence_length=8192),
        Stage(),
    )
    recipe = recipe_of(
        devices=2, device="a100-sxm-80gb", micro_batch_size=32, stages=stages, launch=Launch(runtime=True)
    )
    plan = plan_of(recipe)
    assert plan.verdict == "does-not-fit"
    ways = [way.change for way in plan.alternatives if way.change.startswith("micro_batch_size=")]
    assert ways
    assert plan_of(changed(recipe, ways[0])).verdict == "fits"


def test_settings_of_a_stage_reach_its_memory():
    """Recomputation, attention and sharding written for a stage are priced in it, and need a restart."""
    parallel = Parallel(data=DataParallel(strategy="zero", stage=3))
    stages = (
        Stage(until=mark("10K samples"), global_batch_size=64, activation_checkpointing="full"),
        Stage(until=mark("20K samples"), parallel=parallel),
        Stage(),
    )
    plan = staged(*stages, device="a100-sxm-80gb", micro_batch_size=8)
    parts = [stage.memory.components for stage in plan.stages]
    assert parts[0]["activations"] < parts[2]["activations"]
    assert parts[1]["optimizer_states"] == pytest.approx(parts[2]["optimizer_states"] / 2, rel=0.01)
    restarts = [problem.path for problem in plan.problems if problem.code == "stage-needs-a-restart"]
    assert restarts == ["stages.1", "stages.2"]
    refused = unsupported(recipe_of(launch=Launch(runtime=True), stages=stages))
    assert [problem.severity for problem in refused] == ["error", "error"]


def test_a_section_of_a_stage_replaces_what_it_writes():
    """What a stage writes of a section replaces those keys of the run's, and leaves the others."""
    written = load_recipe(
        {
            "global_batch_size": 8,
            "sequence_length": 16,
            "hidden_size": 64,
            "optimizer": {"learning_rate": 1e-3, "weight_decay": 0.1},
            "stages": [{"until": "80 samples", "optimizer": {"weight_decay": 0.0}}, {}],
        }
    )
    first, last = stage_recipes(written).value
    assert (first.recipe.optimizer.learning_rate, first.recipe.optimizer.weight_decay) == (1e-3, 0.0)
    assert last.recipe.optimizer.weight_decay == 0.1
    by_hand = recipe_of(
        optimizer=Optimizer(learning_rate=1e-3, weight_decay=0.1),
        stages=(Stage(until=mark("80 samples"), optimizer=Optimizer(weight_decay=0.2)), Stage()),
    )
    first, _ = stage_recipes(by_hand).value
    assert first.recipe.optimizer == Optimizer(learning_rate=1e-3, weight_decay=0.2)


def test_the_end_of_the_last_stage_is_that_of_the_run():
    """A last mark is fine where it is the end of the run, in whatever unit."""
    stages = (RAMP[0], Stage(until=mark("1_310_720 tokens")))
    plan = staged(*stages, schedule=Schedule(length=amount("1280 samples")))
    assert (plan.data["total_steps"], errors(plan)) == (13, [])
    error = refusal_of(devices=2, stages=stages)
    assert only(error, "last-stage-ends").because == ("it ends after 13 steps, and the run has no end",)


def test_stages_behind_the_end_are_not_in_the_plan():
    """A short run ends in its first stage: the plan has that one alone, and a warning."""
    plan = staged(*RAMP, schedule=Schedule(length=amount("3 steps")))
    assert [(stage.first_step, stage.steps) for stage in plan.stages] == [(1, 3)]
    assert only(plan, "stage-not-reached").severity == "warning"


def test_an_epoch_is_of_the_longest_sequences():
    """98 samples of 1024 tokens are read to the last one, whatever length the stages cut them into."""
    plan = staged(
        Stage(until=mark("51_200 tokens"), sequence_length=512),
        Stage(),
        global_batch_size=8,
        data=Data(num_samples=count("98")),
    )
    left = 98 - 13 * 4  # a step of the first stage is 4 samples, 13 of them pass its mark
    assert [stage.steps for stage in plan.stages] == [13, -(-left // 8)]
    assert plan.data["last_step_samples"] == left % 8
    assert step_at(plan, 13 + -(-left // 8)).tokens_after == 98 * 1024


def test_tokens_of_the_data_in_samples_of_the_stages():
    """1 M tokens are 512 samples of 2048 where the longest stage has 2048, whatever length is written at the top."""
    stages = (Stage(until=mark("64 samples"), sequence_length=2048), Stage(sequence_length=2048))
    data = Data(num_tokens=count("1_048_576"), packing="packed")
    assert staged(*stages, global_batch_size=8, data=data).data["num_samples"] == 512
    shorter = (replace(stages[0], sequence_length=512), stages[1])
    plan = staged(*shorter, global_batch_size=8, data=data)
    assert plan.data["num_samples"] == 512
    assert step_at(plan, plan.data["total_steps"]).tokens_after == 1_048_576


def test_hashes_see_stages_and_no_notation():
    """Marks, batches and lengths are part of what training means; how they are written, and memory, are not."""
    numbers = {"global_batch_size": 64, "sequence_length": 1000, "hidden_size": 64}
    cluster = {"cluster": {"devices_per_node": 2}}

    def hashed(stages, **keys):
        return plan_of(load_recipe({**numbers, **cluster, "stages": stages, **keys})).semantics_hash

    ramp = hashed("0:16 320K:64")
    assert ramp == hashed([{"until": "320 samples", "global_batch_size": 16}, {}])
    assert ramp == hashed(
        [{"until": "320 samples", "global_batch_tokens": 16_000}, {"global_batch_size": 64}]
    )
    assert ramp == hashed({"rampup_batch_size": [16, 48, 320]})
    assert ramp == hashed([{"until": "320 samples", "global_batch_size": 16, "micro_batch_size": 2}, {}])
    assert ramp != hashed("0:16 321K:64")
    assert ramp != hashed("0:32 320K:64")
    assert ramp != hashed([{"until": "320 samples", "global_batch_size": 16, "sequence_length": 500}, {}])
    other = {"model": {"dropout": 0.1}}
    coupled = hashed("0:16 320K:64", **other)
    first = {"until": "320 samples", "global_batch_size": 16, "micro_batch_size": 2}
    assert coupled != hashed([first, {}], **other)


def test_the_plans_hash_leaves_memory_out():
    """What a stage needs is an estimate, and no part of what ranks compare."""
    known = staged(*RAMP)
    unknown = staged(*RAMP, device="a100-sxm-80gb")
    assert known.stages[0].memory != unknown.stages[0].memory
    stages = tuple(replace(stage, memory=None) for stage in known.stages)
    assert plan_hash(replace(known, stages=stages)) == known.plan_hash


def test_every_number_of_a_stage_has_an_origin():
    """Written, derived with its formula, or default: a stage's numbers say where they come from."""
    plan = staged(*RAMP, schedule=Schedule(length=amount("100 steps")))
    plain = plan.to_dict()["stages"][0]
    shown = [name for name, value in plain.items() if isinstance(value, int | float) and value is not None]
    shown += [f"batch.{name}" for name, value in plain["batch"].items() if value is not None]
    missing = {name for name in shown if f"stages.0.{name}" not in plan.origins}
    assert missing == set()
    assert plan.origins["stages.0.steps"].formula == "ceil((640 - 0) / 64)"
    assert plan.origins["stages.1.steps"].formula == "up to the end of the run"


def test_a_model_of_a_stage_is_priced_in_it():
    """Twice the layers in one stage need more memory there, and in no other stage."""
    deep = Stage(until=mark("640 samples"), model=Model(num_layers=24))
    plan = staged(deep, Stage(), device="a100-sxm-80gb", micro_batch_size=8)
    alone = staged(*RAMP, device="a100-sxm-80gb", micro_batch_size=8)
    first, second = plan.stages
    assert first.memory.peak_bytes > second.memory.peak_bytes == alone.stages[1].memory.peak_bytes


def test_a_mark_inside_a_step():
    """A mark inside a step ends with that step; the next stage begins where it ended, not at the mark."""
    plan = staged(Stage(until=mark("1000 samples"), global_batch_size=16), Stage())
    first, second = plan.stages
    assert (first.steps, second.first_step, second.samples_before) == (63, 64, 1008)


@pytest.mark.parametrize(("length", "share"), [(1024, 16.7), (4096, 66.7), (256, 4.2)])
def test_the_share_of_attention(length, share):
    """At width 1024: 16.7 %, 66.7 % and 4.2 % on top of the other products (our arithmetic, 72 d^2 + 12 d s)."""
    assert 100 * attention_share(sequence_length=length, hidden_size=1024) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("virtual", [1, 2])
def test_memory_follows_what_a_pipeline_keeps_in_flight(virtual):
    """A stage with more accumulation keeps more micro-batches in flight, up to the stages of the pipeline."""
    shape = Model(num_layers=32, num_attention_heads=12, vocab_size=1024)
    keys = {
        "devices": 4,
        "device": "a100-sxm-80gb",
        "micro_batch_size": 1,
        "parallel": Parallel(pipeline=4, virtual_pipeline=virtual),
        "launch": Launch(script_applies=("pipeline", "virtual_pipeline", "stages")),
        "model": shape,
        "global_batch_size": 64,
        "data": Data(num_samples=count("100000")),
    }
    sizes = (1, 2, 4, 8, 64)
    stages = tuple(
        Stage(until=amount(f"{1000 * number} samples"), global_batch_size=size)
        for number, size in enumerate(sizes[:-1], 1)
    )
    ramp = plan_of(recipe_of(**keys, stages=(*stages, Stage())))
    alone = [plan_of(recipe_of(**{**keys, "global_batch_size": size})) for size in sizes]
    peaks = [stage.memory.peak_bytes for stage in ramp.stages]
    assert peaks == [plan.memory.peak_bytes for plan in alone]
    assert peaks[0] < peaks[1] < peaks[2] <= peaks[3] == peaks[4] == ramp.memory.peak_bytes
