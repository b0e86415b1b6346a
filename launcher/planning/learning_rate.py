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
    """The decay, and of it what the marks leave: the step that passes a mark is the first behind it.

    Source: division by 10 at epochs 30, 60 and 80, Goyal et al. 2017, arXiv:1706.02677 section 5.1.
    """
    rate = _decayed(schedule=schedule, samples=samples)
    passed = sum(samples > mark for mark in schedule.decay_marks)
    return rate * schedule.decay_shares[passed - 1] if passed else rate


def _decayed(*, schedule: SchedulePlan, samples: int | Fraction) -> float:
    peak, final = schedule.peak_learning_rate, schedule.final_learning_rate
    begin, end = _decay_span(schedule)
    if schedule.decay == "inverse-sqrt" and samples > begin:
        return max(final, peak * _inverse_root(schedule, samples - begin))
    if end is None or samples <= begin or end <= begin:
        return peak
    if samples >= end:
        return final
    progress = float((samples - begin) / (end - begin))
    return final + (peak - final) * _share_left(schedule=schedule, progress=progress)


def _decay_span(schedule: SchedulePlan) -> tuple[Fraction, Fraction | None]:
    """Samples at which the decay begins and ends; no end: it never decays."""
    end = schedule.total_samples if schedule.decay_end_samples is None else schedule.decay_end_samples
    begin = schedule.decay_begin_samples
    begin = schedule.warmup_samples if begin is None else begin
    if end is None or schedule.decay in {"constant", "step", "inverse-sqrt"}:
        return begin, None
    if schedule.decay == "wsd" and schedule.decay_samples is not None:
        return max(schedule.warmup_samples, end - schedule.decay_samples), end
    return begin, end


def _inverse_root(schedule: SchedulePlan, samples: int | Fraction) -> float:
    """Share of the peak `samples` behind the begin of the decay, with time scale k: sqrt(k / (samples + k)).

    Where k is the begin itself, that is sqrt(begin / samples seen).
    Source: Vaswani et al. 2017, arXiv:1706.03762 equation 3; T5, Raffel et al. 2019, arXiv:1910.10683 section 3.1.2;
    the time scale, transformers@5.23.0 optimization.py:get_inverse_sqrt_schedule.
    """
    scale = schedule.decay_samples
    assert scale is not None
    return math.sqrt(scale / (samples + scale))


def _share_left(*, schedule: SchedulePlan, progress: float) -> float:
    """Share of the way from the final rate up to the peak, 1 at progress 0 and 0 at progress 1.

    Source: cosine, Loshchilov & Hutter 2016, arXiv:1608.03983 equation 5; warmup-stable-decay, Hu et al. 2024,
    arXiv:2404.06395; its 1 - sqrt shape, Haegele et al. 2024, arXiv:2405.18392 section 4; polynomial,
    transformers@5.23.0 optimization.py:get_polynomial_decay_schedule_with_warmup.
    """
    shape = schedule.decay_shape if schedule.decay == "wsd" else schedule.decay
    if shape == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    if shape == "sqrt":
        return 1.0 - math.sqrt(progress)
    if shape == "polynomial":
        return float((1.0 - progress) ** schedule.decay_power)
    return 1.0 - progress
