"""Ways out of a batch-coupled model say when they change the model, and never claim to keep it then."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import only, plan_of, recipe_of, refusal_of

from launcher.planning.coupling.ways import change_of_model
from launcher.spec.launch import Launch
from launcher.spec.model import Model
from launcher.spec.training import Loss, Optimizer

BEFORE = plan_of(global_batch_size=256, devices=4, micro_batch_size=16).batch
numbers = st.integers(1, 64)


def changed(name, micro, ranks, idle=0):
    after = replace(BEFORE, micro_batch_size=micro, data_parallel_size=ranks, idle_slots=idle)
    return change_of_model(coupled=(name,), before=BEFORE, after=after)


@given(micro=numbers, ranks=numbers)
def test_each_layer_tells_apart_what_it_sees(micro, ranks):
    """Batch norm sees the micro-batch, SyncBatchNorm its product with the ranks, an unknown layer both."""
    assert bool(changed("batch_norm", micro, ranks)) == (micro != 16)
    assert bool(changed("contrastive", micro, ranks)) == (micro != 16)
    assert bool(changed("sync_batch_norm", micro, ranks)) == (micro * ranks != 64)
    assert bool(changed("my_queue", micro, ranks)) == ((micro, ranks) != (16, 4))
    assert change_of_model(coupled=(), before=BEFORE, after=replace(BEFORE, micro_batch_size=micro)) == ""


def test_what_is_said():
    """How many samples a layer sees instead of how many, or that it sees idle slots or other ranks."""
    assert changed("batch_norm", 4, 16) == "the model: batch_norm sees 4 samples instead of 16"
    assert changed("sync_batch_norm", 16, 2) == "the model: sync_batch_norm sees 32 samples instead of 64"
    assert changed("batch_norm", 16, 4, idle=3) == "the model: batch_norm also sees 3 idle slots"
    assert changed("my_queue", 16, 2) == "the model: my_queue sees 2 ranks instead of 4"


def of_the_model(way):
    return any(word.startswith("the model: ") for word in way.changes)


@pytest.mark.parametrize("runtime", [False, True])
def test_ways_for_a_batch_that_does_not_divide(runtime):
    """Another micro-batch of a residual network changes the model and keeps no gradient; the same one does not."""
    refused = refusal_of(
        recipe_of(
            model=Model(kind="resnet"),
            global_batch_size=1000 if not runtime else 1001,
            devices=8,
            micro_batch_size=32,
            gradient_accumulation_steps=3,
            device="cpu",
            launch=Launch(runtime=runtime),
        )
    )
    assert refused.alternatives
    for way in refused.alternatives:
        differs = way.batch.micro_batch_size != 32 or way.batch.idle_slots > 0
        assert of_the_model(way) == differs, way
        assert not (differs and {"the exact gradient", "model", "gradient"} & set(way.keeps))


def test_the_same_ways_without_a_coupled_layer():
    """A decoder is the same model in every split."""
    refused = refusal_of(global_batch_size=36, devices=4, micro_batch_size=2)
    assert not any(of_the_model(way) for way in refused.alternatives)


def test_ways_for_a_plan_that_does_not_fit():
    """A micro-batch that fits is another ResNet, said so and ranked behind what keeps the model."""
    keys = {
        "global_batch_size": 4096,
        "micro_batch_size": 512,
        "devices": 8,
        "device": "t4",
        "hidden_size": None,
        "sequence_length": None,
        "optimizer": Optimizer(name="sgd"),
        "precision": "fp32",
    }
    plan = plan_of(recipe_of(model=Model(kind="resnet", depth=152), **keys))
    assert plan.verdict == "does-not-fit"
    ways = [(way, way.batch.micro_batch_size != 512) for way in plan.alternatives]
    assert any(differs for _, differs in ways)
    for way, differs in ways:
        assert of_the_model(way) == differs
        assert not (differs and {"model", "gradient"} & set(way.keeps))
    fitting = [differs for way, differs in ways if way.memory["verdict"] == "fits"]
    assert fitting == sorted(fitting)


@pytest.mark.parametrize("size", [16, 32, 256])
def test_ways_for_a_contrastive_loss_that_does_not_fit(size):
    """With in-batch negatives a smaller micro-batch has fewer of them: offered after all that fits and keeps them."""
    plan = plan_of(
        global_batch_size=2048,
        micro_batch_size=size,
        devices=8,
        device="t4",
        model=Model(kind="encoder"),
        loss=Loss(kind="contrastive"),
    )
    fitting = [of_the_model(way) for way in plan.alternatives if way.memory["verdict"] == "fits"]
    assert fitting == sorted(fitting)
    assert set(fitting) == ({True} if size == 256 else {True, False})
    assert len({way.change for way in plan.alternatives}) == len(plan.alternatives)
    hint = only(plan, "does-not-fit").hint
    assert hint == "the largest micro-batch that fits is 8, which is another model (contrastive)"
    micro = [way for way in plan.alternatives if way.change.startswith("micro_batch_size")]
    assert micro
    assert all(of_the_model(way) and "model" not in way.keeps for way in micro)
