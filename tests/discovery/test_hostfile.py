"""Hostfiles: what is read, what is refused and where, and what of the cluster only the file says."""

import pytest

from launcher import load_recipe, plan
from launcher.discovery.hostfile import parse_hostfile, with_hosts
from launcher.errors import RecipeError


def parsed(text):
    hosts, problems = parse_hostfile(text, shown="hosts")
    return [(host.name, host.slots) for host in hosts], [(p.where, p.code) for p in problems]


def made(folder, text, **cluster):
    (folder / "hosts").write_text(text)
    keys = "".join(f"  {key}: {value}\n" for key, value in cluster.items())
    (folder / "recipe.yaml").write_text(
        "global_batch_size: 64\nsequence_length: 128\nhidden_size: 128\nmodel: {kind: mlp}\n"
        f"cluster:\n  hostfile: hosts\n{keys}"
    )
    return load_recipe(folder / "recipe.yaml")


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("node-a slots=8\nnode-b slots=8\n", [("node-a", 8), ("node-b", 8)]),
        ("# a\n\n  node-a\t slots=8  # rack 4\n \t\n", [("node-a", 8)]),
        ("node-a slots=8\r\nnode-b slots=4\r\n", [("node-a", 8), ("node-b", 4)]),
        ("10.0.0.1 slots=1#x", [("10.0.0.1", 1)]),
        ("gpu_7.cluster.example slots=16", [("gpu_7.cluster.example", 16)]),
    ],
)
def test_hosts_and_slots_are_read_in_order(text, hosts):
    """Comments, blank lines, tabs and Windows line ends are no part of a host."""
    assert parsed(text) == (hosts, [])


@pytest.mark.parametrize(
    "name",
    [
        *("node-[1-4]", "node-a,node-b", "^hosts", "-l", "/node/", "node%h", "me@node-a", "node-a:8", "::1"),
        *("node;id", "$(id)", "`id`", "'a'", "n\u00f6de", "node\u00a0a", "node\x1ba", "a\x00"),
    ],
)
def test_a_name_that_ssh_or_pdsh_would_read_otherwise_is_refused(name):
    """Brackets, commas, users, options and everything a shell knows are no host name."""
    assert parsed(f"ok slots=1\n {name} slots=8") == ([("ok", 1)], [("hosts:2:2", "hostfile-syntax")])


@pytest.mark.parametrize(
    ("line", "column"),
    [
        *(("node-a", 1), ("node-a slots", 8), ("node-a slots=", 8), ("node-a slots=0", 8)),
        *(
            ("node-a slots=-1", 8),
            ("node-a slots=08", 8),
            ("node-a slots=4.0", 8),
            ("node-a slots=9999999", 8),
        ),
        *(("node-a slots = 4", 8), ("node-a slots=4 slots=4", 16), ("node-a slots=4 max_slots=4", 16)),
        *(("node-a 4", 8), ("node-a SLOTS=4", 8), ("node-a cpu=4 slots=4", 8), ("node-a slots=\u0664", 8)),
    ],
)
def test_whatever_else_stands_in_a_line_is_refused_at_its_word(line, column):
    """One problem a line, at the first word that is not `slots=N`."""
    assert parsed(line) == ([], [(f"hosts:1:{column}", "hostfile-syntax")])


@pytest.mark.parametrize("again", ["node-a", "NODE-A", "node-a."])
def test_a_host_counts_once(again):
    """Names of hosts do not differ by case, nor by the dot of a full name."""
    assert parsed(f"node-a slots=1\nb slots=1\n{again} slots=1")[1] == [("hosts:3:1", "hostfile-duplicate")]


@pytest.mark.parametrize("text", ["", "\n", "# node-a slots=8\n"])
def test_a_file_without_hosts_is_refused(text):
    """An empty hostfile is a mistake, not a cluster of none."""
    assert parsed(text) == ([], [("hosts", "hostfile-syntax")])


def test_all_problems_at_once():
    """Every line has its say, a name and its slots both."""
    text = "a@b slots=x\nnode-a slots=1\nnode-a\n"
    places = [where for where, _ in parsed(text)[1]]
    assert places == ["hosts:1:1", "hosts:1:5", "hosts:3:1", "hosts:3:1"]


def test_the_file_says_how_many_nodes_and_devices(tmp_path):
    """Nodes and devices that the recipe does not write are the file's."""
    result = plan(made(tmp_path, "node-a slots=4\nnode-b slots=4\n"))
    assert (result.layout.num_nodes, result.layout.devices_per_node) == (2, 4)
    assert result.launch.hosts == ("node-a", "node-b")
    assert result.origins["layout.num_nodes"].origin == "cluster"
    assert result.origins["layout.num_nodes"].file == str(tmp_path / "hosts")


def test_fewer_nodes_and_devices_than_the_file_has(tmp_path):
    """The first hosts are used, and more slots than devices are no mistake."""
    text = "node-a slots=4\nnode-b slots=8\nnode-c slots=1\n"
    result = plan(made(tmp_path, text, nodes=2, devices_per_node=4))
    assert (result.launch.hosts, result.layout.world_size) == (("node-a", "node-b"), 8)
    assert result.origins["layout.num_nodes"].origin == "recipe"


def test_listed_devices_count_against_slots(tmp_path):
    """`devices: [0, 1]` needs two slots of each host."""
    text = "node-a slots=2\nnode-b slots=1\n"
    assert plan(made(tmp_path, text, nodes=1, devices="[0, 1]")).layout.devices_per_node == 2
    with pytest.raises(
        RecipeError, match=r"`node-b` has slots=1; the recipe's cluster has 2 devices per node"
    ):
        plan(made(tmp_path, text, nodes=2, devices="[0, 1]"))


def test_one_node_that_is_written_stays_one(tmp_path):
    """A written `nodes: 1` is no absent one."""
    assert plan(made(tmp_path, "a slots=2\nb slots=2\n", nodes=1)).launch.hosts == ("a",)


def test_a_range_of_nodes_needs_its_upper_number(tmp_path):
    """`6..8` is planned with 8, so the file must name 8."""
    with pytest.raises(RecipeError, match=r"`cluster.nodes` asks for 8 nodes; .*hosts names 2"):
        plan(made(tmp_path, "a slots=2\nb slots=2\n", nodes="6..8"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: (path.unlink(), path.mkdir()), "this is a folder"),
        (lambda path: path.write_bytes(b"node-\xff slots=1"), "byte 0xff is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, spoil, words):
    """The complaint stands at the key that names the file."""
    recipe = made(tmp_path, "a slots=1\n")
    spoil(tmp_path / "hosts")
    with pytest.raises(RecipeError) as caught:
        with_hosts(recipe)
    (problem,) = caught.value.problems
    assert problem.code == "hostfile-unreadable"
    assert words in problem.message
    assert problem.where.endswith("recipe.yaml:6:13")


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    """Some editors write one."""
    assert with_hosts(made(tmp_path, "\ufeffnode-a slots=1\n")).hosts == ("node-a",)


def test_without_a_hostfile_nothing_changes():
    """A recipe that names none is the same object."""
    recipe = load_recipe({"global_batch_size": 1, "hidden_size": 64})
    assert with_hosts(recipe) is recipe
