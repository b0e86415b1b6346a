"""Every recipe of the library: it says where its numbers come from, loads, plans, renders and can be copied."""

import io
import json
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from launcher.api import load_recipe, plan, render
from launcher.cli.library import library_readme
from launcher.cli.main import main
from launcher.loading.headers import read_header
from launcher.loading.library import cluster_names, library_file, library_folder, recipe_names

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for path in ROOT.glob("recipes/**/*.yaml")
    if not any(part[0] == "." for part in path.relative_to(ROOT).parts)
)
RECIPES = [path for path in FILES if path.parent.name != "clusters"]
CLUSTERS = [path for path in FILES if path.parent.name == "clusters"]
# what they are for ends with the plan
WITHOUT_SCRIPT = {"three-numbers", "small-gpt"}
MESSAGES = Path(__file__).parent / "messages"

each_recipe = pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
each_cluster = pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.stem)


def header(path):
    return read_header(path.read_text("utf-8"))


@cache
def planned(path, *overrides):
    """Recipe and plan of a file, as on any machine."""
    recipe = load_recipe(path, overrides=overrides)
    return recipe, plan(recipe, environ={}, measured=False, traced=False)


def run(*words):
    """Exit code, stdout and stderr of a command line."""
    out, err = io.StringIO(), io.StringIO()
    return main([*words], environ={}, stdout=out, stderr=err), out.getvalue(), err.getvalue()


def test_there_are_enough():
    """At least 40 recipes, and the glob, the command and the package see the same ones."""
    assert len(RECIPES) >= 40
    names = {path.relative_to(ROOT / "recipes").with_suffix("").as_posix() for path in RECIPES}
    assert names == set(recipe_names())
    assert {path.stem for path in CLUSTERS} == set(cluster_names())
    assert library_folder() == ROOT / "recipes"


@each_recipe
def test_headers_are_complete(path):
    """Title, a command that names the file itself, arithmetic, source, and how it is verified."""
    said = header(path)
    name = path.relative_to(ROOT).as_posix()
    assert said.title
    assert said.commands
    for command in said.commands:
        words = shlex.split(command.partition("   ")[0])
        assert words[0] == "batchwright"
        assert name in words, command
    assert said.arithmetic
    assert said.source
    assert said.verified in {"run", "arithmetic"}


@each_cluster
def test_headers_of_clusters_are_complete(path):
    """Title and source."""
    said = header(path)
    assert said.title
    assert said.source


@each_recipe
def test_it_plans_and_renders(path):
    """There is a plan without errors, and every engine that the header names renders it."""
    recipe, made = planned(path)
    assert not [problem for problem in made.problems if problem.severity == "error"]
    assert made.verdict != "refused"
    if recipe.launch.script is None and recipe.launch.module is None:
        assert path.stem in WITHOUT_SCRIPT
        return
    for engine in header(path).engines or (recipe.launch.engine,):
        own = engine == recipe.launch.engine
        chosen, made = planned(path) if own else planned(path, f"launch.engine={engine}")
        bundle = render(chosen, made, hosts=[f"node-{rank}" for rank in range(made.layout.num_nodes)])
        assert bundle.commands
        assert made.launch.engine == engine


@each_recipe
def test_the_machine_is_in_the_name(path):
    """`<device>-<nodes>x<devices>` at the beginning of a file name is the plan's machine."""
    match = re.match(r"(?P<device>.+?)-(?P<nodes>\d+)x(?P<devices>\d+)(-|$)", path.stem)
    if not match:
        assert f"{path.parent.name}/{path.stem}" in {
            "module/small-gpt", "quickstart/ramp-1x2", "quickstart/three-numbers", "summarizer/16gb",
        }  # fmt: skip
        return
    layout = planned(path)[1].layout
    if match["device"] != "ramp":
        assert (layout.num_nodes, layout.devices_per_node) == (int(match["nodes"]), int(match["devices"]))
        assert layout.device == match["device"]


@each_cluster
def test_clusters_are_machines_that_the_catalog_knows(path):
    """A cluster file plans with any recipe, by its name from any folder."""
    made = plan(load_recipe({"global_batch_size": 2**20, "sequence_length": 8, "hidden_size": 64, "cluster": path.stem,
                             "launch": {"runtime": True}}), environ={}, measured=False)  # fmt: skip
    assert path.stem.startswith(
        f"{made.layout.device}-{made.layout.num_nodes}x{made.layout.devices_per_node}"
    )


def test_the_readme_is_current():
    """recipes/README.md is printed from the files and their plans."""
    page = ROOT / "recipes" / "README.md"
    assert page.read_text("utf-8") == library_readme(), "write library_readme() into recipes/README.md"


@each_recipe
def test_a_copy_plans_as_the_recipe_does(path, tmp_path, monkeypatch):
    """`recipes copy NAME` brings all that a plan needs: the copy has the same hashes, and its header names it."""
    monkeypatch.chdir(tmp_path)
    name = path.relative_to(ROOT / "recipes").with_suffix("").as_posix()
    code, out, err = run("recipes", "copy", name, "-o", "mine")
    assert (code, err) == (0, f"next    batchwright plan mine/{path.name}\n")
    assert out.splitlines()[0] == f"mine/{path.name}"
    _, made = planned(tmp_path / "mine" / path.name)
    _, original = planned(path)
    assert (made.plan_hash, made.semantics_hash) == (original.plan_hash, original.semantics_hash)
    assert f"recipes/{name}.yaml" not in Path("mine", path.name).read_text()
    script = load_recipe(path).launch.script
    assert script is None or (path.parent / script).exists() == Path("mine", script).exists()


