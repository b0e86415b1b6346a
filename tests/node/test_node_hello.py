"""What must agree between nodes, by itself."""

from dataclasses import replace

import pytest

from launcher.errors import Problem
from launcher.handoff.node.facts import available_devices
from launcher.handoff.node.hello import Hello, differences, read_hello, too_few_devices

MAIN = Hello(
    node=0,
    host="a",
    launch="one",
    plan_hash="f" * 64,
    versions={
        "python": "3.11.2",
        "torch": "2.13.0",
        "deepspeed": None,
        "accelerate": "1.15.0",
        "batchwright": "1",
    },
    time=5.0,
)


def other(**versions):
    return replace(MAIN, node=1, host="b", versions={**MAIN.versions, **versions})


def test_a_hello_arrives_as_it_was():
    """What is sent is what is read, problems included."""
    hello = replace(
        MAIN, devices=3, problems=(Problem(code="workdir-not-found", message="no", because=("x",)),)
    )
    assert read_hello(hello.to_message()) == hello


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "go"},
        {"kind": "hello"},
        {**MAIN.to_message(), "node": "one"},
        {**MAIN.to_message(), "versions": 3},
        {**MAIN.to_message(), "problems": [{"code": "no-such-code", "message": ""}]},
    ],
)
def test_what_is_no_hello(message):
    """Anything else is refused without an exception."""
    assert read_hello(message) is None


@pytest.mark.parametrize(
    ("versions", "engine", "said"),
    [
        ({}, "torchrun", []),
        ({"python": "3.11.9"}, "torchrun", []),
        ({"python": "3.12.2"}, "torchrun", ["b (node 1) has python 3.12, a (node 0) has python 3.11"]),
        ({"torch": None}, "torchrun", ["b (node 1) has no torch, a (node 0) has torch 2.13.0"]),
        ({"batchwright": "2"}, "torchrun", ["b (node 1) has batchwright 2, a (node 0) has batchwright 1"]),
        (
            {"accelerate": "1.6.0"},
            "torchrun",
            ["b (node 1) has accelerate 1.6.0, a (node 0) has accelerate 1.15.0"],
        ),
        ({"accelerate": None}, "torchrun", []),
        (
            {"accelerate": None},
            "accelerate",
            ["b (node 1) has no accelerate, a (node 0) has accelerate 1.15.0"],
        ),
        (
            {"deepspeed": "0.19.8"},
            "deepspeed",
            ["b (node 1) has deepspeed 0.19.8, a (node 0) has no deepspeed"],
        ),
    ],
)
def test_versions(versions, engine, said):
    """Versions that a job needs are the same everywhere; what only some have and no engine asks for is no matter."""
    found = differences(MAIN, other(**versions), engine=engine)
    assert [problem.message for problem in found] == said


def test_another_plan_is_all_there_is_to_say():
    """With another plan nothing else is worth comparing."""
    found = differences(MAIN, replace(other(torch="1"), plan_hash="0" * 64), engine="torchrun")
    assert [each.message for each in found] == [
        "b (node 1) has another plan than a (node 0): 000000000000, not ffffffffffff"
    ]


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        (None, []),
        (8, []),
        (9, []),
        (7, ["a (node 0) has 7 devices; the plan has 8 x h100-sxm-80gb on every node"]),
        (1, ["a (node 0) has 1 device; the plan has 8 x h100-sxm-80gb on every node"]),
        (0, ["a (node 0) has no devices; the plan has 8 x h100-sxm-80gb on every node"]),
    ],
)
def test_devices(devices, said):
    """A node with fewer devices than planned is named with both numbers."""
    found = too_few_devices(replace(MAIN, devices=devices), devices_per_node=8, device="h100-sxm-80gb")
    assert [each.message for each in found] == said


@pytest.mark.parametrize(
    ("facts", "kind", "number"),
    [
        (None, "cuda", None),
        ({"kind": "cpu", "count": 0, "visible": None}, "cpu", None),
        ({"kind": "cpu", "count": 0, "visible": None}, "cuda", 0),
        ({"kind": "cuda", "count": 8, "visible": None}, "cuda", 8),
        ({"kind": "cuda", "count": 8, "visible": "0,3"}, "cuda", 2),
        ({"kind": "cuda", "count": 2, "visible": "0,1,2"}, "cuda", 2),
        ({"kind": "rocm", "count": 8, "visible": None}, "cuda", 0),
    ],
)
def test_available_devices(facts, kind, number):
    """Devices of the planned kind, as far as the scheduler lets them be seen."""
    assert available_devices(facts, kind=kind) == number
