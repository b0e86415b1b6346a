"""Schedules of a Trainer in a recipe's words: the plan that comes of them draws the Trainer's curve."""

import io
import json

import pytest
import yaml

from launcher.api import load_recipe, plan
from launcher.cli.main import main

GIVEN = {
    "output_dir": "out",
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-3,
    "warmup_steps": 100,
    "max_steps": 1000,
}
MACHINE = {"cluster": {"nodes": 1, "devices_per_node": 2, "device": "cpu"}, "global_batch_size": 8}


def begun(tmp_path, **given):
    """The recipe that begins from TrainingArguments and a small model."""
    (tmp_path / "args.json").write_text(json.dumps({**GIVEN, **given}))
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 2})
    )
    out, err = io.StringIO(), io.StringIO()
    files = [str(tmp_path / "args.json"), str(tmp_path / "config.json")]
    assert main(["init", *files], environ={"PATH": ""}, stdout=out, stderr=err) == 0, err.getvalue()
    return yaml.safe_load(out.getvalue())


@pytest.mark.parametrize(
    ("given", "decay"),
    [
        (
            {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"power": 2.0, "lr_end": 1e-5}},
            {"decay": "polynomial", "decay_power": 2.0, "final_learning_rate_ratio": 0.01},
        ),
        ({"lr_scheduler_type": "polynomial"}, {"decay": "linear", "final_learning_rate_ratio": 1e-4}),
        ({"lr_scheduler_type": "inverse_sqrt"}, {"decay": "inverse-sqrt"}),
        (
            {"lr_scheduler_type": "inverse_sqrt", "lr_scheduler_kwargs": {"timescale": 300}},
            {"decay": "inverse-sqrt", "decay_length": "300 steps"},
        ),
        (
            {"lr_scheduler_type": "inverse_sqrt", "warmup_steps": 0},
            {"decay": "inverse-sqrt", "decay_length": "10000 steps"},
        ),
        (
            {"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 100}},
            {"decay": "wsd", "decay_length": "100 steps", "decay_shape": "cosine"},
        ),
    ],
)
def test_the_trainers_curve(tmp_path, given, decay):
    """The keys carry name and keywords, defaults of transformers' too, and the schedule compiles back to that name.

    Source: transformers@5.23.0 optimization.py.
    """
    recipe = begun(tmp_path, **given)
    found = {key: value for key, value in recipe["schedule"].items() if key.startswith(("decay", "final"))}
    assert found == decay
    compiled = plan(load_recipe({**recipe, **MACHINE, "sequence_length": 128})).learning_rate.compiled
    assert compiled.scheduler == given["lr_scheduler_type"]
