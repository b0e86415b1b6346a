"""Whatever stands in a file, a mapping or an override: a recipe, or a RecipeError."""

import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from launcher.errors import RecipeError
from launcher.loading import load_recipe
from launcher.spec.plain import to_plain
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import section_of, walk

FULL = (Path(__file__).parents[1] / "contract" / "full.yaml").read_text(encoding="utf-8")
KEYS = sorted({path.rpartition(".")[2] for path, _ in walk(section_of(Recipe))})
PATHS = sorted({path for path, _ in walk(section_of(Recipe))})
WORDS = [
    "auto",
    "bf16",
    "8",
    "1e-4",
    "2000 steps",
    "3 %",
    "300B",
    "6..8",
    "[1, 2]",
    "{a: 1}",
    "true",
    "~",
    "010",
    "&a",
    "*a",
]
fuzzed = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def outcome(source, *overrides):
    """The recipe, or None when it is refused with problems that can all be printed."""
    try:
        return load_recipe(source, overrides=overrides)
    except RecipeError as error:
        printed = [str(problem) for problem in error.problems]
    assert printed
    for text in printed:
        assert text.encode()
        assert not any(character in text for character in "\x00\x1b\x07")
    return None


@fuzzed
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
@example("\ufeff")
@example("? ")
@example("a: !<tag:yaml.org,2002:int> 1")
@example("%TAG ! tag:x,2000:\n---\na: !b 1")
def test_any_text(tmp_path, text):
    """Any text is a recipe or refused with problems that can be printed."""
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    outcome(path)


@fuzzed
@given(st.binary(max_size=100))
def test_any_bytes(tmp_path, data):
    """So are any bytes."""
    path = tmp_path / "r.yaml"
    path.write_bytes(data)
    outcome(path)


@fuzzed
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(FULL)),
            st.integers(0, 3),
            st.text(alphabet="ab1.:-[]{}\"' \n\t#&*!|>%@", max_size=3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_damage_to_a_whole_recipe(tmp_path, cuts):
    """Characters lost and added anywhere in the whole recipe never surprise the reader."""
    text = FULL
    for place, lost, added in cuts:
        text = text[:place] + added + text[place + lost :]
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    outcome(path)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(alphabet=string.printable + "\x00\u00e9\ud800", max_size=10)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


@fuzzed
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=5))
@example({"launch": {"native": {"deepspeed": {"\x00": "\x00"}}}})
@example({"launch": {"env": {"\x1b": 1}}, "\x1b": 1})
def test_any_mapping(mapping):
    """Any Python values are a recipe that survives the way to plain values and back, or are refused."""
    recipe = outcome(mapping)
    if recipe is not None:
        assert load_recipe(to_plain(recipe)) == recipe


@fuzzed
@given(
    st.lists(
        st.text(max_size=20)
        | st.builds("{}={}".format, st.sampled_from(PATHS), st.sampled_from(WORDS) | st.text(max_size=10))
        | st.builds(
            "{}.{}={}".format,
            st.sampled_from(PATHS),
            st.sampled_from([*KEYS, "0", "1"]),
            st.sampled_from(WORDS),
        ),
        max_size=4,
    )
)
def test_any_overrides(overrides):
    """Any overrides of the whole recipe give a recipe or are refused, each by name."""
    outcome(Path(__file__).parents[1] / "contract" / "full.yaml", *overrides)


@pytest.mark.parametrize(
    "source", [".", "/", "", "\x00", "x" * 5000, "/dev/null", "/dev/zero", "/proc/self/mem"]
)
def test_paths_that_are_no_recipes(source):
    """Folders, devices and names that cannot exist are refused as files."""
    if source.startswith("/dev") and not Path(source).exists():
        pytest.skip("no such device here")
    assert outcome(source) is None
