"""The learning rate as one pure function of samples seen. Planner, runtime and witness all call this one."""

from __future__ import annotations

import math
from fractions import Fraction

from launcher.spec.plan import SchedulePlan

__all__ = ["learning_rate_at", "learning_rate_of_step"]


def learning_rate_at(*, schedule: SchedulePlan, samples: int | Fraction) -> float:
    """Learning rate f(samples), dimensionless, with `samples` sequences seen.

    start + (peak - start) * samples / warmup below the warmup, then the decay to the final rate at the end.
    Source: linear warmup, Goyal et al. 2017, arXiv:1706.02677 section 2.2.
    """
    warmup = schedule.warmup_samples
    if samples < warmup:
        start = schedule.start_learning_rate
        share = _log_share(schedule, samples) if schedule.warmup_shape == "log" else float(samples / warmup)
        return start + (schedule.peak_learning_rate - start) * share
    return _after_warmup(schedule=schedule, samples=samples)


def learning_rate_of_step(
    *, schedule: SchedulePlan, samples_after: int | Fraction, global_batch_size: int | Fraction
) -> float:
    """Learning rate of the optimizer step that brings the count to `samples_after`.

    first_step one-batch: f(samples_after), so no step trains at the start rate. zero: f of the count before the step,
    which is `global_batch_size` less (give the samples the step really holds where the last one is partial).
    """
    if schedule.first_step == "one-batch":
        return learning_rate_at(schedule=schedule, samples=samples_after)
    return learning_rate_at(schedule=schedule, samples=samples_after - global_batch_size)


def _log_share(schedule: SchedulePlan, samples: int | Fraction) -> float:
    """Share of the way to the peak in a logarithmic warmup: ln(1 + steps) / ln(warmup), at most 1.

    Source: deepspeed@0.19.8 runtime/lr_schedules.py:WarmupLR._get_gamma.
    """
    one = schedule.warmup_step_samples
    assert one is not None
    return min(1.0, math.log(1 + samples / one) / math.log(max(2.0, float(schedule.warmup_samples / one))))


def _after_warmup(*, schedule: SchedulePlan, samples: int | Fraction) -> float:
    peak, final = schedule.peak_learning_rate, schedule.final_learning_rate
    begin, end = _decay_span(schedule)
    if end is None or samples <= begin or end <= begin:
        return peak
    if samples >= end:
        return final
    progress = float((samples - begin) / (end - begin))
    return final + (peak - final) * _share_left(schedule=schedule, progress=progress)


def _decay_span(schedule: SchedulePlan) -> tuple[Fraction, Fraction | None]:
    """Samples at which the decay begins and ends; no end: it never decays."""
    end = schedule.total_samples
    if end is None or schedule.decay == "constant":
        return schedule.warmup_samples, None
    if schedule.decay == "wsd" and schedule.decay_samples is not None:
        return max(schedule.warmup_samples, end - schedule.decay_samples), end
    return schedule.warmup_samples, end


def _share_left(*, schedule: SchedulePlan, progress: float) -> float:
    """Share of the way from the final rate up to the peak, 1 at progress 0 and 0 at progress 1.

    Source: cosine, Loshchilov & Hutter 2016, arXiv:1608.03983 equation 5; warmup-stable-decay, Hu et al. 2024,
    arXiv:2404.06395; its 1 - sqrt shape, Haegele et al. 2024, arXiv:2405.18392 section 4.
    """
    if schedule.decay == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    if schedule.decay == "wsd" and schedule.decay_shape == "sqrt":
        return 1.0 - math.sqrt(progress)
    return 1.0 - progress
