"""Warmup, decay and length in every unit, exact in samples."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import amount, codes, count, errors, only, plan_of, recipe_of, refusal_of

from launcher.planning.rates import curve_steps
from launcher.spec.launch import Launch
from launcher.spec.model import Model
from launcher.spec.training import Data, Optimizer, Schedule

RATE = Optimizer(learning_rate=1.0)


def rate_of(
    *, batch: int = 100, data: Data | None = None, optimizer: Optimizer = RATE, length=1024, **schedule
):
    """The learning-rate block of a schedule whose lengths are written as text."""
    lengths = {
        key: amount(value) for key, value in schedule.items() if key in {"warmup", "length", "decay_length"}
    }
    return plan_of(
        global_batch_size=batch,
        sequence_length=length,
        data=data or Data(),
        optimizer=optimizer,
        schedule=Schedule(**{**schedule, **lengths}),
    ).learning_rate


@pytest.mark.parametrize(
    ("warmup", "samples"),
    [
        ("2000 steps", 2000 * 100),
        ("0.5 epochs", Fraction(7777, 2)),
        ("183105 samples", 183105),
        ("375M tokens", Fraction(375 * 10**6, 1024)),
        ("3 %", Fraction(3, 100) * 50_000),
        ("1 step", 100),
        ("0 steps", 0),
    ],
)
def test_every_unit_of_warmup_becomes_samples_exactly(warmup, samples):
    """It is steps x batch, epochs x data, samples, tokens / sequence length, a share of the length."""
    found = plan_of(
        global_batch_size=100,
        data=Data(num_samples=count("7777")),
        optimizer=RATE,
        schedule=Schedule(warmup=amount(warmup), length=amount("500 steps")),
    ).learning_rate
    assert found.schedule.warmup_samples == samples
    assert found.warmup_samples == floor(samples)
    assert found.warmup_steps == ceil(Fraction(samples) / 100)


def test_published_warmups():
    """GPT-3's 375 M tokens are BLOOM's 183,105 samples of 2048, which are 374,999,040 tokens (bigscience tr11-176B)."""
    gpt3 = rate_of(batch=2048, length=2048, warmup="375M tokens")
    bloom = rate_of(batch=2048, length=2048, warmup="183_105 samples")
    assert gpt3.warmup_samples == bloom.warmup_samples == 183_105
    assert bloom.schedule.warmup_samples * 2048 == 374_999_040
    assert gpt3.schedule.warmup_samples == Fraction(375 * 10**6, 2048)


@pytest.mark.parametrize(
    ("batch", "rate", "steps"), [(1152, 8e-5, 8000), (2304, 1.6e-4, 4000), (4608, 3.2e-4, 2000)]
)
@pytest.mark.parametrize("keeps", ["samples", "tokens"])
def test_mlperf_llama_405b(batch, rate, steps, keeps):
    """Linear learning rate, warmup constant at 9,216,000 samples (mlcommons/logging@7bbf792 rcp_checker)."""
    optimizer = Optimizer(reference_learning_rate=8e-5, reference_batch_size=1152, scaling="linear")
    found = rate_of(batch=batch, length=8192, optimizer=optimizer, warmup="8000 steps", warmup_keeps=keeps)
    assert found.peak_learning_rate == pytest.approx(rate)
    assert (found.warmup_samples, found.warmup_steps) == (9_216_000, steps)


@pytest.mark.parametrize(
    ("batch", "ratio", "length"),
    [
        (512, 320, 1_000_000),
        (1024, 160, 500_000),
        (2048, 80, 250_000),
        (4096, 40, 125_000),
        (8192, 20, 62_500),
        (16384, 10, 31_250),
        (32768, 5, 15_625),
    ],
)
def test_lamb_keeps_its_warmup_in_steps(batch, ratio, length):
    """Ratio x steps is 3125 steps at every batch (You et al. 2019, arXiv:1904.00962), which warmup_keeps: steps says."""
    plan = plan_of(
        global_batch_size=batch,
        optimizer=RATE,
        schedule=Schedule(warmup=amount(f"{100 / ratio} %"), length=amount(f"{length} steps")),
    )
    kept = rate_of(
        batch=batch,
        optimizer=Optimizer(name="lamb", reference_learning_rate=5e-3, reference_batch_size=32768),
        warmup=f"{3125 * 32768} samples",
        warmup_keeps="steps",
    )
    assert plan.learning_rate.warmup_steps == kept.warmup_steps == 3125


def test_nemo_bert_warmup():
    """0.2843 of 7038 steps are 2000.9, hence 2001 steps (NVIDIA BERT phase 1)."""
    plan = plan_of(optimizer=RATE, schedule=Schedule(warmup=amount("28.43 %"), length=amount("7038 steps")))
    assert plan.learning_rate.warmup_steps == ceil(Fraction(2843, 10_000) * 7038) == 2001


@pytest.mark.parametrize(
    ("written", "keeps", "samples"),
    [
        ("10 steps", "unit", 10 * 100),
        ("10 steps", "steps", 10 * 100),
        ("10 steps", "samples", 10 * 25),
        ("10 steps", "tokens", 10 * 25),
        ("500 samples", "unit", 500),
        ("500 samples", "samples", 500),
        ("500 samples", "steps", Fraction(500, 25) * 100),
        ("1024000 tokens", "steps", Fraction(1000, 25) * 100),
    ],
)
@pytest.mark.parametrize("tokens", [False, True])
def test_what_the_warmup_keeps(written, keeps, samples, tokens):
    """With batch 100 and a reference of 25, the written length is the reference run's in all but `unit`."""
    reference = {"reference_batch_tokens": count(str(25 * 1024))} if tokens else {"reference_batch_size": 25}
    optimizer = Optimizer(reference_learning_rate=1.0, **reference)
    found = rate_of(batch=100, optimizer=optimizer, warmup=written, warmup_keeps=keeps)
    assert found.schedule.warmup_samples == samples


