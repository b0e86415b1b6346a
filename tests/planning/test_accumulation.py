"""Slots and the loss factor: the gradient of any split is the weighted mean over the global batch."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.accumulation import Slot, loss_scale, micro_batch_slots, slot_of

SPLITS = [(1, 1), (1, 12), (2, 3), (3, 4), (4, 3), (6, 2), (12, 1)]  # ranks, accumulation


@given(
    micro=st.integers(1, 9),
    accumulation=st.integers(1, 9),
    ranks=st.integers(1, 9),
    data=st.data(),
)
def test_slots_hold_every_sequence_once(micro, accumulation, ranks, data):
    """All ranges together are the step's sequences in order, each where slot_of says; idle slots are the last."""
    slots = micro * accumulation * ranks
    held = data.draw(st.integers(0, slots))
    seen = {}
    for micro_step in range(accumulation):
        for rank in range(ranks):
            sequences = micro_batch_slots(
                micro_step=micro_step,
                rank=rank,
                micro_batch_size=micro,
                data_parallel_size=ranks,
                samples_in_step=held,
            )
            for position, index in enumerate(sequences):
                seen[index] = Slot(micro_step, rank, position)
    assert sorted(seen) == list(range(held))
    assert all(
        slot == slot_of(index=index, micro_batch_size=micro, data_parallel_size=ranks)
        for index, slot in seen.items()
    )


def test_slots_fill_micro_step_by_micro_step():
    """Micro 2 on 2 ranks: 0 1 | 2 3, then 4 5 | 6 7."""
    placed = [slot_of(index=index, micro_batch_size=2, data_parallel_size=2) for index in range(8)]
    assert placed[:5] == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0)]


def test_accelerates_own_example():
    """Lengths 1 to 16, 2 devices, accumulation 2, micro-batch 4: 52 tokens on one, 84 on the other, 136 together.

    Source: accelerate@1.15.0 docs, usage guide on gradient accumulation with variable-length samples.
    """
    tokens = [
        sum(
            index + 1
            for micro_step in range(2)
            for index in micro_batch_slots(
                micro_step=micro_step, rank=rank, micro_batch_size=4, data_parallel_size=2, samples_in_step=16
            )
        )
        for rank in range(2)
    ]
    assert tokens == [52, 84]
    assert sum(tokens) == 136


def test_accelerates_smaller_example():
    """Lengths 1 to 8 in one batch of 8 are 36 tokens."""
    held = micro_batch_slots(
        micro_step=0, rank=0, micro_batch_size=8, data_parallel_size=1, samples_in_step=8
    )
    assert sum(index + 1 for index in held) == 36


@pytest.mark.parametrize(
    ("reducer", "expected"),
    [
        ("ddp", 4 / 136),
        ("accelerate", 4 * 3 / 136),
        ("deepspeed", 4 * 3 / 136),
        ("deepspeed-unscaled", 4 / 136),
        ("sum", 1 / 136),
        ("megatron-per-token", 1),
    ],
)
def test_factors(reducer, expected):
    """R / W, R G / W, 1 / W or nothing, by who divides what (torchtitan#1803: R / N_total)."""
    found = loss_scale(reducer=reducer, data_parallel_size=4, gradient_accumulation_steps=3, total_weight=136)
    assert found == expected


def reduced(losses, weights, *, ranks, accumulation, reducer):
    """What a reducer makes of per-sequence summed losses and their weights: a one-number gradient."""
    micro = len(losses) // (ranks * accumulation)
    factor = loss_scale(
        reducer=reducer,
        data_parallel_size=ranks,
        gradient_accumulation_steps=accumulation,
        total_weight=sum(weights),
    )
    local = []
    for rank in range(ranks):
        total = 0.0
        for step in range(accumulation):
            held = micro_batch_slots(
                micro_step=step,
                rank=rank,
                micro_batch_size=micro,
                data_parallel_size=ranks,
                samples_in_step=len(losses),
            )
            loss = factor * sum(losses[index] for index in held)
            total += loss / accumulation if reducer in {"accelerate", "deepspeed"} else loss
        local.append(total)
    summed = sum(local)
    if reducer == "megatron-per-token":
        return summed / sum(weights)
    return summed if reducer == "sum" else summed / ranks


