"""Batch norm's samples and averages: published errors, thresholds, and the micro-batch that is chosen for it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import codes, errors, only, plan_of, recipe_of, refusal_of, severities

from launcher.planning.coupling.batch_norm import PUBLISHED_ERRORS, momentum_at, statistics_size
from launcher.planning.coupling.choice import micro_batch_for_statistics
from launcher.planning.divisors import divisors
from launcher.spec.model import Model
from launcher.spec.training import Optimizer

RESNET = Model(kind="resnet")
SYNC = Model(kind="resnet", batch_coupled=("sync_batch_norm",))


def planned(micro, *, model=RESNET, devices=8, accumulation=1, **keys):
    return plan_of(
        recipe_of(
            model=model,
            global_batch_size=micro * accumulation * devices,
            micro_batch_size=micro,
            devices=devices,
            device="a100-sxm-40gb",
            hidden_size=None,
            sequence_length=None,
            optimizer=Optimizer(name="sgd"),
            **keys,
        )
    )


def test_the_published_table():
    """ResNet-50's error by images per GPU, as papers that quote it print it (not read in the paper itself).

    Source: Wu & He 2018, arXiv:1803.08494.
    """
    norms = zip(*PUBLISHED_ERRORS.values(), strict=True)
    assert list(PUBLISHED_ERRORS) == [32, 16, 8, 4, 2]
    assert [list(row) for row in norms] == [[23.6, 23.7, 24.8, 27.3, 34.7], [24.1, 24.2, 24.0, 24.2, 24.1]]


@pytest.mark.parametrize(
    ("micro", "said"),
    [(32, None), (16, None), (15, "is noisy"), (8, "is noisy"), (7, "loses accuracy"), (2, "loses accuracy")],
)
def test_few_samples_are_warned_of(micro, said):
    """16 and more per GPU pass, below 16 a warning, below 8 a stronger one; the table is in it."""
    plan = planned(micro)
    assert ("batch-norm-small" in codes(plan)) == (said is not None)
    if said:
        problem = only(plan, "batch-norm-small")
        assert problem.severity == "warning"
        assert said in problem.message
        assert "23.6, 23.7, 24.8, 27.3, 34.7" in problem.because[0]
        assert "arXiv:1803.08494" in problem.because[0]


def test_one_sample_is_refused():
    """Below 2 there is no plan, unless statistics are gathered over ranks, frozen, or another norm is there."""
    keys = {
        "global_batch_size": 8,
        "micro_batch_size": 1,
        "devices": 8,
        "device": "a100-sxm-40gb",
        "hidden_size": None,
        "sequence_length": None,
    }
    refused = refusal_of(recipe_of(model=RESNET, **keys))
    assert errors(refused) == ["batch-norm-too-small"]
    assert "sync_batch_norm" in only(refused, "batch-norm-too-small").hint
    assert severities(plan_of(recipe_of(model=SYNC, **keys)))["batch-norm-small"] == "warning"  # 8 ranks of 1
    for other in (
        Model(kind="resnet", batch_coupled=("frozen_batch_norm",)),
        Model(kind="resnet", norm="groupnorm"),
    ):
        assert not [code for code in codes(plan_of(recipe_of(model=other, **keys))) if "batch-norm" in code]
    alone = refusal_of(recipe_of(model=SYNC, **{**keys, "global_batch_size": 1, "devices": 1}))
    assert errors(alone) == ["batch-norm-too-small"]


@given(micro=st.integers(1, 100), ranks=st.integers(1, 100))
def test_samples_of_the_statistics(micro, ranks):
    """Batch norm sees its own micro-batch, SyncBatchNorm those of all ranks, no layer sees several micro-batches."""
    keys = {"micro_batch_size": micro, "data_parallel_size": ranks}
    assert statistics_size(coupled=("batch_norm",), **keys) == micro
    assert statistics_size(coupled=("sync_batch_norm",), **keys) == micro * ranks
    assert statistics_size(coupled=("contrastive",), **keys) is None


def test_accumulation_does_not_help():
    """With 8 x 4 samples per rank the warning of 8 stays, and accumulation has one of its own."""
    plan = planned(8, accumulation=4)
    assert severities(plan)["batch-norm-small"] == "warning"
    problem = only(plan, "batch-norm-accumulates")
    assert "pytorch#46516" in " ".join(problem.because)
    assert f"{1 - (1 - 0.1) ** (1 / 4):.4g}" in problem.hint
    assert "batch-norm-accumulates" not in codes(planned(32))


def test_recomputation_counts_every_sample_twice():
    """Activation checkpointing runs the forward pass again, and with it the update of running averages."""
    problem = only(planned(32, activation_checkpointing="full"), "batch-norm-accumulates")
    assert problem.path == "activation_checkpointing"
    assert f"{1 - (1 - 0.1) ** (1 / 2):.4g}" in problem.hint
    both = only(planned(32, accumulation=3, activation_checkpointing="full"), "batch-norm-accumulates")
    assert f"{1 - (1 - 0.1) ** (1 / 6):.4g}" in both.hint


@given(
    momentum=st.floats(1e-4, 0.3),
    samples=st.integers(1, 32),
    reference=st.integers(1, 32),
)
def test_the_momentum_forgets_over_as_many_samples(momentum, samples, reference):
    """After the same number of samples the same share of the old average is left: (1 - m')^(1/b') = (1 - m)^(1/b)."""
    found = momentum_at(samples=samples, reference_samples=reference, momentum=momentum)
    assert math.log1p(-found) / samples == pytest.approx(math.log1p(-momentum) / reference, rel=1e-6)


@given(sequences=st.integers(1, 2000), needed=st.integers(1, 16), largest=st.none() | st.integers(1, 2000))
def test_a_chosen_micro_batch_has_enough_samples_where_one_can(sequences, needed, largest):
    """It divides the share, fits, and is at least what is needed unless no divisor that fits is."""
    found = micro_batch_for_statistics(sequences=sequences, needed=needed, largest=largest)
    sizes = [size for size in divisors(sequences) if largest is None or size <= largest]
    assert found.size in sizes
    assert (found.size >= needed) == (max(sizes) >= needed)
    assert str(sequences) in found.words


@pytest.mark.parametrize(
    ("batch", "micro"),
    [(256, 32), (64, 32), (17, 17), (34, 17), (74, 37), (37, 37), (24, 24), (14, 14), (1, 1)],
)
def test_auto_does_not_go_below_sixteen(batch, micro):
    """On processors, where nobody knows the memory, a residual network gets 16 to 32 samples where its share allows."""
    keys = {"model": RESNET, "global_batch_size": batch, "devices": 1, "device": "cpu", "hidden_size": None}
    if micro == 1:
        assert errors(refusal_of(**keys)) == ["batch-norm-too-small"]
        return
    plan = plan_of(**keys)
    assert plan.batch.micro_batch_size == micro
    assert "batch norm" in plan.origins["batch.micro_batch_size"].formula


def test_auto_without_batch_norm_is_as_before():
    """A perceptron with layer norm keeps its micro-batch of 8; with batch norm it gets 32."""
    keys = {"global_batch_size": 256, "device": "cpu", "sequence_length": None, "hidden_size": 64}
    assert plan_of(model=Model(kind="mlp"), **keys).batch.micro_batch_size == 8
    assert plan_of(model=Model(kind="mlp", norm="batchnorm"), **keys).batch.micro_batch_size == 32
