"""The factor that turns summed losses into the mean over the whole global batch, against the real reducers."""

import pytest

from launcher.engines.formats.deepspeed_limits import OWNED_KEYS
from launcher.planning.accumulation import loss_scale

ROWS = {
    "ddp": "ddp",
    "accelerate": "accelerate",
    "deepspeed": "deepspeed",
    "deepspeed zero-2": "deepspeed",
    "deepspeed-unscaled": "deepspeed-unscaled",
    "deepspeed-sum": "sum",
    "sum": "sum",
}
"""Stack that trained on two ranks -> reducer it is to the plan; "sum" is FSDP2 with a divide factor of 1."""


@pytest.mark.real
@pytest.mark.parametrize("stack", ROWS)
def test_the_factor_is_the_reducers_own(two_ranks, stack):
    """Of all factors exactly the one for its reducer gives the mean over all tokens; the naive mean of means does not.

    Two ranks, two micro-batches each, of 1, 4, 3 and 2 tokens.
    Source: torch@2.13 DistributedDataParallel and fully_shard; accelerate@1.15.0 accelerator.py:Accelerator.backward;
    deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine.backward; pytorch/torchtitan#2206.
    """
    wanted = two_ranks["gradients"]["factors"][ROWS[stack]]
    for tried in two_ranks["gradients"]["found"][stack]:
        if tried["scale"] == wanted:
            assert tried["distance"] < 1e-6
        else:
            assert tried["distance"] > 0.3


@pytest.mark.real
def test_predivided_gradients_are_the_mean_or_refused(two_ranks):
    """prescale_gradients and gradient_predivide_factor change the order of the divisions, not the mean over ranks.

    ZeRO 2 and 3 refuse them with reduce_scatter on, its default. The exception: ZeRO 3 without reduce_scatter divides
    twice where the factor is the number of ranks, so that every gradient is that many times too small. No rendered
    file holds these keys, and `launch.native` may not add them.
    Source: deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine.allreduce_bucket, runtime/zero/stage_1_and_2.py:
    gradient_reduction_w_predivide, runtime/zero/stage3.py:__avg_scatter_grads, __avg_scatter_contiguous_grads.
    """
    ranks, rows = two_ranks["averages"]["ranks"], two_ranks["averages"]["rows"]
    for row in rows:
        if row["stage"] >= 2 and row["reduce_scatter"]:
            assert "not yet supported" in row["refused"]
            continue
        twice = row["stage"] == 3 and row["factor"] == ranks
        assert row["share"] == pytest.approx(1 / ranks if twice else 1)
        assert row["rest"] < 1e-6
    assert {row["stage"] for row in rows if "share" in row} == {0, 1, 2, 3}


def test_no_recipe_may_prescale():
    """The keys that would change the mean over ranks are the plan's own."""
    assert {"prescale_gradients", "gradient_predivide_factor"} <= set(OWNED_KEYS)


@pytest.mark.real
def test_ranks_that_share_sequences_weigh_their_tokens(two_ranks):
    """Trainer's loss under DeepSpeed's sequence parallelism is the mean over the tokens of the group, masked ones out.

    Source: transformers@5.23.0 integrations/deepspeed.py:deepspeed_sp_compute_loss.
    """
    seen = two_ranks["sequence-parallel loss"]
    losses = [loss for held in seen["held"] for loss in held]
    assert seen["loss"] == pytest.approx(factor(ranks=1, weight=len(losses)) * sum(losses))
    means = [sum(held) / len(held) for held in seen["held"]]
    assert seen["loss"] != pytest.approx(sum(means) / len(means))


@pytest.mark.real
def test_accelerates_documented_example(two_ranks):
    """Sequences of 1 to 16 tokens on two ranks: 52 + 84 tokens, and the weights that the guide prints.

    The sequences that Accelerate's sampler gave to each rank are those of the plan's slots.
    Source: huggingface/accelerate@16cb6eb8 docs/source/usage_guides/gradient_accumulation.md.
    """
    seen = two_ranks["documented"]
    assert seen["lengths"] == seen["planned lengths"]
    assert [sum(lengths) for lengths in seen["lengths"]] == [52, 84]
    assert [round(weight, 4) for weight in seen["before"]] == [-0.0075, 0.5364]
    assert [round(weight, 4) for weight in seen["after"]] == [0.2117, 0.3172]


@pytest.mark.torch
@pytest.mark.usefixtures("fresh_accelerate")
@pytest.mark.parametrize(
    ("micro", "accumulation", "tokens", "printed"),
    [(8, 1, 36, [0.0953, 0.4337]), (4, 4, 136, [0.2117, 0.3172]), (16, 1, 136, [0.2117, 0.3172])],
)
def test_the_same_example_on_one_rank(monkeypatch, micro, accumulation, tokens, printed):
    """One rank gives the guide's own numbers for 8 sequences, and for 16 those of two ranks, however they are cut.

    Source: huggingface/accelerate@16cb6eb8 docs/source/usage_guides/gradient_accumulation.md.
    """
    from pathlib import Path

    from accelerate import Accelerator

    monkeypatch.syspath_prepend(str(Path(__file__).parent / "scripts"))
    from documented_example import documented_example

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulation)
    seen = documented_example(accelerator, micro_batch_size=micro, gradient_accumulation_steps=accumulation)
    assert sum(map(sum, seen["lengths"])) == tokens
    assert seen["lengths"] == seen["planned lengths"]
    assert [round(weight, 4) for weight in seen["after"]] == printed


@pytest.mark.parametrize(
    ("tokens", "ratio"),
    [
        # PrimeIntellect-ai/prime-rl#1957: 5 unmasked tokens on one rank, 1 on the other
        ((5, 1), 5),
        # bigscience-workshop/Megatron-DeepSpeed#169: a suffix of 1 token beside one of 9
        ((1, 9), 9),
    ],
)
def test_means_of_means_weigh_tokens_unlike(tokens, ratio):
    """A mean per rank, averaged over ranks, weighs a token by its neighbours; the plan's factor weighs all alike."""
    ranks = len(tokens)
    own = [factor(ranks=1, weight=count) / ranks for count in tokens]
    assert max(own) / min(own) == pytest.approx(ratio)
    exact = [factor(ranks=ranks, weight=sum(tokens)) / ranks for _ in tokens]
    assert exact == [pytest.approx(1 / sum(tokens))] * ranks


def test_the_factor_under_a_mean_over_ranks():
    """Under FSDP's mean the factor is ranks over tokens, c = R / N_total.

    Source: pytorch/torchtitan#1803.
    """
    for ranks, tokens in ((2, 10), (8, 4093), (64, 2**20)):
        assert factor(ranks=ranks, weight=tokens) == ranks / tokens


def factor(*, ranks, weight):
    """The plan's factor under a plain mean over ranks."""
    return loss_scale(
        reducer="ddp", data_parallel_size=ranks, gradient_accumulation_steps=1, total_weight=weight
    )
