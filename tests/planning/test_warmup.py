"""What a warmup keeps when the batch changes, in numbers; and how long it is where nobody says."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import amount, codes, count, only, plan_of, refusal_of

from launcher.planning.learning_rate import learning_rate_at
from launcher.planning.warmup import auto_warmup_steps, who_keeps
from launcher.spec.launch import Launch
from launcher.spec.recipe import Stage
from launcher.spec.training import Data, Optimizer, Rescale, Schedule
from launcher.units import Amount, parse_amount

RATE = Optimizer(learning_rate=1e-3)


def warmed(warmup, *, steps=100_000, keeps="unit", optimizer=RATE, **keys):
    length = None if steps is None else amount(f"{steps} steps")
    written = warmup if warmup == "auto" else amount(warmup)
    schedule = Schedule(warmup=written, warmup_keeps=keeps, length=length)
    return plan_of(optimizer=optimizer, schedule=schedule, **keys)


@pytest.mark.parametrize(
    ("beta2", "total", "steps"),
    [
        (0.999, 100_000, 2000),  # 2 / (1 - beta2)
        (0.98, 5000, 100),
        (0.95, 1000, 40),
        (0.9, 1000, 20),  # of the decimal: the double nearest to 0.9 would need 21
        (0.95, 10_000, 100),  # 1 % is more than 40
        (0.999, 1000, 100),  # 10 % is less than 2000
        (None, 12_345, 124),  # no second moment: 1 %, rounded up
        (0.999, 3, 1),  # at least a step
    ],
)
def test_auto(beta2, total, steps):
    """Max(2 / (1 - beta2), 1 %), 1 step to 10 % of the run (arXiv:1910.04209; tuning_playbook@7554a51; 1 % is ours)."""
    assert auto_warmup_steps(beta2=beta2, total_steps=total) == steps
    name = "sgd" if beta2 is None else "adamw"
    optimizer = Optimizer(name=name, learning_rate=1e-3, betas=None if beta2 is None else (0.9, beta2))
    plan = warmed("auto", steps=total, optimizer=optimizer)
    assert plan.learning_rate.warmup_steps == steps
    assert plan.learning_rate.warmup_samples == steps * 256
    assert "arXiv:1910.04209" in plan.origins["learning_rate.warmup_samples"].formula


@given(st.floats(0, 0.99999), st.integers(1, 10**6))
def test_auto_stays_between_a_step_and_a_tenth(beta2, total):
    """Whatever beta2."""
    steps = auto_warmup_steps(beta2=beta2, total_steps=total)
    assert 1 <= steps <= max(1, total / 10)
    assert steps >= min(total // 10, total / 100)


def test_auto_goes_by_the_beta2_of_this_batch():
    """0.95 at 64 is 0.8 at 256 by sde: 10 steps are needed, 1 % is 20."""
    optimizer = Optimizer(
        reference_learning_rate=1e-3,
        reference_batch_size=64,
        betas=(0.9, 0.995),
        rescale=Rescale(betas="sde"),
    )
    # 1 - 4 x 0.005 = 0.98
    assert warmed("auto", steps=2000, optimizer=optimizer).learning_rate.warmup_steps == 100


def test_auto_needs_a_length():
    """A share of a run without an end is nothing."""
    refusal = refusal_of(optimizer=RATE, schedule=Schedule(warmup="auto"))
    assert codes(refusal) == ["schedule-needs-length"]


def test_auto_is_made_for_this_batch():
    """There is nothing of a reference to keep."""
    tuned = Optimizer(reference_learning_rate=1e-3, reference_batch_size=64)
    plan = warmed("auto", keeps="steps", optimizer=tuned)
    assert only(plan, "no-effect").path == "schedule.warmup_keeps"
    assert "warmup-conventions-differ" not in codes(plan)


@pytest.mark.parametrize(
    ("keeps", "samples"),
    [
        # written for 64 sequences of 512 tokens, 100 steps; trained with 256 of 1024
        ("unit", 100 * 256),
        ("samples", 100 * 64),
        ("tokens", 100 * 64 * 512 // 1024),
        ("steps", 100 * 256),
    ],
)
def test_what_is_kept_where_the_sequence_length_changes_too(keeps, samples):
    """Samples and tokens are two conventions then."""
    optimizer = Optimizer(
        reference_learning_rate=1e-3, reference_batch_size=64, reference_sequence_length=512
    )
    assert warmed("100 steps", keeps=keeps, optimizer=optimizer).learning_rate.warmup_samples == samples


@pytest.mark.parametrize(("batch", "steps"), [(1152, 8000), (2304, 4000), (4608, 2000)])
def test_mlperf_by_its_convention(batch, steps):
    """8000 steps at 1152, samples kept: 9,216,000 at every batch (mlcommons/logging@7bbf792 rcp_checker)."""
    optimizer = Optimizer(
        reference_learning_rate=8e-5, reference_batch_size=1152, scaling="linear", name="adamw"
    )
    plan = warmed(
        "8000 steps", keeps="samples", optimizer=optimizer, global_batch_size=batch, sequence_length=8192
    )
    assert (plan.learning_rate.warmup_samples, plan.learning_rate.warmup_steps) == (9_216_000, steps)
    assert who_keeps("samples") in plan.origins["learning_rate.warmup_samples"].formula


def test_bloom_in_tokens():
    """183,105 samples of 2048 are 374,999,040 tokens (bigscience-workshop/bigscience@9e64ede tr11-176B-ml.slurm)."""
    plan = warmed("183_105 samples", sequence_length=2048)
    assert plan.learning_rate.warmup_samples * 2048 == 374_999_040


@pytest.mark.parametrize("batch", [512, 1024, 2048, 4096, 8192, 16384, 32768])
def test_lamb_by_its_convention(batch):
    """3125 steps at every batch (You et al. 2019, arXiv:1904.00962, table of untuned BERT)."""
    optimizer = Optimizer(name="lamb", reference_learning_rate=6.25e-4, reference_batch_size=512)
    plan = warmed("3125 steps", keeps="steps", optimizer=optimizer, global_batch_size=batch)
    assert plan.learning_rate.warmup_steps == 3125


def test_a_changed_batch_asks_what_should_stay():
    """At x4: 500 steps by Goyal's convention, 2000 by LEGW's; the number itself is as written."""
    tuned = Optimizer(reference_learning_rate=1e-3, reference_batch_size=64)
    plan = warmed("2000 steps", optimizer=tuned)
    assert plan.learning_rate.warmup_steps == 2000
    note = only(plan, "warmup-conventions-differ")
    assert (note.severity, note.path) == ("note", "schedule.warmup")
    samples, steps = note.because
    assert samples.endswith("arXiv:1706.02677; MLPerf Llama 3.1 405B): 500 steps, 128000 samples")
    assert steps.endswith("arXiv:1910.04209): 2000 steps, 512000 samples")


@pytest.mark.parametrize(
    ("warmup", "keeps", "optimizer"),
    [
        ("2000 steps", "samples", Optimizer(reference_learning_rate=1e-3, reference_batch_size=64)),
        ("2000 steps", "unit", Optimizer(reference_learning_rate=1e-3, reference_batch_size=256)),
        ("2000 steps", "unit", RATE),
        # as many tokens in sequences half as long
        (
            "2000 steps",
            "unit",
            Optimizer(reference_learning_rate=1e-3, reference_batch_size=512, reference_sequence_length=512),
        ),
        ("0 steps", "unit", Optimizer(reference_learning_rate=1e-3, reference_batch_size=64)),
    ],
)
def test_nothing_is_asked_where_there_is_no_question(warmup, keeps, optimizer):
    """What stays is written, the batch is the reference's, nothing is scaled, or there is no warmup."""
    assert "warmup-conventions-differ" not in codes(warmed(warmup, keeps=keeps, optimizer=optimizer))


