"""Dimensions from a preset of the catalog or from a Hugging Face config.json."""

import json

import pytest

from launcher.api import load_recipe, plan
from launcher.catalog.models import PRESETS
from launcher.errors import RecipeError
from launcher.loading.hugging_face import dimensions_of, known_types

LLAMA = {
    "model_type": "llama",
    "hidden_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 1376,
    "vocab_size": 1000,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
}
THREE = {"global_batch_size": 8, "sequence_length": 128}


def recipe_of(tmp_path, config, **model):
    (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    (tmp_path / "r.yaml").write_text(json.dumps({**THREE, "model": {"config": "config.json", **model}}))
    return load_recipe(tmp_path / "r.yaml")


def problems_of(make):
    with pytest.raises(RecipeError) as caught:
        make()
    return [(problem.code, problem.path) for problem in caught.value.problems]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_parameters_of_its_published_weights(name):
    """Dimensions and formulas together give the number that the weights count."""
    image = PRESETS[name].model.get("kind") in {"vit", "resnet"}
    batch = {"global_batch_size": 8} if image else THREE
    cluster = {"devices_per_node": 1, "device": "cpu"}
    recipe = load_recipe({**batch, "model": {"preset": name}, "cluster": cluster})
    assert plan(recipe).model.num_parameters == PRESETS[name].num_parameters


def test_every_preset_has_a_source():
    """Each row says whose configuration it repeats."""
    assert all("/" in preset.source or "arXiv:" in preset.source for preset in PRESETS.values())


def test_a_config_fills_what_is_not_written(tmp_path):
    """Dimensions come from the file beside the recipe, and say so."""
    recipe = recipe_of(tmp_path, LLAMA)
    model = recipe.model
    assert (recipe.hidden_size, model.num_layers, model.num_key_value_heads) == (512, 4, 2)
    assert (model.norm, model.gated_mlp, model.position, model.tie_word_embeddings) == (
        "rmsnorm",
        True,
        "rotary",
        False,
    )
    origin = plan(recipe).origins["model.num_layers"]
    assert (origin.origin, origin.file.endswith("config.json")) == ("derived", True)


def test_what_is_written_too_must_agree(tmp_path):
    """The same number twice is fine, two numbers are refused at the place of the written one."""
    assert recipe_of(tmp_path, LLAMA, num_layers=4).model.num_layers == 4
    assert problems_of(lambda: recipe_of(tmp_path, LLAMA, num_layers=5)) == [
        ("ambiguous-model", "model.num_layers")
    ]
    both = {**THREE, "hidden_size": 1024, "model": {"preset": "gpt2"}}
    assert problems_of(lambda: load_recipe(both)) == [("ambiguous-model", "hidden_size")]


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        {"hidden_size": 64},
        {**LLAMA, "model_type": "opus"},
        {**LLAMA, "hidden_size": "wide"},
        {**LLAMA, "num_hidden_layers": -1},
        {**LLAMA, "hidden_act": "xyz"},
    ],
)
def test_a_config_that_cannot_be_read(tmp_path, config):
    """No JSON, no keys, another model_type, an impossible size or activation: refused at the key that names the file."""
    assert problems_of(lambda: recipe_of(tmp_path, config)) == [("bad-config", "model.config")]


def test_an_absent_config(tmp_path):
    """A path that leads nowhere."""
    recipe = {**THREE, "model": {"config": str(tmp_path / "none.json")}}
    assert problems_of(lambda: load_recipe(recipe)) == [("file-not-found", "model.config")]


def test_a_preset_that_nobody_has():
    """An unknown name is refused, with the nearest one."""
    with pytest.raises(RecipeError) as caught:
        load_recipe({**THREE, "model": {"preset": "llama3-8b"}})
    assert "did you mean `llama-3-8b`?" in str(caught.value)


@pytest.mark.torch
@pytest.mark.parametrize("name", known_types())
def test_the_defaults_of_a_configuration_class(name):
    """A config.json written by transformers, with nothing but its class's defaults, gives that class's dimensions."""
    from transformers import AutoConfig

    config = AutoConfig.for_model(name)
    found = dimensions_of(json.loads(config.to_json_string(use_diff=False)))
    assert found["hidden_size"] == config.hidden_size
    assert found["num_layers"] == config.num_hidden_layers
    assert found["num_attention_heads"] == config.num_attention_heads
    if name != "vit":
        assert found["vocab_size"] == config.vocab_size


NEEDED = {
    "bart": {"max_position_embeddings": 256},
    "deepseek_v3": {"num_hidden_layers": 4, "first_k_dense_replace": 1, "n_routed_experts": 8, "n_group": 1, "topk_group": 1},
    "gpt_neox": {"num_hidden_layers": 4},
    "mt5": {"decoder_start_token_id": 0, "tie_word_embeddings": False},
    "qwen2_moe": {"num_hidden_layers": 4, "num_experts": 6},
    "qwen3_moe": {"num_hidden_layers": 4, "num_experts": 16, "head_dim": 64},
    "roberta": {"type_vocab_size": 1},
    "t5": {"decoder_start_token_id": 0, "num_layers": 3, "num_decoder_layers": 5},
    "vit": {"image_size": 96},
    "xlm-roberta": {"type_vocab_size": 1},
}  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("name", known_types())
def test_a_config_has_the_parameters_of_its_model(tmp_path, name):
    """What transformers builds from the file has as many parameters as the plan says."""
    import torch
    import transformers

    config = transformers.AutoConfig.for_model(name, **NEEDED.get(name, {}))
    kind = dimensions_of(config.to_dict())["kind"]
    builder = {
        "encoder": transformers.AutoModelForMaskedLM,
        "encoder-decoder": transformers.AutoModelForSeq2SeqLM,
        "vit": transformers.AutoModelForImageClassification,
    }.get(kind, transformers.AutoModelForCausalLM)
    with torch.device("meta"):
        model = builder.from_config(config)
    length = {"input": 16, "target": 16} if kind == "encoder-decoder" else 16
    lengths = {} if kind == "vit" else {"sequence_length": length}
    (tmp_path / "config.json").write_text(config.to_json_string(use_diff=False))
    written = {"global_batch_size": 8, **lengths, "model": {"config": str(tmp_path / "config.json")}}
    planned = plan(load_recipe({**written, "cluster": {"devices_per_node": 1, "device": "cpu"}}))
    assert planned.model.num_parameters == sum(each.numel() for each in model.parameters())


def test_a_stack_of_another_depth_and_a_window_switched_off():
    """An encoder deeper than its decoder keeps its depth; a window that is not used is none."""
    two = {"model_type": "t5", "d_model": 64, "num_layers": 6, "num_decoder_layers": 2, "num_heads": 4}
    found = dimensions_of({**two, "feed_forward_proj": "gated-gelu"})
    assert (found["num_encoder_layers"], found["num_layers"], found["family"]) == (6, 2, "t5_v1_1")
    window = {**LLAMA, "model_type": "qwen2", "sliding_window": 128}
    assert dimensions_of(window)["sliding_window"] == 128
    assert dimensions_of({**window, "use_sliding_window": False})["sliding_window"] is None
