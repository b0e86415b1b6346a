"""What a node reads from its run folder, by itself."""

import json

import pytest

from launcher.errors import HandoffError
from launcher.handoff.node.orders import fill_files, node_number, read_order
from launcher.spec.bundle import MAIN_ADDRESS, MAIN_PORT, encoded


def codes(error):
    return [problem.code for problem in error.value.problems]


@pytest.mark.parametrize(
    ("option", "environ", "number"),
    [
        (3, {"SLURM_NODEID": "1"}, 3),
        (None, {"SLURM_NODEID": "1", "JOB_COMPLETION_INDEX": "2"}, 1),
        (None, {"JOB_COMPLETION_INDEX": "2"}, 2),
    ],
)
def test_node_number(option, environ, number):
    """An option before Slurm's word before Kubernetes'."""
    assert node_number(option, environ) == number


def test_what_only_the_job_knows_is_filled_in(nodes):
    """Address and port of the main node come from the job's own variables, into argv, variables and files."""
    words = ["engine", MAIN_ADDRESS, f"--at={MAIN_ADDRESS}:{MAIN_PORT}", encoded(MAIN_ADDRESS, "shell")]
    nodes.write(
        words, words, env={"ADDRESS": MAIN_ADDRESS}, address=None, files={"a.json": "", "plan.json": ""}
    )
    (nodes.run(1) / "a.json").write_text(json.dumps({"ip": MAIN_ADDRESS, "port": MAIN_PORT}))
    environ = {"BATCHWRIGHT_MAIN_ADDRESS": "node's a", "BATCHWRIGHT_MAIN_PORT": "7", "SLURM_JOB_ID": "9"}
    order = read_order(nodes.run(1), node=1, environ=environ)
    assert order.argv == ("engine", "node's a", "--at=node's a:7", "'node'\"'\"'s a'")
    assert order.env["ADDRESS"] == "node's a"
    assert (order.main_address, order.main_port, order.ranks) == ("node's a", 7, range(1, 2))
    fill_files(order)
    assert json.loads((nodes.run(1) / "a.json").read_text()) == {"ip": "node's a", "port": 7}


@pytest.mark.parametrize(
    ("hosts", "environ", "name"),
    [
        (("a", "b"), {}, "b (node 1)"),
        ((MAIN_ADDRESS, "b"), {"BATCHWRIGHT_HOSTS": "n01,n02"}, "n02 (node 1)"),
        ((MAIN_ADDRESS, MAIN_ADDRESS), {}, "node 1"),
    ],
)
def test_names_of_nodes(nodes, hosts, environ, name):
    """As the job names its hosts, else as planned; a placeholder is nobody's name."""
    nodes.write("true", "true", hosts=hosts)
    assert read_order(nodes.run(0), node=0, environ=environ).name(1) == name


def test_secrets_go_first(nodes):
    """The file of secrets is gone even when nothing else can be read."""
    nodes.write("true")
    nodes.put(0, "secrets.0.json", {"TOKEN": "x"})
    assert "TOKEN" not in repr(read_order(nodes.run(0), node=0, environ={}))
    nodes.put(0, "secrets.0.json", {"TOKEN": "x"})
    (nodes.run(0) / "plan.json").write_text("{}")
    with pytest.raises(HandoffError) as error:
        read_order(nodes.run(0), node=0, environ={})
    assert codes(error) == ["node-papers"]
    assert not list(nodes.run(0).glob("secrets*"))


def test_a_number_beyond_the_job(nodes):
    """A node that the job does not have is refused."""
    nodes.write("true")
    with pytest.raises(HandoffError) as error:
        read_order(nodes.run(0), node=1, environ={})
    assert codes(error) == ["node-number"]
    assert "this is node 1, and the job has nodes 0 to 0" in str(error.value)


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("bundle.json", "[]", "bundle.json: no object"),
        ("bundle.json", "{", "bundle.json: no JSON"),
        ("bundle.json", "{}", "KeyError: 'nodes'"),
        ("secrets.0.json", "[1]", "secrets.0.json: AttributeError"),
    ],
)
def test_damaged_papers(nodes, file, text, why):
    """A file that is not what it should be is named, without what stands in it."""
    nodes.write("true")
    (nodes.run(0) / file).write_text(text)
    with pytest.raises(HandoffError) as error:
        read_order(nodes.run(0), node=0, environ={})
    assert codes(error) == ["node-papers"]
    assert why in str(error.value)
