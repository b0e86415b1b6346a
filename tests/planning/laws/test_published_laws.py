"""Each law against what its publication or repository prints; where a number is our own arithmetic, the test says so."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.laws import (
    critical_batch,
    deepseek,
    kaplan,
    llama_factory,
    nanochat,
    power_lines,
    practice,
    step_law,
)

close = pytest.approx


@pytest.mark.parametrize(
    ("layers", "width", "per_token", "share"),
    [
        (8, 512, 352e6, 0.43),
        (12, 768, 963e6, 0.53),
        (24, 1024, 3.02e9, 0.60),
        (24, 2048, 9.66e9, 0.75),
        (32, 4096, 45.1e9, 0.85),
        (40, 5120, 85.6e9, 0.88),
        (80, 8192, 419e9, 0.92),
    ],
)
def test_deepseek_counts_flops_as_its_table_3(layers, width, per_token, share):
    """M and 6 N / M of arXiv:2401.02954 table 3 (length 4,096), as printed there (0.857 as 0.85)."""
    found = deepseek.flops_per_token(num_layers=layers, hidden_size=width, sequence_length=4096)
    assert found == close(per_token, rel=2e-3)
    assert 72 * layers * width**2 / found == close(share, abs=1e-2)


@pytest.mark.parametrize(
    ("layers", "width", "compute", "law", "trained"),
    [
        (30, 4096, 8.456e22, (2252, 4.246e-4), (2304, 4.2e-4)),
        (95, 8192, 9.946e23, (5043, 3.120e-4), (4608, 3.2e-4)),
    ],
)
def test_deepseek_against_its_own_runs(layers, width, compute, law, trained):
    """deepseek-ai/DeepSeek-LLM@6712a86 README: 7B and 67B, 2T tokens; the law comes within 10 % of what was trained.

    What the formula gives (`law`) is our arithmetic from the constants of equation 1.
    """
    flops = 2e12 * deepseek.flops_per_token(num_layers=layers, hidden_size=width, sequence_length=4096)
    assert flops == close(compute, rel=1e-3)
    sequences, rate = deepseek.batch_tokens(flops=flops) / 4096, deepseek.learning_rate(flops=flops)
    assert (round(sequences), rate) == (law[0], close(law[1], rel=2e-4))
    assert (sequences, rate) == (close(trained[0], rel=0.1), close(trained[1], rel=0.03))


def test_deepseek_at_the_compute_it_was_validated_at():
    """C = 1e20: 1.017 M tokens and 9.860e-4 (our arithmetic)."""
    assert deepseek.batch_tokens(flops=1e20) == close(1.017e6, rel=1e-3)
    assert deepseek.learning_rate(flops=1e20) == close(9.860e-4, rel=1e-4)


@pytest.mark.parametrize(
    ("matrices", "tokens", "best", "law"),
    [
        (268_304_384, 8e10, (3.91e-3, 512), (3.89e-3, 476)),
        (536_872_960, 1e10, (9.77e-4, 128), (1.25e-3, 145)),
        (429_260_800, 5e10, (1.95e-3, 256), (2.41e-3, 364)),
        (1_073_741_824, 5.69e10, (1.38e-3, 256), (1.31e-3, 392)),
    ],
)
def test_step_law_against_its_published_grids(matrices, tokens, best, law):
    """Four of its 17 grids: the formula gives `law` (our arithmetic), the lowest loss was at `best` (its table).

    step-law/steplaw@32a8f4c data/dense_lr_bs_loss.csv; the grids' points lie a factor 1.41 apart.
    """
    rate = step_law.learning_rate(matrices=matrices, tokens=tokens)
    sequences = step_law.batch_tokens(tokens=tokens) / 2048
    assert (rate, sequences) == (close(law[0], rel=5e-3), close(law[1], abs=0.6))
    assert 1 / 1.6 < rate / best[0] < 1.6
    assert 1 / 1.6 < sequences / best[1] < 1.6


def test_step_law_as_its_tool_prints_it():
    """`fit_tool.py pred-opt-lr-bs 7e9 1.4e12 2048`: 9.347e-4 and 2,440 sequences; the closed form 9.17e-4 and 2,441.

    step-law/steplaw@32a8f4c: the call of its README, worked out by hand from its code and the means of its table of
    1,000 fits. The mean of what the 1,000 fits predict is 9.398e-4 and 2,449. The closed form's are our arithmetic.
    """
    rate = step_law.bootstrap_learning_rate(matrices=7e9, tokens=1.4e12)
    sequences = step_law.bootstrap_batch_tokens(tokens=1.4e12) / 2048
    assert (rate, sequences) == (close(9.34684e-4, rel=1e-5), close(2439.92, abs=0.01))
    assert (rate, sequences) == (close(9.398e-4, rel=0.01), close(2449.4, rel=0.01))
    assert step_law.learning_rate(matrices=7e9, tokens=1.4e12) == close(9.17e-4, rel=1e-3)
    assert round(step_law.batch_tokens(tokens=1.4e12) / 2048) == 2441


@pytest.mark.parametrize(
    ("tokens", "power"),
    [
        (0.44e9, 18),
        (0.7e9, 19),
        (1.156e9, 19),
        (2.5e9, 19),
        (3.4e9, 20),
        (9.6e9, 20),
        (17.6e9, 21),
        (65.6e9, 21),
    ],
)
def test_nanochat_batches(tokens, power):
    """The table of batches that nanochat trains its depths at (karpathy/nanochat@92d63d4 dev/LOG.md)."""
    assert nanochat.batch_tokens(total_tokens=tokens) == 2**power


@pytest.mark.parametrize(
    ("tokens", "exponent"), [(0.44e9, 18.467), (9.643e9, 20.172), (17.6e9, 20.505), (65.6e9, 21.232)]
)
def test_nanochat_batches_before_rounding(tokens, exponent):
    """19 + log2((D / 1.156e9) ** 0.383); our arithmetic."""
    found = 19 + math.log2(power_lines.batch_scale(data_scale=tokens / 1.156e9))
    assert found == close(exponent, abs=1e-3)


def test_power_lines_growth():
    """Ten times the data are x 2.415, twice x 1.304; nanochat's log and code say 2.4 and 1.3."""
    assert power_lines.batch_scale(data_scale=10) == close(2.415, abs=1e-3)
    assert power_lines.batch_scale(data_scale=2) == close(1.304, abs=1e-3)


