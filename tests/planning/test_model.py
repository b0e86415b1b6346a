"""Dimensions: what was written, what follows, what is refused."""

import pytest
from plan_of import codes, only, plan_of, recipe_of, refusal_of

from launcher.spec.model import Adapter, Model
from launcher.spec.recipe import EncoderDecoderLength

LLAMA = Model(
    num_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    intermediate_size=14336,
    vocab_size=128256,
    gated_mlp=True,
    norm="rmsnorm",
    position="rotary",
    tie_word_embeddings=False,
)


def test_dimensions_follow_from_the_width():
    """768 wide: 768 / 64 layers and heads, heads of 64, feed-forward 4 x 768."""
    model = plan_of(hidden_size=768).model
    assert (model.num_layers, model.num_attention_heads, model.num_key_value_heads) == (768 // 64,) * 3
    assert (model.head_dim, model.intermediate_size, model.vocab_size) == (64, 4 * 768, 50257)


def test_written_dimensions_stand():
    """Everything written is kept, and what follows from it follows from what was written."""
    model = plan_of(hidden_size=100, model=Model(num_layers=3, num_attention_heads=5, head_dim=32)).model
    assert (model.num_layers, model.num_attention_heads, model.num_key_value_heads) == (3, 5, 5)
    assert (model.head_dim, model.intermediate_size) == (32, 400)


@pytest.mark.parametrize(
    ("hidden", "model", "near"),
    [
        (100, Model(), "64 or 128"),
        (100, Model(num_layers=2), "64 or 128"),
        (100, Model(num_attention_heads=2), "64 or 128"),
        (32, Model(), "or use 64"),
    ],
)
def test_widths_that_derive_nothing(hidden, model, near):
    """A width that 64 does not divide needs layers and heads written; only what is missing is asked for."""
    problem = only(refusal_of(hidden_size=hidden, model=model), "width-not-divisible")
    assert near in problem.hint
    assert ("model.num_layers" in problem.hint) == (model.num_layers is None)
    assert ("model.num_attention_heads" in problem.hint) == (model.num_attention_heads is None)


def test_heads_that_do_not_divide():
    """12 heads divide 768 and are divided by 4 key-value heads; 10 and 5 are refused, both at once."""
    fine = Model(num_attention_heads=12, num_key_value_heads=4)
    assert plan_of(model=fine).model.num_key_value_heads == 4
    wrong = refusal_of(model=Model(num_attention_heads=10, num_key_value_heads=4))
    assert [problem.path for problem in wrong.problems] == [
        "model.num_attention_heads",
        "model.num_key_value_heads",
    ]
    assert set(codes(wrong)) == {"heads-not-dividing"}


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({"hidden_size": None}, "hidden_size"),
        ({"sequence_length": None}, "sequence_length"),
        ({"sequence_length": None, "model": Model(kind="lstm")}, "sequence_length"),
        ({"model": Model(kind="module")}, "model.module"),
        ({"model": Model(kind="moe")}, "model.num_experts"),
    ],
)
def test_missing_keys(keys, path):
    """What cannot be derived is asked for."""
    assert [(problem.code, problem.path) for problem in refusal_of(**keys).problems] == [
        ("missing-key", path)
    ]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("resnet", {"hidden_size": None, "sequence_length": None}),
        ("mlp", {"sequence_length": None}),
        ("vit", {"sequence_length": None}),
        ("bag", {"sequence_length": None}),
        ("lstm", {}),
        ("encoder-decoder", {"sequence_length": EncoderDecoderLength(input=8, target=4)}),
    ],
)
def test_kinds_plan_without_what_they_do_not_have(kind, keys):
    """Images and tables need no sequence length, a residual network no width."""
    model = plan_of(model=Model(kind=kind), **keys).model
    assert model.kind == kind
    has_heads = kind in {"vit", "encoder-decoder"}
    assert (model.num_attention_heads is not None) == has_heads


def test_lengths_of_an_encoder_decoder_are_for_an_encoder_decoder():
    """{input, target} for a decoder is the wrong type."""
    refusal = refusal_of(sequence_length=EncoderDecoderLength(input=8, target=4))
    assert codes(refusal) == ["wrong-type"]


def test_dimensions_of_a_module_are_not_derived():
    """A module brings its own width."""
    plan = plan_of(hidden_size=None, model=Model(kind="module", module="x"))
    assert plan.model.num_layers is None
    assert plan.model.others["module"] == "x"
    assert codes(plan) == ["trace-missing"]


def test_two_sources_of_dimensions_are_ambiguous():
    """A preset beside a config is refused."""
    refusal = refusal_of(model=Model(preset="llama-3-8b", config="config.json"))
    assert "ambiguous-model" in codes(refusal)


def test_other_written_keys_are_shown():
    """Keys without a field of their own are kept as written, defaults left out."""
    others = plan_of(model=Model(sliding_window=512, norm="rmsnorm", adapter=Adapter(rank=4))).model.others
    assert others == {"sliding_window": 512, "norm": "rmsnorm", "adapter": Adapter(rank=4)}


@pytest.mark.parametrize(
    ("hidden", "length", "model", "published"),
    [
        # openai-community/gpt2, gpt2-medium and gpt2-xl
        (768, 1024, Model(), 124_439_808),
        (1024, 1024, Model(num_layers=24), 354_823_168),
        (1600, 1024, Model(num_layers=48), 1_557_611_200),
        # EleutherAI/pythia-160m
        (768, 2048, Model(vocab_size=50304, position="rotary", tie_word_embeddings=False), 162_322_944),
        # meta-llama/Meta-Llama-3-8B
        (4096, 8192, LLAMA, 8_030_261_248),
    ],
)
def test_parameters_of_published_models(hidden, length, model, published):
    """The count is that of the published checkpoint."""
    found = plan_of(hidden_size=hidden, sequence_length=length, model=model).model
    assert found.num_parameters == found.num_active_parameters == found.num_trainable_parameters == published


def test_an_image_has_no_positions_to_learn_without_a_length():
    """A decoder without a length is refused before anything is counted."""
    assert codes(refusal_of(recipe_of(sequence_length=None))) == ["missing-key"]


@pytest.mark.torch
def test_parameters_of_transformers_own_models():
    """GPT-2 and LLaMA of odd dimensions, built by transformers on the meta device, have as many parameters as planned."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        gpt2 = GPT2LMHeadModel(
            GPT2Config(n_embd=128, n_layer=3, n_head=4, n_inner=300, vocab_size=999, n_positions=77)
        )
        llama = LlamaForCausalLM(
            LlamaConfig(
                hidden_size=96,
                num_hidden_layers=2,
                num_attention_heads=6,
                num_key_value_heads=2,
                head_dim=32,
                intermediate_size=250,
                vocab_size=777,
                tie_word_embeddings=False,
            )
        )
    planned = plan_of(
        hidden_size=128,
        sequence_length=77,
        model=Model(num_layers=3, num_attention_heads=4, intermediate_size=300, vocab_size=999),
    )
    assert planned.model.num_parameters == gpt2.num_parameters()
    planned = plan_of(
        hidden_size=96,
        model=Model(
            num_layers=2,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=32,
            intermediate_size=250,
            vocab_size=777,
            tie_word_embeddings=False,
            gated_mlp=True,
            norm="rmsnorm",
            position="rotary",
        ),
    )
    assert planned.model.num_parameters == llama.num_parameters()
