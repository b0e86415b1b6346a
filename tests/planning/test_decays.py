"""Decays as they were published, number by number; and what holds of every decay, wherever it begins and ends."""

import json
import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import amount, codes, count, errors, only, plan_of, refusal_of

from launcher.planning.hashes import hashed_plan
from launcher.planning.learning_rate import learning_rate_at, learning_rate_of_step
from launcher.spec.plain import from_plain
from launcher.spec.plan import RunPlan, SchedulePlan
from launcher.spec.recipe import Stage
from launcher.spec.training import Data, Optimizer, Schedule

LENGTHS = {"warmup", "length", "decay_length", "decay_starts", "decay_ends"}
EPOCH = 1_281_167


def keys_of(*, peak=1.0, batch=100, tokens=1024, optimizer=None, data=None, **schedule):
    """A recipe's keys; lengths are written as text."""
    written = {key: amount(value) if key in LENGTHS else value for key, value in schedule.items()}
    if "decay_at" in written:
        written["decay_at"] = tuple(amount(mark) for mark in written["decay_at"])
    return {
        "global_batch_size": batch,
        "sequence_length": tokens,
        "data": data or Data(),
        "optimizer": optimizer or Optimizer(learning_rate=peak),
        "schedule": Schedule(**written),
    }


def planned(**keys):
    return plan_of(**keys_of(**keys)).learning_rate


def at_step(rates, step, batch):
    return learning_rate_of_step(schedule=rates.schedule, samples_after=step * batch, global_batch_size=batch)


def at_tokens(rates, tokens, length):
    return learning_rate_at(schedule=rates.schedule, samples=Fraction(round(tokens)) / length)


def about(value):
    return pytest.approx(value, rel=1e-12, abs=1e-18)


@pytest.mark.parametrize(("batch", "peak"), [(256, 0.1), (8192, 3.2)])
def test_resnet_50_in_an_hour(batch, peak):
    """0.1 x batch / 256, divided by 10 at epochs 30, 60 and 80 of 90, behind 5 epochs of warmup.

    Source: Goyal et al. 2017, arXiv:1706.02677 sections 2.2 and 5.1.
    """
    rates = planned(
        batch=batch,
        data=Data(num_samples=count(str(EPOCH))),
        optimizer=Optimizer(name="sgd", reference_learning_rate=0.1, reference_batch_size=256),
        warmup="5 epochs",
        decay="step",
        decay_at=("30 epochs", "60 epochs", "80 epochs"),
        length="90 epochs",
    )
    at = [learning_rate_at(schedule=rates.schedule, samples=epochs * EPOCH) for epochs in (5, 30, 60, 80, 90)]
    behind = [learning_rate_at(schedule=rates.schedule, samples=mark * EPOCH + 1) for mark in (30, 60, 80)]
    assert rates.peak_learning_rate == about(peak)
    assert at == about([peak, peak, peak / 10, peak / 100, peak / 1000])
    assert behind == about([peak / 10, peak / 100, peak / 1000])
    assert rates.final_learning_rate == {0.1: 1e-4, 3.2: 3.2e-3}[peak]
    assert rates.schedule.decay_shares == (0.1, 0.01, 0.001)


def test_t5():
    """1 / sqrt(max(n, k)) with k = 10,000: 0.01 for the first 10,000 of 2^19 steps (arXiv:1910.10683 section 3.1.2)."""
    rates = planned(
        peak=0.01,
        batch=128,
        decay="inverse-sqrt",
        decay_starts="10_000 steps",
        length=f"{2**19} steps",
    )
    for step in (1, 9_999, 10_000, 10_001, 40_000, 2**19):
        assert at_step(rates, step, 128) == about(1 / math.sqrt(max(step, 10_000)))
    assert at_step(rates, 40_000, 128) == about(0.005)
    assert rates.final_learning_rate == about(2**-9.5)