def test_nanochat_rate_and_weight_decay():
    """B 2**20 against 2**19 and D 9.643e9 against 1.156e9: rate x 1.41421, weight decay x 0.16954 (our arithmetic)."""
    found = nanochat.weight_decay(weight_decay=1.0, batch_tokens=2**20, total_tokens=9.643e9)
    assert found == close(0.16954, abs=5e-6)
    assert math.sqrt(2**20 / nanochat.REFERENCE_BATCH_TOKENS) == close(1.41421, abs=1e-5)


def test_llama_factory():
    """The example of its help, cutoff 1024 and batch 16, every token valid: 1.92e-5; a sixth of it for Mistral."""
    assert f"{llama_factory.learning_rate(cutoff_length=1024, batch=16):.2e}" == "1.92e-05"
    mistral = llama_factory.learning_rate(cutoff_length=1024, batch=16, is_mistral_or_gemma=True)
    assert mistral * 6 == llama_factory.learning_rate(cutoff_length=1024, batch=16)


def test_the_critical_batch_power_law():
    """The notebook's fit, its forecast for 2000M, and our own least squares over its five models agree."""
    assert critical_batch.critical_sequences(million_parameters=2000) == close(3274.9, rel=1e-4)
    rows = [(85, 745.3), (151, 955.2), (302, 1393.7), (604, 1888.5), (1200, 2533.4)]
    xs, ys = [math.log(x) for x, _ in rows], [math.log(y) for _, y in rows]
    mean_x, mean_y = sum(xs) / 5, sum(ys) / 5
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum(
        (x - mean_x) ** 2 for x in xs
    )
    assert slope == close(0.46828, rel=5e-3)
    assert math.exp(mean_y - slope * mean_x) == close(93.1968, rel=0.03)


@pytest.mark.parametrize(("loss", "tokens"), [(3.0, 1.07e6), (2.5, 2.55e6), (2.0, 7.37e6)])
def test_kaplan(loss, tokens):
    """2e8 / L ** (1 / 0.21) at three losses (our arithmetic from arXiv:2001.08361 equation 1.4)."""
    assert kaplan.critical_batch_tokens(loss=loss) == close(tokens, rel=5e-3)


@given(loss=st.floats(1.0, 10.0))
def test_kaplan_doubles_for_every_13_percent(loss):
    """arXiv:2001.08361 figure 10: the critical batch about doubles when the loss falls by 13 %."""
    ratio = kaplan.critical_batch_tokens(loss=0.87 * loss) / kaplan.critical_batch_tokens(loss=loss)
    assert ratio == close(2, rel=0.05)


@pytest.mark.parametrize(("width", "rate"), practice.RATES_BY_WIDTH)
def test_gpt3_rates_at_their_widths(width, rate):
    """The interpolation meets every row of arXiv:2005.14165 table 2.1."""
    assert practice.learning_rate(width=width) == close(rate)


@given(low=st.integers(768, 12_000), more=st.integers(1, 288))
def test_gpt3_rates_fall_with_the_width(low, more):
    """Between the rows a wider model has a smaller rate."""
    assert practice.learning_rate(width=low + more) < practice.learning_rate(width=low)


@given(tokens=st.floats(1e9, 1e13), factor=st.floats(1.1, 100))
def test_batches_grow_with_the_data(tokens, factor):
    """More data never means a smaller best or critical batch, by any of the laws."""
    more = tokens * factor
    assert step_law.batch_tokens(tokens=more) > step_law.batch_tokens(tokens=tokens)
    assert nanochat.batch_tokens(total_tokens=more) >= nanochat.batch_tokens(total_tokens=tokens)
    assert power_lines.batch_scale(data_scale=factor) > 1 > power_lines.timescale_scale(data_scale=factor)
    assert power_lines.critical_batch_scale(data_scale=factor) > power_lines.batch_scale(data_scale=factor)
