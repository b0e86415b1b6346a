"""What else may follow the batch: betas, epsilon, weight decay, weight averages and warmup, as published.

kappa stands for batch / reference batch throughout, dimensionless.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

__all__ = [
    "AdamSettings",
    "adam_beta_by_square_root_rule",
    "adam_by_square_root_rule",
    "beta_at_same_tokens",
    "beta_of_half_life",
    "exponential_warmup",
    "half_life_of_beta",
    "largest_ratio_of_betas",
    "surge_scale",
    "untuned_warmup_steps",
    "weight_average_decay",
    "weight_decay_at_same_timescale",
    "weight_decay_timescale",
]


class AdamSettings(NamedTuple):
    """Learning rate, betas and epsilon that belong together."""

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float


def adam_by_square_root_rule(*, settings: AdamSettings, kappa: float | Fraction) -> AdamSettings:
    """Adam's settings at kappa times the batch, by the square-root rule from its stochastic differential equation.

    eta sqrt(kappa), 1 - kappa (1 - beta), epsilon / sqrt(kappa); only where kappa (1 - beta1) is below 1: for beta1 0.9
    below ten times the batch. Raises ValueError beyond.
    Source: Malladi et al. 2022, arXiv:2205.10287, definition 5.1.
    """
    bound = largest_ratio_of_betas(settings.beta1, settings.beta2)
    if kappa >= bound:
        raise ValueError(f"the square-root rule ends at {float(bound):g} times the batch")
    beta1 = adam_beta_by_square_root_rule(beta=settings.beta1, kappa=kappa)
    beta2 = adam_beta_by_square_root_rule(beta=settings.beta2, kappa=kappa)
    root = math.sqrt(kappa)
    return AdamSettings(settings.learning_rate * root, beta1, beta2, settings.epsilon / root)


def adam_beta_by_square_root_rule(*, beta: float, kappa: float | Fraction) -> float:
    """A moment's decay at kappa times the batch: 1 - kappa (1 - beta), of the decimal number that was written.

    Source: as adam_by_square_root_rule.
    """
    return float(1 - Fraction(kappa) * (1 - Fraction(repr(beta))))


def largest_ratio_of_betas(beta1: float, beta2: float) -> Fraction:
    """The kappa at which the square-root rule ends, 1 / (1 - the smaller beta), exact: 10 for 0.9.

    Source: as adam_by_square_root_rule.
    """
    return 1 / (1 - Fraction(repr(min(beta1, beta2))))


def beta_at_same_tokens(*, beta: float, kappa: float) -> float:
    """A moment's decay at kappa times the batch that forgets over the same number of tokens: beta ** kappa.

    Source: Marek et al. 2025, arXiv:2507.07101.
    Checked: 0.95 at 512 sequences is 0.9999 at 1 (martin-marek/batch-size@32700f0, final configurations).
    """
    return math.pow(beta, kappa)


def half_life_of_beta(*, beta: float, tokens_per_step: float) -> float:
    """Tokens after which a decaying average has lost half of an entry.

    Source: Marek et al. 2025, arXiv:2507.07101 (martin-marek/batch-size@32700f0 utils.py:halflife_to_decay, inverted).
    """
    return tokens_per_step * math.log(0.5) / math.log(beta)


def beta_of_half_life(*, half_life_tokens: float, tokens_per_step: float) -> float:
    """The decay whose half-life is a number of tokens: 2 ** (-tokens per step / half-life).

    Source: martin-marek/batch-size@32700f0 utils.py:halflife_to_decay.
    """
    return math.pow(0.5, tokens_per_step / half_life_tokens)


def weight_decay_timescale(
    *, tokens_per_step: float, learning_rate: float, weight_decay: float, total_tokens: float
) -> float:
    """AdamW's averaging time as a share of the run: B / (eta lambda D), dimensionless.

    Source: Wang & Aitchison 2024, arXiv:2405.13698; Bergsma et al. 2025, arXiv:2505.13738.
    """
    return tokens_per_step / (learning_rate * weight_decay * total_tokens)


def weight_decay_at_same_timescale(
    *, weight_decay: float, kappa: float, learning_rate_scale: float, data_scale: float = 1.0
) -> float:
    """The weight decay that keeps AdamW's timescale: lambda kappa / (eta'/eta) / (D'/D), dimensionless.

    Source: arXiv:2405.13698; karpathy/nanochat@92d63d4 scripts/base_train.py with a square-root learning rate.
    """
    return weight_decay * kappa / learning_rate_scale / data_scale


def weight_average_decay(*, decay: float, kappa: float) -> float:
    """Decay per step of an average of the weights at kappa times the batch: rho ** kappa.

    Source: Busbridge et al. 2023, arXiv:2307.13813.
    """
    return math.pow(decay, kappa)


def untuned_warmup_steps(*, beta2: float) -> float:
    """Steps of linear warmup that Adam needs whatever the model: 2 / (1 - beta2).

    Source: Ma & Yarats 2019, arXiv:1910.04209.
    """
    return 2 / (1 - beta2)


def exponential_warmup(*, step: int, beta2: float) -> float:
    """Factor on the learning rate of a step (1-based) in the exponential form: 1 - exp(-(1 - beta2) step).

    Source: Ma & Yarats 2019, arXiv:1910.04209.
    """
    return 1 - math.exp(-(1 - beta2) * step)


def surge_scale(*, batch: float, noise_scale: float) -> float:
    """Share of the largest learning rate that suits Adam at a batch: it rises, peaks at the noise scale, and falls.

    1 / (0.5 (sqrt(Bn / B) + sqrt(B / Bn))).
    Source: Li et al. 2024, arXiv:2405.14578.
    """
    root = math.sqrt(noise_scale / batch)
    return 2 / (root + 1 / root)