@pytest.mark.parametrize(("width", "warmup"), [(512, 4000), (1024, 4000), (1024, 16_000)])
def test_the_first_transformer(width, warmup):
    """d^-0.5 x min(n^-0.5, n x w^-1.5): a linear warmup, then the inverse root (arXiv:1706.03762 equation 3)."""
    rates = planned(peak=(width * warmup) ** -0.5, batch=25, warmup=f"{warmup} steps", decay="inverse-sqrt")
    for step in (1, warmup // 2, warmup, warmup + 1, 4 * warmup, 300_000):
        assert at_step(rates, step, 25) == about(width**-0.5 * min(step**-0.5, step * warmup**-1.5))


def test_gpt_3_decays_before_its_end():
    """Cosine to 10 % over 260 of 300 billion tokens, then 10 % (arXiv:2005.14165 appendix B)."""
    rates = planned(
        peak=0.6e-4,
        batch=1600,
        tokens=2048,
        warmup="375M tokens",
        decay="cosine",
        decay_ends="260B tokens",
        length="300B tokens",
        final_learning_rate_ratio=0.1,
    )
    middle = (260e9 + 375e6) / 2
    found = [at_tokens(rates, tokens, 2048) for tokens in (375e6, middle, 260e9, 280e9, 300e9)]
    assert found == about([0.6e-4, 0.33e-4, 0.06e-4, 0.06e-4, 0.06e-4])
    assert rates.final_learning_rate == about(0.06e-4)


def test_bloom_decays_behind_its_end():
    """Cosine to 6e-6 over 410 billion tokens, trained for 366: the run ends above the final rate.

    Source: bigscience-workshop/bigscience@9e64ede train/tr11-176B-ml/tr11-176B-ml.slurm: LR_DECAY_SAMPLES=200_000_000,
    LR_WARMUP_SAMPLES=183_105, lr 6e-5, min-lr 6e-6.
    """
    rates = planned(
        peak=6e-5,
        batch=2048,
        tokens=2048,
        warmup="183_105 samples",
        decay="cosine",
        decay_ends="200_000_000 samples",
        length="366B tokens",
        final_learning_rate_ratio=0.1,
    )
    end = Fraction(366 * 10**9, 2048)
    share = float((end - 183_105) / (200_000_000 - 183_105))
    last = 6e-6 + 54e-6 * 0.5 * (1 + math.cos(math.pi * share))
    assert learning_rate_at(schedule=rates.schedule, samples=end) == about(last)
    assert learning_rate_at(schedule=rates.schedule, samples=200_000_000) == about(6e-6)
    assert 7e-6 < last < 8e-6


def test_deepseek_v3():
    """2.2e-4 to 10T tokens, cosine to 2.2e-5 over 4.3T, 2.2e-5 for 333B, 7.3e-6 for 167B: 14.8T in all.

    Source: arXiv:2412.19437 section 4.2. Said twice, by what is left at the end and by where the decay begins.
    """
    common = {
        "peak": 2.2e-4,
        "batch": 15360,
        "tokens": 4096,
        "warmup": "2000 steps",
        "decay_ends": "14.3T tokens",
        "decay_at": ("14.633T tokens",),
        "decay_factor": 7.3 / 22,
        "length": "14.8T tokens",
        "final_learning_rate_ratio": 0.1,
    }
    by_length = planned(decay="wsd", decay_length="4.3T tokens", decay_shape="cosine", **common)
    by_start = planned(decay="cosine", decay_starts="10T tokens", **common)
    for rates in (by_length, by_start):
        found = [
            at_tokens(rates, tokens, 4096) for tokens in (1e12, 10e12, 12.15e12, 14.3e12, 14.6e12, 14.8e12)
        ]
        assert found == about([2.2e-4, 2.2e-4, 1.21e-4, 2.2e-5, 2.2e-5, 7.3e-6])
        assert rates.final_learning_rate == about(7.3e-6)


def test_deepseek_llm():
    """31.6 % of the peak behind 80 % of the tokens, 10 % behind 90 % (arXiv:2401.02954 section 2.3)."""
    rates = planned(
        peak=4.2e-4,
        batch=2304,
        tokens=4096,
        warmup="2000 steps",
        decay="step",
        decay_at=("80 %", "90 %"),
        decay_factor=(0.316, 0.1 / 0.316),
        length="2T tokens",
    )
    found = [at_tokens(rates, tokens, 4096) for tokens in (1.6e12, 1.7e12, 1.8e12, 1.9e12)]
    assert found == about([4.2e-4, 4.2e-4 * 0.316, 4.2e-4 * 0.316, 4.2e-5])


def test_bert_with_lamb():
    """Linear to 28.43 % of 7,038 steps, then the root of what is left of all steps: the rate jumps down by 15 %.

    Source: NVIDIA/DeepLearningExamples@115867b PyTorch/LanguageModeling/BERT/schedulers.py:PolyWarmUpScheduler.
    """
    steps, warmup, batch = 7038, Fraction(2843, 10_000), 64
    rates = planned(
        peak=6e-3,
        batch=batch,
        warmup="28.43 %",
        decay="polynomial",
        decay_power=0.5,
        decay_starts="0 steps",
        length=f"{steps} steps",
    )
    for step in range(1, steps + 1, 7):
        progress = Fraction(step, steps)
        expected = progress / warmup if progress < warmup else (1 - progress) ** 0.5
        assert at_step(rates, step, batch) == about(6e-3 * float(expected))
    assert at_step(rates, 2000, batch) == about(6e-3 * 2000 / 2000.9034)
    assert at_step(rates, 2001, batch) == about(6e-3 * math.sqrt(1 - 2001 / 7038))


def test_the_first_bert():
    """1e-4 x (1 - n / 1,000,000) counted from the start, replaced by n / 10,000 below 10,000 steps.

    Source: google-research/bert@02102db optimization.py:create_optimizer.
    """
    rates = planned(
        peak=1e-4,
        batch=256,
        warmup="10_000 steps",
        decay="linear",
        decay_starts="0 steps",
        length="1M steps",
    )
    found = [at_step(rates, step, 256) for step in (5_000, 10_000, 500_000, 1_000_000)]
    assert found == about([0.5e-4, 0.99e-4, 0.5e-4, 0.0])


def test_a_square():
    """LARS: peak x (1 - (n - w) / (N - w))^2 behind the warmup (arXiv:1708.03888)."""
    rates = planned(warmup="25 steps", decay="polynomial", decay_power=2.0, length="225 steps")
    assert [at_step(rates, step, 100) for step in (25, 75, 125, 225)] == about([1, 0.75**2, 0.5**2, 0])


# what holds of all


@st.composite
def curves(draw):
    """A schedule of any shape, with begin, end and marks at or away from their defaults."""
    decay = draw(
        st.sampled_from(["constant", "linear", "cosine", "polynomial", "inverse-sqrt", "wsd", "step"])
    )
    warmup = draw(st.fractions(0, 500))
    begin = draw(st.none() | st.fractions(0, 1000))
    end = draw(st.none() | st.fractions(501, 3000))
    marks = tuple(sorted(draw(st.sets(st.fractions(500, 3000), max_size=3))))
    factors = draw(st.lists(st.floats(0.01, 1), min_size=len(marks), max_size=len(marks)))
    shares = tuple(math.prod(factors[: place + 1]) for place in range(len(marks)))
    return SchedulePlan(
        peak_learning_rate=1.0,
        start_learning_rate=0.0,
        final_learning_rate=1.0 if decay in {"constant", "step"} else draw(st.floats(0, 1)),
        warmup_samples=warmup,
        decay=decay,
        decay_samples=draw(st.fractions(1, 2000)) if decay in {"wsd", "inverse-sqrt"} else None,
        decay_shape=draw(st.sampled_from(["linear", "sqrt", "cosine"])),
        total_samples=draw(st.fractions(501, 3000)),
        first_step="one-batch",
        decay_power=draw(st.floats(0.1, 4)),
        decay_begin_samples=begin,
        decay_end_samples=end,
        decay_marks=marks,
        decay_shares=shares,
    )


@given(schedule=curves(), points=st.lists(st.fractions(0, 4000), min_size=2, max_size=30))
def test_up_then_down_and_never_below_its_end(schedule, points):
    """Behind the warmup no rate is above an earlier one, and none below the final rate x what the marks leave."""
    behind = [point for point in sorted(points) if point >= schedule.warmup_samples]
    rates = [learning_rate_at(schedule=schedule, samples=point) for point in behind]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(rates))
    least = schedule.final_learning_rate * min(schedule.decay_shares, default=1.0)
    assert all(least - 1e-12 <= rate <= 1 + 1e-12 for rate in rates)


