"""The recipes of the how-to page are planned as the page says, with every placeholder that they use."""

import re
from pathlib import Path

import pytest

from launcher.api import load_recipe, plan, render
from launcher.errors import PlanError

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/how-to/leave-the-schedule-to-the-stack.md").read_text()
BASE = """\
global_batch_size: 48
sequence_length: 128
hidden_size: 64
optimizer: {learning_rate: 1e-3}
cluster: {nodes: 1, devices_per_node: 2, device: cpu}
"""
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", [block for block in BLOCKS if "launch:" in block])
def test_recipes_of_the_page(block, tmp_path):
    """Each is planned, and its arguments are filled in."""
    path = tmp_path / "recipe.yaml"
    path.write_text(BASE + block)
    recipe = load_recipe(path)
    made = plan(recipe)
    assert made.learning_rate.compiled is not None
    assert made.applied_by["learning_rate"] in {"engine", "argument"}
    assert "schedule-steps" not in {problem.code for problem in made.problems}
    (command,) = render(recipe, made).commands
    assert not any("{scheduler" in word for word in command.argv)


def test_the_refusal_of_the_page(tmp_path):
    """The message that the page prints is the one that is printed."""
    (block,) = [block for block in BLOCKS if "arguments:" in block]
    schedule = block.replace(
        "schedule:\n", "schedule:\n  warmup: 100 steps\n  decay: linear\n  length: 1000 steps\n"
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(f"{BASE}{schedule}launch: {{engine: accelerate, script: train.py}}\n")
    with pytest.raises(PlanError) as refusal:
        plan(load_recipe(path))
    (problem,) = [each for each in refusal.value.problems if each.severity == "error"]
    shown = " ".join(line.strip() for line in PAGE.splitlines())
    assert f"{problem.message} [{problem.code}]" in shown