STAGES = (
    Stage(until=parse_amount("64000 samples", kind="ramp"), global_batch_size=64),
    Stage(global_batch_size=256),
)


@pytest.mark.parametrize(("keeps", "steps"), [("samples", 500), ("steps", 1000), ("tokens", 500)])
def test_what_is_kept_through_a_ramp(keeps, steps):
    """Tuned at 32 sequences for 1000 steps: 32,000 samples are 500 steps of the ramp's first stage of 64."""
    tuned = Optimizer(reference_learning_rate=1e-3, reference_batch_size=32)
    rate = warmed("1000 steps", keeps=keeps, optimizer=tuned, stages=STAGES).learning_rate
    assert (rate.warmup_steps, rate.warmup_samples) == (steps, steps * 64)


def test_the_note_counts_through_a_ramp():
    """2000 steps are the 1000 of 64 and 1000 more of 256; 32 x 2000 samples lie inside the first stage."""
    tuned = Optimizer(reference_learning_rate=1e-3, reference_batch_size=32)
    samples, steps = only(
        warmed("2000 steps", optimizer=tuned, stages=STAGES), "warmup-conventions-differ"
    ).because
    assert samples.endswith(": 1000 steps, 64000 samples")
    assert steps.endswith(": 2000 steps, 320000 samples")


