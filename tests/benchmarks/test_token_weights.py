"""What a token weighs under each way of dividing, as the picture of docs/explanation/accumulation.md shows it."""

import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def means():
    """benchmarks/token_weights.py, as run from its own folder."""
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("token_weights")
    sys.path.remove(str(BENCHMARKS))


@given(data=st.data(), ranks=st.integers(1, 6), accumulation=st.integers(1, 6), micro=st.integers(1, 4))
def test_each_way_gives_all_its_weight(means, data, ranks, accumulation, micro):
    """Weights of all tokens add up to 1 in every way; only the plan's factor misplaces none of it, on any split."""
    number = ranks * accumulation * micro
    lengths = data.draw(st.lists(st.integers(1, 50), min_size=number, max_size=number))
    for weights in (means.exact, means.per_rank, means.mean_of_means):
        found = weights(lengths, ranks=ranks, accumulation=accumulation)
        assert sum(w * n for w, n in zip(found, lengths, strict=True)) == pytest.approx(1)
        assert -1e-12 <= means.misplaced(found, lengths) < 1
    exact = means.exact(lengths, ranks=ranks, accumulation=accumulation)
    assert means.misplaced(exact, lengths) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("lengths", "ratio"), [([5, 1], 5), ([1, 9], 9)])
def test_published_ratios(means, lengths, ratio):
    """5 and 1 tokens on two ranks: 5 times (prime-rl#1957); 1 and 9: 9 times (bigscience Megatron-DeepSpeed#169)."""
    for weights, split in (
        (means.mean_of_means, (1, 2)),
        (means.mean_of_means, (2, 1)),
        (means.per_rank, (2, 1)),
    ):
        found = weights(lengths, ranks=split[0], accumulation=split[1])
        assert max(found) / min(found) == pytest.approx(ratio)


def test_ways_that_agree(means):
    """With one micro-batch per rank a mean per rank is a mean per micro-batch; with one rank it is exact."""
    lengths = means.lengths_of("1 to 2048, uniform", sequences=8, seed=0)
    at = {"ranks": 4, "accumulation": 1}
    assert means.per_rank(lengths, **at) == means.mean_of_means(lengths, **at)
    at = {"ranks": 1, "accumulation": 4}
    assert means.per_rank(lengths, **at) == pytest.approx(means.exact(lengths, **at))


def test_numbers_of_the_page(means):
    """On 8 ranks with 8 micro-batches chat data misplace 38 % of the weight, 15 % where ranks count their own tokens."""
    shares = {}
    for name in ("mean_of_means", "per_rank"):
        found = []
        for seed in range(50):
            lengths = means.lengths_of("chat: log-normal, median 200", sequences=64, seed=seed)
            weights = getattr(means, name)(lengths, ranks=8, accumulation=8)
            found.append(means.misplaced(weights, lengths))
        shares[name] = round(100 * sum(found) / len(found))
    assert shares == {"mean_of_means": 38, "per_rank": 15}
    page = (BENCHMARKS.parent / "docs/explanation/accumulation.md").read_text()
    assert "38 % of the weight" in page
    assert "leaves 15 %" in page
