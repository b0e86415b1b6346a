"""Which parameters a law counts, against published models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.laws.parameters import counted
from launcher.planning.memory.network import Network

LLAMA = {"norm": "rmsnorm", "gated_mlp": True, "position": "rotary", "bias": False, "activation": "silu"}


def decoder(hidden, layers, heads, inner, vocab=50257, **more):
    return Network(
        kind="decoder",
        hidden_size=hidden,
        num_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=more.pop("kv_heads", heads),
        head_dim=hidden // heads,
        intermediate_size=inner,
        vocab_size=vocab,
        **more,
    )


@pytest.mark.parametrize(
    ("hidden", "inner", "heads", "layers", "matrices"),
    [
        (960, 9368, 15, 7, 214_663_680),
        (1024, 9552, 16, 8, 268_304_384),
        (1280, 9472, 10, 10, 429_260_800),
        (1280, 9048, 10, 13, 536_872_960),
        (2048, 8192, 16, 16, 1_073_741_824),
    ],
)
def test_step_laws_models(hidden, inner, heads, layers, matrices):
    """N of step-law/steplaw@32a8f4c data/dense_lr_bs_loss.csv (h, ffnh, numh, numl) is the layers' matrices alone."""
    found = counted(decoder(hidden, layers, heads, inner, **LLAMA))
    assert found.matrices == matrices
    assert found.matrices < found.non_embedding < found.total


@pytest.mark.parametrize(
    ("layers", "width", "matrices"),
    [
        (8, 512, 25.2e6),
        (12, 768, 84.9e6),
        (24, 1024, 302e6),
        (24, 2048, 1.21e9),
        (32, 4096, 6.44e9),
        (80, 8192, 64.4e9),
    ],
)
def test_deepseeks_table(layers, width, matrices):
    """N1 = 12 L d**2 of arXiv:2401.02954 table 3; 85M, 302M and 1.2B are also the sizes of arXiv:2410.21676."""
    found = counted(decoder(width, layers, width // 64, 4 * width))
    assert found.matrices == 12 * layers * width**2 == pytest.approx(matrices, rel=2e-3)


def test_gpt2():
    """GPT-2: 124,439,808 in all, of which 50,257 + 1,024 rows of 768 are embeddings; the head is the embedding."""
    found = counted(decoder(768, 12, 12, 3072, max_positions=1024, family="gpt2", bias=True))
    assert found.total == 124_439_808
    assert found.non_embedding == 124_439_808 - (50257 + 1024) * 768


def test_a_mixture_counts_what_one_token_meets():
    """Mixtral-8x7B: 12.88 B active of 46.70 B; embeddings and head are two tables of 32,000 x 4,096."""
    network = Network(
        kind="moe",
        hidden_size=4096,
        num_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        moe_intermediate_size=14336,
        intermediate_size=14336,
        vocab_size=32000,
        num_experts=8,
        num_experts_per_token=2,
        tie_word_embeddings=False,
        **LLAMA,
    )
    found = counted(network)
    assert (found.total, found.active) == (46_702_792_704, 12_879_925_248)
    assert found.non_embedding == found.matrices == 12_879_925_248 - 2 * 32000 * 4096


@given(
    layers=st.integers(1, 40), heads=st.integers(1, 32), tied=st.booleans(), vocab=st.integers(100, 200_000)
)
def test_a_vocabulary_is_never_counted(layers, heads, tied, vocab):
    """Parameters without embeddings do not depend on the vocabulary, nor on whether head and embedding are one."""
    one = counted(decoder(64 * heads, layers, heads, 256 * heads, vocab, tie_word_embeddings=tied))
    other = counted(decoder(64 * heads, layers, heads, 256 * heads, 777, tie_word_embeddings=True))
    assert (one.non_embedding, one.matrices) == (other.non_embedding, other.matrices)
    assert one.total == one.non_embedding + vocab * 64 * heads * (1 if tied else 2)
