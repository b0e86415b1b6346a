"""DeepSpeed's own schedulers against the plan's curve: late by two steps, and logarithmic unless told otherwise."""

import argparse
import inspect

import pytest
from driving import BATCH, curve, lagging, rates_used, schedule

from launcher.planning.conventions import deepspeed_linear_warmup, deepspeed_log_warmup
from launcher.planning.learning_rate import learning_rate_at
from launcher.planning.scaling import linear_scale, sqrt_scale

pytestmark = pytest.mark.torch

PEAK = 3e-4
STEPS = 30
WARMUPS = [1, 2, 3, 10]


def exactly(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-18)


@pytest.fixture
def deepspeed_log(monkeypatch):
    """Lines that DeepSpeed logged; its logger keeps them from everybody else's."""
    from deepspeed.utils import logger

    lines = []
    monkeypatch.setattr(
        logger, "filters", [*logger.filters, lambda record: lines.append(record.getMessage())]
    )
    return lines


def warmup_lr(**options):
    from deepspeed.runtime.lr_schedules import WarmupLR

    return rates_used(lambda optimizer: WarmupLR(optimizer, **options), steps=STEPS, peak=PEAK)


def warmup_decay_lr(**options):
    from deepspeed.runtime.lr_schedules import WarmupDecayLR

    options = {"warmup_max_lr": PEAK, "total_num_steps": STEPS, **options}
    return rates_used(lambda optimizer: WarmupDecayLR(optimizer, **options), steps=STEPS, peak=PEAK)


def warmup_cosine_lr(steps=STEPS, **options):
    from deepspeed.runtime.lr_schedules import WarmupCosineLR

    options = {"total_num_steps": STEPS, **options}
    return rates_used(lambda optimizer: WarmupCosineLR(optimizer, **options), steps=steps, peak=PEAK)


@pytest.mark.parametrize("warmup", WARMUPS)
def test_linear_warmup_is_two_steps_late(warmup):
    """WarmupLR linear is the plan's warmup two steps late: two steps at 0, the peak at W + 2.

    Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupLR, stepped after the optimizer by
    runtime/engine.py:DeepSpeedEngine._take_model_step.
    """
    used = warmup_lr(warmup_num_steps=warmup, warmup_type="linear")
    steps = range(1, STEPS + 1)
    assert used == exactly([PEAK * deepspeed_linear_warmup(step=k, warmup_steps=warmup) for k in steps])
    length = max(2, warmup)  # one step of warmup is taken for two
    planned = schedule(peak=PEAK, warmup_steps=length, total_steps=STEPS, decay="constant")
    assert used == exactly(lagging(planned, steps=STEPS, lag=2))
    assert used[:2] == [0, 0]
    assert used.index(PEAK) + 1 == length + 2


@pytest.mark.parametrize("warmup", WARMUPS)
def test_logarithmic_warmup(warmup):
    """WarmupLR log is ln(k - 1) / ln W: two steps at 0, the peak at W + 1, above the line everywhere between.

    Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupLR._get_gamma.
    """
    used = warmup_lr(warmup_num_steps=warmup, warmup_type="log")
    steps = range(1, STEPS + 1)
    assert used == exactly([PEAK * deepspeed_log_warmup(step=k, warmup_steps=warmup) for k in steps])
    length = max(2, warmup)
    assert used[:2] == [0, 0]
    assert used[length - 1] < PEAK
    assert used[length] == exactly(PEAK)
    straight = warmup_lr(warmup_num_steps=warmup, warmup_type="linear")
    assert all(bent > line for bent, line in zip(used[2:length], straight[2:length], strict=True))