def test_a_copy_overwrites_nothing(tmp_path, monkeypatch):
    """A file that is there is refused and left, and so is what would have been written beside it."""
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/train.py").write_text("mine")
    code, out, err = run("recipes", "copy", "quickstart/cpu-1x2", "-o", "mine")
    assert (code, out) == (1, "")
    assert "`mine/train.py` is there already [would-overwrite]" in err
    assert [path.name for path in Path("mine").iterdir()] == ["train.py"]
    assert run("recipes", "copy", "quickstart/cpu-1x2", "-o", "other")[0] == 0
    assert run("recipes", "copy", "quickstart/ramp-1x2", "-o", "other")[0] == 0  # the same train.py
    Path("a file").write_text("")
    code, _, err = run("recipes", "copy", "quickstart/cpu-1x2", "-o", "a file/inner")
    assert code == 1
    assert "[folder-not-writable]" in err
    Path("link").mkdir()
    Path("link/cpu-1x2.yaml").symlink_to("nowhere")
    assert run("recipes", "copy", "quickstart/cpu-1x2", "-o", "link")[0] == 1


def test_whole_messages(tmp_path, monkeypatch):
    """What is printed about a name that does not exist, and a file that does, letter by letter."""
    monkeypatch.chdir(tmp_path)
    assert run("recipes", "copy", "quickstart/cpu-1x")[2] == (MESSAGES / "unknown-recipe.txt").read_text()
    run("recipes", "copy", "quickstart/cpu-1x2", "-o", "mine")
    assert (
        run("recipes", "copy", "quickstart/cpu-1x2", "-o", "mine")[2]
        == (MESSAGES / "would-overwrite.txt").read_text()
    )


def test_the_list():
    """All recipes as a table of at most 100 columns; words narrow it, in names first, then in all that is shown."""
    code, out, _ = run("recipes")
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    assert all(any(line.startswith(name[:20]) for line in lines) for name in recipe_names())
    assert f"{len(recipe_names())} of {len(recipe_names())} recipes" in out
    listed = json.loads(run("recipes", "--json")[1])["recipes"]
    assert [row["name"] for row in listed] == list(recipe_names())
    assert all(Path(row["file"]).is_file() for row in listed)
    few = json.loads(run("recipes", "quickstart", "RAMP", "--json")[1])["recipes"]
    assert [row["name"] for row in few] == ["quickstart/ramp-1x2"]
    assert all("rnn" in row["model"] for row in json.loads(run("recipes", "rnn", "--json")[1])["recipes"])


def test_one_recipe():
    """Its header, what lies beside it, and where it is; by name or as somebody completed it."""
    code, out, _ = run("recipes", "quickstart/cpu-1x2")
    assert code == 0
    assert out.startswith(header(library_file("quickstart/cpu-1x2")).title)
    assert str(library_file("quickstart/cpu-1x2")) in out
    assert "train.py" in out
    assert run("recipes", "recipes/quickstart/cpu-1x2.yaml")[1] == out
    assert json.loads(run("recipes", "quickstart/cpu-1x2", "--json")[1])["per_step"] == "2,048 tokens"


def test_machines():
    """`recipes clusters` lists the cluster files."""
    listed = json.loads(run("recipes", "clusters", "--json")[1])["clusters"]
    assert [row["name"] for row in listed] == list(cluster_names())
    assert all(name in run("recipes", "clusters")[1] for name in cluster_names())
    few = json.loads(run("recipes", "clusters", "h100", "2048", "--json")[1])["clusters"]
    assert [row["name"] for row in few] == ["h100-sxm-80gb-2048x8"]
    assert "did you mean `h100-sxm-80gb-8x8`?" in run("recipes", "clusters", "h100-sxm-80g-8x8")[2]


@pytest.mark.parametrize("words", [("copy",), ("copy", "a", "b"), ("llama", "-o", "x")])
def test_wrong_usage(words):
    """Wrong words are 2, and say what was expected."""
    code, out, err = run("recipes", *words)
    assert (code, out) == (2, "")
    assert err.startswith("batchwright recipes: error: ")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("quickstart/cpu-1x3", "did you mean `quickstart/cpu-1x2`?"),
        ("quikstart", "did you mean `quickstart/"),
        ("three-number", "did you mean `quickstart/three-numbers`?"),
        ("nothing at all", "`batchwright recipes` lists all"),
    ],
)
def test_names_that_are_slips(word, meant):
    """What is near, by the whole name or by either half."""
    code, out, err = run("recipes", "copy", word)
    assert (code, out) == (1, "")
    assert "[unknown-recipe]" in err
    assert meant in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ("", (), (), "", (), "")),
        ("a: 1\n# no header\n", ("", (), (), "", (), "")),
        ("# Title:\n#\n#     batchwright plan x\n# 2 x 3\n# source: a,\n# b 3\n# verified: run\na: 1\n",
         ("Title", ("batchwright plan x",), ("2 x 3",), "a, b 3", (), "run")),
        ("# yaml-language-server: $schema=x\r\n# T\r\n# engines: torchrun, a-b\r\n# source: s\r\n",
         ("T", (), (), "s", ("torchrun", "a-b"), "")),
    ],
)  # fmt: skip
def test_reading_a_header(text, said):
    """Whatever is absent is empty; lines for editors and line ends of another system do not count."""
    found = read_header(text)
    assert (
        found.title,
        found.commands,
        found.arithmetic,
        found.source,
        found.engines,
        found.verified,
    ) == said
