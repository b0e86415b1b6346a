"""What else follows the batch, against the numbers its publications print."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.rescaling import (
    AdamSettings,
    adam_by_square_root_rule,
    beta_at_same_tokens,
    beta_of_half_life,
    exponential_warmup,
    half_life_of_beta,
    surge_scale,
    untuned_warmup_steps,
    weight_average_decay,
    weight_decay_at_same_timescale,
    weight_decay_timescale,
)

close = pytest.approx


@pytest.mark.parametrize(("beta2", "steps"), [(0.999, 2000), (0.98, 100), (0.95, 40)])
def test_untuned_warmup(beta2, steps):
    """2 / (1 - beta2): 2000 steps at 0.999 (Ma & Yarats 2019, arXiv:1910.04209)."""
    assert untuned_warmup_steps(beta2=beta2) == close(steps)


def test_exponential_warmup():
    """1 - exp(-(1 - beta2) t) is 1 - exp(-2) at the linear form's last step (arXiv:1910.04209)."""
    assert exponential_warmup(step=2000, beta2=0.999) == close(1 - math.exp(-2))


def test_beta2_at_the_same_tokens():
    """0.95 at batch 512 is 0.9999 at batch 1: the pair of martin-marek/batch-size@32700f0's final configurations."""
    assert round(beta_at_same_tokens(beta=0.95, kappa=1 / 512), 4) == 0.9999


def test_half_life_of_tokens():
    """0.95 at 512 x 1024 tokens forgets half in 7.08 M tokens; one sequence per step keeps that (arXiv:2507.07101)."""
    half_life = half_life_of_beta(beta=0.95, tokens_per_step=512 * 1024)
    assert half_life / 1e6 == close(7.08, abs=0.005)
    single = beta_of_half_life(half_life_tokens=half_life, tokens_per_step=1024)
    assert single == close(beta_at_same_tokens(beta=0.95, kappa=1 / 512))


@given(st.floats(0.5, 0.9999), st.floats(0.01, 100))
def test_half_life_and_beta_are_inverses(beta, tokens):
    """The half-life of a beta gives it back."""
    half_life = half_life_of_beta(beta=beta, tokens_per_step=tokens)
    assert beta_of_half_life(half_life_tokens=half_life, tokens_per_step=tokens) == close(beta)


def test_adam_by_the_square_root_rule():
    """At kappa 4: eta x 2, beta1 0.9 to 0.6, beta2 0.95 to 0.80, epsilon x 0.5 (Malladi et al. 2022, arXiv:2205.10287)."""
    found = adam_by_square_root_rule(settings=AdamSettings(1e-3, 0.9, 0.95, 1e-8), kappa=4)
    assert tuple(found) == close((2e-3, 0.6, 0.8, 0.5e-8))
    found = adam_by_square_root_rule(settings=AdamSettings(1e-3, 0.9, 0.999, 1e-8), kappa=4)
    assert found.beta2 == close(0.996)


def test_gpt2_to_gpt3():
    """At kappa 6.2: 1 - beta2 goes from 1e-3 to 6.2e-3, beta2 to 0.9938."""
    found = adam_by_square_root_rule(settings=AdamSettings(1.0, 0.9, 0.999, 1e-8), kappa=6.2)
    assert 1 - found.beta2 == close(6.2e-3)
    assert round(found.beta2, 4) == 0.9938


def test_the_square_root_rule_of_adam_ends():
    """For beta1 0.9 it ends at ten times the batch."""
    settings = AdamSettings(1e-3, 0.9, 0.999, 1e-8)
    assert adam_by_square_root_rule(settings=settings, kappa=9.9).beta1 > 0
    with pytest.raises(ValueError, match="ends at 10 times the batch"):
        adam_by_square_root_rule(settings=settings, kappa=10.1)


@pytest.mark.parametrize(("scale", "expected"), [(2, 0.2), (1, 0.4), (4, 0.1)])
def test_weight_decay_at_the_same_timescale(scale, expected):
    """For lambda 0.1 at kappa 4: 0.2 by sqrt, 0.4 at a fixed rate, 0.1 by linear (arXiv:2405.13698)."""
    found = weight_decay_at_same_timescale(weight_decay=0.1, kappa=4, learning_rate_scale=scale)
    assert found == close(expected)


@given(st.floats(0.1, 64), st.floats(0.1, 8), st.floats(0.1, 20))
def test_the_timescale_is_kept(kappa, rate_scale, data_scale):
    """B / (eta lambda D) is the same before and after."""
    before = weight_decay_timescale(tokens_per_step=1, learning_rate=1e-3, weight_decay=0.1, total_tokens=1e4)
    moved = weight_decay_at_same_timescale(
        weight_decay=0.1, kappa=kappa, learning_rate_scale=rate_scale, data_scale=data_scale
    )
    after = weight_decay_timescale(
        tokens_per_step=kappa,
        learning_rate=1e-3 * rate_scale,
        weight_decay=moved,
        total_tokens=1e4 * data_scale,
    )
    assert after == close(before)


def test_weight_average():
    """0.9999 at kappa 8 is 0.99920 (Busbridge et al. 2023, arXiv:2307.13813)."""
    assert round(weight_average_decay(decay=0.9999, kappa=8), 5) == 0.99920


@pytest.mark.parametrize(("share", "scale"), [(0.25, 0.8), (0.5, 0.9428), (1, 1), (2, 0.9428), (4, 0.8)])
def test_surge(share, scale):
    """It peaks at the noise scale and is symmetric in the ratio (Li et al. 2024, arXiv:2405.14578)."""
    assert surge_scale(batch=share, noise_scale=1) == close(scale, abs=5e-5)
