"""Clusters by name and by path."""

import pytest

from launcher.errors import RecipeError
from launcher.loading import load_recipe

TWO = "nodes: 2\ndevices_per_node: 4\ndevice: cpu\n"


@pytest.fixture
def tree(tmp_path):
    """A folder of recipes with cluster files at three heights."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    write("recipes/clusters/shared.yaml", TWO)
    write("top/clusters/high.yaml", "nodes: 3\n")
    write("top/inner/clusters/near.yaml", "nodes: 4\n")
    write("top/inner/clusters/high.yaml", "nodes: 5\n")
    write("top/inner/own/machines.yaml", "nodes: 6\n")
    write("top/inner/clusters/bad.yaml", "nodes: 0\nnodez: 1\ninterconnect: {within_node: 450}\n")
    write("top/inner/clusters/empty.yaml", "# nothing\n")
    write("top/inner/clusters/list.yaml", "- nodes: 1\n")
    write("top/inner/clusters/torn.yaml", "nodes: [1\n")
    write("top/inner/clusters/latin.yaml", "nodes: 1\n")
    (tmp_path / "top/inner/clusters/latin.yaml").write_bytes(b"# \xe9\nnodes: 1\n")
    write("top/inner/r.yaml", "seed: 1\n")
    return write


def load(write, text, *overrides):
    return load_recipe(write("top/inner/r.yaml", text), overrides=overrides)


def refused(write, tmp_path, text, *overrides):
    with pytest.raises(RecipeError) as error:
        load(write, text, *overrides)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in error.value.problems]


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("near", 4),
        ("high", 5),
        ("shared", 2),
        ("own/machines.yaml", 6),
        ("../../recipes/clusters/shared.yaml", 2),
        ("clusters/near.yaml", 4),
    ],
)
def test_where_a_name_is_looked_for(tree, name, nodes):
    """A path from the recipe's folder; then `clusters/` beside the recipe and, with `recipes/clusters/`, above."""
    assert load(tree, f"cluster: {name}\n").cluster.nodes == nodes


def test_an_absolute_path(tree, tmp_path):
    """An absolute path is a path."""
    assert load(tree, f"cluster: {tmp_path}/recipes/clusters/shared.yaml\n").cluster.nodes == 2


def test_marks_point_into_the_cluster_file(tree, tmp_path):
    """Values of a cluster file have its place and the origin `cluster`."""
    recipe = load(tree, "cluster: shared\n")
    mark = recipe.marks["cluster.devices_per_node"]
    assert (mark.origin, mark.line, mark.column) == ("cluster", 2, 19)
    assert mark.file == f"{tmp_path}/recipes/clusters/shared.yaml"
    assert recipe.marks["cluster"].origin == "cluster"


def test_a_relative_recipe_has_relative_places(tree, tmp_path, monkeypatch):
    """Files are shown as a person at the prompt would name them."""
    tree("top/inner/r.yaml", "cluster: high\n")
    monkeypatch.chdir(tmp_path / "top")
    assert load_recipe("inner/r.yaml").marks["cluster.nodes"].file == "inner/clusters/high.yaml"
    monkeypatch.chdir(tmp_path / "recipes")
    assert load_recipe("../top/inner/r.yaml").marks["cluster.nodes"].file == "../top/inner/clusters/high.yaml"


def test_a_cluster_file_is_read_strictly(tree, tmp_path):
    """All its problems are found, beside the recipe's, with places in it."""
    found = refused(tree, tmp_path, "cluster: bad\nseed: x\n")
    assert [problem.partition(" [")[0] for problem in found] == [
        "top/inner/r.yaml:2:7: `seed: x`: expected a whole number of at least 0",
        (
            "top/inner/clusters/bad.yaml:1:8: `cluster.nodes: 0`: expected a whole number of at least 1, "
            "or a range such as `6..8`"
        ),
        "top/inner/clusters/bad.yaml:2:1: unknown key `nodez` in `cluster`",
        (
            "top/inner/clusters/bad.yaml:3:29: `cluster.interconnect.within_node: 450`: "
            "expected a number and `MB/s` or `GB/s` (`450 GB/s`)"
        ),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "empty.yaml: the cluster file holds no keys [empty-recipe]"),
        ("list", "list.yaml:1:1: expected `key: value` lines [not-a-mapping]"),
        ("torn", "torn.yaml:1:8: this list is not closed"),
        ("latin", "latin.yaml:1:3: byte 0xe9 is not UTF-8 [not-utf8]"),
    ],
)
def test_a_cluster_file_that_is_none(tree, tmp_path, name, message):
    """Unreadable cluster files are named, once."""
    (only,) = refused(tree, tmp_path, f"cluster: {name}\n")
    assert only.startswith(f"top/inner/clusters/{message}")


@pytest.mark.parametrize("name", ["nowhere", "a/b/c.yaml", "own", "x" * 300, '""', '"a b"'])
def test_no_such_cluster(tree, tmp_path, name):
    """The place of the name, and the names there are."""
    (only,) = refused(tree, tmp_path, f"seed: 1\ncluster: {name}\n")
    assert only.startswith("top/inner/r.yaml:2:10: `cluster: ")
    assert "no such cluster file [cluster-not-found]\n  hint: there are " in only
    for known in ("`bad`", "`high`", "`shared`"):
        assert known in only


def test_a_near_miss(tree, tmp_path):
    """A slip is answered with the name that was meant."""
    (only,) = refused(tree, tmp_path, "cluster: sharde\n")
    assert only.endswith("hint: did you mean `shared`?")


def test_overrides_reach_into_a_named_cluster(tree):
    """`--set cluster.nodes=8` changes one number of the file; `--set cluster=` another name takes its place."""
    recipe = load(tree, "cluster: shared\n", "cluster.nodes=8")
    assert (recipe.cluster.nodes, recipe.cluster.devices_per_node) == (8, 4)
    assert recipe.marks["cluster.nodes"].origin == "command-line"
    assert recipe.marks["cluster.device"].origin == "cluster"
    assert load(tree, "cluster: nowhere\n", "cluster=high").cluster.nodes == 5
    assert load(tree, "cluster: shared\n", "cluster=null").cluster is None


def test_a_stage_may_name_a_cluster(tree):
    """A stage's cluster is found in the same way."""
    recipe = load(tree, "stages: [{until: 1K samples, cluster: near}, {cluster: {nodes: 9}}]\n")
    assert [stage.cluster.nodes for stage in recipe.stages] == [4, 9]


def test_the_clusters_of_the_package_come_last(tree, tmp_path, monkeypatch):
    """A name that no folder here or above has is the package's, called alike wherever the package lies."""
    monkeypatch.chdir(tmp_path)
    recipe = load(tree, "cluster: h100-sxm-80gb-8x8\n")
    assert (recipe.cluster.nodes, recipe.cluster.device) == (8, "h100-sxm-80gb")
    assert recipe.marks["cluster.nodes"].file == "batchwright:clusters/h100-sxm-80gb-8x8.yaml"
    tree("recipes/clusters/h100-sxm-80gb-8x8.yaml", "nodes: 7\n")
    assert load(tree, "cluster: h100-sxm-80gb-8x8\n").cluster.nodes == 7


def test_a_slip_of_a_cluster_of_the_package_is_named(tree, tmp_path):
    """The hint knows the package's names too."""
    (message,) = refused(tree, tmp_path, "cluster: h100-sxm-80g-8x8\n")
    assert message.endswith("hint: did you mean `h100-sxm-80gb-8x8`?")
