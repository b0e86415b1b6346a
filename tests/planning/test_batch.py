"""global = micro x accumulation x data-parallel: exact, refused, or with idle slots; never changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import amount, codes, count, only, plan_of, recipe_of, refusal_of, severities

from launcher.planning.batch import split_batch
from launcher.planning.batch_problems import LARGEST_AUTO_MICRO_BATCH
from launcher.planning.divisors import largest_divisor
from launcher.spec.launch import Launch
from launcher.spec.parallel import Parallel
from launcher.spec.recipe import EncoderDecoderLength
from launcher.spec.training import Data

sizes = st.integers(1, 5000)
ranks = st.integers(1, 300)
written = st.none() | st.integers(1, 40)


@pytest.mark.parametrize(
    ("batch", "devices", "micro", "accumulation"),
    [
        (256, 2, 8, 256 // (8 * 2)),
        (256, 1, 8, 256 // 8),
        (12, 2, 6, 12 // (6 * 2)),
        (10, 2, 5, 10 // (5 * 2)),
        (22, 2, 1, 22 // 2),  # 11 is prime above the cap
        (49 * 2, 2, 7, 7),
        (3, 3, 1, 1),
        (1, 1, 1, 1),
    ],
)
def test_auto_takes_the_largest_divisor_of_a_ranks_share_up_to_the_cap(batch, devices, micro, accumulation):
    """An unwritten micro-batch is the largest divisor of batch / ranks up to 8."""
    found = plan_of(global_batch_size=batch, devices=devices).batch
    assert (found.micro_batch_size, found.gradient_accumulation_steps) == (micro, accumulation)
    assert (found.slots_per_step, found.idle_slots) == (batch, 0)


@pytest.mark.parametrize(
    ("micro", "accumulation", "expected"),
    [(4, "auto", (4, 48 // (4 * 2))), ("auto", 6, (48 // (6 * 2), 6)), (8, 3, (8, 3)), (24, "auto", (24, 1))],
)
def test_written_values_are_kept(micro, accumulation, expected):
    """A written micro-batch or accumulation stands, also above the cap, and the other one follows."""
    plan = plan_of(
        global_batch_size=48, devices=2, micro_batch_size=micro, gradient_accumulation_steps=accumulation
    )
    assert (plan.batch.micro_batch_size, plan.batch.gradient_accumulation_steps) == expected


@given(batch=sizes, ranks=ranks, micro=written, accumulation=written)
def test_without_idle_slots_the_identity_holds_exactly_or_nothing_is_planned(
    batch, ranks, micro, accumulation
):
    """The batch is micro x accumulation x ranks with every written value kept, or None and no such numbers exist."""
    split = split_batch(
        global_batch_size=batch,
        data_parallel_size=ranks,
        micro_batch_size=micro,
        gradient_accumulation_steps=accumulation,
    )
    if split is None:
        if micro is not None and accumulation is not None:
            assert batch != micro * accumulation * ranks
        else:
            assert batch % (ranks * (micro or 1) * (accumulation or 1))
        return
    assert split.micro_batch_size * split.gradient_accumulation_steps * ranks == batch
    assert micro in {None, split.micro_batch_size}
    assert accumulation in {None, split.gradient_accumulation_steps}
    if micro is None and accumulation is None:
        better = range(split.micro_batch_size + 1, LARGEST_AUTO_MICRO_BATCH + 1)
        assert all((batch // ranks) % size for size in better)


@given(batch=sizes, ranks=ranks, micro=written, accumulation=written)
def test_idle_slots_hold_every_batch_with_as_few_as_can_be(batch, ranks, micro, accumulation):
    """With idle slots the slots hold the batch, nothing written changes, and no whole micro step is added in vain."""
    split = split_batch(
        global_batch_size=batch,
        data_parallel_size=ranks,
        micro_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        idle_slots=True,
    )
    if split is None:
        assert micro is not None
        assert accumulation is not None
        idle = micro * accumulation * ranks - batch
        assert idle < 0 or idle >= ranks * micro
        return
    slots = split.micro_batch_size * split.gradient_accumulation_steps * ranks
    assert micro in {None, split.micro_batch_size}
    assert accumulation in {None, split.gradient_accumulation_steps}
    assert slots >= batch
    if accumulation is None:
        assert slots - batch < ranks * (micro or 1)  # one micro step less would not hold it
    if micro is None and accumulation is not None:
        assert (split.micro_batch_size - 1) * accumulation * ranks < batch


@given(ranks=ranks, batch=sizes)
def test_idle_slots_of_an_automatic_split_are_the_fewest_of_any_split(ranks, batch):
    """No micro-batch up to the cap leaves fewer slots idle, and none as large leaves as few."""
    split = split_batch(global_batch_size=batch, data_parallel_size=ranks, idle_slots=True)
    assert split is not None

    def idle(micro: int) -> int:
        return -(-batch // (ranks * micro)) * ranks * micro - batch

    candidates = range(1, LARGEST_AUTO_MICRO_BATCH + 1)
    fewest = min(idle(micro) for micro in candidates)
    assert idle(split.micro_batch_size) == fewest
    assert split.micro_batch_size == max(micro for micro in candidates if idle(micro) == fewest)


@given(number=st.integers(1, 10**6), cap=st.integers(1, 64))
def test_largest_divisor(number, cap):
    """It divides, is at most the cap, and nothing between it and the cap divides."""
    found = largest_divisor(number=number, cap=cap)
    assert number % found == 0
    assert found <= cap
    assert all(number % larger for larger in range(found + 1, min(cap, number) + 1))


@pytest.mark.parametrize("devices", [2, 3, 7])
def test_batch_of_one_sequence_on_several_ranks(devices):
    """Batch 1 on R ranks is R - 1 idle slots with the runtime, and refused without."""
    runtime = plan_of(global_batch_size=1, devices=devices, launch=Launch(runtime=True))
    assert (runtime.batch.slots_per_step, runtime.batch.idle_slots) == (devices, devices - 1)
    assert codes(refusal_of(global_batch_size=1, devices=devices)) == ["batch-not-divisible"]


@given(num_samples=st.integers(1, 500), devices=st.integers(1, 9))
def test_the_batch_may_be_the_whole_data_set(num_samples, devices):
    """One step over all samples plans, with idle slots where they do not divide; one sample more is refused."""
    data = Data(num_samples=count(str(num_samples)))
    runtime = Launch(runtime=True)
    plan = plan_of(global_batch_size=num_samples, devices=devices, data=data, launch=runtime)
    assert plan.data["total_steps"] == 1
    assert plan.batch.idle_slots == -num_samples % devices
    refusal = refusal_of(global_batch_size=num_samples + 1, devices=devices, data=data, launch=runtime)
    assert "batch-larger-than-data" in codes(refusal)


def test_idle_slots_are_noted_with_their_cost():
    """1000 sequences over 64 ranks: ceil(1000 / 64) = 16 slots each, 24 of 1024 idle, 24 / 1024 = 2.3 %."""
    plan = plan_of(global_batch_size=1000, nodes=8, devices=8, launch=Launch(runtime=True))
    assert (plan.batch.slots_per_step, plan.batch.idle_slots) == (16 * 64, 16 * 64 - 1000)
    note = only(plan, "idle-slots")
    assert note.severity == "note"
    assert "24 idle, 2.3 % of the work" in note.message
    assert note.because == ("1024 = 8 micro x 2 accumulation x 64 data-parallel",)


def test_a_refused_batch_shows_how_the_ranks_follow():
    """32 = world_size 64 / tensor 2, and the nearest exact batches are named."""
    refusal = refusal_of(
        global_batch_size=1000,
        nodes=8,
        devices=8,
        parallel=Parallel(tensor=2),
        launch=Launch(script_applies=("tensor",)),
    )
    problem = only(refusal, "batch-not-divisible")
    assert problem.path == "global_batch_size"
    assert problem.message == "`global_batch_size: 1000` cannot be split over 32 data-parallel ranks"
    assert problem.because == ("32 = world_size 64 / tensor 2", "1000 / 32 is not whole")
    assert problem.hint.startswith(f"use {1000 // 32 * 32} or {(1000 // 32 + 1) * 32}; ")


def test_several_axes_show_their_product():
    """8 = world_size 64 / (tensor 4 x pipeline 2)."""
    refusal = refusal_of(
        global_batch_size=100,
        nodes=8,
        devices=8,
        parallel=Parallel(tensor=4, pipeline=2),
        launch=Launch(script_applies=("tensor", "pipeline")),
    )
    assert only(refusal, "batch-not-divisible").because[0] == "8 = world_size 64 / (tensor 4 x pipeline 2)"


@pytest.mark.parametrize(("micro", "accumulation"), [(3, "auto"), ("auto", 5), (3, 5)])
def test_written_splits_that_do_not_fit_are_refused(micro, accumulation):
    """32 sequences over 2 ranks are neither 3 x n nor n x 5; both written is another code."""
    refusal = refusal_of(
        global_batch_size=32, devices=2, micro_batch_size=micro, gradient_accumulation_steps=accumulation
    )
    both = micro != "auto" and accumulation != "auto"
    assert codes(refusal) == ["batch-triad-mismatch" if both else "batch-not-divisible"]
    for value in (micro, accumulation):
        assert value == "auto" or f": {value}`" in refusal.problems[0].message


def test_tokens_become_sequences_exactly():
    """8Mi tokens of 8192 are 8 x 2**20 / 8192 = 1024 sequences."""
    plan = plan_of(global_batch_tokens=count("8Mi"), sequence_length=8192)
    assert plan.batch.global_batch_size == 8 * 2**20 // 8192
    assert plan.batch.tokens_per_step == 8 * 2**20
    assert plan.origins["batch.global_batch_size"].formula == "global_batch_tokens 8Mi / sequence_length 8192"


@given(tokens=st.integers(1, 10**7), length=st.integers(1, 9000))
def test_tokens_are_whole_sequences_or_refused_with_both_neighbours(tokens, length):
    """Every refused number of tokens names the exact values on either side; zero is none."""
    recipe = recipe_of(global_batch_tokens=count(str(tokens)), sequence_length=length)
    if tokens % length == 0:
        assert plan_of(recipe).batch.global_batch_size == tokens // length
        return
    problem = only(refusal_of(recipe), "batch-tokens-not-whole")
    below = tokens // length * length
    neighbours = [str(value) for value in (below, below + length) if value]
    assert problem.hint == f"use {' or '.join(neighbours)}"


def test_an_encoder_decoder_sequence_is_input_and_target():
    """512 + 114 tokens per sequence."""
    from launcher.spec.model import Model

    length = EncoderDecoderLength(input=512, target=114)
    plan = plan_of(global_batch_size=4, sequence_length=length, model=Model(kind="encoder-decoder"))
    assert plan.batch.sequence_length == 512 + 114
    assert plan.batch.tokens_per_step == 4 * (512 + 114)


def test_missing_and_double_batches():
    """Neither key is a missing key, both are ambiguous."""
    neither = refusal_of(recipe_of(global_batch_size=None))
    both = refusal_of(recipe_of(global_batch_size=8, global_batch_tokens=count("8192")))
    assert codes(neither) == ["missing-key"]
    assert codes(both) == ["ambiguous-batch"]


def test_tokens_without_a_sequence_length():
    """global_batch_tokens needs a length, which a table of numbers does not have."""
    from launcher.spec.model import Model

    recipe = recipe_of(global_batch_tokens=count("8Mi"), sequence_length=None, model=Model(kind="mlp"))
    assert codes(refusal_of(recipe)) == ["tokens-need-sequence-length"]


@pytest.mark.parametrize(
    ("share", "poor"), [(127, True), (121, True), (11, True), (7, False), (1, False), (26, False)]
)
def test_a_micro_batch_of_one_is_warned_of_when_it_is_not_asked_for(share, poor):
    """Shares that nothing from 2 to 8 divides get micro-batch 1 and a warning; a share of 1 is not poor."""
    plan = plan_of(global_batch_size=share * 2, devices=2)
    assert severities(plan) == ({"poor-micro-batch": "warning"} if poor else {})
    if poor:  # the next share is even, so it has at least micro-batch 2
        hint = only(plan, "poor-micro-batch").hint
        assert hint == f"use a batch with more divisors, such as {(share + 1) * 2}"
    asked = plan_of(global_batch_size=share * 2, devices=2, micro_batch_size=1)
    assert codes(asked) == []


def test_a_batch_larger_than_the_data_names_both():
    """300 samples do not fill a batch of 512; written in tokens, the derivation is shown."""
    problem = only(
        refusal_of(global_batch_size=512, data=Data(num_samples=count("300"))), "batch-larger-than-data"
    )
    assert "`global_batch_size: 512`" in problem.message
    assert "300" in problem.message
    tokens = refusal_of(
        global_batch_tokens=count("1Mi"), sequence_length=1024, data=Data(num_tokens=count("300_000"))
    )
    problem = only(tokens, "batch-larger-than-data")
    assert problem.path == "global_batch_tokens"
    assert problem.because == (f"{300_000 // 1024} = 300_000 tokens in whole samples",)


def test_published_batches():
    """The triads of published runs multiply as published.

    NeMo BERT phase 1: 64 x 8 x 128 = 65536 (NVIDIA DeepLearningExamples); nanoGPT: 12 x 40 sequences of 1024 are
    491,520 tokens (karpathy/nanoGPT@3adf61e config/train_gpt2.py: 12 batch x 1024 block x 5 accumulation x 8 GPUs).
    """
    bert = plan_of(global_batch_size=65536, nodes=16, devices=8, micro_batch_size=64)
    assert bert.batch.gradient_accumulation_steps == 8
    gpt2 = plan_of(global_batch_tokens=count("491_520"), sequence_length=1024, devices=8, micro_batch_size=12)
    assert gpt2.batch.gradient_accumulation_steps == 5


def test_evaluation_and_checkpoint_marks_end_after_the_step_that_reaches_them():
    """500 samples at 300 per step are reached by step ceil(500 / 300) = 2."""
    from launcher.spec.training import Checkpoint, Evaluation

    plan = plan_of(
        global_batch_size=300,
        evaluation=Evaluation(every=amount("500 samples"), batch_size=8),
        checkpoint=Checkpoint(every=amount("7 steps"), keep=3),
    )
    assert plan.evaluation == {"every_steps": 2, "batch_size": 8}
    assert plan.checkpoint == {"every_steps": 7, "directory": "checkpoints", "keep": 3}
    assert plan_of(evaluation=Evaluation()).evaluation == {"every_steps": None, "batch_size": None}


@pytest.mark.parametrize(
    ("batch", "micro", "accumulation", "hint"),
    [
        (256, 8, 4, f"write gradient_accumulation_steps: {256 // 2 // 8}, or drop it"),
        (24, 5, 4, f"write micro_batch_size: {24 // 2 // 4}, or drop it"),
        (24, 5, 7, "drop micro_batch_size or gradient_accumulation_steps"),
        (25, 5, 5, "drop micro_batch_size or gradient_accumulation_steps"),
    ],
)
def test_the_hint_of_a_mismatch_is_the_smallest_change(batch, micro, accumulation, hint):
    """One of the two numbers follows from the other where it can."""
    refusal = refusal_of(
        global_batch_size=batch, devices=2, micro_batch_size=micro, gradient_accumulation_steps=accumulation
    )
    assert only(refusal, "batch-triad-mismatch").hint == hint


def test_the_hint_for_a_batch_in_tokens_is_in_tokens():
    """9 sequences of 1024 on 2 ranks: 8192 or 10240 tokens, one of ten slots idle."""
    problem = only(refusal_of(global_batch_tokens=count("9Ki"), devices=2), "batch-not-divisible")
    assert problem.because == (
        "2 = 1 node x 2 devices",
        "9 = 9Ki tokens / sequence_length 1024",
        "9 / 2 is not whole",
    )
    assert problem.hint == (
        "use 8192 or 10240; or let the runtime pad 1 idle slot (10.0 % of the work): launch.runtime: true"
    )
