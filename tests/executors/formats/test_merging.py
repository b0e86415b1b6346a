"""A site's manifest and ours: both stay, and where they differ there is a conflict."""

import pytest

from launcher.executors.formats.merging import ABSENT, Conflict, inside, merged


def test_what_only_one_sets_stays():
    """Mappings are merged at every depth; nothing of the inputs is changed."""
    site = {"a": {"b": 1, "c": [1]}, "d": None}
    assert merged(site, {"a": {"e": 2}, "d": 3}) == ({"a": {"b": 1, "c": [1], "e": 2}, "d": 3}, ())
    assert site == {"a": {"b": 1, "c": [1]}, "d": None}


def test_equal_values_are_no_conflict():
    """Quantities may be text or numbers."""
    assert merged({"a": "8", "b": [1]}, {"a": 8, "b": [1]})[1] == ()


@pytest.mark.parametrize(
    ("site", "ours"),
    [
        *((4, 8), ("x", "y"), ([1], [2]), ({"b": 1}, 3), (3, {"b": 1}), (True, False)),
    ],
)
def test_a_difference_is_a_conflict(site, ours):
    """Ours stands, and the field is named."""
    assert merged({"spec": {"a": site}}, {"spec": {"a": ours}}) == (
        {"spec": {"a": ours}},
        (Conflict("spec.a", site, ours),),
    )


def test_lists_with_names_are_merged_by_them():
    """A sidecar stays beside our container, whose fields go into the one of its name."""
    site = [{"name": "t", "image": "i"}, {"name": "side"}]
    result, conflicts = merged(
        {"containers": site}, {"containers": [{"name": "t", "command": ["x"]}, {"name": "n"}]}
    )
    assert result["containers"] == [
        {"name": "t", "image": "i", "command": ["x"]},
        {"name": "side"},
        {"name": "n"},
    ]
    assert conflicts == ()


def test_a_conflict_in_a_list_names_the_item():
    """`env[A].value`, not the third entry."""
    _, conflicts = merged({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]})
    assert conflicts == (Conflict("env[A].value", "1", "2"),)


def test_a_field_that_must_be_absent():
    """It is a conflict where the site sets it, and leaves no trace, at any depth, where it does not."""
    assert merged({"a": 1}, {"a": ABSENT}) == ({}, (Conflict("a", 1, ABSENT),))
    assert merged({}, {"x": {"a": ABSENT}, "containers": [{"name": "n", "args": ABSENT}]}) == (
        {"x": {}, "containers": [{"name": "n"}]},
        (),
    )


def test_looking_into_something_of_another_form():
    """A site's manifest may be malformed: what is not there is empty."""
    assert inside({"a": [{"b": 1}]}, "a", 0, "b") == 1
    for wrong in ({}, {"a": 3}, {"a": []}, {"a": None}, [], None, {"a": {"b": 1}}):
        assert inside(wrong, "a", 0, "b") == {}
