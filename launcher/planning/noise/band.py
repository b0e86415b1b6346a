"""What a noise scale says of batch sizes: a band, and the price of every batch in it, in data and in time."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cost", "NoiseBand", "cost_of", "legal_size", "noise_band", "twenty_percent_batch"]

EFFICIENT, BALANCED, TOO_LARGE = 0.2, 1.0, 5.0
"""Of the noise scale: at most 20 % more data than the smallest batch; twice the data at half the steps' floor; and a
batch beyond which even endless devices save less than 1/6 of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a batch costs to reach the same loss, by the model of two limits."""

    global_batch_size: int
    """Sequences."""
    steps: float
    """Over those of an endless batch: S / S_min = 1 + B_crit / B."""
    data: float
    """Over that of the smallest batch: E / E_min = 1 + B / B_crit."""

    @property
    def extra_data(self) -> float:
        """Data beyond that of the smallest batch, as a share of it: B / B_crit."""
        return self.data - 1

    @property
    def speed(self) -> float:
        """Progress per step over that of an endless batch: 1 / (1 + B_crit / B)."""
        return 1 / self.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseBand:
    """Batch sizes that a noise scale speaks for; each rounded down to what the ranks can be dealt."""

    efficient: Cost
    balanced: Cost
    no_benefit: Cost
    multiple: int
    """Sequences that all are multiples of."""


def noise_band(*, noise_scale: float, multiple: int) -> NoiseBand:
    """The band of a noise scale in sequences; multiple: data-parallel ranks x micro-batch.

    Source: McCandlish et al. 2018, arXiv:1812.06162 section 2.2; the factor 0.2 is Zhang et al. 2024, arXiv:2410.21676,
    whose critical batch takes 20 % more data.
    """
    efficient, balanced, too_large = (
        cost_of(
            global_batch_size=legal_size(factor * noise_scale, multiple=multiple), critical_batch=noise_scale
        )
        for factor in (EFFICIENT, BALANCED, TOO_LARGE)
    )
    return NoiseBand(efficient=efficient, balanced=balanced, no_benefit=too_large, multiple=multiple)


def cost_of(*, global_batch_size: int, critical_batch: float) -> Cost:
    """Steps and data of a batch, over their floors; (S / S_min - 1) (E / E_min - 1) = 1.

    Source: McCandlish et al. 2018, arXiv:1812.06162 equations 2.11, 2.12.
    """
    ratio = global_batch_size / critical_batch
    return Cost(global_batch_size=global_batch_size, steps=1 + 1 / ratio, data=1 + ratio)


def legal_size(size: float, *, multiple: int) -> int:
    """The largest multiple that is not above a size in sequences; one multiple where none is."""
    return max(1, int(size / multiple)) * multiple


def twenty_percent_batch(*, floor_steps: float, slope: float, reference: float = 256) -> float:
    """The batch at which steps are 20 % more than those of perfect scaling from a reference batch, in sequences.

    Steps to a target loss are floor_steps + slope / B; 1.2 * reference + 0.2 * slope / floor_steps.
    Source: Zhang et al. 2024, arXiv:2410.21676, hlzhang109/critical-batch-size@c5b509d plots/chinchilla.ipynb.
    Checked: its five models, tests/planning/noise/test_band.py.
    """
    return 1.2 * reference + 0.2 * slope / floor_steps