def test_logarithmic_is_what_nobody_asked_for(deepspeed_log):
    """Without warmup_type, and with one that DeepSpeed does not know, the warmup is logarithmic; of the last it says so.

    Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupLR.__init__.
    """
    logarithmic = warmup_lr(warmup_num_steps=10, warmup_type="log")
    assert warmup_lr(warmup_num_steps=10) == logarithmic
    assert "warmup_type" not in "".join(deepspeed_log)
    assert warmup_lr(warmup_num_steps=10, warmup_type="cosine") == logarithmic
    assert "Using unknown warmup_type: cosine" in "".join(deepspeed_log)
    assert warmup_lr(warmup_num_steps=10, warmup_type="linear") != logarithmic


@pytest.mark.parametrize("warmup", [2, 3, 10, STEPS - 1])
@pytest.mark.parametrize("least", [0.0, 1e-5])
def test_warmup_decay_is_the_plan_two_steps_late(warmup, least):
    """WarmupDecayLR linear is the plan's linear warmup and linear decay, both ends at warmup_min_lr, two steps late.

    Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupDecayLR._get_gamma.
    """
    used = warmup_decay_lr(warmup_num_steps=warmup, warmup_type="linear", warmup_min_lr=least)
    planned = schedule(
        peak=PEAK, warmup_steps=warmup, total_steps=STEPS, decay="linear", start=least, final=least
    )
    assert used == exactly(lagging(planned, steps=STEPS, lag=2))
    assert used != curve(planned, steps=STEPS)