@given(schedule=curves())
def test_no_jumps_but_at_marks(schedule):
    """Where begin, end and warmup meet, both sides agree; only marks, and a decay before the warmup's end, jump."""
    smooth = replace(schedule, decay_marks=(), decay_shares=())
    if schedule.decay_begin_samples is not None:
        smooth = replace(
            smooth, decay_begin_samples=max(schedule.decay_begin_samples, schedule.warmup_samples)
        )
    tiny = Fraction(1, 10**24)
    end = smooth.decay_end_samples or smooth.total_samples
    for place in (smooth.warmup_samples, smooth.decay_begin_samples, end):
        if place is None or place < tiny or (place == end <= (smooth.decay_begin_samples or 0)):
            continue
        sides = [learning_rate_at(schedule=smooth, samples=place + side) for side in (-tiny, 0, tiny)]
        assert sides == pytest.approx([sides[1]] * 3, abs=1e-2)


@given(schedule=curves(), place=st.integers(0, 2))
def test_a_mark_is_passed_by_the_first_sample_behind_it(schedule, place):
    """At the mark the old share is left, behind it the new one."""
    if place >= len(schedule.decay_marks):
        return
    mark, bare = schedule.decay_marks[place], replace(schedule, decay_marks=(), decay_shares=())
    before = schedule.decay_shares[place - 1] if place else 1.0
    assert learning_rate_at(schedule=schedule, samples=mark) == about(
        before * learning_rate_at(schedule=bare, samples=mark)
    )
    after = mark + Fraction(1, 10**12)
    assert learning_rate_at(schedule=schedule, samples=after) == about(
        schedule.decay_shares[place] * learning_rate_at(schedule=bare, samples=after)
    )