def naive(losses, weights, *, ranks, accumulation):
    """The mean of micro-batch means, averaged over accumulation and ranks, as frameworks did it for years."""
    micro = len(losses) // (ranks * accumulation)
    means = []
    for start in range(0, len(losses), micro):
        part = slice(start, start + micro)
        means.append(sum(losses[part]) / sum(weights[part]))
    return sum(means) / len(means)


@pytest.mark.parametrize(
    "reducer", ["ddp", "accelerate", "deepspeed", "deepspeed-unscaled", "sum", "megatron-per-token"]
)
@pytest.mark.parametrize(("ranks", "accumulation"), SPLITS)
def test_any_split_gives_the_weighted_mean(reducer, ranks, accumulation):
    """Over 24 sequences of ragged length the gradient is sum(loss) / sum(weight) to 3e-16, on every split and reducer."""
    draw = random.Random(0)
    weights = [draw.randint(1, 40) for _ in range(24)]
    losses = [draw.random() * weight for weight in weights]
    exact = sum(losses) / sum(weights)
    found = reduced(losses, weights, ranks=ranks, accumulation=accumulation, reducer=reducer)
    assert found == pytest.approx(exact, rel=1e-15)


@given(
    reducer=st.sampled_from(
        ["ddp", "accelerate", "deepspeed", "deepspeed-unscaled", "sum", "megatron-per-token"]
    ),
    ranks=st.integers(1, 7),
    accumulation=st.integers(1, 7),
    micro=st.integers(1, 5),
    data=st.data(),
)
def test_ragged_lengths_and_idle_slots_give_the_weighted_mean(reducer, ranks, accumulation, micro, data):
    """Whatever the lengths, the weights and the number of idle slots, W divides the sum of all losses exactly once."""
    slots = micro * ranks * accumulation
    held = data.draw(st.integers(1, slots))
    weights = data.draw(st.lists(st.integers(0, 9), min_size=held, max_size=held).filter(any))
    losses = [weight * data.draw(st.floats(0.1, 10)) for weight in weights]
    padded = [*losses, *[0.0] * (slots - held)], [*weights, *[0] * (slots - held)]
    found = reduced(*padded, ranks=ranks, accumulation=accumulation, reducer=reducer)
    assert found == pytest.approx(sum(losses) / sum(weights), rel=1e-12)


def test_the_mean_of_means_is_not_the_mean():
    """The naive form is off by percents on the same batch, and by another amount on every split."""
    draw = random.Random(0)
    weights = [draw.choice([1, 2, 100]) for _ in range(24)]
    losses = [draw.random() * weight for weight in weights]
    exact = sum(losses) / sum(weights)
    errors = [
        abs(naive(losses, weights, ranks=ranks, accumulation=accumulation) / exact - 1)
        for ranks, accumulation in SPLITS[1:]
    ]
    assert min(errors) > 0.01


@pytest.mark.parametrize(("short", "long"), [(1, 5), (1, 9)])
def test_short_micro_batches_weigh_too_much_in_the_naive_form(short, long):
    """A token of the short one counts 5 times (prime-rl#1957), 9 times (bigscience#169); here once."""

    def weight_of_one_token(lengths: list[int], which: int, mean) -> float:
        losses = [0.0, 0.0]
        losses[which] = 1.0
        return mean(losses, lengths)

    lengths = [short, long]

    def naive_mean(losses, weights):
        return naive(losses, weights, ranks=2, accumulation=1)

    def exact_mean(losses, weights):
        return reduced(losses, weights, ranks=2, accumulation=1, reducer="ddp")

    ratio = weight_of_one_token(lengths, 0, naive_mean) / weight_of_one_token(lengths, 1, naive_mean)
    assert ratio == pytest.approx(long / short)
    assert weight_of_one_token(lengths, 0, exact_mean) == weight_of_one_token(lengths, 1, exact_mean)
