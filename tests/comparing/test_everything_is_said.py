"""Whatever single key of a recipe is changed: what moves a hash is said, and the key is named."""

from __future__ import annotations

import pytest
from recipe_pairs import compared

from launcher import load_recipe, plan
from launcher.errors import LauncherError
from launcher.planning.comparing.comparing import compare
from launcher.planning.comparing.sides import side_of_plan
from launcher.reporting.diff_markdown import markdown_lines
from launcher.reporting.diff_text import diff_lines
from launcher.reporting.diff_words import key_sentences
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import ChoiceShape, EitherShape, section_of, walk

BASES = {
    "decoder": """\
global_batch_size: 64
sequence_length: 128
hidden_size: 128
model: {num_layers: 2, num_attention_heads: 2, vocab_size: 512}
data: {num_samples: 100000, kind: map}
optimizer: {name: adamw, reference_learning_rate: 1e-3, reference_batch_size: 32, weight_decay: 0.1, betas: [0.9, 0.98]}
schedule: {warmup: 20 steps, decay: wsd, decay_length: 10 %, length: 500 steps, final_learning_rate_ratio: 0.1}
cluster: {nodes: 2, devices_per_node: 2, device: a100-sxm-80gb, host_memory: 64 GiB}
launch: {engine: deepspeed, executor: slurm, script: train.py, slurm: {partition: gpu}}
parallel: {data: {strategy: zero, stage: 2}}
evaluation: {every: 100 steps}
checkpoint: {every: 100 steps}
""",
    "mixture": """\
global_batch_size: 64
sequence_length: 128
hidden_size: 128
model: {kind: moe, num_layers: 2, num_attention_heads: 2, num_experts: 4, num_experts_per_token: 2, dropout: 0.1}
optimizer: {name: sgd, learning_rate: 0.1, momentum: 0.9}
cluster: {nodes: 1, devices_per_node: 4, device: a100-sxm-80gb, host_memory: 64 GiB}
launch: {script: train.py, runtime: true}
""",
    "recurrent": """\
global_batch_size: 64
sequence_length: 32
hidden_size: 64
model: {kind: lstm, vocab_size: 100}
precision: {compute: fp16, loss_scale: {initial: 1024}}
optimizer: {learning_rate: 1e-3}
stages: [{until: 640 samples, global_batch_size: 32}, {}]
schedule: {length: 6400 samples}
cluster: {nodes: 1, devices_per_node: 2, device: v100-sxm-16gb}
launch: {script: train.py, runtime: true}
""",
}
TRIED = (
    *(
        "true",
        "false",
        "2",
        "3",
        "128",
        "0.5",
        "2e-3",
        "a",
        "[a]",
        "[1]",
        "{a: 1}",
        "{a: b}",
        "[[a]]",
        "[0.5, 0.9]",
    ),
    *(
        "200 steps",
        "5000 samples",
        "20 %",
        "30 s",
        "2 h",
        "1 GB/s",
        "1 GiB",
        "70K",
        "tensor",
        "[tensor]",
        "a:b",
        "a.b",
    ),
)
KEYS = [
    (path, key.shape)
    for path, key in walk(section_of(Recipe))
    if not path.startswith("stages") and path != "schema" and ".*" not in path
]


def values(shape):
    """Texts that a key of some shape may take."""
    options = shape.options if isinstance(shape, EitherShape) else (shape,)
    choices = [
        str(choice) for option in options if isinstance(option, ChoiceShape) for choice in option.choices
    ]
    return [*choices, *TRIED]


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Each base recipe's file and its side."""
    found = {}
    for name, text in BASES.items():
        path = tmp_path_factory.mktemp(name) / "r.yaml"
        path.write_text(text, encoding="utf-8")
        recipe = load_recipe(path)
        found[name] = path, side_of_plan(plan(recipe, environ={}), recipe=recipe, name="a")
    return found


def changes(path, key, shape, *, most):
    """Sides with one key changed, those that have a plan; at most so many."""
    made = 0
    for value in values(shape):
        try:
            recipe = load_recipe(path, overrides=[f"{key}={value}"])
            result = plan(recipe, environ={})
        except LauncherError:
            continue
        yield value, side_of_plan(result, recipe=recipe, name="b")
        made += 1
        if made == most:
            return


def check(before, after, key):
    """What diff owes to a pair in which one key is another."""
    comparison = compare(before, after)
    lines = diff_lines(comparison)
    assert lines[0].startswith(f"semantics changed: {'yes (' if comparison.semantics_moved else 'no'}")
    if comparison.semantics_moved:
        assert comparison.kinds
    moved = comparison.semantics_moved or comparison.plan_moved
    if moved:
        assert len(lines) > 1
        named = [sentence.path for sentence in key_sentences(comparison)]
        assert any(f"{path}.".startswith(f"{key}.") or f"{key}.".startswith(f"{path}.") for path in named), (
            named
        )
        assert any(key.rpartition(".")[2] in line for line in lines)
        assert "details" in "\n".join(markdown_lines(comparison))
    return moved


def swept(sides, *, most, every):
    """Keys that moved a hash in some base."""
    found = set()
    for key, shape in KEYS[::every]:
        for path, before in sides.values():
            for _, after in changes(path, key, shape, most=most):
                if check(before, after, key):
                    found.add(key)
    return found


def test_a_key_that_moves_a_hash_is_named(sides):
    """Every seventh key of the schema, with a value of every kind that it takes in some recipe."""
    assert len(swept(sides, most=1, every=7)) >= 5


@pytest.mark.full
def test_every_key_that_moves_a_hash_is_named(sides):
    """Every key of the schema, with up to four values, in three recipes."""
    assert len(swept(sides, most=4, every=1)) >= 80


def test_what_nobody_foresaw_is_said(tmp_path):
    """A value of the plan that no sentence knows goes by its path."""
    comparison = compared(BASES["decoder"], "launch.timeouts.stall=20 min", folder=tmp_path)
    assert "launch.stall_seconds" in "\n".join(diff_lines(comparison))