DECAYS = {
    "polynomial": {"decay": "polynomial", "decay_power": 2.0, "decay_starts": "200 samples"},
    "inverse-sqrt": {"decay": "inverse-sqrt", "decay_length": "300 samples"},
    "step": {"decay": "step", "decay_at": ("40 %", "700 samples", "0.9 epochs"), "decay_factor": 0.5},
    "wsd": {"decay": "wsd", "decay_length": "20 %", "decay_shape": "cosine", "decay_ends": "90 %"},
    "marked": {"decay": "cosine", "decay_ends": "120 %", "decay_at": ("60 %",)},
}


@pytest.mark.parametrize("name", DECAYS)
@pytest.mark.parametrize("first", ["one-batch", "zero"])
def test_the_trace_is_bit_equal_over_splits(name, first):
    """The rate of every step is the same on 1, 2, 3 and 4 ranks, any micro-batch and accumulation."""

    def trace(devices, micro):
        keys = keys_of(
            batch=48, data=Data(num_samples=count("1000")), warmup="7 %", first_step=first, **DECAYS[name]
        )
        plan = plan_of(**keys, devices=devices, micro_batch_size=micro)
        return [at_step(plan.learning_rate, step, 48) for step in range(1, plan.data["total_steps"] + 1)]

    assert trace(1, "auto") == trace(2, 1) == trace(3, 2) == trace(4, "auto")


