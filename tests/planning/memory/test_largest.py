"""The largest micro-batch that fits, against the estimate at that size and at the next divisor."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.divisors import divisors
from launcher.planning.memory.estimate import estimate_memory
from launcher.planning.memory.largest import max_micro_batch_size
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Layout, Setting

NETWORK = Network(
    kind="decoder", family="gpt2", hidden_size=256, num_layers=4, num_attention_heads=4, head_dim=64,
    intermediate_size=1024, vocab_size=1000, max_positions=512, activation="gelu_new",
)  # fmt: skip
SETTING = Setting(sequence_length=512, layout=Layout(data=2))


def needed(size, sequences, band="high"):
    setting = replace(SETTING, micro_batch_size=size, gradient_accumulation_steps=sequences // size)
    return getattr(estimate_memory(network=NETWORK, setting=setting).device, band)


@given(
    sequences=st.integers(1, 200),
    limit=st.integers(0, 12 * 2**30),
    band=st.sampled_from(["low", "expected", "high"]),
)
def test_agrees_with_the_estimate(sequences, limit, band):
    """The size divides a rank's sequences and fits, and the next larger divisor does not."""
    size = max_micro_batch_size(
        network=NETWORK, setting=SETTING, sequences_per_rank=sequences, limit_bytes=limit, band=band
    )
    sizes = divisors(sequences)
    if size is None:
        assert needed(1, sequences, band) > limit
        return
    assert sequences % size == 0
    assert needed(size, sequences, band) <= limit
    larger = [one for one in sizes if one > size]
    assert not larger or needed(larger[0], sequences, band) > limit


@pytest.mark.parametrize("sequences", [1, 7, 24])
def test_exact_limit_fits(sequences):
    """A limit of exactly what is needed is enough; one byte less is not."""
    limit = needed(sequences, sequences)
    ask = {"network": NETWORK, "setting": SETTING, "sequences_per_rank": sequences}
    assert max_micro_batch_size(limit_bytes=limit, **ask) == sequences
    assert max_micro_batch_size(limit_bytes=limit - 1, **ask) != sequences


def test_nothing_fits():
    """Where not even one sequence fits, there is no size."""
    assert max_micro_batch_size(network=NETWORK, setting=SETTING, sequences_per_rank=8, limit_bytes=1) is None
