"""muP's checks, as NVIDIA/Megatron-LM@d98e8a64 tests its own options and microsoft/mup@1981497 states its rules."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.laws.width import (
    attention_scale,
    hidden_adam,
    hidden_deviation,
    muadamw_weight_decay,
    residual_deviation,
    vector_sgd_rate,
    width_ratio,
)

close = pytest.approx


def test_width_ratio():
    """Width 1024 over a base of 256 is 4, 128 is a half."""
    assert width_ratio(hidden_size=1024, base_hidden_size=256) == 4
    assert width_ratio(hidden_size=128, base_hidden_size=256) == 0.5


def test_hidden_matrices_under_adam():
    """At m = 4, 1e-3 and 1e-5 become 2.5e-4 and 2.5e-6, epsilon a quarter."""
    found = hidden_adam(learning_rate=1e-3, min_learning_rate=1e-5, epsilon=1e-8, ratio=4)
    assert found == close((2.5e-4, 2.5e-6, 2.5e-9))


def test_no_change_at_the_base_width():
    """At m = 1 nothing is overridden."""
    assert hidden_adam(learning_rate=1e-3, min_learning_rate=1e-5, epsilon=1e-8, ratio=1) == (
        1e-3,
        1e-5,
        1e-8,
    )
    assert hidden_deviation(deviation=0.02, ratio=1) == 0.02
    assert vector_sgd_rate(learning_rate=1e-3, ratio=1) == 1e-3


def test_starts():
    """0.02 at m = 4 is 0.01; of a projection into the residual stream of 8 layers 0.0025."""
    assert hidden_deviation(deviation=0.02, ratio=4) == close(0.01)
    assert residual_deviation(deviation=0.02, num_layers=8, ratio=4) == close(0.0025)


def test_attention_scale():
    """Heads of 64: 0.015625 where the standard parametrisation has 0.125; 8 / d is that one at 64 (mup README)."""
    assert attention_scale(head_dim=64) == 0.015625
    assert 8 * attention_scale(head_dim=64) == close(1 / math.sqrt(64))


def test_biases_under_sgd():
    """At m = 4 a bias learns at 4e-3 where a matrix learns at 1e-3."""
    assert vector_sgd_rate(learning_rate=1e-3, ratio=4) == close(4e-3)


@given(rate=st.floats(1e-6, 1), decay=st.floats(0, 1), ratio=st.floats(0.1, 64))
def test_rate_times_decay_stays(rate, decay, ratio):
    """MuAdamW's weight decay grows as the rate falls: their product is the base width's."""
    hidden = hidden_adam(learning_rate=rate, min_learning_rate=0, epsilon=1e-8, ratio=ratio)
    assert hidden.learning_rate * muadamw_weight_decay(weight_decay=decay, ratio=ratio) == close(rate * decay)
