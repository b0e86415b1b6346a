"""Shares of the multiplications that each dimension has, against the count of operations that papers give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import plan_of, recipe_of

from launcher.planning.granularity.dimensions import dimensions_of, tokens_of
from launcher.spec.launch import Launch
from launcher.spec.model import Model
from launcher.spec.parallel import Parallel


def dimensions(**keys):
    recipe = recipe_of(device="a100-sxm-80gb", micro_batch_size=1, **keys)
    plan = plan_of(recipe)
    return {each.path: each for each in dimensions_of(recipe=recipe, model=plan.model, layout=plan.layout)}


@given(
    width=st.integers(1, 64),
    layers=st.integers(1, 64),
    length=st.integers(8, 8192),
    vocabulary=st.integers(1, 200000),
)
def test_shares_of_a_plain_layer(width, layers, length, vocabulary):
    """24 h^2 + 4 s h operations per token and layer, twice as many numbers as multiplications, plus 2 h V at the end.

    Source: stas00/ml-engineering@744d01e training/performance/README.md; arXiv:2205.05198, appendix A.
    """
    hidden = 64 * width
    model = Model(num_layers=layers, num_attention_heads=width, vocab_size=vocabulary)
    found = dimensions(hidden_size=hidden, sequence_length=length, model=model)
    total = layers * (24 * hidden**2 + 4 * length * hidden) + 2 * hidden * vocabulary
    assert found["model.vocab_size"].share == pytest.approx(2 * hidden * vocabulary / total)
    assert found["model.intermediate_size"].share == pytest.approx(16 * hidden**2 * layers / total)
    assert found["model.head_dim"].share == pytest.approx(4 * length * hidden * layers / total)
    assert found["hidden_size"].share == pytest.approx(1 - 4 * length * hidden * layers / total)
    shares = [each.share for each in found.values()]
    assert shares == sorted(shares, reverse=True)


def test_a_gated_layer_has_three_matrices():
    """With a gate the feed-forward layer has half as many multiplications again; grouped keys have fewer."""
    shape = {"num_layers": 2, "num_attention_heads": 8, "vocab_size": 1, "intermediate_size": 1024}
    keys = {"hidden_size": 512, "sequence_length": 8}
    rest = 2 * 512 * 64 * (8 + 8) + 2 * 8 * 512 + 512 / 2
    plain, gated = 2 * 512 * 1024, 3 * 512 * 1024
    for model, wanted in (
        (Model(**shape), plain / (plain + rest)),
        (Model(**shape, gated_mlp=True), gated / (gated + rest)),
        (Model(**shape, num_key_value_heads=2), plain / (plain + rest - 2 * 512 * 64 * 6)),
    ):
        assert dimensions(**keys, model=model)["model.intermediate_size"].share == pytest.approx(wanted)


def test_experts_count_as_often_as_a_token_goes_to_them():
    """Two of eight experts and a shared one are three feed-forward layers, of the experts' width."""
    shape = {
        "num_layers": 2,
        "num_attention_heads": 8,
        "vocab_size": 1,
        "num_experts": 8,
        "num_experts_per_token": 2,
    }
    model = Model(kind="moe", **shape, num_shared_experts=1, moe_intermediate_size=1024)
    found = dimensions(hidden_size=512, sequence_length=8, model=model)
    rest = 2 * 512 * 64 * (8 + 8) + 2 * 8 * 512 + 512 / 2
    work = 3 * 2 * 512 * 1024
    assert found["model.moe_intermediate_size"].share == pytest.approx(work / (work + rest))


def test_sizes_of_one_rank():
    """Feed-forward width and vocabulary are divided over tensor ranks, the model's width and a head are not."""
    model = Model(intermediate_size=3072, vocab_size=50304)
    keys = {"parallel": Parallel(tensor=4), "launch": Launch(script_applies=("tensor",)), "devices": 4}
    found = dimensions(model=model, **keys)
    sizes = {path: each.size for path, each in found.items()}
    assert sizes["model.intermediate_size"] == 768
    assert sizes["model.vocab_size"] == 12576
    assert (sizes["hidden_size"], sizes["model.head_dim"]) == (768, 64)


def test_tokens_of_one_rank():
    """Micro-batch x length, over the ranks that share a sequence."""
    recipe = recipe_of(
        micro_batch_size=4,
        parallel=Parallel(context=2),
        launch=Launch(script_applies=("context",)),
        devices=4,
        device="a100-sxm-80gb",
    )
    plan = plan_of(recipe)
    found = tokens_of(recipe=recipe, batch=plan.batch, layout=plan.layout)
    assert (found.value, found.size) == (1024, 4 * 1024 // 2)
