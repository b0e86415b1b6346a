"""Recipes from Python values."""

import json

import pytest

from launcher.errors import RecipeError
from launcher.loading import load_recipe
from launcher.spec.plain import to_plain


def refused(values):
    with pytest.raises(RecipeError) as error:
        load_recipe(values)
    return [str(problem) for problem in error.value.problems]


def test_a_mapping_is_read_like_a_file():
    """Lists and tuples are lists; values have marks without a place."""
    recipe = load_recipe(
        {"hidden_size": 8, "optimizer": {"betas": (0.9, 0.95)}, "schedule": {"warmup": "3 %"}}
    )
    assert recipe.hidden_size == 8
    assert recipe.optimizer.betas == (0.9, 0.95)
    assert recipe.marks["schedule.warmup"].origin == "recipe"
    assert str(recipe.marks["schedule.warmup"]) == ""
    assert recipe.name is None


def test_overrides_apply_to_a_mapping():
    """`--set` works without a file."""
    assert load_recipe({"seed": 1}, overrides=["seed=2"]).seed == 2


def test_the_source_is_a_recipe_too(tmp_path):
    """What the run folder keeps of a mapping loads as the same recipe."""
    recipe = load_recipe(
        {"optimizer": {"learning_rate": 1e-05}, "name": "no", "launch": {"env": {"A": "1e-4"}}}
    )
    (tmp_path / "r.yaml").write_text(recipe.source)
    assert load_recipe(tmp_path / "r.yaml") == recipe


def test_a_recipe_survives_the_way_to_plain_values_and_back(full):
    """Every value of the whole schema goes to plain values and comes back equal."""
    plain = json.loads(json.dumps(to_plain(full)))
    assert load_recipe(plain) == full


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "the recipe holds no keys [empty-recipe]"),
        ({"hidden_size": "8"}, '`hidden_size: "8"`: expected a whole number of at least 1 [wrong-type]'),
        ({"hidden_size": True}, "`hidden_size: true`: expected a whole number of at least 1 [wrong-type]"),
        ({"name": 1e-05}, '`name: 1e-05`: expected text [wrong-type]\n  hint: write `"1e-05"` to mean text'),
        ({"seed": float("nan")}, "`seed: nan`: expected a finite number [not-finite]"),
        ({"seed": object()}, "`seed`: expected text, numbers, lists or keys, not object [wrong-type]"),
        (
            {"data": {"paths": {"a"}}},
            "`data.paths`: expected text, numbers, lists or keys, not set [wrong-type]",
        ),
        ({"name": "a\0"}, "`name`: expected text without the character NUL"),
        ({"name": "\udcff"}, "`name`: expected text that UTF-8 can hold [wrong-type]"),
        (
            {"launch": {"native": {"deepspeed": {"a\0": 1}}}},
            "key `launch.native.deepspeed.a\\u0000`: expected text",
        ),
        (
            {"launch": {"native": {"deepspeed": {1: "a", "1": "b"}}}},
            "key `launch.native.deepspeed.1` stands there twice",
        ),
        ({1: 2}, "unknown key `1` [unknown-key]"),
        ({"a\nb": 2}, "unknown key `a\\nb` [unknown-key]"),
        ({"schema": 2, "x": 1}, "`schema: 2`: this version reads schema 1 [schema-too-new]"),
    ],
)
def test_refusals(values, message):
    """The same strictness, with the path in place of a place."""
    (only,) = refused(values)
    assert only.startswith(message)


def test_values_that_hold_themselves():
    """A circle is refused by its depth."""
    circle = []
    circle.append(circle)
    (only,) = refused({"launch": {"native": {"deepspeed": {"a": circle}}}})
    assert "nested deeper than 50 levels [wrong-type]" in only