@pytest.mark.parametrize("name", DECAYS)
def test_every_unit_says_the_same_place(name):
    """Lengths in steps, samples, tokens and per cent of one run are the same curve."""

    def schedule(convert):
        keys = {"warmup": "100 samples", "length": "1000 samples", **DECAYS[name]}
        keys["decay_at"] = tuple(map(convert, keys.get("decay_at", ())))
        for key in LENGTHS & set(keys):
            keys[key] = convert(keys[key]) if key != "length" else keys[key]
        return planned(batch=10, data=Data(num_samples=count("1000")), **keys).schedule

    def samples(text):
        number, _, unit = text.partition(" ")
        return Fraction(number) * {"samples": 1, "%": 10, "epochs": 1000}[unit]

    plain = schedule(lambda text: f"{samples(text)} samples")
    assert schedule(lambda text: text) == plain
    assert schedule(lambda text: f"{samples(text) / 10} steps") == plain
    assert schedule(lambda text: f"{samples(text) * 1024} tokens") == plain
    assert schedule(lambda text: f"{samples(text) / 10} %") == plain


def test_the_curve_shows_both_sides_of_a_mark():
    """The step up to a mark and the one behind it are among the points of the curve."""
    rates = planned(decay="step", decay_at=("301 steps", "60 %"), length="1000 steps")
    found = dict(rates.curve)
    assert [found[step * 100] for step in (301, 302, 600, 601)] == about([1.0, 0.1, 0.1, 0.01])


def test_defaults_written_out_move_no_hash():
    """A schedule that writes the new keys as they are anyway means what it meant; one that uses them does not."""
    plain = keys_of(decay="cosine", warmup="10 steps", length="100 steps")
    same = keys_of(
        decay="cosine", warmup="10 steps", length="100 steps", decay_power=1.0, decay_factor=0.1, decay_at=()
    )
    other = keys_of(decay="cosine", warmup="10 steps", length="100 steps", decay_ends="90 steps")
    first, second, third = (plan_of(**keys) for keys in (plain, same, other))
    assert (first.semantics_hash, first.plan_hash) == (second.semantics_hash, second.plan_hash)
    assert first.semantics_hash != third.semantics_hash
    assert first.plan_hash != third.plan_hash
    told = hashed_plan(first)["learning_rate"]["schedule"]
    assert not {"decay_power", "decay_begin_samples", "decay_marks", "decay_shares"} & set(told)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"decay": "polynomial"}, ["schedule-needs-length"]),
        ({"decay": "cosine", "decay_ends": "10 %"}, ["schedule-needs-length"]),
        ({"decay": "cosine", "decay_ends": "1 epoch"}, ["epochs-need-data-size"]),
        ({"decay": "inverse-sqrt"}, ["schedule-needs-decay-length"]),
        ({"decay": "inverse-sqrt", "decay_length": "0 steps"}, ["schedule-needs-decay-length"]),
        (
            {"decay": "inverse-sqrt", "decay_starts": "0 steps", "warmup": "5 steps"},
            ["schedule-needs-decay-length"],
        ),
        ({"decay": "step"}, ["schedule-needs-decay-at"]),
        ({"decay": "step", "decay_at": ("10 %",)}, ["schedule-needs-length"]),
        ({"decay": "step", "decay_at": ("9 steps", "9 steps")}, ["decay-marks"]),
        ({"decay": "step", "decay_at": ("9 steps",), "decay_factor": (0.1, 0.2)}, ["decay-marks"]),
        ({"decay": "step", "decay_at": ("9 steps",), "warmup": "10 steps"}, ["decay-marks"]),
        ({"decay": "step", "decay_at": ("0 steps",)}, ["decay-marks"]),
        ({"decay": "step", "decay_at": ("9 steps",), "decay_factor": ()}, ["decay-marks"]),
        ({"decay": "cosine", "decay_ends": "9 steps", "warmup": "9 steps"}, ["decay-ends-early"]),
        ({"decay": "linear", "decay_starts": "9 steps", "decay_ends": "8 steps"}, ["decay-ends-early"]),
        ({"decay": "wsd", "decay_length": "6 steps", "decay_ends": "5 steps"}, ["decay-longer-than-run"]),
    ],
)
def test_what_cannot_be_drawn_is_refused(schedule, expected):
    """Places that are absent, out of order, or in a unit that means nothing here."""
    assert errors(refusal_of(**keys_of(**schedule))) == expected


