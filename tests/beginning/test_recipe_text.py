"""The text that is written for a recipe reads back as that recipe."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from launcher.errors import RecipeError
from launcher.loading import load_recipe
from launcher.loading.found import Found
from launcher.loading.tree import Place, plain
from launcher.loading.yaml_text import read_yaml
from launcher.reporting.recipe_text import recipe_text, scalar_text
from launcher.reporting.recipe_values import recipe_values
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import (
    ChoiceShape,
    EitherShape,
    FlagShape,
    FreeShape,
    ListShape,
    MappingShape,
    NumberShape,
    PairShape,
    QuantityShape,
    SectionShape,
    TextShape,
    section_of,
)

ROOT = Path(__file__).parents[2]
RECIPES = sorted(
    [
        *(
            path
            for path in ROOT.glob("recipes/*/*.yaml")
            if path.parent.name != "clusters" and not path.name.startswith("zz-")
        ),
        ROOT / "tests/contract/full.yaml",
    ]
)
FREE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
        inner,
        max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip
TEXTS = st.sampled_from(
    ["a", "no", "010", "train.py", "é 中", "{seed}", "--lr=1e-4", "x: y", "#", "\u2028", "1..2"]
)
AMOUNTS = {
    "count": ["7", "300B", "8Mi", "1_000"],
    "length": ["20 steps", "3 epochs", "1.5B tokens", "7 samples"],
    "length or share": ["20 steps", "3 %", "2.5%"],
    "ramp": ["7 samples", "250B tokens"],
    "duration": ["60 s", "1.5 h"],
    "size": ["80 GiB"],
    "rate": ["450 GB/s"],
}


def values_of(shape):
    """Values of a shape; now and then ones that the reader refuses."""
    match shape:
        case TextShape():
            return TEXTS
        case NumberShape(whole=True):
            return st.integers(0, 5000)
        case NumberShape():
            return st.floats(0, 1e4, exclude_min=True) | st.floats(0, 1, exclude_max=True)
        case FlagShape():
            return st.booleans()
        case ChoiceShape(choices=choices):
            return st.sampled_from(choices)
        case QuantityShape(unit=unit):
            return st.sampled_from(AMOUNTS[unit.kind])
        case ListShape(item=item):
            return st.lists(values_of(item), max_size=2)
        case PairShape(items=items):
            return st.tuples(*map(values_of, items)).map(list)
        case MappingShape(value=value):
            return st.dictionaries(st.sampled_from(["A", "B_1"]), values_of(value), max_size=2)
        case FreeShape():
            return FREE
        case EitherShape(options=options):
            return st.one_of(*map(values_of, options))
        case SectionShape(keys=keys):
            every = {key.name: values_of(key.shape) for key in keys if key.name not in {"schema", "stages"}}
            needed = {key.name: every[key.name] for key in keys if key.required}
            return st.lists(st.sampled_from(sorted(every)), max_size=4, unique=True).flatmap(
                lambda names: st.fixed_dictionaries(needed | {name: every[name] for name in names})
            )


def read_back(text):
    found = Found()
    tree = read_yaml(text, place=Place("recipe"), found=found)
    assert found.problems() == ()
    return plain(tree)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_recipe_reads_back_as_itself(path, tmp_path):
    """Load, write, load: the equal recipe, for every recipe of the repository."""
    recipe = load_recipe(path)
    written = tmp_path / "written.yaml"
    written.write_text(recipe_text(recipe_values(recipe)))
    assert load_recipe(written) == recipe


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), FREE, min_size=1, max_size=4))
def test_whatever_another_tool_takes_reads_back(native):
    """Any value of another tool's own keys comes back from the text with its type."""
    text = recipe_text({"schema": 1, "launch": {"native": {"deepspeed": native}}})
    found = read_back(text)["launch"]["native"]["deepspeed"]
    assert found == native
    assert repr(found) == repr(native)  # 1 and 1.0 and True are three values


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_reads_back_as_text(word):
    """`no`, `010`, `1e5`, quotes, line breaks and invisible characters are quoted where they need it."""
    assert read_back(f"k: {scalar_text(word)}\n") == {"k": word}
    assert read_back(f"k: {scalar_text([word, word])} # c\n") == {"k": [word, word]}


@given(values_of(section_of(Recipe)))
def test_any_legal_recipe_reads_back_as_itself(values):
    """Keys and values of every shape that a recipe has, alone and together."""
    try:
        recipe = load_recipe({"schema": 1, "seed": 1, **values})
    except RecipeError:
        assume(False)
    with TemporaryDirectory() as folder:
        path = Path(folder, "written.yaml")
        path.write_text(recipe_text(recipe_values(recipe)), encoding="utf-8")
        assert load_recipe(path) == replace(recipe, name=recipe.name or "written")


def test_keys_stand_in_the_order_of_the_reference():
    """Whatever order they are given in; comments stand behind their values."""
    text = recipe_text(
        {"seed": 1, "launch": {"args": ["--x"], "engine": "deepspeed"}, "schema": 1},
        comments={"launch.engine": "ds.json", "seed": "a\nb"},
        header=["one", "", "two"],
    )
    assert text == (
        "# one\n#\n# two\nschema: 1\n\n"
        "launch:\n  engine: deepspeed                      # ds.json\n"
        '  args: ["--x"]\n\n'
        "seed: 1                                  # a b\n"
    )
