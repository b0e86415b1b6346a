"""The gradient of a trial, and what a ratio of two says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.handoff.trials.gradients import gradient_norm, ratio_words
from launcher.handoff.trials.trial import TrialEnd
from launcher.testing import changed, sample_plans

PLAN = changed(sample_plans()["cpu-1x2"], layout={"data_strategy": "ddp"})


def end(*firsts):
    """A trial whose ranks saw these numbers at their first step: norm as clipped, sum of squares."""
    steps = [[{"gradient_norm": norm, "gradient_squares": squares}] for norm, squares in firsts]
    records = {rank: {"inspected": {"steps": each}} for rank, each in enumerate(steps)}
    return TrialEnd(
        exit=0, interrupted_by=None, out_of_memory=None, records=records, seconds=1.0, message="", context=()
    )


def test_the_norm_before_clipping_counts():
    """What clipping returned is the norm from before it."""
    assert gradient_norm(end((5.0, 1.0), (5.0, 1.0)), PLAN) == 5.0


def test_every_rank_of_ddp_holds_the_whole_gradient():
    """One rank's parameters are enough; of shards the squares are summed."""
    assert gradient_norm(end((None, 9.0), (None, 9.0)), PLAN) == 3.0
    sharded = changed(PLAN, layout={"data_strategy": "fsdp"})
    assert gradient_norm(end((None, 9.0), (None, 16.0)), sharded) == 5.0


def test_no_gradient_is_no_number():
    """ZeRO's parameters may hold none, and a rank may have done no step."""
    assert gradient_norm(end((None, 0.0)), PLAN) is None
    assert gradient_norm(end(), PLAN) is None


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (4.1, "the gradient grows with accumulation (4 times here)"),
        (0.25, "the gradient shrinks with accumulation (4 times here)"),
        (1.08, "the gradient depends on the split as a mean of means does"),
        (0.8, "the gradient depends on the split as a mean of means does"),
    ],
)
def test_what_a_ratio_means(ratio, words):
    """Micro 2 x 4 against 8 x 1: a missing division, one too many, or unequal weights."""
    planned = replace(PLAN.batch, micro_batch_size=2, gradient_accumulation_steps=4)
    other = replace(PLAN.batch, micro_batch_size=8, gradient_accumulation_steps=1)
    assert ratio_words(ratio, planned=planned, other=other).startswith(words)
    # the other way round it means the other way round
    assert ratio_words(1 / ratio, planned=other, other=planned).startswith(words)
