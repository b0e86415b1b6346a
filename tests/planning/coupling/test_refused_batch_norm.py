"""A batch norm over one sample is refused with ways out, and each of them is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_of import recipe_of, refusal_of

from launcher.api import load_recipe, plan
from launcher.errors import PlanError


def recipe(**keys):
    cluster = {
        "nodes": 1,
        "devices_per_node": keys.pop("devices", 8),
        "device": keys.pop("device", "a100-sxm-40gb"),
    }
    return {
        "global_batch_size": 64,
        "model": {"kind": "resnet"},
        "micro_batch_size": 1,
        "cluster": cluster,
        **keys,
    }


def refused(recipe):
    with pytest.raises(PlanError) as error:
        plan(load_recipe(recipe))
    return error.value


def test_ways_out():
    """More samples of a rank, of all ranks, another norm, a larger batch: in this order, with what each changes."""
    ways = refused(recipe(global_batch_size=256)).alternatives
    assert [way.change for way in ways] == [
        "micro_batch_size=16",
        "model.batch_coupled=[sync_batch_norm]",
        "model.norm=groupnorm",
    ]
    few = [way.change for way in refused(recipe(global_batch_size=8)).alternatives]
    assert few == [*(way.change for way in ways[1:]), "global_batch_size=128 micro_batch_size=auto"]
    assert ways[0].keeps == ("global batch 256", "8 data-parallel ranks")
    assert all(any(word.startswith(("the model", "global batch")) for word in way.changes) for way in ways)
    assert not any({"model", "gradient"} & set(way.keeps) for way in ways)


def test_no_sync_batch_norm_on_processors():
    """What torch cannot do there is not offered."""
    ways = refused(recipe(device="cpu")).alternatives
    assert not [way for way in ways if "sync" in way.change]
    assert ways


@given(
    per_rank=st.integers(1, 64),
    devices=st.integers(1, 8),
    device=st.sampled_from(["cpu", "a100-sxm-40gb"]),
    accumulation=st.booleans(),
)
def test_every_way_plans(per_rank, devices, device, accumulation):
    """Typed as shown, each way gives a plan with the batch that was promised."""
    asked = recipe(global_batch_size=per_rank * devices, devices=devices, device=device)
    if accumulation:
        asked["gradient_accumulation_steps"] = per_rank
    ways = refused(asked).alternatives
    assert len({way.change for way in ways}) == len(ways) >= 1
    for way in ways:
        again = plan(load_recipe(asked, overrides=tuple(way.change.split(" "))))
        assert again.batch == way.batch


def test_other_refusals_have_no_such_ways():
    """A recipe that is refused for something else is not offered another batch norm."""
    from launcher.spec.model import Model
    from launcher.spec.training import Optimizer

    error = refusal_of(
        recipe_of(
            model=Model(kind="resnet"), optimizer=Optimizer(reference_learning_rate=0.1), micro_batch_size=32
        )
    )
    assert error.alternatives == ()
