"""Parameters of transformers against the counts that their publishers print."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.planning.memory.counting import count_parameters
from launcher.planning.memory.kinds import KINDS
from launcher.planning.memory.network import Network
from launcher.planning.memory.setting import Setting
from launcher.spec.model import Adapter

GPT2 = Network(
    kind="decoder", family="gpt2", hidden_size=768, num_layers=12, num_attention_heads=12, head_dim=64,
    intermediate_size=3072, vocab_size=50257, max_positions=1024, activation="gelu_new",
)  # fmt: skip
LLAMA2 = Network(
    kind="decoder", family="llama", hidden_size=4096, num_layers=32, num_attention_heads=32, head_dim=128,
    intermediate_size=11008, vocab_size=32000, gated_mlp=True, activation="silu", norm="rmsnorm",
    position="rotary", tie_word_embeddings=False,
)  # fmt: skip
LLAMA3 = replace(LLAMA2, num_key_value_heads=8, intermediate_size=14336, vocab_size=128256)
QWEN = replace(
    LLAMA2, family="qwen2", hidden_size=3584, num_layers=28, num_attention_heads=28, num_key_value_heads=4,
    intermediate_size=18944, vocab_size=152064,
)  # fmt: skip
QWEN3 = replace(
    LLAMA2, family="qwen3", num_layers=36, num_key_value_heads=8, intermediate_size=12288, vocab_size=151936
)
GEMMA = replace(
    LLAMA2, family="gemma", hidden_size=2048, num_layers=18, num_attention_heads=8, num_key_value_heads=1,
    head_dim=256, intermediate_size=16384, vocab_size=256000, tie_word_embeddings=True, activation="gelu",
)  # fmt: skip
NEOX = Network(
    kind="decoder", family="gpt_neox", hidden_size=2560, num_layers=32, num_attention_heads=32, head_dim=80,
    intermediate_size=10240, vocab_size=50304, position="rotary", tie_word_embeddings=False,
)  # fmt: skip
PHI = replace(NEOX, family="phi", vocab_size=51200, activation="gelu_new")
OPT = replace(GPT2, family="opt", vocab_size=50272, max_positions=2048, activation="relu")
BERT = Network(
    kind="encoder", family="bert", hidden_size=768, num_layers=12, num_attention_heads=12, head_dim=64,
    intermediate_size=3072, vocab_size=30522, max_positions=512,
)  # fmt: skip
T5 = Network(
    kind="encoder-decoder", family="t5", hidden_size=768, num_layers=12, num_attention_heads=12, head_dim=64,
    intermediate_size=3072, vocab_size=32128, norm="rmsnorm", position="none", activation="relu",
)  # fmt: skip
BART = Network(
    kind="encoder-decoder", family="bart", hidden_size=1024, num_layers=12, num_attention_heads=16,
    head_dim=64, intermediate_size=4096, vocab_size=50265, max_positions=1024,
)  # fmt: skip
MIXTRAL = replace(
    LLAMA3, kind="moe", family="mixtral", vocab_size=32000, num_experts=8, num_experts_per_token=2,
    moe_intermediate_size=14336,
)  # fmt: skip
QWEN_MOE = replace(
    LLAMA2, kind="moe", family="qwen2_moe", hidden_size=2048, num_layers=24, num_attention_heads=16,
    intermediate_size=5632, vocab_size=151936, num_experts=60, num_experts_per_token=4,
    moe_intermediate_size=1408, num_shared_experts=1, shared_intermediate_size=5632,
)  # fmt: skip
DEEPSEEK = replace(
    LLAMA2, kind="moe", family="deepseek_v3", hidden_size=7168, num_layers=61, num_attention_heads=128,
    intermediate_size=18432, vocab_size=129280, num_experts=256, num_experts_per_token=8,
    moe_intermediate_size=2048, num_shared_experts=1, first_dense_layers=3, kv_latent_dim=512,
    q_latent_dim=1536, rotary_dim=64, value_dim=128,
)  # fmt: skip


def counts(network: Network) -> tuple[int, int, int]:
    return count_parameters(network)


@pytest.mark.parametrize(
    ("network", "published"),
    [
        (GPT2, 124_439_808),
        (LLAMA2, 6_738_415_616),
        (LLAMA3, 8_030_261_248),
        (QWEN, 7_615_616_512),
        (QWEN3, 8_190_735_360),
        (GEMMA, 2_506_172_416),
        (NEOX, 2_775_208_960),
        (PHI, 2_779_683_840),
        (OPT, 125_239_296),
        (BERT, 109_514_298),
        (T5, 222_903_552),
        (BART, 406_291_456),
        (MIXTRAL, 46_702_792_704),
        (QWEN_MOE, 14_315_784_192),
        (DEEPSEEK, 671_026_404_352),
    ],
    ids=lambda value: value.family if isinstance(value, Network) else "",
)
def test_a_public_model_has_as_many_parameters_as_published(network: Network, published: int) -> None:
    """Dimensions of a public model give its publisher's count to the last parameter."""
    assert counts(network)[0] == published


