"""The environment before the first line, the witness's own command line, and the modules it waits for."""

import sys

import pytest
from plan_by_hand import plan_by_hand

from batchwright_witness.arguments import UsageError, parse_arguments
from batchwright_witness.arrivals import on_arrival
from batchwright_witness.environment import environment_differences, rank_of
from batchwright_witness.worlds import asked_difference

WHOLE = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "1", "BATCHWRIGHT_PLAN_HASH": "1" * 64}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"LOCAL_WORLD_SIZE": None, "LOCAL_SIZE": "2"}, None),
        ({"WORLD_SIZE": None}, "planned 2 ranks, found 1: this process was started without a rendezvous"),
        ({"WORLD_SIZE": "3"}, "planned 2 ranks, found 3"),
        ({"LOCAL_WORLD_SIZE": "1"}, "planned 2 ranks on every node, found 1"),
        ({"LOCAL_WORLD_SIZE": None, "LOCAL_SIZE": "1"}, "planned 2 ranks on every node, found 1"),
        ({"RANK": "2"}, "planned ranks 0 to 1, found rank 2"),
        ({"BATCHWRIGHT_PLAN_HASH": "f" * 64}, "planned ffffffffffff, found plan 111111111111"),
    ],
)
def test_planned_and_found(change, message):
    """Every difference is named with both numbers."""
    environ = {name: value for name, value in {**WHOLE, **change}.items() if value is not None}
    found = [
        difference.message for difference in environment_differences(environ=environ, plan=plan_by_hand())
    ]
    assert found == ([message] if message else [])


def test_one_rank_needs_no_rendezvous():
    """An engine that starts a single process may set nothing."""
    assert not list(environment_differences(environ={}, plan=plan_by_hand(ranks=1)))
    assert rank_of({}) == 0
    assert rank_of({"RANK": "nonsense"}) == 0


@pytest.mark.parametrize(
    ("asked", "environ", "found"),
    [
        (None, WHOLE, None),
        (-1, WHOLE, None),
        (2, {}, None),
        (4, WHOLE, "4"),
        (-1, {"WORLD_SIZE": "1"}, "1"),
        (None, {}, None),
    ],
)
def test_the_world_a_script_asks_for(asked, environ, found):
    """A number typed into init_process_group, or into the environment, is compared before anybody waits."""
    difference = asked_difference(planned=2, asked=asked, environ=environ)
    assert (difference and difference.message) == (found and f"planned 2 ranks, found {found}")


def test_arguments():
    """What follows script or module is the script's, whatever it looks like."""
    assert parse_arguments(["--plan", "p", "train.py", "--plan", "q"]) == (
        "p",
        "train.py",
        None,
        ("--plan", "q"),
    )
    assert parse_arguments(["--plan=p", "--module", "a.b", "--module"]) == ("p", None, "a.b", ("--module",))
    for words in (["train.py"], ["--plan"], ["--plan", "p"], ["--other", "p", "train.py"]):
        with pytest.raises(UsageError, match="usage: "):
            parse_arguments(words)


def test_arrivals(tmp_path, monkeypatch):
    """Called once, after the module has run and not before it is imported; its loader stays ordinary."""
    (tmp_path / "arriving_module.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", sys.meta_path[:])
    came = []
    on_arrival(
        {
            "arriving_module": lambda module: came.append(module.value),
            "sys": came.append,
        }
    )
    assert came == [sys]
    import arriving_module

    assert came == [sys, 1]
    assert "exec_module" not in vars(arriving_module.__loader__)
    monkeypatch.delitem(sys.modules, "arriving_module")
