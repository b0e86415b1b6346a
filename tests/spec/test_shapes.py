"""Annotations of the recipe types as shapes, and shapes in words."""

import re
from typing import Annotated, Any, Literal

import pytest

from launcher.spec.forms import FORMS
from launcher.spec.kinds import Count, CountAmount, FreeMapping, Range, Text, TextMapping
from launcher.spec.parallel import Context, Parallel
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
    TextShape,
    section_of,
    shape_of,
    walk,
)
from launcher.spec.words import in_words

COUNT = NumberShape(True, Range(low=1))


@pytest.mark.parametrize(
    ("annotation", "shape", "words"),
    [
        (str, TextShape(""), "text"),
        (Text, TextShape("not empty"), "text"),
        (int, NumberShape(True, Range()), "a whole number"),
        (Count, COUNT, "a whole number of at least 1"),
        (Count | None, COUNT, "a whole number of at least 1"),
        (Annotated[float, Range(low=0, high=1, high_open=True)], None, "a number from 0 to below 1"),
        (Annotated[float, Range(low=0, low_open=True)], None, "a number above 0"),
        (bool, FlagShape(), "`true` or `false`"),
        (Literal["a", "b", 3], ChoiceShape(("a", "b", 3)), "`a`, `b` or `3`"),
        (Count | Literal["auto"], EitherShape((COUNT, ChoiceShape(("auto",)))), "a whole number of at least 1, or `auto`"),
        (Literal["auto"] | Context, None, "`auto`, or the keys `size`, `algorithm`"),
        (tuple[Text, ...], ListShape(TextShape("not empty")), "a list of text"),
        (tuple[tuple[str, ...], ...], ListShape(ListShape(TextShape(""))), "a list of lists of text"),
        (tuple[Count, Count], PairShape((COUNT, COUNT)), "a list of 2, each a whole number of at least 1"),
        (FreeMapping, MappingShape(TextShape(""), FreeShape()), "keys of your choice"),
        (TextMapping, MappingShape(TextShape("variable name"), TextShape("")), "keys of your choice, each with text"),
        (Any, FreeShape(), "anything"),
        (Parallel, section_of(Parallel), "keys such as `tensor`, `pipeline`, `virtual_pipeline`"),
    ],
    ids=str,
)  # fmt: skip
def test_shapes_and_words(annotation, shape, words):
    """An annotation has one shape, and a shape one phrase."""
    assert shape is None or shape_of(annotation) == shape
    assert in_words(shape_of(annotation)) == words


def test_amounts_know_their_kind():
    """An Amount carries its kind."""
    shape = shape_of(CountAmount)
    assert isinstance(shape, QuantityShape)
    assert (shape.unit.kind, shape.unit.bare, shape.unit.zero) == ("count", True, False)


def test_keys_of_a_section():
    """A key knows its default, whether it must be written, and whether `null` leaves it out."""
    recipe = section_of(Recipe)
    assert [key.name for key in recipe.keys][:3] == ["schema", "name", "global_batch_size"]
    assert recipe.key("marks") is None
    assert recipe.key("seed").default == 0
    assert not recipe.key("seed").nullable
    assert recipe.key("hidden_size").nullable
    assert [path for path, key in walk(recipe) if key.required and not path.startswith("stages")] == [
        "sequence_length.input",
        "sequence_length.target",
        "optimizer.scaling.rule",
        "precision.compute",
        "cluster.groups.nodes",
        "cluster.groups.devices_per_node",
        "cluster.groups.device",
        "launch.container.image",
    ]


def test_an_annotation_without_a_shape_is_our_bug():
    """A type that no YAML value can be has no shape."""
    with pytest.raises(KeyError):
        shape_of(complex)


@pytest.mark.parametrize("name", FORMS)
def test_forms(name):
    """The example of a form has that form; the empty text has only one, NUL none."""
    form = FORMS[name]
    if form.example:
        assert re.fullmatch(form.pattern, form.example)
    assert bool(re.fullmatch(form.pattern, "")) == (name == "")
    assert not re.fullmatch(form.pattern, "a\0")
    assert not re.fullmatch(form.pattern, "a b\n") or name in {"", "not empty", "cluster"}