def test_conventions_that_agree_are_no_question():
    """A ramp that begins at the reference batch and warms up inside it: all of them give the same."""
    tuned = Optimizer(reference_learning_rate=1e-3, reference_batch_size=64)
    assert "warmup-conventions-differ" not in codes(warmed("500 steps", optimizer=tuned, stages=STAGES))


@pytest.mark.parametrize("engine", ["torchrun", "deepspeed", "accelerate"])
@pytest.mark.parametrize("runtime", [True, False])
@pytest.mark.parametrize("warmup", ["4 steps", "auto", "1 samples", "0 steps"])
def test_no_step_is_trained_at_zero_unless_asked(engine, runtime, warmup):
    """The plan's curve begins above 0 on every engine, and at 0 with first_step: zero."""
    rates = [
        plan_of(
            optimizer=RATE,
            schedule=Schedule(
                warmup=warmup if warmup == "auto" else amount(warmup),
                length=amount("100 steps"),
                first_step=first,
            ),
            launch=Launch(script="train.py", engine=engine, runtime=runtime),
        ).learning_rate.curve[0][1]
        for first in ("one-batch", "zero")
    ]
    assert rates[0] > 0
    assert rates[1] == (0.0 if warmup != "0 steps" else rates[0])


def test_a_warmup_longer_than_the_run_is_only_a_warning():
    """MLPerf's 405B stops inside its warmup on purpose."""
    plan = warmed("200 steps", steps=100)
    assert only(plan, "warmup-longer-than-run").severity == "warning"
    assert plan.learning_rate.curve[-1][1] == pytest.approx(5e-4)


@given(
    batch=st.integers(1, 64),
    length=st.sampled_from([1, 16, 1024]),
    steps=st.integers(1, 50),
    epoch=st.integers(64, 4096),
)
def test_one_amount_in_every_unit_is_one_warmup(batch, length, steps, epoch):
    """Steps, samples, tokens, epochs and percent of one length give one curve, to the last bit."""
    samples = steps * batch
    share = Fraction(samples, epoch)
    texts = [f"{steps} steps", f"{samples} samples", f"{samples * length} tokens"]
    plans = [
        plan_of(
            global_batch_size=batch,
            sequence_length=length,
            optimizer=RATE,
            data=Data(num_samples=count(str(epoch))),
            schedule=Schedule(warmup=written),
        )
        for written in [amount(text) for text in texts]
        + [_exactly(share, "epochs"), _exactly(share * 100, "%")]
    ]
    schedules = {plan.learning_rate.schedule for plan in plans}
    assert len(schedules) == 1
    assert learning_rate_at(schedule=schedules.pop(), samples=samples) == 1e-3


def _exactly(number, unit):
    """An amount that decimals may not spell."""
    return Amount(number=number, unit=unit, text=f"{float(number)} {unit}")