@pytest.mark.parametrize(
    "schedule",
    [
        {"decay": "inverse-sqrt", "warmup": "5 steps"},
        {"decay": "cosine", "decay_ends": "50 steps"},
        {"decay": "wsd", "decay_ends": "50 steps", "decay_length": "10 steps"},
        {"decay": "step", "decay_at": ("50 steps",)},
    ],
)
def test_a_run_without_an_end_may_decay(schedule):
    """What is counted from the start needs no length of the run."""
    rates = planned(**schedule)
    assert rates.total_steps is None
    assert at_step(rates, 10_000, 100) < rates.peak_learning_rate


@pytest.mark.parametrize(
    ("schedule", "path"),
    [
        ({"decay": "cosine", "decay_power": 2.0}, "decay_power"),
        ({"decay": "step", "decay_at": ("9 steps",), "decay_ends": "9 steps"}, "decay_ends"),
        ({"decay": "wsd", "decay_length": "1 steps", "decay_starts": "9 steps"}, "decay_starts"),
        ({"decay": "inverse-sqrt", "warmup": "1 steps", "decay_ends": "9 steps"}, "decay_ends"),
        ({"decay": "constant", "decay_at": ("9 steps",)}, "decay_at"),
        ({"decay": "cosine", "decay_factor": 0.5}, "decay_factor"),
        (
            {"decay": "step", "decay_at": ("9 steps",), "final_learning_rate_ratio": 0.1},
            "final_learning_rate_ratio",
        ),
    ],
)
def test_keys_that_this_decay_does_not_read(schedule, path):
    """A warning names the key that changes nothing."""
    plan = plan_of(**keys_of(length="100 steps", **schedule))
    assert only(plan, "no-effect").path == f"schedule.{path}"


def test_a_run_shorter_than_its_decay_is_told():
    """A short run of a long recipe is legal; that it sees no decay is a warning."""
    keys = keys_of(decay="cosine", decay_starts="50 steps", decay_ends="90 steps", length="10 steps")
    plan = plan_of(**keys)
    assert codes(plan).count("decay-behind-the-run") == 1
    assert plan.learning_rate.curve[-1][1] == 1.0


@pytest.mark.parametrize("name", DECAYS)
def test_a_plan_read_back_draws_the_same(name):
    """Places travel as fractions and shares as written: what a rank reads from plan.json is what was planned."""
    keys = keys_of(batch=7, tokens=1021, data=Data(num_samples=count("1000")), warmup="7 %", **DECAYS[name])
    plan = plan_of(**keys)
    back = from_plain(RunPlan, json.loads(json.dumps(plan.to_dict())))
    assert back.learning_rate.schedule == plan.learning_rate.schedule


@pytest.mark.parametrize("clock", ["samples", "tokens"])
def test_places_are_found_through_stages(clock):
    """Under a ramp of batch and length, marks and an end in tokens are where the run has taken so many tokens."""
    stages = (
        Stage(until=amount("200K tokens"), global_batch_size=100, sequence_length=500),
        Stage(global_batch_size=200, sequence_length=1000),
    )
    keys = keys_of(
        batch=200,
        tokens=1000,
        decay="linear",
        decay_starts="100K tokens",
        decay_ends="1M tokens",
        decay_at=("600K tokens",),
        decay_factor=0.5,
        length="2M tokens",
        clock=clock,
    )
    schedule = plan_of(**keys, stages=stages).learning_rate.schedule
    # 4 steps of 100 x 500 tokens, then 1000 a sample; the clock of tokens counts 1000 of them as one sample
    places = {"samples": (200, 400 + 800, 400 + 400), "tokens": (100, 1000, 600)}[clock]
    found = (schedule.decay_begin_samples, schedule.decay_end_samples, *schedule.decay_marks)
    assert found == places
    assert learning_rate_at(schedule=schedule, samples=places[0]) == 1.0
    assert learning_rate_at(schedule=schedule, samples=places[1]) == 0.0
