"""A trace tells the plan that a person's own module has a batch norm."""

import io
import json

import pytest

from launcher.cli.main import main

pytestmark = pytest.mark.torch

MODULE = """
import torch


def build(micro_batch_size, hidden_size):
    layers = [torch.nn.Linear(8, hidden_size), torch.nn.NORM(hidden_size), torch.nn.Linear(hidden_size, 1)]
    return torch.nn.Sequential(*layers), torch.zeros(micro_batch_size, 8)
"""
RECIPE = """
global_batch_size: 64
hidden_size: 16
model: {kind: module, module: "own:build"}
micro_batch_size: 8
cluster: {devices_per_node: 2, device: cpu}
"""


def run(*words):
    out, err = io.StringIO(), io.StringIO()
    code = main(list(words), environ={"PATH": ""}, stdout=out, stderr=err)
    assert code == 0, err.getvalue()
    return json.loads(out.getvalue())


def test_a_traced_batch_norm_is_part_of_the_plan(tmp_path):
    """Before the trace nothing is known; after it batch norm is named with its origin, and the split is in the hash."""
    recipe = tmp_path / "own.yaml"
    (tmp_path / "own.py").write_text(MODULE.replace("NORM", "BatchNorm1d"))
    recipe.write_text(RECIPE)
    before = run("plan", str(recipe), "--json")
    assert before["model"]["batch_coupled"] == []
    assert run("trace", str(recipe), "--json")["coupled"] == ["batch_norm"]
    after = run("plan", str(recipe), "--json")
    assert after["model"]["batch_coupled"] == ["batch_norm"]
    assert "trace of own:build" in after["origins"]["model.batch_coupled"]["formula"]
    assert after["semantics_hash"] != before["semantics_hash"]
    codes = {problem["code"] for problem in after["problems"]}
    assert {"split-dependent", "batch-norm-small", "batch-norm-accumulates"} <= codes


def test_a_traced_layer_norm_is_not(tmp_path):
    """A module of layer norms depends on no split."""
    recipe = tmp_path / "own.yaml"
    (tmp_path / "own.py").write_text(MODULE.replace("NORM", "LayerNorm"))
    recipe.write_text(RECIPE)
    assert run("trace", str(recipe), "--json")["coupled"] == []
    assert run("plan", str(recipe), "--json")["model"]["batch_coupled"] == []
