"""Wrapping and tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import PlanError
from launcher.reporting.columns import labelled, table, wrapped
from launcher.reporting.ways_out import ways_out


@given(st.lists(st.text("abc", min_size=1, max_size=12), min_size=1, max_size=30), st.integers(12, 60))
def test_wrapping_keeps_every_word(words, width):
    """Nothing is lost or reordered, and no line is wider than asked."""
    lines = wrapped(" ".join(words), width=width, hang=2)
    assert " ".join(lines).split() == words
    assert all(len(line) <= max(width, 14) for line in lines)


def test_a_word_longer_than_the_line_stays_whole():
    """A path is never cut: it is to be copied."""
    assert wrapped("see /a/very/long/path/indeed now", width=10) == ["see", "/a/very/long/path/indeed", "now"]


def test_inner_blanks_are_kept():
    """What is aligned stays aligned."""
    assert wrapped("a      b", width=20) == ["a      b"]


def test_labels_hang():
    """The label stands once, later lines under the text."""
    assert labelled("rate", ["one", "two"]) == ["rate    one", "        two"]


CELLS = st.lists(st.text("abc", min_size=1, max_size=12), max_size=9).map(" ".join)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), max_size=5))
def test_tables_fit(rows):
    """A table is never wider than the page, and no letter of a cell is lost."""
    lines = table(("one", "two", "three", "four"), rows, width=60)
    assert all(len(line) <= 60 for line in lines)
    letters = sorted("".join(cell for row in rows for cell in row).replace(" ", ""))
    assert sorted("".join(lines[1:]).replace(" ", "")) == letters


def test_ways_out_are_ranked():
    """The table numbers the alternatives and says what each keeps and changes."""
    from launcher.api import load_recipe, plan

    recipe = load_recipe(
        {
            "global_batch_size": 1000,
            "sequence_length": 64,
            "hidden_size": 64,
            "cluster": {"nodes": 1, "devices_per_node": 32, "device": "h100-sxm-80gb"},
        }
    )
    with pytest.raises(PlanError) as caught:
        plan(recipe, environ={})
    lines = ways_out(caught.value.alternatives)
    assert lines[0].split() == ["ways", "out", "batch", "keeps", "changes"]
    assert [line[0] for line in lines[1:-1] if line[0] != " "][:3] == ["1", "2", "3"]
    assert "3  launch.runtime=true" in "\n".join(lines)
    assert "992 = " in "\n".join(lines)
    assert all(len(line) <= 100 for line in lines)
