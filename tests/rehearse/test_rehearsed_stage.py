"""Of a run with stages the one that needs most memory is rehearsed, by itself."""

from __future__ import annotations

import pytest

from launcher import load_recipe
from launcher.api import plan
from launcher.cli.trials import largest_stage, one_batch

RECIPE = """\
name: ramp
{batch}
sequence_length: 32
hidden_size: 16
model: {{num_layers: 1, num_attention_heads: 1, vocab_size: 32}}
data: {{num_tokens: 64000, packing: packed}}
optimizer: {{learning_rate: 0.1}}
schedule: {{length: 20000 tokens}}
cluster: {{nodes: 1, devices_per_node: 2, device: cpu}}
launch: {{script: train.py, runtime: true}}
{stages}
"""


@pytest.mark.parametrize("batch", ["global_batch_size: 16", "global_batch_tokens: 512"])
@pytest.mark.parametrize(
    ("stages", "number"),
    [
        (["{until: 2000 tokens, global_batch_size: 4}", "{}"], 2),
        (["{until: 2000 tokens, global_batch_size: 24, micro_batch_size: 12}", "{micro_batch_size: 2}"], 1),
        (["{until: 4096 tokens, sequence_length: 16, micro_batch_size: 32, global_batch_size: 64}", "{}"], 1),
        (["{until: 4096 tokens, sequence_length: 16, global_batch_size: 16}", "{}"], 2),
    ],
)
def test_the_stage_with_the_largest_micro_batch(tmp_path, batch, stages, number):
    """Its overrides make the plan of that stage alone, without stages."""
    path = tmp_path / "ramp.yaml"
    lines = "\n".join(f"  - {stage}" for stage in stages)
    path.write_text(RECIPE.format(batch=batch, stages=f"stages:\n{lines}"))
    recipe = load_recipe(str(path))
    found, changes = largest_stage(recipe, staged := plan(recipe))
    alone = plan(load_recipe(str(path), overrides=changes))
    assert found == number
    assert alone.stages is None
    assert alone.batch == staged.stages[number - 1].batch


def test_a_run_without_stages_is_rehearsed_as_it_is(tmp_path):
    """Nothing is changed."""
    path = tmp_path / "plain.yaml"
    path.write_text(RECIPE.format(batch="global_batch_size: 16", stages=""))
    recipe = load_recipe(str(path))
    assert largest_stage(recipe, plan(recipe)) is None
    assert one_batch(recipe) == ()
