"""Plans for tests of the runtime, made by the planner, and the environment that names them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from launcher import load_recipe
from launcher.api import plan as make_plan

MESSAGES = Path(__file__).parent / "messages"


def merged(base, changes):
    """Mappings below the first level are merged too."""
    return {
        key: merged(base.get(key, {}), value) if isinstance(value, dict) else value
        for key, value in {**base, **changes}.items()
    }


@pytest.fixture
def job_environ():
    """The environment of a job, with the tools of this Python's own environment first.

    DeepSpeed compiles its operator anew whenever another version of ninja comes along.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path}


@pytest.fixture
def plan_of():
    """A plan of 12 sequences on `ranks` processes; keywords are keys of the recipe, merged."""

    def plan(*, ranks=1, **changes):
        recipe = {
            "name": "small",
            "global_batch_size": 12,
            "sequence_length": 16,
            "hidden_size": 16,
            "model": {"num_layers": 1, "num_attention_heads": 1, "vocab_size": 32},
            "data": {"num_samples": 30},
            "optimizer": {"name": "sgd", "learning_rate": 0.1},
            "schedule": {"warmup": "24 samples", "length": "3 steps"},
            "cluster": {"nodes": 1, "devices_per_node": ranks, "device": "cpu"},
            "launch": {"script": "train.py", "runtime": True},
        }
        return make_plan(load_recipe(merged(recipe, changes)))

    return plan


@pytest.fixture
def environ_of(tmp_path):
    """The environment of rank 0 of a job that follows a plan."""

    def environ(plan):
        path = tmp_path / "plan.json"
        path.write_text(json.dumps(plan.to_dict()))
        return {"LAUNCHER_PLAN": str(path), "BATCHWRIGHT_PLAN_HASH": plan.plan_hash}

    return environ


@pytest.fixture
def message():
    """Compares what an error says with the whole text kept under messages/."""

    def same(name, found, **stand_ins):
        text = str(found)
        for word, value in stand_ins.items():
            text = text.replace(str(value), word)
        assert text + "\n" == (MESSAGES / f"{name}.txt").read_text()

    return same