def test_warmup_decay_stays_at_its_end():
    """Past its length WarmupDecayLR stays at warmup_min_lr, as the plan's curve does at its end.

    Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupDecayLR._get_gamma.
    """
    lengths = {"warmup_num_steps": 3, "total_num_steps": STEPS // 2, "warmup_min_lr": 1e-5}
    used = warmup_decay_lr(warmup_type="linear", **lengths)
    planned = schedule(
        peak=PEAK, warmup_steps=3, total_steps=STEPS // 2, decay="linear", start=1e-5, final=1e-5
    )
    assert used == exactly(lagging(planned, steps=STEPS, lag=2))
    assert used[-1] == exactly(1e-5)


@pytest.mark.parametrize("warmup", [2, 3, 10])
@pytest.mark.parametrize("least", [0.0, 0.1])
def test_warmup_cosine_never_reaches_its_peak(warmup, least):
    """WarmupCosineLR warms up two steps late and decays one step late, so with `linear` no step uses the peak.

    Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupCosineLR.get_lr_ratio.
    """
    used = warmup_cosine_lr(warmup_num_steps=warmup, warmup_type="linear", cos_min_ratio=least)
    planned = schedule(peak=PEAK, warmup_steps=warmup, total_steps=STEPS, decay="cosine", final=least * PEAK)
    rising, falling = (lagging(planned, steps=STEPS, lag=lag) for lag in (2, 1))
    assert used == exactly(rising[: warmup + 1] + falling[warmup + 1 :])
    last_of_warmup = learning_rate_at(schedule=planned, samples=(warmup - 1) * BATCH)
    first_of_decay = learning_rate_at(schedule=planned, samples=(warmup + 1) * BATCH)
    assert max(used) == exactly(max(last_of_warmup, first_of_decay))
    assert max(used) < PEAK
    assert max(warmup_cosine_lr(warmup_num_steps=warmup)) == exactly(PEAK)  # log, which gets there


def test_warmup_cosine_starts_at_zero_and_ends_at_its_floor():
    """The first step uses 0 whatever warmup_min_ratio says; past the end the rate stays at cos_min_ratio.

    Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupCosineLR.get_lr, get_lr_ratio.
    """
    used = warmup_cosine_lr(steps=STEPS + 9, warmup_num_steps=5, warmup_min_ratio=0.2, cos_min_ratio=0.1)
    assert used[0] == 0
    assert used[1] == exactly(0.2 * PEAK)
    planned = schedule(peak=PEAK, warmup_steps=5, total_steps=STEPS, decay="cosine", final=0.1 * PEAK)
    assert used[STEPS:] == exactly(lagging(planned, steps=STEPS + 9, lag=1)[STEPS:])
    assert len(set(used[STEPS:])) == 1


@pytest.mark.parametrize("warmup", [0, -1, 2.0, "10", None])
def test_warmup_must_be_a_positive_integer(warmup):
    """A warmup_num_steps that is no integer above 0 is a ValueError; so {warmup_steps} is always an integer.

    Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupLR.__init__; before 0.19.3 it was raised to 2 in silence.
    """
    for make in (warmup_lr, warmup_decay_lr, warmup_cosine_lr):
        with pytest.raises(ValueError, match="warmup_num_steps must be a positive integer"):
            make(warmup_num_steps=warmup)


def test_defaults_of_the_schedulers():
    """Parameters and defaults by name: WarmupLR takes the optimizer's rate, WarmupDecayLR 0.001, cosine a ratio.

    Source: deepspeed@0.19.8 runtime/lr_schedules.py; its documentation says 0.001 for WarmupLR too.
    """
    from deepspeed.runtime import lr_schedules

    def defaults(name):
        parameters = inspect.signature(getattr(lr_schedules, name)).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    shared = {"warmup_num_steps": 1000, "warmup_type": "log", "last_batch_iteration": -1}
    assert defaults("WarmupLR") == {**shared, "warmup_min_lr": 0.0, "warmup_max_lr": None}
    assert defaults("WarmupDecayLR") == {**shared, "warmup_min_lr": 0.0, "warmup_max_lr": 0.001}
    assert defaults("WarmupCosineLR") == {**shared, "warmup_min_ratio": 0.0, "cos_min_ratio": 0.0001}
    assert warmup_lr(warmup_num_steps=3)[-1] == PEAK
    assert max(warmup_decay_lr(warmup_num_steps=3, warmup_max_lr=0.001)) == exactly(0.001)
    plan_curves = {"WarmupLR", "WarmupDecayLR", "WarmupCosineLR"}
    assert set(lr_schedules.VALID_LR_SCHEDULES) == plan_curves | {"LRRangeTest", "OneCycle"}
    # typed on its command line, WarmupLR does peak at 0.001, whatever the optimizer says
    typed = lr_schedules.add_tuning_arguments(argparse.ArgumentParser()).parse_args([])
    assert typed.warmup_max_lr == defaults("WarmupDecayLR")["warmup_max_lr"]


@pytest.mark.parametrize("batch", [1, 32, 256, 1152, 8192])
@pytest.mark.parametrize("reference", [32, 256, 1000])
def test_scaling_of_the_rate(batch, reference):
    """DeepSpeed's linear and square-root rules, the ones for batches of varying size, are this planner's.

    Source: deepspeed@0.19.8 runtime/data_pipeline/data_sampling/variable_batch_size_and_lr.py:scale_lr, which cites
    Goyal et al. 2017 and Krizhevsky 2014.
    """
    from deepspeed.runtime.data_pipeline.data_sampling.variable_batch_size_and_lr import scale_lr

    linear = linear_scale(batch=batch, reference_batch=reference)
    root = sqrt_scale(batch=batch, reference_batch=reference)
    assert scale_lr(reference, batch, PEAK, "linear") == exactly(PEAK * linear)
    assert scale_lr(reference, batch, PEAK, "sqrt") == exactly(PEAK * root)
    assert scale_lr(reference, batch, PEAK, None) == PEAK


@pytest.mark.real
def test_the_engine_steps_its_schedule_once_per_optimizer_step(two_ranks):
    """Two ranks and two accumulation steps change nothing: the engine's curve is the plan's, two steps late.

    Source: deepspeed@0.19.8 runtime/engine.py:DeepSpeedEngine._take_model_step.
    """
    written = two_ranks["engine schedule"]
    steps = written["total_num_steps"]
    planned = schedule(
        peak=written["warmup_max_lr"],
        warmup_steps=written["warmup_num_steps"],
        total_steps=steps,
        decay="linear",
    )
    # before its first step the engine's optimizer still has its own rate or the schedule's start
    assert two_ranks["engine"] == exactly(lagging(planned, steps=steps, lag=2))