def test_a_length_in_every_unit():
    """The full recipe's 300B tokens are 300e9 / 8192 samples: ceil(/ 1024) = 35,763 steps."""
    assert rate_of(batch=1024, length=8192).total_steps is None
    schedule = Schedule(length=amount("300B tokens"))
    plan = plan_of(global_batch_size=1024, sequence_length=8192, optimizer=RATE, schedule=schedule)
    assert plan.learning_rate.schedule.total_samples == Fraction(300 * 10**9, 8192)
    assert plan.learning_rate.total_samples == 300 * 10**9 // 8192
    assert plan.learning_rate.total_steps == ceil(Fraction(300 * 10**9, 8192 * 1024)) == 35_763


def data_of(batch: int, *, samples: str | None = None, length: str | None = None, **data):
    plan = plan_of(
        global_batch_size=batch,
        data=Data(num_samples=None if samples is None else count(samples), **data),
        schedule=Schedule(length=None if length is None else amount(length)),
    )
    return plan.data


@pytest.mark.parametrize(
    ("length", "drop", "expected"),
    [
        # steps, samples of the last step, ended by the data
        (None, False, (ceil(1000 / 300), 1000 - 3 * 300, True)),
        (None, True, (1000 // 300, 300, True)),
        ("2 epochs", False, (ceil(2000 / 300), 2000 - 6 * 300, True)),
        ("2 epochs", True, (2000 // 300, 300, True)),
        ("0.9 epochs", False, (3, 300, True)),
        ("0.5001 epochs", False, (2, 200, True)),  # 500.1 samples: the tenth is never trained
        ("1000 samples", False, (ceil(1000 / 300), 300, False)),
        ("1000 samples", True, (ceil(1000 / 300), 300, False)),
        ("4 steps", False, (4, 300, False)),
    ],
)
def test_the_last_step_is_partial_only_where_the_data_ends_the_run(length, drop, expected):
    """1000 samples at 300 per step: a run of epochs ends with 100, or drops them; any other length ends full."""
    found = data_of(300, samples="1000", length=length, drop_last=drop)
    assert (found["total_steps"], found["last_step_samples"], found["ended_by_data"]) == expected


@given(
    batch=st.integers(1, 400),
    samples=st.integers(1, 3000),
    drop=st.booleans(),
    hundredths=st.none() | st.integers(1, 500),
)
def test_steps_times_batch_is_what_the_data_holds(batch, samples, drop, hundredths):
    """All full steps and the last one together are the samples of the run, floored; or the run is refused."""
    length = None if hundredths is None else f"{hundredths / 100} epochs"
    total = samples if hundredths is None else samples * hundredths // 100
    recipe = recipe_of(
        global_batch_size=batch,
        data=Data(num_samples=count(str(samples)), drop_last=drop),
        schedule=Schedule(length=None if length is None else amount(length)),
    )
    if batch > samples or total == 0 or (drop and total < batch):
        assert errors(refusal_of(recipe)) == ["batch-larger-than-data"]
        return
    found = plan_of(recipe).data
    trained = (found["total_steps"] - 1) * batch + found["last_step_samples"]
    assert found["total_samples"] == trained
    assert trained == (total // batch * batch if drop else total)
    assert 1 <= found["last_step_samples"] <= batch


def test_samples_of_an_epoch():
    """Packed tokens over the sequence length, padded ones over their mean length where it is written."""
    packed = {"num_tokens": count("10_000"), "packing": "packed", "mean_length": 3.0}
    padded = {"num_tokens": count("10_000"), "packing": "padded", "mean_length": 300.0}
    plain = {"num_tokens": count("10_000")}
    assert data_of(1, **packed)["num_samples"] == 10_000 // 1024
    assert data_of(1, **padded)["num_samples"] == 10_000 // 300
    assert data_of(1, **plain)["num_samples"] == 10_000 // 1024
    assert data_of(1)["num_samples"] is None


def test_a_run_without_a_learning_rate_still_has_a_length():
    """Steps and warmup are in the data block, for the runtime."""
    plan = plan_of(global_batch_size=10, schedule=Schedule(warmup=amount("5 %"), length=amount("200 steps")))
    assert plan.learning_rate is None
    assert (plan.data["total_steps"], plan.data["total_samples"]) == (200, 2000)
    assert (plan.data["warmup_steps"], plan.data["warmup_samples"]) == (10, 100)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"decay": "cosine"}, ["schedule-needs-length"]),
        ({"decay": "linear"}, ["schedule-needs-length"]),
        ({"warmup": "3 %"}, ["schedule-needs-length"]),
        ({"decay": "wsd"}, ["schedule-needs-length"]),
        ({"decay": "wsd", "length": "10 steps"}, ["schedule-needs-decay-length"]),
        ({"decay": "wsd", "length": "10 steps", "decay_length": "1 epoch"}, ["epochs-need-data-size"]),
        ({"decay": "wsd", "length": "10 steps", "decay_length": "11 steps"}, ["decay-longer-than-run"]),
        (
            {"decay": "wsd", "length": "10 steps", "decay_length": "6 steps", "warmup": "5 steps"},
            ["decay-longer-than-run"],
        ),
        ({"length": "1 epoch"}, ["epochs-need-data-size"]),
        ({"length": "1 epoch", "decay": "cosine", "warmup": "3 %"}, ["epochs-need-data-size"]),
        ({"warmup": "1 epoch"}, ["epochs-need-data-size"]),
        ({"length": "0 steps"}, ["out-of-range"]),
    ],
)
def test_refusals(schedule, expected):
    """What a schedule needs and does not have; one cause is one problem."""
    lengths = {key: amount(value) for key, value in schedule.items() if key != "decay"}
    assert codes(refusal_of(schedule=Schedule(**{**schedule, **lengths}))) == expected


@pytest.mark.parametrize(
    "keys",
    [
        {"schedule": Schedule(warmup=amount("1M tokens"))},
        {"schedule": Schedule(length=amount("1M tokens"))},
        {"schedule": Schedule(clock="tokens")},
        {"data": Data(num_tokens=count("1M"))},
    ],
)
def test_tokens_need_a_sequence_length(keys):
    """Without a length tokens are nothing; where the length itself is missing, that alone is said."""
    table = recipe_of(sequence_length=None, model=Model(kind="mlp"), **keys)
    assert codes(refusal_of(table)) == ["tokens-need-sequence-length"]
    assert codes(refusal_of(recipe_of(sequence_length=None, **keys))) == ["missing-key"]


def test_data_size_given_twice():
    """num_tokens and num_samples exclude one another."""
    data = Data(num_tokens=count("1M"), num_samples=count("1000"))
    assert codes(refusal_of(data=data)) == ["ambiguous-data-size"]


def test_a_warmup_longer_than_the_run_is_a_warning():
    """MLPerf's 405B run does it on purpose; the curve ends below the peak."""
    plan = plan_of(
        global_batch_size=100,
        optimizer=RATE,
        schedule=Schedule(warmup=amount("20 steps"), length=amount("10 steps"), decay="cosine"),
    )
    problem = only(plan, "warmup-longer-than-run")
    assert problem.severity == "warning"
    assert problem.because == ("warmup 2000 > length 1000 samples",)
    assert plan.learning_rate.curve[-1] == (1000, 0.5)
    exactly = Schedule(warmup=amount("10 steps"), length=amount("10 steps"), decay="cosine")
    plan = plan_of(global_batch_size=100, optimizer=RATE, schedule=exactly)
    assert (codes(plan), plan.learning_rate.curve[-1]) == ([], (1000, 1.0))


def test_sgd_scaled_up_linearly_starts_at_its_reference():
    """Gradual warmup from 0.1 to 3.2 (Goyal et al. 2017, arXiv:1706.02677); Adam, and SGD scaled down, start at 0."""

    def start(name: str, batch: int, scaling: str = "auto") -> float:
        optimizer = Optimizer(
            name=name, reference_learning_rate=0.1, reference_batch_size=256, scaling=scaling
        )
        return rate_of(batch=batch, optimizer=optimizer, warmup="5 steps").schedule.start_learning_rate

    assert start("sgd", 8192) == 0.1
    assert start("sgd", 256) == 0
    assert start("sgd", 8192, scaling="sqrt") == 0
    assert start("adamw", 512) == 0
    assert start("adamw", 512, scaling="linear") == 0


def test_the_final_rate():
    """A ratio of the peak where there is a decay, the peak where there is none."""
    decayed = plan_of(
        optimizer=RATE,
        schedule=Schedule(decay="cosine", length=amount("10 steps"), final_learning_rate_ratio=0.1),
    )
    assert decayed.learning_rate.final_learning_rate == 0.1
    assert rate_of(decay="constant").final_learning_rate == 1.0


@pytest.mark.parametrize(
    ("owner", "runtime", "expected"),
    [
        ("auto", True, "runtime"),
        ("auto", False, "script"),
        ("script", True, "script"),
        ("script:trainer", False, "script:trainer"),
    ],
)
def test_owner(owner, runtime, expected):
    """The automatic owner is the runtime where the script uses it, else the script."""
    plan = plan_of(optimizer=RATE, schedule=Schedule(owner=owner), launch=Launch(runtime=runtime))
    assert plan.learning_rate.owner == expected


def test_an_owner_that_does_not_exist():
    """Anything but runtime, script and engine:NAME is refused; runtime without a runtime is warned of."""
    assert codes(refusal_of(schedule=Schedule(owner="trainer"))) == ["bad-choice"]
    warned = plan_of(schedule=Schedule(owner="runtime"))
    assert only(warned, "nobody-applies").severity == "warning"


@pytest.mark.parametrize(
    ("warmup", "total"), [(0, 1), (0, 7), (3, 100), (100, 30_000), (1, None), (0, None), (50, 20)]
)
def test_the_curve_shows_the_steps_worth_seeing(warmup, total):
    """First and last step, the warmup's quarters and its end, about twenty points in order, each a whole step."""
    length = {} if total is None else {"length": amount(f"{total} steps")}
    plan = plan_of(
        global_batch_size=8, optimizer=RATE, schedule=Schedule(warmup=amount(f"{warmup} steps"), **length)
    )
    samples = [point[0] for point in plan.learning_rate.curve]
    assert samples == sorted(set(samples))
    assert all(count % 8 == 0 for count in samples)
    assert samples[0] == 8
    assert len(samples) <= 24
    if total is not None:
        assert samples[-1] == total * 8
    if warmup and (total is None or warmup <= total):
        assert warmup * 8 in samples


def test_the_curve_ends_with_the_data():
    """A partial last step ends at the last sample, at the final rate."""
    plan = plan_of(
        global_batch_size=300,
        optimizer=RATE,
        data=Data(num_samples=count("1000")),
        schedule=Schedule(decay="linear", final_learning_rate_ratio=0.25),
    )
    assert plan.learning_rate.curve[-1] == (1000, 0.25)
    zero = plan_of(
        global_batch_size=300,
        optimizer=RATE,
        data=Data(num_samples=count("1000")),
        schedule=Schedule(decay="linear", first_step="zero"),
    )
    assert zero.learning_rate.curve[-1] == (1000, pytest.approx(1 - 900 / 1000))


@pytest.mark.parametrize(
    ("warmup", "total", "steps"),
    [
        (8, None, (1, 2, 4, 8, 16)),
        (0, None, (1, 2)),
        (0, 20, tuple(range(1, 21))),
        (20, 60, (1, 5, 10, *range(20, 61, 2))),
        (40, 10, (1, 10)),
        (1, 1, (1,)),
    ],
)
def test_steps_of_the_curve(warmup, total, steps):
    """Quarters of the warmup, then twentieths of the rest; without an end, once more the warmup."""
    assert curve_steps(warmup_steps=warmup, total_steps=total) == steps


@pytest.mark.parametrize(("warmup", "most"), [("3 steps", 7 * 256), ("0 steps", 10 * 256), ("30 steps", 0)])
def test_the_hint_of_a_decay_that_is_too_long_is_what_is_left(warmup, most):
    """Length less warmup, never below nothing."""
    schedule = Schedule(
        decay="wsd", decay_length=amount("11 steps"), warmup=amount(warmup), length=amount("10 steps")
    )
    problem = only(refusal_of(schedule=schedule), "decay-longer-than-run")
    assert problem.hint == f"use at most {most} samples, or a shorter warmup"


def test_the_final_rate_is_a_product_of_decimals():
    """A tenth of 6e-4 is handed on as 6e-5, not as the product of two floats."""
    assert 6e-4 * 0.1 != 6e-5
    rate = plan_of(
        optimizer=Optimizer(learning_rate=6e-4),
        schedule=Schedule(decay="cosine", length=amount("10 steps"), final_learning_rate_ratio=0.1),
    ).learning_rate
    assert rate.final_learning_rate == rate.curve[-1][1] == 6e-5
