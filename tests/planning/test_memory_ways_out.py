"""What can give way: every way is tried on the model, ranked by what it keeps, and can be typed as it is shown."""

from pathlib import Path

import pytest

from launcher.api import load_recipe, plan

ROOT = Path(__file__).parents[2]
SUMMARIZER = ROOT / "recipes/summarizer/16gb.yaml"


def ways_of(recipe, *overrides):
    made = plan(load_recipe(recipe, overrides=overrides))
    return made, {way.change: way for way in made.alternatives}


def recipe_of(**keys):
    cluster = {"nodes": 1, "devices_per_node": 8, "device": "a100-sxm-40gb", **keys.pop("cluster", {})}
    return {"global_batch_size": 64, "sequence_length": 2048, "cluster": cluster, **keys}


CASES = {
    "states": recipe_of(model={"preset": "llama-2-7b"}),
    "activations": recipe_of(model={"preset": "gpt2-xl"}, micro_batch_size=8, global_batch_size=64),
    "logits": recipe_of(model={"preset": "llama-3.2-1b"}, micro_batch_size=8),
    "one device": recipe_of(
        model={"preset": "gpt2-large"}, micro_batch_size=16, cluster={"devices_per_node": 1}
    ),
    "fp32": recipe_of(model={"preset": "gpt2-xl"}, precision="fp32", attention="eager"),
    "already sharded": recipe_of(
        model={"preset": "llama-2-13b"},
        parallel={"data": {"strategy": "zero", "stage": 2}},
        launch={"engine": "deepspeed"},
    ),
    "fsdp": recipe_of(
        model={"preset": "llama-2-13b"},
        parallel={"data": {"strategy": "fsdp", "stage": 2}},
        launch={"engine": "accelerate"},
    ),
    "moe": recipe_of(model={"preset": "mixtral-8x7b"}, cluster={"nodes": 4}),
    "a written split": recipe_of(
        model={"preset": "gpt2-xl"}, micro_batch_size=8, gradient_accumulation_steps=1, global_batch_size=64
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_way_leads_where_it_says(name):
    """Typed after --set as it is shown, a way gives the verdict, the memory and the batch that were promised."""
    made, ways = ways_of(CASES[name])
    assert made.verdict == "does-not-fit"
    assert ways
    for change, way in ways.items():
        again, _ = ways_of(CASES[name], *change.split(" "))
        assert again.verdict == way.memory["verdict"] in {"fits", "tight"}
        assert again.memory.peak_bytes == way.memory["peak_bytes"]
        assert again.batch == way.batch


@pytest.mark.parametrize("name", CASES)
def test_ways_that_fit_come_first(name):
    """Those that only may fit stand at the end, and nobody gets a list without end."""
    _, ways = ways_of(CASES[name])
    verdicts = [way.memory["verdict"] for way in ways.values()]
    assert verdicts == sorted(verdicts, key=lambda verdict: verdict != "fits")
    assert len(ways) <= 10


def test_the_same_gradient_comes_before_another():
    """Among the ways that fit, those that keep the gradient stand first."""
    _, ways = ways_of(SUMMARIZER)
    keeps = ["gradient" in way.keeps for way in ways.values() if way.memory["verdict"] == "fits"]
    assert keeps == sorted(keeps, reverse=True)
    assert keeps[0]


def test_a_summarization_transformer_on_a_16_gb_card():
    """Batch 32 at length 512 and width 768 does not fit at once; accumulation and checkpointing each make it fit.

    Source: huggingface/transformers@v4.57.0 docs/source/en/perf_train_gpu_one.md names gradient accumulation,
    gradient checkpointing and lower precision, in this order, for one GPU.
    """
    made, ways = ways_of(SUMMARIZER)
    assert made.verdict == "does-not-fit"
    first = next(iter(ways.values()))
    assert first.keeps == ("batch", "model", "gradient")
    assert first.batch.micro_batch_size * first.batch.gradient_accumulation_steps == 32
    assert "activation_checkpointing=full" in ways
    assert 100 < 100 * made.memory.peak_bytes / made.memory.usable_bytes < 250


def test_less_is_asked_for_before_more():
    """A larger number of nodes is offered only where the smaller one does not fit."""
    recipe = recipe_of(
        model={"preset": "llama-2-13b"},
        global_batch_size=64,
        parallel={"data": {"strategy": "zero", "stage": 3}},
        launch={"engine": "deepspeed"},
        cluster={"devices_per_node": 4},
    )
    _, ways = ways_of(recipe)
    nodes = [change for change in ways if change.startswith("cluster.nodes=")]
    assert len(nodes) <= 1


def test_no_way_is_offered_for_what_fits():
    """A plan that fits has no alternatives."""
    made, ways = ways_of(recipe_of(model={"preset": "gpt2"}))
    assert (made.verdict, ways) == ("fits", {})
