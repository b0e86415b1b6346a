"""JSON Schema and reference of a recipe say what the reader says."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from launcher.errors import CODES, RecipeError
from launcher.loading import load_recipe
from launcher.loading.found import Found
from launcher.loading.tree import Place, plain
from launcher.loading.yaml_text import read_yaml
from launcher.reporting.field_help import field_help, section_help
from launcher.reporting.recipe_reference import recipe_reference
from launcher.reporting.recipe_schema import catalog_schema, recipe_schema
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import SectionShape, section_of, walk
from launcher.units import UnitError, parse_amount
from launcher.units.amounts import KINDS, amount_pattern

ROOT = Path(__file__).parents[2]
FULL = ROOT / "tests" / "contract" / "full.yaml"
BAD = ROOT / "tests" / "loading" / "bad"
VALIDATOR = Draft202012Validator(recipe_schema())
# what JSON Schema sees of the reader's codes; the others are about text, files, or several values at once
SEEN = (
    "unknown-key",
    "missing-key",
    "wrong-type",
    "bad-choice",
    "bad-unit",
    "out-of-range",
    "schema-too-new",
)
# JSON Schema takes 8.0 as an integer, and sees the form of an amount, not its size
RIGHT_FORM = {"768.0", "120 %", "0 steps", "8..6"}
NOT_SEEN = {
    "file-not-found", "not-utf8", "yaml-syntax", "empty-recipe", "several-documents", "duplicate-key", "leading-zero",
    "yaml-tag", "bad-override", "cluster-not-found", "not-a-mapping", "not-finite",
}  # fmt: skip


def values_of(text):
    return plain(read_yaml(text, place=Place("recipe"), found=Found()))


def valid(values):
    return VALIDATOR.is_valid(json.loads(json.dumps(values)))


def test_the_schema_is_a_schema():
    """It is itself valid under draft 2020-12, and every reference in it leads to a definition."""
    schema = recipe_schema()
    Draft202012Validator.check_schema(schema)
    references = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))
    assert references == set(schema["$defs"])


def test_the_contracts_recipe_is_valid():
    """So is the smallest one."""
    assert list(VALIDATOR.iter_errors(values_of(FULL.read_text(encoding="utf-8")))) == []
    assert valid({"global_batch_size": 256, "sequence_length": 1024, "hidden_size": 768})


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/**/*.yaml")), ids=lambda path: path.name)
def test_recipes_of_this_repository_are_valid(path):
    """An editor marks nothing in a recipe that loads."""
    if "clusters" not in path.parts:
        load_recipe(path)
        assert list(VALIDATOR.iter_errors(values_of(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("code", SEEN)
def test_bad_recipes_are_invalid(code):
    """Every problem of a bad recipe is an error of the schema too, at its place or in a choice above it."""
    values = values_of((BAD / f"{code}.yaml").read_text(encoding="utf-8"))
    errors = list(VALIDATOR.iter_errors(values))
    places = {".".join(map(str, error.absolute_path)): error.message for error in errors}
    with pytest.raises(RecipeError) as refused:
        load_recipe(BAD / f"{code}.yaml")
    for problem in refused.value.problems:
        if problem.code == "unknown-key" or problem.message.split("`")[1].partition(": ")[2] in RIGHT_FORM:
            continue
        path = problem.path if problem.code != "missing-key" else problem.path.rpartition(".")[0]
        assert any(place and f"{path}.".startswith(f"{place}.") for place in places), problem


def test_unknown_keys_are_named():
    """The message of the schema names each unknown key."""
    values = values_of((BAD / "unknown-key.yaml").read_text(encoding="utf-8"))
    messages = " ".join(error.message for error in VALIDATOR.iter_errors(values))
    for key in ("learning_rate", "optimiser", "parallel.tensor", "warm_up", "lr", "weight_decya"):
        assert f"'{key}'" in messages


def test_every_code_of_the_reader_is_accounted_for():
    """A new code must be put on one side."""
    names = list(CODES)
    reader = set(names[: names.index("cluster-not-found") + 1])
    assert reader == set(SEEN) | NOT_SEEN


@pytest.mark.parametrize(
    ("path", "key"), [*walk(section_of(Recipe))], ids=lambda part: part if isinstance(part, str) else ""
)
def test_every_key_is_described(path, key):
    """Every key of the schema has a help text: one sentence with a full stop."""
    owner = owner_of(path)
    text = field_help(owner)[key.name]
    assert text.endswith((".", ".)"))
    assert "\n" not in text


def owner_of(path):
    owners = {
        f"{prefix}.{key.name}" if prefix else key.name: shape.kind
        for prefix, shape in [("", section_of(Recipe)), *sections()]
        for key in shape.keys
    }
    return owners[path]


def sections():
    from launcher.reporting.recipe_reference import _sections

    return list(_sections(section_of(Recipe)))


def test_every_section_is_described():
    """Every section has a sentence."""
    for _, shape in sections():
        assert isinstance(shape, SectionShape)
        assert section_help(shape.kind).endswith(".")


def test_the_reference_is_current():
    """docs/reference/recipe.md is what the types print."""
    page = ROOT / "docs" / "reference" / "recipe.md"
    assert page.read_text(encoding="utf-8") == recipe_reference(), (
        "write recipe_reference() into docs/reference/recipe.md"
    )


def test_the_reference_names_every_key():
    """Every section has a heading, and every key a row below one."""
    page = recipe_reference()
    for path, key in walk(section_of(Recipe)):
        assert f"\n| `{key.name}` |" in page, path
    for path, shape in sections():
        home = path if not path.startswith("stages.") else path.removeprefix("stages.")
        assert f"# `{home}`\n" in page, shape


TEXTS = (
    st.text(max_size=12)
    | st.from_regex(
        r"[0-9_]{1,4}(\.[0-9]+)?([eE][+-]?[0-9])?[KkMBGT]?i? ?(steps?|tokens|%|GB|GiB/s|min|h|ms)?",
        fullmatch=True,
    )
    | st.sampled_from([f"7 {word}" for word in ("steps", "Ki tokens", "%", "s", "GB", "B/s", "parsecs")])
)


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS)
def test_patterns_of_amounts_agree_with_their_reader(kind, text):
    """A text fits the pattern when parse_amount takes it, and but for parts of whole things only then."""
    fits = re.fullmatch(amount_pattern(kind=kind), text) is not None
    try:
        parse_amount(text, kind=kind)
        refusal = ""
    except UnitError as error:
        refusal = str(error)
    if refusal:
        assert not fits or "a whole number" in refusal
    elif text == text.strip() and text.isascii() and text.isprintable():
        assert fits


def test_the_schema_of_a_catalog():
    """It takes the shipped devices, and rejects a row without a source, with an unknown key or of a wrong type."""
    from launcher.catalog.devices import SHIPPED

    schema = catalog_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema))) == set(schema["$defs"])
    assert validator.is_valid(json.loads(SHIPPED.read_text()))
    row = {"kind": "cuda", "memory_gib": 8, "source": "s"}
    assert validator.is_valid({"devices": {"a": row}})
    for wrong in ({"kind": "cuda"}, {**row, "memory": 8}, {**row, "memory_gib": "8"}, {**row, "kind": "gpu"}):
        assert not validator.is_valid({"devices": {"a": wrong}})
