"""What a probe found, as a person reads it: a table of trials, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from launcher.reporting.columns import table, wrapped
from launcher.reporting.run_text import show_duration
from launcher.spec.measurement import Measurement, Trial
from launcher.spec.plain import to_plain

__all__ = ["ProbeResult", "probe_text", "trial_line"]

GIB, MIB = 2**30, 2**20
_HEADER = ("micro", "accumulation", "outcome", "peak GiB", "predicted GiB", "error", "seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """A measurement and its answer."""

    measurement: Measurement
    max_micro_batch_size: int | None
    gradient_accumulation_steps: int | None
    """With the largest micro-batch."""
    file: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the measurement as its file holds it."""
        plain: dict[str, Any] = to_plain(self.measurement)
        answer = {
            "max_micro_batch_size": self.max_micro_batch_size,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
            "file": self.file,
        }
        return {**answer, **plain}


def probe_text(found: ProbeResult) -> list[str]:
    """The answer first, then the trials by micro-batch, then where it is kept."""
    measured = found.measurement
    limit = f"{_limit(measured.limit_bytes)} for each process"
    if found.max_micro_batch_size is None:
        answer = f"no micro-batch fits {limit}"
    else:
        answer = (
            f"largest micro-batch that fits {limit}: {found.max_micro_batch_size}, "
            f"with accumulation {found.gradient_accumulation_steps}"
        )
    trials = sorted(measured.trials, key=lambda trial: trial.micro_batch_size)
    lines = [answer, "", *table(_HEADER, [_row(trial) for trial in trials]), ""]
    for trial in trials:
        if trial.words:
            lines += wrapped(f"micro {trial.micro_batch_size}: {trial.words}", width=100, hang=2)
    return [*lines, f"kept in {found.file}; batchwright plan reads it"]


def trial_line(trial: Trial, *, number: int) -> str:
    """One line while the probe goes on."""
    peak = "" if trial.peak_bytes is None else f", peak {_gib(trial.peak_bytes)} GiB"
    split = f"micro {trial.micro_batch_size} x {trial.gradient_accumulation_steps} accumulation"
    return f"trial {number}  {split}: {_words(trial)}{peak}, took {show_duration(trial.seconds)}"


def _row(trial: Trial) -> tuple[str, ...]:
    peak, predicted = trial.peak_bytes, trial.predicted_bytes
    error = "-" if peak is None or predicted is None else f"{100 * (predicted / peak - 1):+.1f} %"
    return (
        str(trial.micro_batch_size),
        str(trial.gradient_accumulation_steps),
        _words(trial),
        "-" if peak is None else _gib(peak),
        "-" if predicted is None else _gib(predicted),
        error,
        f"{trial.seconds:.1f}",
    )


def _words(trial: Trial) -> str:
    return {"fits": "fits", "over-limit": "over the limit", "out-of-memory": "out of memory"}[trial.outcome]


def _limit(size: int) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"


def _gib(size: int) -> str:
    return f"{size / GIB:.3f}"
