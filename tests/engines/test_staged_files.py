"""What an engine is given of a run with stages: the batch that it begins with."""

from __future__ import annotations

import json

from launcher import load_recipe
from launcher.api import plan, render
from launcher.planning.stages.ledger import at_the_start

RECIPE = {
    "name": "ramp",
    "global_batch_size": 12,
    "sequence_length": 16,
    "hidden_size": 16,
    "model": {"num_layers": 1, "num_attention_heads": 1, "vocab_size": 32},
    "data": {"num_samples": 300},
    "optimizer": {"name": "adamw", "learning_rate": 1e-3},
    "cluster": {"nodes": 1, "devices_per_node": 2, "device": "cpu"},
    "launch": {
        "engine": "deepspeed",
        "script": "train.py",
        "args": ["--micro", "{micro_batch_size}", "--batch", "{global_batch_size}"],
        "runtime": True,
    },
    "stages": [{"until": "40 samples", "global_batch_size": 4, "micro_batch_size": 2}, {}],
}


def test_files_and_arguments_begin_with_the_first_stage():
    """DeepSpeed's file, read back, and the script's placeholders are those of the first stage; plan.json has all."""
    recipe = load_recipe(RECIPE)
    planned = plan(recipe)
    bundle = render(recipe, planned)
    config = json.loads(bundle.files["deepspeed.json"])
    sizes = ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "train_batch_size")
    assert [config[name] for name in sizes] == [2, 1, 4]
    argv = bundle.commands[0].argv
    assert argv[argv.index("--micro") + 1] == "2"
    assert argv[argv.index("--batch") + 1] == "4"
    assert [stage.batch.global_batch_size for stage in planned.stages] == [4, 12]


def test_a_run_without_stages_begins_as_it_goes_on():
    """One batch: the plan itself."""
    planned = plan(load_recipe({**RECIPE, "stages": []}))
    assert at_the_start(planned) is planned