def test_bert_with_a_pooler_and_no_head() -> None:
    """BERT-base itself, that is a classifier's parameters without the classes: 109,482,240."""
    assert counts(replace(BERT, num_classes=2))[0] - (768 + 1) * 2 == 109_482_240


def test_one_token_of_mixtral_goes_through_a_quarter_of_the_experts() -> None:
    """Mixtral-8x7B has 12.88 billion active parameters."""
    assert counts(MIXTRAL)[1] == 12_879_925_248


def test_lora_trains_its_factors_and_nothing_else() -> None:
    """Rank 8 on query and value of Llama-2-7B: 4,194,304 trained parameters, as LoRA's users print."""
    adapter = Adapter(rank=8)
    total, _, trained = counts(replace(LLAMA2, adapter=adapter))
    assert trained == 32 * 2 * 8 * (4096 + 4096) == 4_194_304
    assert total == 6_738_415_616 + trained


@pytest.mark.parametrize(
    ("frozen", "untrained"),
    [
        (("embed_tokens",), 32000 * 4096),
        (("lm_head",), 32000 * 4096),
        (("mlp",), 32 * 3 * 4096 * 11008),
        (("self_attn",), 32 * 4 * 4096 * 4096),
        (("down_proj", "w2"), 32 * 4096 * 11008),
        (("norm",), 65 * 4096),
        (("all",), 6_738_415_616),
    ],
)
def test_frozen_modules_are_not_trained(frozen: tuple[str, ...], untrained: int) -> None:
    """What is frozen is missing from the trained parameters and from nothing else."""
    total, _, trained = counts(replace(LLAMA2, frozen=frozen))
    assert (total, total - trained) == (6_738_415_616, untrained)


def test_every_group_says_which_ranks_share_it() -> None:
    """Tensor ranks share matrices and vocabulary, expert ranks the experts; norms and the router are everyone's."""
    layer = KINDS["moe"](MIXTRAL, Setting())[1]
    shared = {weights.split: weights.count for weights in layer.weights}
    assert shared == {
        "tensor": 2 * 4096 * 4096 + 2 * 4096 * 1024,
        "expert": 8 * 3 * 4096 * 14336,
        "none": 2 * 4096 + 8 * 4096,
    }


def test_a_quantized_base_is_stored_in_half_a_byte() -> None:
    """nf4 stores the matrices of layers in half a byte and a scale per 64, and nothing else."""
    network = replace(LLAMA2, adapter=Adapter(rank=8, quantization="nf4"))
    parts = KINDS["decoder"](network, Setting())
    stored = [w.count for part in parts for w in part.weights if w.stored_bytes == 0.5625]
    assert stored == [4 * 4096 * 4096 + 3 * 4096 * 11008] * 2
