"""The scheduler block of DeepSpeed's file: there where a recipe leaves the schedule to it, whole, and read back."""

import json
from dataclasses import replace

import pytest

from launcher.api import load_recipe, plan, render
from launcher.engines.formats.read_back import differences, expected_deepspeed
from launcher.errors import EngineError, PlanError

LENGTHS = {"warmup_num_steps": 10, "warmup_type": "linear"}
BLOCK = {
    "type": "WarmupDecayLR",
    "params": {"total_num_steps": "auto", "warmup_max_lr": "auto", **LENGTHS},
}


def planned(*, owner, engine="deepspeed", native=None, **schedule):
    recipe = load_recipe(
        {
            "global_batch_size": 8,
            "sequence_length": 16,
            "hidden_size": 64,
            "optimizer": {"learning_rate": 1e-3},
            "schedule": {
                "warmup": "10 steps",
                "length": "200 steps",
                "decay": "linear",
                "owner": owner,
                **schedule,
            },
            "cluster": {"nodes": 1, "devices_per_node": 2, "device": "h100-sxm-80gb"},
            "parallel": {"data": {"strategy": "zero", "stage": 1}},
            "launch": {"engine": engine, "script": "t.py", "native": {"deepspeed": native or {}}},
        }
    )
    result = plan(recipe)
    return result, render(recipe, result)


@pytest.mark.parametrize("engine", ["deepspeed", "accelerate"])
@pytest.mark.parametrize(
    ("owner", "schedule", "params"),
    [
        (
            "engine:WarmupDecayLR",
            {},
            {"total_num_steps": 200, "warmup_min_lr": 0.0, "warmup_max_lr": 1e-3, **LENGTHS},
        ),
        (
            "engine:WarmupLR",
            {"decay": "constant"},
            {"warmup_min_lr": 0.0, "warmup_max_lr": 1e-3, **LENGTHS},
        ),
        (
            "engine:WarmupCosineLR",
            {"decay": "cosine", "warmup_shape": "log", "final_learning_rate_ratio": 0.1},
            {
                "total_num_steps": 200,
                "warmup_min_ratio": 0.0,
                "warmup_num_steps": 10,
                "warmup_type": "log",
                "cos_min_ratio": 0.1,
            },
        ),
    ],
)
def test_every_parameter_is_written(engine, owner, schedule, params):
    """No parameter is left to a default or to "auto", and the shape of the warmup is always said."""
    result, bundle = planned(owner=owner, engine=engine, **schedule)
    written = json.loads(bundle.files["deepspeed.json"])["scheduler"]
    assert written == {"type": owner.removeprefix("engine:"), "params": params}
    assert [isinstance(written["params"][key], float) for key in params if key.endswith(("_lr", "_ratio"))]
    assert differences(result, bundle) == ()


@pytest.mark.parametrize("owner", ["script", "script:transformers", "script:accelerate", "script:trainer"])
def test_no_scheduler_where_deepspeed_owns_none(owner):
    """A file that names a scheduler would step beside the script's."""
    result, bundle = planned(owner=owner)
    assert "scheduler" not in json.loads(bundle.files["deepspeed.json"])
    assert expected_deepspeed(result)["scheduler"] is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("warmup_type", "log"), ("warmup_num_steps", 11), ("total_num_steps", 100), ("warmup_max_lr", "auto")],
)
def test_a_number_that_differs_is_found(key, value):
    """The file is parsed again and compared with the plan, parameter by parameter."""
    result, bundle = planned(owner="engine:WarmupDecayLR")
    config = json.loads(bundle.files["deepspeed.json"])
    config["scheduler"]["params"][key] = value
    changed = replace(bundle, files={"deepspeed.json": json.dumps(config)})
    assert {problem.code for problem in differences(result, changed)} == {"rendered-differs"}
    del config["scheduler"]["params"][key]
    missing = replace(bundle, files={"deepspeed.json": json.dumps(config)})
    assert len(differences(result, missing)) == 1


def test_a_written_block_is_read_filled_in_and_rendered():
    """launch.native.deepspeed.scheduler is the user's own block: "auto" becomes the plan's number in the file."""
    result, bundle = planned(
        owner="engine:WarmupDecayLR", native={"scheduler": BLOCK, "wall_clock_breakdown": True}
    )
    config = json.loads(bundle.files["deepspeed.json"])
    assert config["wall_clock_breakdown"] is True
    assert config["scheduler"]["params"] == {
        "total_num_steps": 200,
        "warmup_min_lr": 0.0,
        "warmup_max_lr": 1e-3,
        **LENGTHS,
    }
    assert differences(result, bundle) == ()


@pytest.mark.parametrize("owner", ["script", "script:trainer"])
def test_a_written_block_is_refused_where_deepspeed_owns_no_schedule(owner):
    """Without owner engine:NAME its curve is in no plan."""
    with pytest.raises((EngineError, PlanError)) as refusal:
        planned(owner=owner, native={"scheduler": BLOCK})
    assert {problem.code for problem in refusal.value.problems if problem.severity == "error"} == {
        "native-owns-key"
    }
